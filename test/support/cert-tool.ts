// `sallyport cert` in tests: the real program over a folder of its own, by its name msgcert. The folder goes with the
// tool (`using`).

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { run } from './program.ts';
import type { Run } from './program.ts';

const MSGCERT = join(import.meta.dirname, '../../src/msgcert.ts');
export const PASSWORD = 'password22';

export interface CertTool {
  readonly folder: string;
  /** The database password, one line, mode 0600. */
  readonly passwordFile: string;
  /** A file in the folder. */
  file(name: string): string;
  write(name: string, text: string | Buffer): string;
  /** `msgcert WORDS` in the folder; `input` is standard input. */
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
  const withPassword = (verb: string, words: readonly string[]): Promise<Run> =>
    msgcert([verb, '-W', passwordFile, ...words]);
  return {
    folder,
    passwordFile,
    file,
    write,
    msgcert,
    async ok(verb, ...words) {
      const { code, stdout, text } = await withPassword(verb, words);
      if (code !== 0) throw new Error(`msgcert ${verb} ${words.join(' ')} ended with ${code}: ${text}`);
      return stdout.toString();
    },
    async refused(code, verb, ...words) {
      const result = await withPassword(verb, words);
      if (result.code !== code || result.stdout.length > 0)
        throw new Error(`msgcert ${verb} ${words.join(' ')} ended with ${result.code}: ${result.text}`);
      return result.stderr.toString();
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** A tool whose database is there. */
export async function toolWithDatabase(settings?: string): Promise<CertTool> {
  const tool = certTool(settings);
  await tool.ok('generate-certDB');
  return tool;
}
