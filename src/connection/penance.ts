// The wait of a login from an address that has guessed before. While it lasts the client is not read, it holds its place
// in the limits, and the wait counts towards no time-out. It costs no timer: Client.check() looks at it.

import { GateError } from '../errors.ts';
import { isTier } from './admit.ts';
import type { Client } from './client.ts';

/** Resolves when the wait is over; throws where the connection ends meanwhile. Without a penalty it is over at once. */
export async function doPenance(client: Client): Promise<void> {
  const ms = isTier(client) ? 0 : client.gate.guard.delayOf(client.remote.address);
  if (ms === 0) return;
  client.gate.log.debug('login-delayed', { session: client.id, client: client.remote.address, ms });
  await waitOut(client, ms);
  if (client.draining) throw new GateError('DRAINING');
  if (client.leg.socket.destroyed) throw new GateError('CLIENT_RESET');
}

/** A client that is not read meanwhile; a drain ends the wait early. Throws where the connection ends. */
export async function waitOut(client: Client, ms: number): Promise<void> {
  if (ms <= 0) return;
  client.leg.hold();
  await client.holdBack(ms);
  client.leg.unhold();
  if (client.leg.failure !== null) throw client.leg.failure;
}
