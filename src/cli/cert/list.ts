// list-certs: the certificates of the database as a table or as JSON. What expires soon and which requests wait is said
// on standard error, so that the table stays the table.

import { X509Certificate } from 'node:crypto';

import { isSelfSigned } from '../../certdb/chain.ts';
import type { Entry, UnusedKey } from '../../certdb/database.ts';
import { certificateNames } from '../../certdb/distinguished-name.ts';
import { isAuthority } from '../../certdb/trust.ts';
import { harmless } from '../../log.ts';
import { counted } from '../usage.ts';
import { withDatabase } from './place.ts';
import { dateText, tableText } from './table.ts';
import type { Column } from './table.ts';
import { tokenEntries } from './token-entries.ts';
import { DATABASE_OPTIONS, quoted } from './verb.ts';
import type { Desk, Verb } from './verb.ts';

export const JSON_OPTION = { json: { type: 'boolean', doc: 'the answer as JSON' } } as const;

const DAY_MS = 86_400_000;
const SOON_MS = 14 * DAY_MS;

const COLUMNS: readonly Column[] = [
  { title: ['Alias'], least: 12 },
  { title: ['Valid from'], least: 16 },
  { title: ['Expires on'], least: 16 },
  { title: ['Self-', 'signed?'], least: 7 },
  { title: ['Issued by'], least: 21 },
  { title: ['Issued to'], least: 14 },
];

export const listCertificates: Verb = {
  name: 'list-certs',
  summary: 'Lists all certificates in the certificate database',
  usage: '[-C] [-W CERT_PW_FILE] [--json]',
  operands: [],
  options: {
    ca: { type: 'boolean', short: 'C', doc: 'lists the certificates of certificate authorities' },
    ...JSON_OPTION,
    ...DATABASE_OPTIONS,
  },
  help: 'Without -C: those of servers and clients, and any whose private key is in the database.\n',
  read: (given) => (desk) =>
    withDatabase(desk, (database) => {
      const wanted = given.flag('ca') ? isOfAuthority : isOwn;
      const listed = [...database.entries(), ...tokenEntries(desk)].map(factsOf).filter(wanted);
      const requests = database.unusedKeys();
      if (given.flag('json')) desk.program.out(jsonText(listed, requests));
      else print(listed, requests, desk);
    }),
};

export interface Facts {
  readonly entry: Entry;
  readonly certificate: X509Certificate;
  readonly subject: string;
  readonly issuer: string;
  readonly selfSigned: boolean;
  readonly notBefore: number;
  readonly notAfter: number;
}

export function factsOf(entry: Entry): Facts {
  const certificate = new X509Certificate(entry.cert);
  return {
    entry,
    certificate,
    ...certificateNames(certificate),
    selfSigned: isSelfSigned(certificate),
    notBefore: Date.parse(certificate.validFrom),
    notAfter: Date.parse(certificate.validTo),
  };
}

function isOfAuthority({ certificate, entry }: Facts): boolean {
  return certificate.ca || isAuthority(entry.trust);
}

function isOwn(facts: Facts): boolean {
  return facts.entry.hasKey || !isOfAuthority(facts);
}

function print(listed: readonly Facts[], requests: readonly UnusedKey[], desk: Desk): void {
  const rows = listed.map((facts) =>
    [
      facts.entry.nickname,
      dateText(facts.notBefore),
      dateText(facts.notAfter),
      facts.selfSigned ? 'y' : 'n',
      facts.issuer,
      facts.selfSigned ? 'Same as issuer' : facts.subject,
    ].map(harmless),
  );
  desk.program.out(tableText(COLUMNS, rows));
  desk.say(`${counted(listed.length, 'certificate')} found`);
  for (const { keyId, keyType, addedAt } of requests) {
    const key = `a key (${keyType.toUpperCase()}, ${keyId.slice(0, 16)})`;
    desk.note(`${key} waits for its certificate since ${dateText(addedAt)}`);
  }
  for (const facts of listed) warnOfExpiry(facts, desk);
}

export function warnOfExpiry({ entry, notAfter, selfSigned }: Facts, { program, note, tool }: Desk): void {
  const left = notAfter - program.world.now();
  if (left > SOON_MS) return;
  const days = counted(Math.floor(left / DAY_MS), 'day');
  const when = left <= 0 ? `has expired, on ${dateText(notAfter)}` : `expires in ${days}`;
  const alias = quoted(entry.nickname);
  const remedy =
    entry.hasKey && selfSigned
      ? `: ${tool} renew-selfsign-cert ${alias}`
      : `: ${tool} renew-cert ${alias} CERT_FILE`;
  note(`warning: ${entry.nickname} ${when}${remedy}`);
}

function jsonText(listed: readonly Facts[], requests: readonly UnusedKey[]): string {
  const certificates = listed.map((facts) => ({
    alias: facts.entry.nickname,
    subject: facts.subject,
    issuer: facts.issuer,
    selfSigned: facts.selfSigned,
    authority: isOfAuthority(facts),
    notBefore: new Date(facts.notBefore).toISOString(),
    notAfter: new Date(facts.notAfter).toISOString(),
    keyType: facts.entry.keyType,
    hasKey: facts.entry.hasKey,
    trust: facts.entry.trust,
    serial: facts.certificate.serialNumber,
    fingerprint256: facts.certificate.fingerprint256,
  }));
  const waiting = requests.map(({ keyId, keyType, addedAt }) => ({
    keyId,
    keyType,
    since: new Date(addedAt).toISOString(),
  }));
  return `${JSON.stringify({ certificates, requests: waiting }, null, 2)}\n`;
}
