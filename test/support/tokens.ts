// Tokens of the test's own: SoftHSM with its configuration and tokens under the given folder, keys made by pkcs11-tool,
// certificates for them made by openssl with libp11's engine; and NSS databases made by certutil. Nothing of the user's
// is read or written. SoftHSM needs `env` in the environment of whoever uses it. The caller removes the folder.

import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { run } from './program.ts';

export const SOFTHSM = '/usr/lib/softhsm/libsofthsm2.so';

/** Runs a program that must succeed. */
export async function must(
  program: string,
  args: readonly string[],
  options: Parameters<typeof run>[2] = {},
): Promise<string> {
  const { code, text } = await run(program, args, options);
  assert.equal(code, 0, `${program} ${args.join(' ')}: ${text}`);
  return text;
}

export interface SoftToken {
  readonly label: string;
  readonly pin: string;
  readonly env: Readonly<Record<string, string>>;
  /** By pkcs11-tool, logged in. */
  tool(args: readonly string[]): Promise<string>;
  /** A key pair in the token; `id` in hex. */
  makeKey(id: string, keyType: 'rsa:2048' | 'EC:prime256v1' | 'EC:secp384r1'): Promise<void>;
  /** A self-signed certificate for a key in the token, put beside it; PEM file. */
  certify(id: string, nickname: string, name?: string): Promise<string>;
  /** Takes the token away, and gives it back. */
  remove(): void;
  putBack(): void;
}

export async function makeSoftToken(
  folder: string,
  { label = 'mail', pin = '1234' } = {},
): Promise<SoftToken> {
  const tokens = join(folder, 'tokens');
  const configuration = join(folder, 'softhsm2.conf');
  mkdirSync(tokens, { recursive: true });
  const lines = [`directories.tokendir = ${tokens}`, 'objectstore.backend = file', 'log.level = ERROR', ''];
  writeFileSync(configuration, lines.join('\n'));
  const env = { SOFTHSM2_CONF: configuration };
  const init = ['--init-token', '--free', '--label', label, '--pin', pin, '--so-pin', '12345678'];
  await must('softhsm2-util', init, { env });
  const [name = ''] = readdirSync(tokens);
  const tool = (args: readonly string[]): Promise<string> =>
    must('pkcs11-tool', ['--module', SOFTHSM, '--login', '--pin', pin, '--token-label', label, ...args], {
      env,
    });
  return {
    label,
    pin,
    env,
    tool,
    async makeKey(id, keyType) {
      await tool(['--keypairgen', '--key-type', keyType, '--id', id, '--label', `key ${id}`, '--usage-sign']);
    },
    async certify(id, nickname, name = 'mail.example.com') {
      const file = join(folder, `${id}.pem`);
      const uri = `pkcs11:token=${label};id=%${id};type=private;pin-value=${pin}`;
      await must(
        'openssl',
        [
          'req',
          '-x509',
          '-new',
          '-days',
          '30',
          '-engine',
          'pkcs11',
          '-keyform',
          'engine',
          '-key',
          uri,
          '-subj',
          `/CN=${name}`,
          '-addext',
          `subjectAltName=DNS:${name},DNS:localhost`,
          '-out',
          file,
        ],
        { env: { ...env, PKCS11_MODULE_PATH: SOFTHSM } },
      );
      const der = join(folder, `${id}.der`);
      await must('openssl', ['x509', '-in', file, '-outform', 'DER', '-out', der]);
      await tool(['--write-object', der, '--type', 'cert', '--id', id, '--label', nickname]);
      return file;
    },
    remove: () => renameSync(join(tokens, name), join(folder, 'elsewhere')),
    putBack: () => renameSync(join(folder, 'elsewhere'), join(tokens, name)),
  };
}

export interface NssDatabase {
  readonly folder: string;
  readonly password: string;
  /** PEM file of a certificate. */
  export(nickname: string): Promise<string>;
}

/** An NSS database with self-signed certificates of these nicknames. */
export async function makeNssDatabase(
  folder: string,
  certificates: Readonly<Record<string, 'rsa' | 'ec'>>,
  password = 'nss password',
): Promise<NssDatabase> {
  mkdirSync(folder, { recursive: true });
  const passwordFile = join(folder, '..', 'nss.password');
  const noise = join(folder, '..', 'noise');
  writeFileSync(passwordFile, `${password}\n`);
  writeFileSync(noise, crypto.getRandomValues(new Uint8Array(200)));
  const at = ['-d', `sql:${folder}`, '-f', passwordFile];
  await must('certutil', ['-N', ...at]);
  let serial = 1;
  for (const [nickname, keyType] of Object.entries(certificates)) {
    const kind = keyType === 'rsa' ? ['-k', 'rsa', '-g', '2048'] : ['-k', 'ec', '-q', 'nistp256'];
    const names = ['-s', `CN=${nickname.toLowerCase()}.example.com`, '-8', 'localhost,mail.example.com'];
    await must('certutil', [
      '-S',
      ...at,
      '-z',
      noise,
      '-n',
      nickname,
      ...names,
      '-x',
      '-t',
      'CTu,,',
      ...kind,
      '-m',
      String(serial++),
    ]);
  }
  return {
    folder,
    password,
    async export(nickname) {
      const file = join(folder, '..', `${nickname}.pem`);
      writeFileSync(file, await must('certutil', ['-L', ...at, '-n', nickname, '-a']));
      return file;
    },
  };
}
