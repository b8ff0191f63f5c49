// `sallyport cert` in tests, over a folder of its own that goes with the tool (`using`): as the real program, by its name
// msgcert, or for most of what is asked of it within this process, which saves the start of one.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { cert } from '../../src/cli/cert.ts';
import { SettingsError } from '../../src/errors.ts';
import { realWorld } from '../../src/world.ts';
import { run } from './program.ts';
import type { Run } from './program.ts';

const MSGCERT = join(import.meta.dirname, '../../src/msgcert.ts');
export const PASSWORD = 'password22';

export interface CertTool {
  readonly folder: string;
  /** The database password, one line, mode 0600. */
  readonly passwordFile: string;
  /** What runs msgcert, for a shell. */
  readonly command: string;
  /** A file in the folder. */
  file(name: string): string;
  write(name: string, text: string | Buffer): string;
  /** The program: `msgcert WORDS` in the folder; `input` is standard input. */
  msgcert(words: readonly string[], input?: string): Promise<Run>;
  /** The verb with -W, and what it must have: exit code 0. Its standard output. */
  ok(verb: string, ...words: readonly string[]): Promise<string>;
  /** The verb with -W, which must end with this code and say nothing on standard output. Its standard error. */
  refused(code: number, verb: string, ...words: readonly string[]): Promise<string>;
  [Symbol.dispose](): void;
}

/** Without `settings` a folder with a sallyport.yaml that says little more than the host name. */
export function certTool(settings = 'hostname: mail.example.test\ndataDir: ./data\n'): CertTool {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-cert-'));
  const file = (name: string): string => join(folder, name);
  const write = (name: string, text: string | Buffer): string => {
    writeFileSync(file(name), text, { mode: 0o600 });
    return file(name);
  };
  write('sallyport.yaml', settings);
  const passwordFile = write('password', `${PASSWORD}\n`);
  const msgcert = (words: readonly string[], input = ''): Promise<Run> =>
    run(process.execPath, [MSGCERT, ...words], { cwd: folder, input, env: { TZ: 'UTC' } });
  const withPassword = async (verb: string, words: readonly string[]): Promise<Answer> => {
    const before = process.cwd();
    process.chdir(folder);
    try {
      return await answerOf([verb, '-W', passwordFile, ...words]);
    } finally {
      process.chdir(before);
    }
  };
  return {
    folder,
    passwordFile,
    command: `${process.execPath} ${MSGCERT}`,
    file,
    write,
    msgcert,
    async ok(verb, ...words) {
      const { code, out, err } = await withPassword(verb, words);
      if (code !== 0) throw new Error(`${verb} ${words.join(' ')} ended with ${code}: ${out}${err}`);
      return out;
    },
    async refused(code, verb, ...words) {
      const found = await withPassword(verb, words);
      if (found.code !== code || found.out !== '')
        throw new Error(`${verb} ${words.join(' ')} ended with ${found.code}: ${found.out}${found.err}`);
      return found.err;
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** A tool whose database is there. */
export async function toolWithDatabase(settings?: string): Promise<CertTool> {
  const tool = certTool(settings);
  try {
    await tool.ok('generate-certDB');
    return tool;
  } catch (error) {
    tool[Symbol.dispose]();
    throw error;
  }
}

interface Answer {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function answerOf(words: readonly string[]): Promise<Answer> {
  const out: Buffer[] = [];
  let err = '';
  const code = await cert.runArguments(words, {
    version: '0',
    entry: '',
    world: realWorld,
    out: (text) => void out.push(Buffer.from(text)),
    err: (text) => void (err += text),
    exit: (ended) => {
      throw new SettingsError([`exit ${ended}`]);
    },
  });
  return { code, out: Buffer.concat(out).toString(), err };
}
