// add-selfsign-cert and renew-selfsign-cert: certificates that are their own issuer, a site's own CA among them.

import { isSelfSigned } from '../../certdb/chain.ts';
import type { CertificateDatabase, Entry } from '../../certdb/database.ts';
import { generateKey, softwareSigner } from '../../certdb/keys.ts';
import type { Signer } from '../../certdb/keys.ts';
import { renewSelfSigned, selfSign } from '../../certdb/issue.ts';
import { SettingsError } from '../../errors.ts';
import { nicknameOf } from './home.ts';
import { factsOf } from './list.ts';
import { databaseOf, withDatabase } from './place.ts';
import { replaceCertificates } from './replace.ts';
import type { Replacement } from './replace.ts';
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
import { dateText } from './table.ts';
import { AUTHORITY_VALIDITY, endOf, readValidity, USUAL_VALIDITY } from './validity.ts';
import type { Validity } from './validity.ts';
import { DATABASE_OPTIONS, oneOf, quoted } from './verb.ts';
import type { Desk, Options, Verb } from './verb.ts';

/** Trusted as the issuer of servers only, like what add-cert -C adds. */
export const AUTHORITY_TRUST = 'C,,';

export const VALIDITY_OPTION = {
  validity: {
    type: 'string',
    value: 'TIME',
    doc: 'how long it is valid: days, or like 3m or 1y (default: 3m)',
  },
} as const satisfies Options;

export const USE_OPTION = {
  use: {
    type: 'string',
    value: 'USE',
    doc: 'what it is for: server (default), client, or ca for a certificate authority, which is valid for 10y by default',
  },
} as const satisfies Options;

export const addSelfSigned: Verb = {
  name: 'add-selfsign-cert',
  changes: true,
  summary: 'Creates and adds a self-signed certificate',
  usage: `[-W CERT_PW_FILE] ${SUBJECT_USAGE}\n[--validity TIME] [--use USE]`,
  operands: ['CERT_ALIAS'],
  options: {
    ...SUBJECT_OPTIONS,
    ...ALTERNATIVE_OPTIONS,
    ...KEY_OPTIONS,
    ...VALIDITY_OPTION,
    ...USE_OPTION,
    ...DATABASE_OPTIONS,
  },
  read(given) {
    const nickname = nicknameOf(given.words[0] ?? '');
    const subject = readSubject(given);
    const use = oneOf('--use', given.text('use'), USES) ?? 'server';
    const names = readAlternatives(given, subject, use);
    const keyWish = readKeyWish(given);
    const validity =
      validityOf(given.text('validity')) ?? (use === 'ca' ? AUTHORITY_VALIDITY : USUAL_VALIDITY);
    return (desk) =>
      withDatabase(desk, async (database) => {
        refuseTaken(database, nickname, { keyType: keyWish.type });
        const now = desk.program.world.now();
        const key = generateKey(keyWish);
        const term = { now, notAfter: endOf(now, validity) };
        const cert = await selfSign(softwareSigner(key), { subject, ...names, ...term, use });
        const entry = database.change((change) => {
          change.addKey(key);
          return change.addCertificate({
            nickname,
            cert,
            ...(use === 'ca' ? { trust: AUTHORITY_TRUST } : {}),
          });
        });
        const { subject: name, notAfter } = factsOf(entry);
        desk.say(`${nickname}: made, ${name}, self-signed, valid until ${dateText(notAfter)}`);
        if (use === 'ca') tellOfAuthority(nickname, desk);
        const warning = use === 'server' ? hostWarning(subject, names) : null;
        if (warning !== null) desk.note(warning);
      });
  },
};

export function validityOf(typed: string | undefined): Validity | undefined {
  return typed === undefined ? undefined : readValidity(typed);
}

/** Before a key is made for nothing; the database has the last word. */
export function refuseTaken(
  database: CertificateDatabase,
  nickname: string,
  { keyType, remedy = '' }: { readonly keyType: string; readonly remedy?: string },
): void {
  const taken = database.entries().some((entry) => entry.nickname === nickname && entry.keyType === keyType);
  if (taken) throw new SettingsError([`${database.file}: ${takenText(nickname, keyType)}${remedy}`]);
}

function takenText(nickname: string, keyType: string): string {
  return `the nickname "${nickname}" is taken, by a certificate with a key of this type (${keyType.toUpperCase()})`;
}

export function tellOfAuthority(nickname: string, { tool, note }: Desk): void {
  const alias = quoted(nickname);
  note(`${nickname} is trusted for servers; to let its clients log in as well: ${tool} trust ${alias} CT,,`);
}

export const renewSelfSignedVerb: Verb = {
  name: 'renew-selfsign-cert',
  changes: true,
  summary: 'Renews a self-signed certificate: the same key and names, a new term',
  usage: '[-W CERT_PW_FILE] [--validity TIME]',
  operands: ['CERT_ALIAS'],
  options: {
    validity: { ...VALIDITY_OPTION.validity, doc: 'how long it is valid (default: as long as it was)' },
    ...DATABASE_OPTIONS,
  },
  help: 'Connections stay; the running server shows the new certificate to those that come after.\n',
  read(given) {
    const nickname = nicknameOf(given.words[0] ?? '');
    const validity = validityOf(given.text('validity'));
    return (desk) =>
      withDatabase(desk, async (database) => {
        const replacements: Replacement[] = [];
        for (const entry of database.find(nickname))
          replacements.push(await renewal(database, entry, { desk, validity }));
        replaceCertificates(database, replacements);
        for (const { notAfter } of database.find(nickname).map(factsOf))
          desk.say(`${nickname}: renewed, valid until ${dateText(notAfter)}`);
      });
  },
};

async function renewal(
  database: CertificateDatabase,
  entry: Entry,
  { desk, validity }: { readonly desk: Desk; readonly validity: Validity | undefined },
): Promise<Replacement> {
  const { nickname } = entry;
  const { certificate, notBefore, notAfter, issuer } = factsOf(entry);
  const source = `${databaseOf(desk)}: "${nickname}"`;
  if (!isSelfSigned(certificate)) {
    const remedy = `${desk.tool} renew-cert ${quoted(nickname)} CERT_FILE takes what its issuer renewed`;
    throw new SettingsError([`${source} is not self-signed but issued by ${issuer}: ${remedy}`]);
  }
  const key = database.privateKey(entry.keyId);
  if (key === null) throw new SettingsError([`${source}: there is no private key for it in the database`]);
  const now = desk.program.world.now();
  const end = validity === undefined ? now + (notAfter - notBefore) : endOf(now, validity);
  const signer: Signer = softwareSigner(key);
  return {
    old: entry,
    extra: entry.extra,
    key,
    cert: await renewSelfSigned(signer, certificate, { now, notAfter: end }),
  };
}
