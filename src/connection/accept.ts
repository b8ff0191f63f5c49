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
  readonly onClose: (client: Client) => void;
  readonly onLogin: () => void;
  readonly onDecision: (channel: string, rule: string) => void;
}

export function accept(gate: Gate, socket: net.Socket, options: AcceptOptions): Client | null {
  if (socket.destroyed) return null;
  const client = new Client(gate, socket, options);
  if (!options.full) return client;
  gate.refusals.turnAway(client, new GateError('SERVER_FULL'));
  return null;
}
