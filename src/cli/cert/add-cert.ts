// add-cert: a certificate that somebody else signed, for a key of the database; with -C the certificates of authorities.

import { X509Certificate } from 'node:crypto';
import { basename } from 'node:path';

import type { CertificateDatabase } from '../../certdb/database.ts';
import { certificateNames } from '../../certdb/distinguished-name.ts';
import { keyIdOf, keyTypeOf } from '../../certdb/pem.ts';
import { readCertificates } from '../../certdb/read-certificate.ts';
import { SettingsError } from '../../errors.ts';
import { counted } from '../usage.ts';
import { nicknameOf } from './home.ts';
import { withDatabase } from './place.ts';
import { AUTHORITY_TRUST, refuseTaken, tellOfAuthority } from './self-signed.ts';
import { notAuthority } from './trust.ts';
import { DATABASE_OPTIONS, quoted } from './verb.ts';
import type { Desk, Verb } from './verb.ts';
import { judgePath } from './verdict.ts';

export const addCertificate: Verb = {
  name: 'add-cert',
  changes: true,
  summary: 'Adds a certificate to the certificate database',
  usage: '[-C] [-W CERT_PW_FILE]',
  operands: ['[CERT_ALIAS]', 'CERT_FILE'],
  options: {
    ca: { type: 'boolean', short: 'C', doc: 'the certificate is that of a trusted certificate authority' },
    ...DATABASE_OPTIONS,
  },
  help:
    'CERT_FILE is PEM: the certificate, then those of its chain where there are any. Its private key is found in the\n' +
    'database, where request-cert left it. Without CERT_ALIAS it is called like its file. With -C every certificate of\n' +
    'the file is added; they are trusted to certify servers. The trust verb lets them certify clients.\n',
  read(given) {
    const { words } = given;
    const file = words.at(-1) ?? '';
    const nickname = nicknameOf(words.length > 1 ? (words[0] ?? '') : nameOfFile(file));
    const isAuthority = given.flag('ca');
    return (desk) => {
      const { certificates: pems, warnings } = readCertificates(file, desk.program.world.now());
      const certificates = pems.map((pem) => new X509Certificate(pem));
      for (const warning of warnings) desk.note(`warning: ${warning}`);
      return withDatabase(desk, (database) =>
        isAuthority
          ? addAuthorities(database, { nickname, file, certificates }, desk)
          : addOwn(database, { nickname, certificates }, desk),
      );
    };
  },
};

interface Found {
  readonly nickname: string;
  readonly certificates: readonly X509Certificate[];
}

/** `/my_cert/server-cert.pem` is server-cert. */
export function nameOfFile(file: string): string {
  return basename(file).replace(/(?<=.)\.(pem|crt|cer|cert|der|p12|pfx)$/i, '');
}

function addOwn(database: CertificateDatabase, { nickname, certificates }: Found, desk: Desk): void {
  // The one whose key is here, wherever it stands; else the first is what the file is about.
  const own = database.change((change) =>
    certificates.find(({ publicKey }) => change.hasKey(keyIdOf(publicKey))),
  );
  const leaf = own ?? certificates[0];
  if (leaf === undefined) throw new SettingsError(['there is no certificate in the file']);
  refuseKnown(database, leaf);
  refuseTaken(database, nickname, {
    keyType: keyTypeOf(leaf.publicKey),
    remedy: `; ${desk.tool} renew-cert puts a new certificate in the place of an old one`,
  });
  const extra = certificates.filter((certificate) => certificate !== leaf).map(String);
  const entry = database.change((change) =>
    change.addCertificate({ nickname, cert: leaf.toString(), extra }),
  );
  const { subject } = certificateNames(leaf);
  desk.say(`${nickname}: added, ${subject}${chainText(extra.length)}`);
  if (!entry.hasKey) {
    desk.note(
      `there is no private key for it in the database, so no server can use it: a request made by ` +
        `${desk.tool} request-cert leaves one, ${desk.tool} import-cert brings one along`,
    );
  }
  const now = desk.program.world.now();
  const { end, problems } = judgePath(entry, database.entries(), { now, tool: desk.tool });
  if (end === 'missing' || end === 'untrusted')
    desk.note(`${nickname} is installed, but is not yet trusted: ${problems.at(-1) ?? ''}`);
}

function chainText(count: number): string {
  return count === 0 ? '' : `, with ${counted(count, 'certificate')} of its chain`;
}

function addAuthorities(
  database: CertificateDatabase,
  { nickname, file, certificates }: Found & { readonly file: string },
  desk: Desk,
): void {
  const added = certificates.map((certificate, place) => {
    const { subject } = certificateNames(certificate);
    if (!certificate.ca) throw new SettingsError([notAuthority(file, subject)]);
    refuseKnown(database, certificate, (alias) => `; ${desk.tool} trust ${quoted(alias)} C,, trusts it`);
    const name = place === 0 ? nickname : `${nickname}-${place + 1}`;
    return { name, subject, certificate };
  });
  database.change((change) => {
    for (const { name, certificate } of added)
      change.addCertificate({ nickname: name, cert: certificate.toString(), trust: AUTHORITY_TRUST });
  });
  for (const { name, subject } of added) {
    desk.say(`${name}: added, ${subject}`);
    tellOfAuthority(name, desk);
  }
}

function refuseKnown(
  database: CertificateDatabase,
  certificate: X509Certificate,
  remedy: (alias: string) => string = () => '',
): void {
  const same = database.entries().find(({ cert }) => new X509Certificate(cert).raw.equals(certificate.raw));
  if (same === undefined) return;
  const there = `this certificate is there already, as "${same.nickname}"`;
  throw new SettingsError([`${database.file}: ${there}${remedy(same.nickname)}`]);
}
