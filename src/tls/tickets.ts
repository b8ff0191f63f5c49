// What session tickets need: the keys that seal them, and the name that ties them to a service.
// The keys live in memory only and are the same in all workers. A ticket of one service, or of another set of client
// CAs, is not taken by the next: OpenSSL compares the session context name and makes a full handshake.

import { createHash } from 'node:crypto';
import type { World } from '../world.ts';

/** Name, MAC key and cipher key, 16 bytes each, as OpenSSL wants them. */
const TICKET_KEY_BYTES = 48;
/** OpenSSL's SSL_MAX_SID_CTX_LENGTH. */
const MAX_NAME_BYTES = 32;

export function makeTicketKeys(world: World): Buffer {
  return world.random(TICKET_KEY_BYTES);
}

/** At most 32 bytes of ASCII; differs where the service or its client CAs differ. */
export function sessionContextName(serviceName: string, clientCaFingerprint: string | null): string {
  const identity = JSON.stringify([serviceName, clientCaFingerprint]);
  return createHash('sha256').update(identity).digest('base64url').slice(0, MAX_NAME_BYTES);
}
