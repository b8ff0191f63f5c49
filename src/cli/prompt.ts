// Asks for passwords. On a terminal nothing that is typed is shown, and every way out gives the terminal back as it was;
// Ctrl-C ends the program with 130. Where standard input is no terminal each question takes one line of it, so that
// scripts can answer. Questions go to standard error, or to the terminal where that leads elsewhere.
// On failure: SettingsError, when there is no answer, an empty one or one that is too long. Answers are in no message.

import { closeSync, openSync, writeSync } from 'node:fs';

import { SettingsError } from '../errors.ts';
import type { Program } from './usage.ts';

const MAX_ANSWER_CHARS = 1024;
const INTERRUPTED = 130;
const ENTER = /^[\r\n]$/;
const BACKSPACE = /^[\b\u007f]$/;
const KILL_LINE = '\u0015';
const INTERRUPT = '\u0003';
const END_OF_INPUT = '\u0004';

export class Prompt {
  readonly #program: Pick<Program, 'err' | 'exit'>;
  #input: AsyncIterator<string> | null = null;
  /** Read and not yet asked for. */
  #waiting: string[] = [];

  constructor(program: Pick<Program, 'err' | 'exit'>) {
    this.#program = program;
  }

  /** A password, once. `empty: 'allowed'` for those that others chose. */
  async password(question: string, empty: 'refused' | 'allowed' = 'refused'): Promise<string> {
    const answer = await this.#ask(question);
    if (answer === null)
      throw new SettingsError([`${question} there was no answer, standard input is at its end`]);
    if (answer === '' && empty === 'refused')
      throw new SettingsError([`${question} an empty password is refused`]);
    return answer;
  }

  /** A new password, asked for twice. */
  async newPassword(question: string, again: string): Promise<string> {
    const first = await this.password(question);
    if ((await this.password(again)) === first) return first;
    throw new SettingsError(['the two passwords are not the same, nothing was changed']);
  }

  async #ask(question: string): Promise<string | null> {
    if (!process.stdin.isTTY) {
      this.#program.err(question);
      const answer = await this.#pipedLine();
      this.#program.err('\n');
      return answer;
    }
    process.stdin.setRawMode(true);
    try {
      this.#tell(question);
      return await this.#typedLine();
    } finally {
      process.stdin.setRawMode(false);
      this.#tell('\n');
    }
  }

  async #pipedLine(): Promise<string | null> {
    let line = '';
    for (;;) {
      const char = await this.#next();
      if (char === null) return line === '' ? null : line.replace(/\r$/, '');
      if (char === '\n') return line.replace(/\r$/, '');
      line = extended(line, char);
    }
  }

  async #typedLine(): Promise<string | null> {
    let line: string[] = [];
    for (;;) {
      const char = await this.#next();
      if (char === null || (char === END_OF_INPUT && line.length === 0)) return null;
      if (ENTER.test(char)) return line.join('');
      if (char === INTERRUPT) this.#interrupted();
      else if (char === KILL_LINE) line = [];
      else if (BACKSPACE.test(char)) line.pop();
      else if (char >= ' ') {
        extended(line.join(''), char);
        line.push(char);
      }
    }
  }

  #interrupted(): never {
    process.stdin.setRawMode(false);
    this.#tell('\n');
    return this.#program.exit(INTERRUPTED);
  }

  /** The next character of standard input; null at its end. */
  async #next(): Promise<string | null> {
    if (this.#input === null) {
      process.stdin.setEncoding('utf8');
      this.#input = process.stdin[Symbol.asyncIterator]() as AsyncIterator<string>;
    }
    while (this.#waiting.length === 0) {
      const chunk = await this.#input.next();
      if (chunk.done === true) return null;
      this.#waiting = Array.from(chunk.value).toReversed();
    }
    return this.#waiting.pop() ?? null;
  }

  #tell(words: string): void {
    if (process.stderr.isTTY) return this.#program.err(words);
    const terminal = openSync('/dev/tty', 'w');
    try {
      writeSync(terminal, words);
    } finally {
      closeSync(terminal);
    }
  }
}

function extended(line: string, char: string): string {
  if (line.length < MAX_ANSWER_CHARS) return line + char;
  throw new SettingsError([`a password of more than ${MAX_ANSWER_CHARS} characters is refused`]);
}
