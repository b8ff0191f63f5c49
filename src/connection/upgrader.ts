// How a leg becomes secure: what leg.ts asks for, and what it gets.

import type net from 'node:net';

import type { GateError } from '../errors.ts';
import type { ClientCertificate } from '../tls/client-certificate.ts';
import type { TlsFacts } from '../tls/facts.ts';

export interface Secured {
  readonly socket: net.Socket;
  readonly facts: TlsFacts;
  /** What a client showed of itself, believed or not; left out where there is none. */
  readonly clientCertificate?: ClientCertificate;
  /** The handshake is done, so that it can be told in words why nothing follows. */
  readonly refusal?: GateError;
}

/** Shared by all legs of a service or server. */
export interface Upgrader {
  /** TLS that somebody else has ended is not enough. */
  readonly requiresCertificate?: boolean;
  /** Clients are asked for one. */
  readonly asksForCertificate?: boolean;
  /** Called before anything is said or done; throws where TLS may not begin now. */
  mayBegin?(): void;
  upgrade(raw: net.Socket): Promise<Secured>;
}
