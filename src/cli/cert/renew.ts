// renew-cert: a certificate that its issuer renewed takes the place of the one that is there. What an alias is trusted
// for stays; so does its chain, where the new one brings none.

import { X509Certificate } from 'node:crypto';

import type { CertificateDatabase, Entry } from '../../certdb/database.ts';
import { certificateNames } from '../../certdb/distinguished-name.ts';
import { isIssuedBy } from '../../certdb/chain.ts';
import { keyIdOf, namesOf } from '../../certdb/pem.ts';
import { readCertificates } from '../../certdb/read-certificate.ts';
import { SettingsError } from '../../errors.ts';
import { nicknameOf } from './home.ts';
import { withDatabase } from './place.ts';
import { replaceCertificates } from './replace.ts';
import { dateText } from './table.ts';
import { DATABASE_OPTIONS } from './verb.ts';
import type { Desk, Verb } from './verb.ts';

export const renewCertificate: Verb = {
  name: 'renew-cert',
  changes: true,
  summary: 'Renews a certificate that a certificate authority signed',
  usage: '[-W CERT_PW_FILE] [--force]',
  operands: ['CERT_ALIAS', 'CERT_FILE'],
  options: {
    force: { type: 'boolean', doc: 'also one that is older, not valid at the moment or for another subject' },
    ...DATABASE_OPTIONS,
  },
  help:
    'The new certificate belongs to the private key that the old one has, or to the key of a request that was made\n' +
    'here since. Connections stay; the running server shows it to those that come after.\n',
  read(given) {
    const [alias = '', file = ''] = given.words;
    const nickname = nicknameOf(alias);
    const isForced = given.flag('force');
    return (desk) => {
      const pems = readCertificates(file, desk.program.world.now()).certificates;
      const certificates = pems.map((pem) => new X509Certificate(pem));
      return withDatabase(desk, (database) => {
        const step = chooseStep(database, { nickname, file, certificates });
        const objections = objectionsTo(step, desk);
        if (objections.length > 0 && !isForced)
          throw new SettingsError([
            ...objections.map((words) => `${file}: ${words}`),
            `"${nickname}" is left as it was; --force renews it all the same`,
          ]);
        for (const words of objections) desk.note(`warning: ${file}: ${words}`);
        renew(database, step);
        tell(step, desk);
      });
    };
  },
};

interface Step {
  readonly nickname: string;
  readonly old: Entry;
  readonly leaf: X509Certificate;
  readonly extra: readonly X509Certificate[];
}

interface Found {
  readonly nickname: string;
  readonly file: string;
  readonly certificates: readonly X509Certificate[];
}

/** Which certificate of the file takes the place of which one of the alias. */
function chooseStep(database: CertificateDatabase, { nickname, file, certificates }: Found): Step {
  const entries = database.find(nickname);
  const waiting = database.unusedKeys();
  const stepOf = (old: Entry, leaf: X509Certificate): Step => ({
    nickname,
    old,
    leaf,
    extra: certificates.filter((certificate) => certificate !== leaf),
  });
  for (const leaf of certificates) {
    const keyId = keyIdOf(leaf.publicKey);
    const same = entries.find((entry) => entry.keyId === keyId);
    if (same !== undefined) return stepOf(same, leaf);
    const request = waiting.find((key) => key.keyId === keyId);
    if (request === undefined) continue;
    const only = entries.length === 1 ? entries[0] : undefined;
    const old = entries.find(({ keyType }) => keyType === request.keyType) ?? only;
    if (old !== undefined) return stepOf(old, leaf);
    throw new SettingsError([
      `${file}: no certificate of "${nickname}" has a key of its type: add-cert adds it`,
    ]);
  }
  const [old] = entries;
  const [first] = certificates;
  // The certificate of a CA has no key here; its successor is known by its name.
  if (old !== undefined && first !== undefined && !old.hasKey) return stepOf(old, first);
  const other = database
    .entries()
    .find(({ keyId }) => certificates.some((c) => keyIdOf(c.publicKey) === keyId));
  const whose =
    other === undefined ? 'that is not in the database' : `of "${other.nickname}": renew that one with it`;
  throw new SettingsError([
    `${file}: does not match: it belongs to a private key ${whose}; nothing was changed`,
  ]);
}

function objectionsTo({ old, leaf }: Step, { program }: Desk): string[] {
  const now = program.world.now();
  const before = new X509Certificate(old.cert);
  const [from, to] = [Date.parse(leaf.validFrom), Date.parse(leaf.validTo)];
  const [was, is] = [certificateNames(before).subject, certificateNames(leaf).subject];
  const lost = namesOf(before).filter((name) => !namesOf(leaf).includes(name));
  const objections: string[] = [];
  if (leaf.raw.equals(before.raw)) objections.push('this is the certificate that is there already');
  if (to <= now) objections.push(`it has expired, on ${dateText(to)}`);
  if (from > now) objections.push(`it is not yet valid, before ${dateText(from)}`);
  if (to < Date.parse(before.validTo) && from <= Date.parse(before.validFrom))
    objections.push(
      `it is older than the one that is there, which ends on ${dateText(Date.parse(before.validTo))}`,
    );
  if (was !== is) objections.push(`it is for ${is}, the one that is there is for ${was}`);
  if (lost.length > 0) objections.push(`it is not valid for ${lost.join(', ')}, as the one that is there is`);
  if (before.ca && !leaf.ca) objections.push('it is no certificate authority, its CA flag is missing');
  if (!old.hasKey && keyIdOf(leaf.publicKey) !== old.keyId) objections.push('it has another public key');
  return objections;
}

function renew(database: CertificateDatabase, { old, leaf, extra }: Step): void {
  const key = database.privateKey(keyIdOf(leaf.publicKey));
  const kept = old.extra.map((pem) => new X509Certificate(pem));
  const brings = extra.length > 0 || !kept.some((certificate) => isIssuedBy(leaf, certificate));
  const chain = (brings ? extra : kept).map(String);
  replaceCertificates(database, [{ old, cert: leaf.toString(), extra: chain, key }]);
}

function tell({ nickname, leaf }: Step, desk: Desk): void {
  const { subject } = certificateNames(leaf);
  desk.say(`${nickname}: renewed, ${subject}, valid until ${dateText(Date.parse(leaf.validTo))}`);
}
