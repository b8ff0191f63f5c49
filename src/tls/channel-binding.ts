// What binds a login to the very TLS connection that it came over, so that nobody in between can pass it on: the keys that
// both ends have agreed on, or the certificate that was shown. On failure: null, there is nothing of that type to bind to.

import { createHash, X509Certificate } from 'node:crypto';
import type net from 'node:net';
import tls from 'node:tls';

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
  // RFC 9266 4.2: TLS 1.2 without extended master secret does not bind. OpenSSL has it with every client that has it too,
  // and Node does not say which; so it is given where TLS 1.3 has it by itself.
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
  const certificate = socket.getX509Certificate();
  return certificate === undefined ? null : endPointOf(certificate);
}

/** RFC 5929 4.1: the hash of the certificate's signature, or SHA-256 where that is weaker; null: it has none. */
export function endPointOf(certificate: X509Certificate): Buffer | null {
  const hash = hashOf(certificate);
  return hash === null ? null : createHash(hash).update(certificate.raw).digest();
}
