// A certificate authority for one test run: new keys each time, nothing in git, nothing that expires by surprise.
// `issue` writes `<file>.cert.pem` (leaf, then the CA) and `<file>.key.pem`, mode 0600, into the given folder and
// returns paths and texts. All calls are synchronous. A second authority in the same folder needs its own name.
// The caller removes the folder.

import { createHash, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';

export interface IssueOptions {
  /** DNS names and IP addresses; the first is the common name too. */
  readonly names: readonly string[];
  /** Default: 'ec' (P-256). 'rsa' is RSA-2048, 'weak' RSA-1024. */
  readonly keyType?: 'rsa' | 'ec' | 'weak';
  /** Of the signature, where the authority's key is 'ec'. Default: 'sha256'. */
  readonly hash?: 'sha256' | 'sha1';
  /** Days from now until it expires; negative: it has expired. Default: 30. */
  readonly days?: number;
  /** Days from now until it becomes valid. Default: a day (for expired ones: a year) ago. */
  readonly startsInDays?: number;
  /** File name without ending. Default: a counter. */
  readonly file?: string;
  /** 'self': signed by its own key instead of the authority's. */
  readonly signer?: 'authority' | 'self';
  /** URL of an OCSP responder to be named in it. */
  readonly responder?: string;
  /** What it may be used for: for servers and clients (the default), for one of them, or 'ocsp' to sign OCSP answers. */
  readonly purpose?: 'any' | 'server' | 'client' | 'ocsp';
  /** Sixteen octets in hexadecimal. Default: random. */
  readonly serial?: string;
  /** rfc822Names, as texts or as the bytes that stand there. */
  readonly emails?: readonly (string | Buffer)[];
  /** The subject, see distinguishedName(). Default: the first name as CN. */
  readonly subject?: Buffer;
  /** DER of further extensions. */
  readonly more?: readonly Buffer[];
}

export interface Issued {
  readonly certFile: string;
  readonly keyFile: string;
  /** PEM: the leaf, then the CA (a self-signed one stands alone). */
  readonly cert: string;
  readonly key: string;
  /** In hexadecimal. */
  readonly serial: string;
}

export interface Authority {
  readonly caFile: string;
  readonly caKeyFile: string;
  /** PEM. */
  readonly ca: string;
  /** Of its own certificate, in hexadecimal. */
  readonly serial: string;
  issue(options: IssueOptions): Issued;
  /** An authority below this one; what it issues brings its certificate along. */
  intermediate(name: string, options?: Pick<IssueOptions, 'hash'>): Authority;
  /** PEM: a certificate of the same name and key, signed by that key; expired, so that OpenSSL looks for a better one. */
  selfSigned(): string;
  /** DER of a list that revokes these serial numbers. */
  crl(serials: readonly string[], options?: CrlOptions): Buffer;
}

export interface CrlOptions {
  /** Days from now; negative: it is stale. null: it does not say. Default: 1. */
  readonly nextInDays?: number | null;
  /** DER of further extensions. */
  readonly extensions?: readonly Buffer[];
}

interface KeyPairObjects {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

type Numbered = IssueOptions & { readonly serial: string };

interface Signer {
  readonly name: Buffer;
  readonly key: KeyPairObjects;
}

const DAY_MS = 86_400_000;

export function makeAuthority(folder: string, name = 'Sallyport Test CA'): Authority {
  const signer: Signer = { name: commonName(name), key: newKey('ec') };
  return authorityOf(folder, { name, signer, above: signer, chain: '', hash: 'sha256' });
}

interface Standing {
  readonly name: string;
  readonly signer: Signer;
  /** Who signs its certificate; itself, if it is a root. */
  readonly above: Signer;
  /** PEM of the authorities above. */
  readonly chain: string;
  readonly hash: 'sha256' | 'sha1';
}

function authorityOf(folder: string, { name, signer, above, chain, hash }: Standing): Authority {
  const slug = name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
  const own = { names: [], startsInDays: -400, days: 400, serial: newSerial(), hash };
  const ca = pem('CERTIFICATE', certificate(signer, above, own));
  const caFile = path.join(folder, `${slug}.ca.pem`);
  const caKeyFile = path.join(folder, `${slug}.ca.key.pem`);
  writeFileSync(caFile, ca, { mode: 0o600 });
  writeFileSync(caKeyFile, signer.key.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  let count = 0;
  return {
    ca,
    caFile,
    caKeyFile,
    serial: own.serial,
    issue(options) {
      count += 1;
      const file = path.join(folder, options.file ?? `${slug}-${count}`);
      const subject: Signer = {
        name: options.subject ?? commonName(options.names[0] ?? `leaf ${count}`),
        key: newKey(options.keyType ?? 'ec'),
      };
      const isSelf = options.signer === 'self';
      const serial = options.serial ?? newSerial();
      const leaf = pem(
        'CERTIFICATE',
        certificate(subject, isSelf ? subject : signer, { ...options, serial }),
      );
      const cert = isSelf ? leaf : leaf + ca + chain;
      const key = subject.key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
      const issued = { certFile: `${file}.cert.pem`, keyFile: `${file}.key.pem`, cert, key, serial };
      writeFileSync(issued.certFile, cert, { mode: 0o600 });
      writeFileSync(issued.keyFile, key, { mode: 0o600 });
      return issued;
    },
    intermediate: (below, options = {}) =>
      authorityOf(folder, {
        name: below,
        signer: { name: commonName(below), key: newKey('ec') },
        above: signer,
        chain: ca + chain,
        hash: options.hash ?? 'sha256',
      }),
    selfSigned: () =>
      pem('CERTIFICATE', certificate(signer, signer, { ...own, days: -1, serial: newSerial() })),
    crl: (serials, options) => revocationList(signer, serials, options),
  };
}

// RFC 5280 5.1.
function revocationList(
  issuer: Signer,
  serials: readonly string[],
  { nextInDays = 1, extensions: more = [] }: CrlOptions = {},
): Buffer {
  const algorithm = sequence(oid('2a8648ce3d040302'));
  const entries = serials.map((serial) => sequence(der(0x02, integer(serial)), time(-1)));
  const keyName = extension('551d23', sequence(der(0x80, keyId(issuer.key.publicKey))));
  const number = extension('551d14', der(0x02, Buffer.of(1)));
  const body = sequence(
    der(0x02, Buffer.of(1)),
    algorithm,
    issuer.name,
    time(-2),
    ...(nextInDays === null ? [] : [time(nextInDays)]),
    ...(entries.length === 0 ? [] : [sequence(...entries)]),
    der(0xa0, sequence(keyName, number, ...more)),
  );
  return sequence(body, algorithm, bitString(sign('sha256', body, issuer.key.privateKey)));
}

function newSerial(): string {
  return Buffer.concat([Buffer.of(0x40), randomBytes(15)]).toString('hex');
}

function newKey(type: 'rsa' | 'ec' | 'weak'): KeyPairObjects {
  return type === 'ec'
    ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
    : generateKeyPairSync('rsa', { modulusLength: type === 'rsa' ? 2048 : 1024 });
}

// RFC 5280 4.1: the certificate as DER. A certificate without names is the CA's own.
function certificate(subject: Signer, issuer: Signer, options: Numbered): Buffer {
  const days = options.days ?? 30;
  const hash = options.hash ?? 'sha256';
  const start = options.startsInDays ?? (days < 0 ? -365 : -1);
  const algorithm =
    issuer.key.privateKey.asymmetricKeyType === 'rsa'
      ? sequence(oid('2a864886f70d01010b'), der(0x05))
      : sequence(oid(hash === 'sha1' ? '2a8648ce3d0401' : '2a8648ce3d040302'));
  const body = sequence(
    der(0xa0, der(0x02, Buffer.of(2))),
    der(0x02, integer(options.serial)),
    algorithm,
    issuer.name,
    sequence(time(start), time(days)),
    subject.name,
    subject.key.publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions(subject, issuer, options))),
  );
  return sequence(body, algorithm, bitString(sign(hash, body, issuer.key.privateKey)));
}

function extensions(subject: Signer, issuer: Signer, options: Numbered): Buffer[] {
  const { names, responder, purpose = 'any', emails = [], more = [] } = options;
  const mails = emails.map((email) => der(0x81, typeof email === 'string' ? Buffer.from(email) : email));
  const isCa = names.length === 0;
  const identifiers = [
    extension('551d0e', der(0x04, keyId(subject.key.publicKey))),
    extension('551d23', sequence(der(0x80, keyId(issuer.key.publicKey)))),
  ];
  if (isCa) {
    return [
      extension('551d13', sequence(der(0x01, Buffer.of(0xff))), 'critical'),
      extension('551d0f', der(0x03, Buffer.of(1, 0x06)), 'critical'),
      ...identifiers,
    ];
  }
  return [
    extension('551d13', sequence(), 'critical'),
    extension('551d0f', der(0x03, Buffer.of(5, 0xa0)), 'critical'),
    extension('551d25', sequence(...PURPOSES[purpose].map(oid))),
    extension('551d11', sequence(...names.map(alternativeName), ...mails)),
    ...more,
    ...(responder === undefined
      ? []
      : [extension('2b06010505070101', sequence(sequence(oid('2b06010505073001'), uri(responder))))]),
    ...identifiers,
  ];
}

const PURPOSES = {
  any: ['2b06010505070301', '2b06010505070302'],
  server: ['2b06010505070301'],
  client: ['2b06010505070302'],
  ocsp: ['2b06010505070309'],
} as const;

export function extension(id: string, value: Buffer, weight: 'critical' | 'plain' = 'plain'): Buffer {
  const critical = weight === 'critical' ? [der(0x01, Buffer.of(0xff))] : [];
  return sequence(oid(id), ...critical, der(0x04, value));
}

function uri(text: string): Buffer {
  return der(0x86, Buffer.from(text, 'latin1'));
}

function integer(hex: string): Buffer {
  const bytes = Buffer.from(hex, 'hex');
  return (bytes[0] ?? 0) < 0x80 ? bytes : Buffer.concat([Buffer.of(0), bytes]);
}

function alternativeName(name: string): Buffer {
  if (net.isIP(name) === 0) return der(0x82, Buffer.from(name, 'latin1'));
  if (net.isIPv4(name)) return der(0x87, Buffer.from(name.split('.').map(Number)));
  const [head = '', tail = ''] = name.split('::');
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const zeros = Array<string>(8 - groups(head).length - groups(tail).length).fill('0');
  const all = [...groups(head), ...zeros, ...groups(tail)];
  return der(0x87, Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex'));
}

function keyId(key: KeyObject): Buffer {
  return createHash('sha1')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest();
}

function commonName(name: string): Buffer {
  return distinguishedName([['CN', name]]);
}

const TYPES = {
  CN: '550403',
  OU: '55040b',
  O: '55040a',
  C: '550406',
  E: '2a864886f70d010901',
  UID: '0992268993f22c640101',
  DC: '0992268993f22c640119',
  SERIAL: '550405',
} as const;

export type NameType = keyof typeof TYPES;

/** The outermost part first, as it is encoded; a Buffer is a value with its tag. */
export function distinguishedName(parts: readonly (readonly [NameType, string | Buffer])[]): Buffer {
  return sequence(
    ...parts.map(([type, value]) =>
      der(
        0x31,
        sequence(oid(TYPES[type]), typeof value === 'string' ? der(0x0c, Buffer.from(value)) : value),
      ),
    ),
  );
}

function time(daysFromNow: number): Buffer {
  const text = new Date(Date.now() + daysFromNow * DAY_MS).toISOString();
  // RFC 5280 4.1.2.5: UTCTime until 2049, two digits of the year.
  return der(0x17, Buffer.from(`${text.slice(2, 19).replaceAll(/[-:T]/g, '')}Z`));
}

function oid(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, 'hex'));
}

function bitString(content: Buffer): Buffer {
  return der(0x03, Buffer.concat([Buffer.of(0), content]));
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts));
}

export function der(tag: number, content: Buffer = Buffer.alloc(0)): Buffer {
  const size = content.length;
  const length = size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff];
  return Buffer.concat([Buffer.of(tag, ...length), content]);
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
