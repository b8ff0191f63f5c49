// One end of a connection, as the socket or a trusted peer says.

import { ipOf } from '../wire/address.ts';

export interface Peer {
  /** As the system writes it; '' on a Unix socket. */
  readonly address: string;
  readonly port: number;
}

export function peer(address: string | undefined, port: number | undefined): Peer {
  return { address: address === undefined ? '' : (ipOf(address)?.address ?? address), port: port ?? 0 };
}
