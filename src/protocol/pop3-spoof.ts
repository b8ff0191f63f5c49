// A POP3 mailbox of our own that stands in for a store which cannot be had (SpoofMessageFile of the Sun/Oracle MMP): empty,
// or with one message that tells why. Speaks from right behind the login to QUIT. Promises: nothing is ever deleted,
// whatever DELE said; the message keeps its UIDL as long as its text is the same; the same commands and limits as before
// the login, wrong ones counted.

import { createHash } from 'node:crypto';

import { parseCommand } from '../wire/pop3.ts';
import type { Talk } from './dialect.ts';
import { Patience } from './patience.ts';

export interface SpoofMessage {
  /** With CRLF, as it is without dot-stuffing. */
  readonly text: string;
  readonly octets: number;
  readonly uidl: string;
}

/** Larger ones are no notice but an attachment. */
export const SPOOF_BYTES_MAX = 64 * 1024;

/** RFC 5322 2.1.1: without the CRLF. */
const LINE_MAX = 998;

/** From a file, one byte a character; or a sentence about what is wrong with it. */
export function readSpoof(file: string): SpoofMessage | string {
  const lines = file.split(/\r\n|\n/);
  if (lines.at(-1) === '') lines.pop();
  // The MMP's files end as a message ends on the wire.
  if (lines.at(-1) === '.') lines.pop();
  if (lines.some((line) => /[\r\0]/.test(line))) return 'expected no NUL, and no CR without LF';
  if (lines.some((line) => line.length > LINE_MAX)) return `expected lines of at most ${LINE_MAX} bytes`;
  if (!/^[\x21-\x39\x3b-\x7e]+[ \t]*:/.test(lines[0] ?? '')) {
    return 'expected a message that begins with header lines, such as "Subject: …"';
  }
  const text = lines.map((line) => `${line}\r\n`).join('');
  const uidl = createHash('sha256').update(text, 'latin1').digest('hex').slice(0, 32);
  return { text, octets: text.length, uidl };
}

/** What the login is answered. */
export function spoofWelcome(message: SpoofMessage | null): string {
  return message === null ? 'No messages' : `1 message (${message.octets} octets)`;
}

/** Resolves at QUIT. What ends the talk before that is thrown by it. */
export class Pop3Spoof {
  readonly #talk: Talk;
  readonly #message: SpoofMessage | null;
  readonly #patience: Patience;
  #isMarked = false;

  constructor(talk: Talk, message: SpoofMessage | null, badCommands: number) {
    this.#talk = talk;
    this.#message = message;
    this.#patience = new Patience(badCommands);
  }

  async run(): Promise<void> {
    for (;;) {
      const command = parseCommand(await this.#talk.command());
      if (command.kind === 'malformed') this.#err('Command not understood');
      else if (command.verb === 'QUIT') {
        this.#talk.send('+OK Goodbye\r\n');
        return;
      } else this.#answer(command.verb, command.argument);
    }
  }

  #answer(verb: string, argument: string): void {
    const words = argument.split(' ').filter((word) => word !== '');
    switch (verb) {
      case 'STAT': {
        const here = this.#here;
        return this.#ok(here === null ? '0 0' : `1 ${here.octets}`);
      }
      case 'LIST':
        return this.#scan(words, ({ octets }) => String(octets));
      case 'UIDL':
        return this.#scan(words, ({ uidl }) => uidl);
      case 'RETR':
        return this.#withMessage(words, 1, (message) => this.#send(message.text, `${message.octets} octets`));
      case 'TOP':
        return this.#withMessage(words, 2, (message) =>
          this.#send(topOf(message.text, Number(words[1])), ''),
        );
      case 'DELE':
        return this.#withMessage(words, 1, () => {
          this.#isMarked = true;
          this.#ok('Marked');
        });
      case 'RSET':
        this.#isMarked = false;
        return this.#ok('');
      case 'NOOP':
        return this.#ok('');
      case 'CAPA':
        return this.#list('Capabilities follow', [
          'TOP',
          'UIDL',
          'RESP-CODES',
          'AUTH-RESP-CODE',
          'PIPELINING',
        ]);
      default:
        return this.#err('Command not known');
    }
  }

  get #here(): SpoofMessage | null {
    return this.#isMarked ? null : this.#message;
  }

  /** RFC 1939 5, 7: of one message on one line, or of all. */
  #scan(words: readonly string[], show: (message: SpoofMessage) => string): void {
    if (words.length > 0) {
      return this.#withMessage(words, 1, (message) => this.#ok(`1 ${show(message)}`));
    }
    const here = this.#here;
    this.#list('List follows', here === null ? [] : [`1 ${show(here)}`]);
  }

  #withMessage(words: readonly string[], count: number, use: (message: SpoofMessage) => void): void {
    const here = this.#here;
    if (words.length !== count || !words.every((word) => /^\d{1,9}$/.test(word))) {
      return this.#err('Expected the number of a message');
    }
    if (Number(words[0]) !== 1 || here === null) return this.#err('No such message');
    use(here);
  }

  #list(words: string, lines: readonly string[]): void {
    this.#send(lines.map((line) => `${line}\r\n`).join(''), words);
  }

  #send(text: string, words: string): void {
    this.#patience.waste();
    const body = `+OK ${words}\r\n${text.replaceAll(/^\./gm, '..')}.\r\n`;
    this.#talk.send(Buffer.from(body, 'latin1'));
  }

  #ok(words: string): void {
    this.#patience.waste();
    this.#talk.send(`+OK ${words}\r\n`);
  }

  #err(words: string): void {
    this.#patience.lose();
    this.#talk.send(`-ERR ${words}\r\n`);
  }
}

/** RFC 1939 7: the header, the empty line, so many lines of the body. */
function topOf(text: string, count: number): string {
  const end = text.indexOf('\r\n\r\n');
  if (end === -1) return text;
  const lines = text.slice(end + 4).split('\r\n');
  lines.pop();
  const body = lines.slice(0, count).map((line) => `${line}\r\n`);
  return text.slice(0, end + 4) + body.join('');
}
