// Step 1: a socket becomes a connection. Promises: a socket that is dead already makes no connection; a worker that is
// full says so where it can be said in clear text, and closes.

import type net from 'node:net';
import { GateError } from '../errors.ts';
import { Client } from './client.ts';
import type { Gate } from './gate.ts';

export interface AcceptOptions {
  readonly id: string;
  /** The worker holds as many connections as it may. */
  readonly full: boolean;
  /** So many are being told already that there is no room to tell one more. */
  readonly crowded: boolean;
  readonly onClose: (client: Client) => void;
  readonly onLogin: () => void;
  readonly onDecision: (channel: string, rule: string) => void;
}

/** Who finds no room gets this long to read it. */
const TOLD_MS = 500;

export function accept(gate: Gate, socket: net.Socket, options: AcceptOptions): Client | null {
  if (socket.destroyed) return null;
  const client = new Client(gate, socket, options);
  if (!options.full) return client;
  const full = new GateError('SERVER_FULL');
  if (gate.implicitTls || options.crowded) client.leg.destroy();
  else {
    client.leg.finish(client.session.wordsFor(full));
    client.leg.destroySoon(gate.world, Math.min(gate.timeouts.closeMs, TOLD_MS));
  }
  gate.log.warn('refused', { service: gate.name, client: client.remote.address, code: full.code });
  return null;
}
