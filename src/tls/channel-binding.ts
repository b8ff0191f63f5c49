// What binds a login to the very TLS connection that it came over, so that nobody in between can pass it on: the keys that
// both ends have agreed on, or the certificate that was shown. On failure: null, there is nothing of that type to bind to.

import { createHash } from 'node:crypto';
import type { X509Certificate } from 'node:crypto';
import type net from 'node:net';
import tls from 'node:tls';

import { elementAt, elementsIn, oidOf } from '../certdb/der.ts';
import type { Element } from '../certdb/der.ts';

/** RFC 9266 4.2: 32 bytes, an empty context. */
const EXPORTER_LABEL = 'EXPORTER-Channel-Binding';
const EXPORTER_BYTES = 32;
const NO_CONTEXT = Buffer.alloc(0);

/** `type`: by its name in the registry of RFC 5056. The socket is that of the server's side. */
export function channelBinding(socket: net.Socket, type: string): Buffer | null {
  if (!(socket instanceof tls.TLSSocket)) return null;
  switch (type) {
    case 'tls-exporter':
      return exporter(socket);
    case 'tls-server-end-point':
      return serverEndPoint(socket);
    default:
      return null;
  }
}

function exporter(socket: tls.TLSSocket): Buffer | null {
  // RFC 9266 3: older versions only bind with an extended master secret, and Node does not say whether there is one.
  if (socket.getProtocol() !== 'TLSv1.3') return null;
  try {
    return socket.exportKeyingMaterial(EXPORTER_BYTES, EXPORTER_LABEL, NO_CONTEXT);
  } catch {
    return null;
  }
}

function serverEndPoint(socket: tls.TLSSocket): Buffer | null {
  // A resumed session has shown none, and which one the first had is not known any more.
  if (socket.isSessionReused()) return null;
  const certificate: X509Certificate | undefined = socket.getX509Certificate();
  return certificate === undefined ? null : endPointOf(certificate);
}

/** RFC 5929 4.1: by the hash of the certificate's signature, or SHA-256 where that is weaker; null: it has no single one. */
export function endPointOf({ raw, signatureAlgorithmOid }: X509Certificate): Buffer | null {
  const hash = signatureAlgorithmOid === RSASSA_PSS ? pssHash(raw) : HASHES[signatureAlgorithmOid];
  return hash === undefined ? null : createHash(hash).update(raw).digest();
}

const RSASSA_PSS = '1.2.840.113549.1.1.10';
/** By object identifier of signatures, and (for PSS) of hashes. MD5 and SHA-1 are replaced. */
const HASHES: Readonly<Record<string, string>> = {
  '1.2.840.113549.1.1.4': 'sha256',
  '1.2.840.113549.1.1.5': 'sha256',
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.2.840.113549.1.1.14': 'sha224',
  '1.2.840.10045.4.1': 'sha256',
  '1.2.840.10045.4.3.1': 'sha224',
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
  '1.3.14.3.2.26': 'sha256',
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};
/** RFC 4055 3.1: `hashAlgorithm [0]`, SHA-1 where it is left out. */
const PSS_HASH_TAG = 0xa0;
const FIELDS_MAX = 8;

function pssHash(certificate: Buffer): string | undefined {
  const whole = elementAt(certificate, 0);
  const inside = (element: Element | null | undefined): readonly Element[] =>
    element === null || element === undefined ? [] : (elementsIn(certificate, element, FIELDS_MAX) ?? []);
  const [, algorithm] = inside(whole);
  const [, parameters] = inside(algorithm);
  const [hash] = inside(parameters);
  if (parameters === undefined) return undefined;
  if (hash?.tag !== PSS_HASH_TAG) return 'sha256';
  const [oid] = inside(inside(hash)[0]);
  return HASHES[oidOf(certificate, oid)];
}
