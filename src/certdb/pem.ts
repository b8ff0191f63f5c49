// Reads a certificate with its private key from PEM files and proves that the two belong together.
// Promises: the returned key is not encrypted, its file could be read by its owner only, the first certificate of the
// chain matches it, and OpenSSL takes both for a server. Expiry is returned, not judged: an expired certificate
// still serves better than none, the caller warns.
// On failure: a SettingsError that names the file, what is wrong and, where there is one, the command that mends it.
// A passphrase is never part of a message.

import { createHash, createPrivateKey, createPublicKey, X509Certificate, type KeyObject } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import { SettingsError } from '../errors.ts';
import type { TokenKey } from './token-values.ts';

export interface KeyFiles {
  readonly cert: string;
  readonly key: string;
  readonly passphrase: string | null;
}

export interface KeyPair {
  /** PEM: the server's certificate, then the rest of its chain; nothing else that was in the file. */
  readonly cert: string;
  /** PEM, PKCS#8, not encrypted; '' where it is in a token. */
  readonly key: string;
  readonly token?: TokenKey;
  /** DNS names and IP addresses it is valid for. */
  readonly names: readonly string[];
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly keyType: KeyType;
  readonly subject: string;
  readonly fingerprint256: string;
}

export type KeyType = 'rsa' | 'ec' | 'ed25519' | 'other';

interface Block {
  readonly label: string;
  readonly text: string;
}

const MAX_FILE_BYTES = 1_048_576;
export const CERTIFICATE_LABELS = ['CERTIFICATE', 'X509 CERTIFICATE', 'TRUSTED CERTIFICATE'];
export const KEY_LABELS = ['PRIVATE KEY', 'ENCRYPTED PRIVATE KEY', 'RSA PRIVATE KEY', 'EC PRIVATE KEY'];

export function readKeyPair(files: KeyFiles): KeyPair {
  const certBlocks = readBlocks(files.cert, 'certificate');
  const keyBlocks = files.key === files.cert ? certBlocks : readBlocks(files.key, 'private key');
  if (files.key === files.cert) checkOwnerOnly(files.cert);
  checkNotSwapped(files, certBlocks, keyBlocks);
  const chain = chainOf(files.cert, certBlocks);
  const key = keyOf(files, keyBlocks);
  checkFirst(files, chain, key);
  return pairOf(files.cert, chain, key);
}

/** A pair whose halves belong together; `source` is what a message names. */
export function pairOf(source: string, chain: readonly X509Certificate[], key: KeyObject): KeyPair {
  const [leaf] = chain;
  if (leaf?.checkPrivateKey(key) !== true)
    return fail(source, 'the certificate does not match its private key');
  const cert = chain.map((certificate) => certificate.toString()).join('');
  const keyPem = key.export({ type: 'pkcs8', format: 'pem' }).toString();
  checkUsable(source, cert, keyPem);
  return { cert, key: keyPem, ...factsOf(leaf) };
}

/** A certificate whose key is in a token and was proven there. */
export function tokenPairOf(chain: readonly X509Certificate[], token: TokenKey): KeyPair {
  const [leaf] = chain;
  if (leaf === undefined) throw new Error('a chain has a first certificate');
  const cert = chain.map((certificate) => certificate.toString()).join('');
  return { cert, key: '', token, ...factsOf(leaf) };
}

function factsOf(leaf: X509Certificate): Omit<KeyPair, 'cert' | 'key' | 'token'> {
  return {
    names: namesOf(leaf),
    notBefore: Date.parse(leaf.validFrom),
    notAfter: Date.parse(leaf.validTo),
    keyType: keyTypeOf(leaf.publicKey),
    subject: leaf.subject.replaceAll('\n', ', '),
    fingerprint256: leaf.fingerprint256,
  };
}

function readBlocks(file: string, wanted: 'certificate' | 'private key'): readonly Block[] {
  const bytes = readBounded(file, wanted);
  const text = bytes.toString('latin1');
  const blocks = [...text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----[^]*?-----END \1-----/g)].map((match) => ({
    label: match[1] ?? '',
    text: match[0],
  }));
  if (blocks.length > 0) return blocks;
  if (bytes.length === 0) fail(file, `is empty, a ${wanted} in PEM is wanted`);
  if (text.includes('-----BEGIN ')) fail(file, `holds PEM that is cut off or damaged, a ${wanted} is wanted`);
  if (bytes[0] === 0x30) {
    const command = wanted === 'certificate' ? 'x509' : 'pkey';
    fail(file, `is binary (DER), PEM is wanted: openssl ${command} -inform DER -in FILE -out FILE.pem`);
  }
  return fail(file, `holds no PEM ("-----BEGIN ..."), a ${wanted} is wanted`);
}

/** The bytes of a regular file that is not too big; a private key's is its owner's only. */
export function readBounded(file: string, wanted: 'certificate' | 'private key'): Buffer {
  let descriptor: number;
  try {
    // Not blocking, so that a named pipe by mistake does not hang the start.
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    return fail(file, `${problemOf(error)}, a ${wanted} in PEM is wanted`, error);
  }
  try {
    const stats = fstatSync(descriptor);
    if (!stats.isFile()) fail(file, `is not a regular file, a ${wanted} in PEM is wanted`);
    if (stats.size > MAX_FILE_BYTES) fail(file, `has ${stats.size} bytes, more than a ${wanted} can need`);
    if (wanted === 'private key') checkMode(file, stats);
    return readFileSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function checkOwnerOnly(file: string): void {
  const descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    checkMode(file, fstatSync(descriptor));
  } finally {
    closeSync(descriptor);
  }
}

function checkMode(file: string, stats: Stats): void {
  const us = process.getuid?.() ?? stats.uid;
  if (stats.uid !== 0 && stats.uid !== us) {
    fail(
      file,
      `belongs to user ${stats.uid}, a private key must belong to root or to user ${us}: chown ${us} ${file}`,
    );
  }
  if ((stats.mode & 0o077) !== 0) {
    const mode = (stats.mode & 0o777).toString(8).padStart(4, '0');
    fail(file, `has mode ${mode}, a private key must be its owner's only: chmod 600 ${file}`);
  }
}

function problemOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'ENOENT') return 'does not exist';
  if (code === 'EACCES' || code === 'EPERM') return 'cannot be read (permission denied)';
  return `cannot be read (${code})`;
}

function isCertificate(block: Block): boolean {
  return CERTIFICATE_LABELS.includes(block.label);
}

function isKey(block: Block): boolean {
  return KEY_LABELS.includes(block.label);
}

function checkNotSwapped(files: KeyFiles, certBlocks: readonly Block[], keyBlocks: readonly Block[]): void {
  const certMissing = !certBlocks.some(isCertificate);
  const keyMissing = !keyBlocks.some(isKey);
  if (certMissing && keyMissing && certBlocks.some(isKey) && keyBlocks.some(isCertificate)) {
    fail(files.cert, `holds the private key and ${files.key} the certificate: they are swapped`);
  }
  if (certMissing) fail(files.cert, `holds ${labelsOf(certBlocks)} where a certificate is wanted`);
  if (keyMissing) fail(files.key, `holds ${labelsOf(keyBlocks)} where a private key is wanted`);
}

function labelsOf(blocks: readonly Block[]): string {
  if (blocks.every(isKey)) return 'a private key';
  if (blocks.every(isCertificate)) return 'a certificate';
  return [...new Set(blocks.map((block) => `"${block.label}"`))].slice(0, 4).join(' and ');
}

function chainOf(file: string, blocks: readonly Block[]): readonly X509Certificate[] {
  return blocks.filter(isCertificate).map((block, index) => {
    try {
      return new X509Certificate(block.text);
    } catch (error) {
      return fail(file, `certificate ${index + 1} in it is damaged`, error);
    }
  });
}

function keyOf(files: KeyFiles, blocks: readonly Block[]): KeyObject {
  const block = blocks.find(isKey);
  const text = block?.text ?? '';
  const isEncrypted = block?.label === 'ENCRYPTED PRIVATE KEY' || /^Proc-Type: 4,ENCRYPTED/m.test(text);
  if (isEncrypted && files.passphrase === null)
    fail(files.key, 'is encrypted and no passphrase is given for it');
  try {
    return createPrivateKey(
      isEncrypted && files.passphrase !== null ? { key: text, passphrase: files.passphrase } : text,
    );
  } catch (error) {
    const problem = isEncrypted
      ? 'cannot be decrypted: the passphrase is wrong'
      : 'holds a damaged private key';
    return fail(files.key, problem, error);
  }
}

function checkFirst(files: KeyFiles, chain: readonly X509Certificate[], key: KeyObject): void {
  const [leaf, ...rest] = chain;
  if (leaf?.checkPrivateKey(key) === true) return;
  const place = rest.findIndex((certificate) => certificate.checkPrivateKey(key));
  if (place >= 0) {
    fail(
      files.cert,
      `certificate ${place + 2} in it matches the key: the server's own certificate comes first`,
    );
  }
  fail(files.cert, `the certificate does not match the private key in ${files.key}`);
}

function checkUsable(source: string, cert: string, key: string): void {
  try {
    tls.createSecureContext({ cert, key });
  } catch (error) {
    const reason = error instanceof Error && 'reason' in error ? String(error.reason) : 'OpenSSL refuses it';
    fail(source, `cannot serve TLS: ${reason}`, error);
  }
}

/** SHA-256 of the public half (SPKI), hex; the same for the private and the public key. */
export function keyIdOf(key: KeyObject): string {
  const half = key.type === 'private' ? createPublicKey(key) : key;
  return createHash('sha256')
    .update(half.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}

export function keyTypeOf(key: KeyObject): KeyType {
  const type = key.asymmetricKeyType;
  return type === 'rsa' || type === 'ec' || type === 'ed25519' ? type : 'other';
}

// RFC 6125 6.4.4: the common name counts only where there are no alternative names.
export function namesOf(certificate: X509Certificate): readonly string[] {
  const entries = (certificate.subjectAltName ?? '').match(/[A-Za-z ]+:(?:"(?:[^"\\]|\\.)*"|[^,]*)/g) ?? [];
  const names = entries.flatMap((entry) => {
    const [kind = '', ...rest] = entry.trim().split(':');
    const value = rest.join(':');
    if (kind === 'DNS') return [value];
    return kind === 'IP Address' ? [plainAddress(value)] : [];
  });
  if (names.length > 0) return names;
  const common = /^CN=(.+)$/m.exec(certificate.subject)?.[1];
  return common === undefined ? [] : [common];
}

function plainAddress(address: string): string {
  return net.isIPv6(address) ? new net.SocketAddress({ address, family: 'ipv6' }).address : address;
}

function fail(file: string, problem: string, cause?: unknown): never {
  const error = new SettingsError([`${file}: ${problem}`]);
  if (cause !== undefined) error.cause = cause;
  throw error;
}
