// TLS for clients of a service that limits new sessions (limits.newTlsSessions): a full handshake is counted when it is
// done, and an address that has used up its share is refused before the next one, or before the word that starts it.
// Whether a session will be resumed nobody knows before, so then resumed ones are refused as well.

import { GateError } from '../errors.ts';
import type { Client } from './client.ts';
import type { Upgrader } from './upgrader.ts';

/** The service's way to TLS, for one client. */
export function metered(client: Client): Upgrader | null {
  const { upgrader, guard } = client.gate;
  if (upgrader === null) return null;
  return {
    ...upgrader,
    mayBegin() {
      if (!client.isFrontTier && !guard.mayHandshake(client.remote.address)) throw new GateError('TLS_LIMIT');
    },
    async upgrade(raw) {
      const secured = await upgrader.upgrade(raw);
      if (!secured.facts.resumed) guard.handshook(client.remote.address);
      return secured;
    },
  };
}
