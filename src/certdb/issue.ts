// Makes the self-signed certificate of a first start: ECDSA P-256 with SHA-256, for servers only, not a CA.
// Nobody trusts it by itself; it lets TLS work until a real one is installed. The package that writes the DER is
// loaded when needed, so that workers never carry it. Nothing is written to disk here.

import { KeyObject, webcrypto } from 'node:crypto';
import net from 'node:net';

export interface SelfSignedOptions {
  /** DNS names and IP addresses; the first is the common name. */
  readonly names: readonly string[];
  readonly days: number;
  /** Milliseconds since 1970. */
  readonly now: number;
}

const DAY_MS = 86_400_000;
const CLOCK_SKEW_MS = 3_600_000;
/** RFC 5280 A.1, ub-common-name. */
const MAX_COMMON_NAME = 64;
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** A new certificate (PEM) and its key. */
export async function makeSelfSigned(options: SelfSignedOptions): Promise<{ cert: string; key: KeyObject }> {
  // @peculiar/x509 uses decorators and leaves it to us to bring their metadata.
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  x509.cryptoProvider.set(webcrypto);
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const first = options.names[0] ?? 'localhost';
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ CN: [first.length <= MAX_COMMON_NAME ? first : 'Sallyport'] }],
    notBefore: new Date(options.now - CLOCK_SKEW_MS),
    notAfter: new Date(options.now + options.days * DAY_MS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([SERVER_AUTH]),
      new x509.SubjectAlternativeNameExtension(
        options.names.map((name) => ({ type: net.isIP(name) === 0 ? 'dns' : 'ip', value: name })),
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { cert: `${certificate.toString('pem').trimEnd()}\n`, key: KeyObject.from(keys.privateKey) };
}

// RFC 5280 4.1.2.2: positive, at most 20 octets. The first octet is 0x40..0x7f: never negative, never padded.
function serialNumber(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16));
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return Buffer.from(bytes).toString('hex');
}
