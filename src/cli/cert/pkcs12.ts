// export-cert, import-cert and import-selfsign-cert: a certificate with its private key and its chain as a PKCS#12 file,
// which Windows, OpenSSL, NSS and Java read and write.

import { X509Certificate } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';

import { isSelfSigned, pathOf } from '../../certdb/chain.ts';
import type { CertificateDatabase, Entry } from '../../certdb/database.ts';
import { keyTypeOf } from '../../certdb/pem.ts';
import { nicknameProblem } from '../../certdb/nickname.ts';
import { readPkcs12, writePkcs12 } from '../../certdb/pkcs12.ts';
import { SettingsError } from '../../errors.ts';
import { counted } from '../usage.ts';
import { nameOfFile } from './add-cert.ts';
import { nicknameOf } from './home.ts';
import { factsOf, warnOfExpiry } from './list.ts';
import { readPasswordLine, withDatabase } from './place.ts';
import { KEY_TYPE_OPTION, KEY_TYPES } from './remove.ts';
import { deliver, OUTPUT_OPTION, refuseTerminal } from './result.ts';
import { refuseTaken } from './self-signed.ts';
import { DATABASE_OPTIONS, oneOf } from './verb.ts';
import type { Desk, Given, Job, Verb } from './verb.ts';

const MAX_FILE_BYTES = 1_048_576;

export const exportCertificate: Verb = {
  name: 'export-cert',
  summary: 'Exports a certificate and its keys from the database',
  usage: '[-W CERT_PW_FILE] [-O PKCS12_PW_FILE] [-o OUTPUT_FILE]\n[--legacy] [--keytype TYPE]',
  operands: ['CERT_ALIAS'],
  options: {
    'output-pwd-file': {
      type: 'string',
      short: 'O',
      value: 'PKCS12_PW_FILE',
      doc: 'reads the password for the PKCS#12 file from this file, one line (default: prompt for it)',
    },
    ...OUTPUT_OPTION,
    legacy: { type: 'boolean', doc: 'encrypts it as programs from before 2020 want it (3DES, SHA-1)' },
    keytype: {
      ...KEY_TYPE_OPTION.keytype,
      doc: 'rsa, ec or ed25519, where several certificates have the alias',
    },
    ...DATABASE_OPTIONS,
  },
  help: 'The file holds the private key: it is written with mode 0600, and its password is all that protects it.\n',
  read(given) {
    const nickname = nicknameOf(given.words[0] ?? '');
    const keyType = oneOf('--keytype', given.text('keytype'), KEY_TYPES);
    const output = given.text('output');
    const passwordFile = given.text('output-pwd-file');
    const form = given.flag('legacy') ? 'legacy' : 'modern';
    return (desk) => {
      refuseTerminal(output, '-o OUTPUT_FILE keeps it');
      return withDatabase(desk, async (database) => {
        const entry = oneEntry(database, nickname, keyType);
        const key = database.privateKey(entry.keyId);
        if (key === null)
          throw new SettingsError([`${database.file}: there is no private key for "${nickname}" in it`]);
        const password =
          passwordFile === undefined
            ? await desk.prompt.newPassword(
                'Choose the PKCS#12 file password:',
                'Confirm the PKCS#12 file password:',
              )
            : readPasswordLine(passwordFile, desk);
        const extra = chainOf(entry, database.entries());
        const bytes = writePkcs12({ key, cert: entry.cert, extra, friendlyName: nickname, password, form });
        deliver(desk, bytes, { output, kind: 'secret' });
      });
    };
  },
};

/** With the root, so that who imports it need not look for it. */
function chainOf({ cert, extra }: Entry, known: readonly Entry[]): string[] {
  const others = [...extra, ...known.map((entry) => entry.cert)].map((pem) => new X509Certificate(pem));
  return pathOf(new X509Certificate(cert), others).slice(1).map(String);
}

function oneEntry(database: CertificateDatabase, nickname: string, keyType: string | undefined): Entry {
  const entries = database
    .find(nickname)
    .filter((entry) => keyType === undefined || entry.keyType === keyType);
  const [entry] = entries;
  if (entry === undefined)
    throw new SettingsError([`${database.file}: "${nickname}" has no certificate of type ${keyType}`]);
  if (entries.length === 1) return entry;
  const types = entries.map((each) => each.keyType).join(' or ');
  throw new SettingsError([
    `${database.file}: "${nickname}" has several certificates: say --keytype ${types}`,
  ]);
}

const IMPORT_OPTIONS = {
  alias: {
    type: 'string',
    value: 'CERT_ALIAS',
    doc: 'what it is to be called (default: the name in the file, else that of the file)',
  },
  name: {
    type: 'string',
    value: 'NAME',
    doc: 'which one, where the file holds several keys: by its name there',
  },
  'input-pwd-file': {
    type: 'string',
    short: 'I',
    value: 'PKCS12_PW_FILE',
    doc: 'reads the password of the PKCS#12 file from this file, one line (default: prompt for it)',
  },
  ...DATABASE_OPTIONS,
} as const;

const IMPORT_USAGE = '[-W CERT_PW_FILE] [-I PKCS12_PW_FILE]\n[--alias CERT_ALIAS] [--name NAME]';

export const importCertificate: Verb = {
  name: 'import-cert',
  changes: true,
  summary: 'Adds a certificate and its keys from a PKCS#12 file',
  usage: IMPORT_USAGE,
  operands: ['CERT_FILE'],
  options: IMPORT_OPTIONS,
  read: (given) => importJob(given, 'any'),
};

export const importSelfSigned: Verb = {
  name: 'import-selfsign-cert',
  changes: true,
  summary: 'Adds a self-signed certificate and its keys from a PKCS#12 file',
  usage: IMPORT_USAGE,
  operands: ['CERT_FILE'],
  options: IMPORT_OPTIONS,
  read: (given) => importJob(given, 'self-signed'),
};

function importJob(given: Given, wanted: 'any' | 'self-signed'): Job {
  const [file = ''] = given.words;
  const alias = given.text('alias');
  const nickname = alias === undefined ? undefined : nicknameOf(alias);
  const passwordFile = given.text('input-pwd-file');
  return (desk) => {
    const bytes = readBounded(file);
    return withDatabase(desk, async (database) => {
      const password =
        passwordFile === undefined
          ? // Others write files with an empty one.
            await desk.prompt.password('Enter the PKCS#12 file password:', 'allowed')
          : readPasswordLine(passwordFile, desk);
      const { key, cert, extra, friendlyName } = readPkcs12(bytes, {
        password,
        source: file,
        name: given.text('name'),
      });
      if (wanted === 'self-signed' && !isSelfSigned(new X509Certificate(cert)))
        throw new SettingsError([
          `${file}: its certificate is not self-signed: ${desk.tool} import-cert takes it`,
        ]);
      const name = nickname ?? usable(friendlyName) ?? nicknameOf(nameOfFile(file));
      const entry = database.change((change) => {
        refuseTaken(database, name, {
          keyType: keyTypeOf(new X509Certificate(cert).publicKey),
          remedy: '; --alias CERT_ALIAS gives it another',
        });
        change.addKey(key);
        return change.addCertificate({ nickname: name, cert, extra });
      });
      tell(entry, desk);
    });
  };
}

function usable(friendlyName: string | null): string | undefined {
  return friendlyName === null || nicknameProblem(friendlyName) !== null ? undefined : friendlyName;
}

function tell(entry: Entry, desk: Desk): void {
  const facts = factsOf(entry);
  const chain =
    entry.extra.length === 0 ? '' : `, with ${counted(entry.extra.length, 'certificate')} of its chain`;
  desk.say(`${entry.nickname}: imported with its private key, ${facts.subject}${chain}`);
  warnOfExpiry(facts, desk);
}

function readBounded(file: string): Buffer {
  try {
    const descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stats = fstatSync(descriptor);
      if (!stats.isFile()) throw new SettingsError([`${file}: is no file, a PKCS#12 file is wanted`]);
      if (stats.size > MAX_FILE_BYTES)
        throw new SettingsError([`${file}: has ${stats.size} bytes, more than a certificate can need`]);
      return readFileSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    if (error instanceof SettingsError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    throw new SettingsError([
      `${file}: ${code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`}`,
    ]);
  }
}
