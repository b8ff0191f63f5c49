// request-cert: a new key in the database and a request for its certificate. sign-request: the other side, a CA of the
// database signs what others ask for.

import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';

import { generateKey, softwareSigner } from '../../certdb/keys.ts';
import { makeRequest, signRequest } from '../../certdb/issue.ts';
import { SettingsError } from '../../errors.ts';
import { nicknameOf } from './home.ts';
import { factsOf } from './list.ts';
import { databaseOf, withDatabase } from './place.ts';
import { deliver, OUTPUT_OPTION, refuseTerminal } from './result.ts';
import { USE_OPTION, VALIDITY_OPTION, validityOf } from './self-signed.ts';
import {
  ALTERNATIVE_OPTIONS,
  hostWarning,
  KEY_OPTIONS,
  readAlternatives,
  readKeyWish,
  readSubject,
  SUBJECT_OPTIONS,
  SUBJECT_USAGE,
  USES,
} from './subject.ts';
import { endOf, USUAL_VALIDITY } from './validity.ts';
import { DATABASE_OPTIONS, oneOf } from './verb.ts';
import type { Verb } from './verb.ts';

const FORMATS = ['ascii', 'binary'] as const;
const MAX_REQUEST_BYTES = 65_536;

export const requestCertificate: Verb = {
  name: 'request-cert',
  summary: 'Generates a certificate request',
  usage: `[-W CERT_PW_FILE] ${SUBJECT_USAGE}\n[-F FORMAT] [-o OUTPUT_FILE]`,
  operands: [],
  options: {
    ...SUBJECT_OPTIONS,
    ...ALTERNATIVE_OPTIONS,
    ...KEY_OPTIONS,
    format: {
      type: 'string',
      short: 'F',
      value: 'FORMAT',
      doc: 'binary (DER, default) or ascii (PKCS #10 in PEM)',
    },
    ...OUTPUT_OPTION,
    ...DATABASE_OPTIONS,
  },
  help:
    'The private key stays in the database and waits for the certificate: add-cert CERT_ALIAS CERT_FILE joins the two,\n' +
    'renew-cert puts it in place of one that is there. Most authorities want all parts of the name.\n',
  read(given) {
    const subject = readSubject(given);
    const names = readAlternatives(given, subject, 'server');
    const keyWish = readKeyWish(given);
    const format = oneOf('-F', given.text('format'), FORMATS) ?? 'binary';
    const output = given.text('output');
    return (desk) => {
      if (format === 'binary') refuseTerminal(output, '-o OUTPUT_FILE keeps it, -F ascii makes it text');
      return withDatabase(desk, async (database) => {
        const key = generateKey(keyWish);
        const der = await makeRequest(softwareSigner(key), { subject, ...names });
        const bytes = format === 'ascii' ? Buffer.from(pemOf(der)) : der;
        const change = (): void => void database.change((changes) => changes.addKey(key));
        deliver(desk, bytes, { output, kind: 'public', change });
        const warning = hostWarning(subject, names);
        if (warning !== null) desk.note(warning);
        desk.note(
          `its private key waits in ${databaseOf(desk)}; when the certificate comes: ${desk.tool} add-cert CERT_ALIAS CERT_FILE`,
        );
      });
    };
  },
};

export function pemOf(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE REQUEST-----', ...lines, '-----END CERTIFICATE REQUEST-----', ''].join(
    '\n',
  );
}

export const signRequestVerb: Verb = {
  name: 'sign-request',
  summary: 'Signs a certificate request with a CA in the database',
  usage: '[-W CERT_PW_FILE] --ca CA_ALIAS [--use USE] [--validity TIME]\n[-F FORMAT] [-o OUTPUT_FILE]',
  operands: ['REQUEST_FILE'],
  options: {
    ca: { type: 'string', value: 'CA_ALIAS', doc: 'the CA; add-selfsign-cert --use ca makes one' },
    use: { ...USE_OPTION.use, doc: 'what the certificate is for: server (default), client or ca' },
    ...VALIDITY_OPTION,
    format: { type: 'string', short: 'F', value: 'FORMAT', doc: 'ascii (PEM, default) or binary (DER)' },
    ...OUTPUT_OPTION,
    ...DATABASE_OPTIONS,
  },
  help: 'The certificate has the names that the request has, and the use that you say. It ends with its CA at the latest.\n',
  read(given) {
    const [file = ''] = given.words;
    const typed = given.text('ca');
    if (typed === undefined) throw new Error('expected --ca CA_ALIAS, the authority that signs');
    const alias = nicknameOf(typed);
    const use = oneOf('--use', given.text('use'), USES) ?? 'server';
    const validity = validityOf(given.text('validity')) ?? USUAL_VALIDITY;
    const format = oneOf('-F', given.text('format'), FORMATS) ?? 'ascii';
    const output = given.text('output');
    return (desk) => {
      if (format === 'binary') refuseTerminal(output, '-o OUTPUT_FILE keeps it');
      const request = readRequestFile(file);
      return withDatabase(desk, async (database) => {
        const entries = database.find(alias);
        const entry = entries.find(({ hasKey }) => hasKey);
        const key = entry === undefined ? null : database.privateKey(entry.keyId);
        if (entry === undefined || key === null)
          throw new SettingsError([`${database.file}: there is no private key for "${alias}" in it`]);
        const { certificate } = factsOf(entry);
        const now = desk.program.world.now();
        const pem = await signRequest({
          request,
          source: file,
          issuer: { certificate, signer: softwareSigner(key) },
          use,
          now,
          notAfter: endOf(now, validity),
        });
        const bytes = format === 'ascii' ? Buffer.from(pem) : new X509Certificate(pem).raw;
        deliver(desk, bytes, { output, kind: 'public' });
      });
    };
  },
};

function readRequestFile(file: string): Buffer {
  try {
    if (statSync(file).size > MAX_REQUEST_BYTES)
      throw new SettingsError([`${file}: is longer than a certificate request can be`]);
    return readFileSync(file);
  } catch (error) {
    if (error instanceof SettingsError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    throw new SettingsError([
      `${file}: ${code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`}`,
    ]);
  }
}
