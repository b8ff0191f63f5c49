// A TLS server on a free loopback port and one client a call, for tests of the TLS layer.

import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import type { GateError } from '../../src/errors.ts';
import type { ServerContexts } from '../../src/tls/context.ts';
import { clientFacts, serverFacts, type TlsFacts } from '../../src/tls/facts.ts';
import { acceptTls } from '../../src/tls/server.ts';
import type { Stapling } from '../../src/tls/stapling.ts';
import { manualWorld, type ManualWorld } from './manual-world.ts';

export interface Server {
  readonly port: number;
  readonly world: ManualWorld;
  /** How the handshakes ended, in order of arrival; taken once. */
  next(): Promise<tls.TLSSocket | GateError>;
  /** The raw socket of the latest connection. */
  readonly raw: net.Socket;
  close(): Promise<void>;
}

export async function startServer(
  contexts: ServerContexts,
  alpn: readonly string[] = [],
  stapling: Stapling | null = null,
): Promise<Server> {
  const world = manualWorld();
  const raws: net.Socket[] = [];
  const results: Promise<tls.TLSSocket | GateError>[] = [];
  const listener = net.createServer({ allowHalfOpen: true }, (raw) => {
    raws.push(raw);
    const result = acceptTls(raw, contexts, { alpn, timeoutMs: 10_000, world, stapling });
    results.push(result.catch((error: GateError) => error));
    listener.emit('accepted');
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return {
    world,
    port: (listener.address() as net.AddressInfo).port,
    async next() {
      while (results.length === 0) await once(listener, 'accepted');
      return results.shift()!;
    },
    get raw() {
      return raws.at(-1)!;
    },
    async close() {
      for (const raw of raws) raw.destroy();
      listener.close();
      await once(listener, 'close');
    },
  };
}

export interface Exchange {
  readonly client: TlsFacts;
  readonly server: TlsFacts;
  /** Of the server's certificate; means nothing when the session was resumed. */
  readonly keyType: 'rsa' | 'ec';
  readonly names: string;
  readonly session: Buffer;
}

/** One handshake that succeeds, a byte each way, and both ends closed. */
export async function exchange(server: Server, options: tls.ConnectionOptions = {}): Promise<Exchange> {
  const socket = tls.connect({ port: server.port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  let session: Buffer = Buffer.alloc(0);
  socket.on('session', (latest) => (session = latest));
  await once(socket, 'secureConnect');
  const accepted = await server.next();
  if (accepted instanceof Error) throw accepted;
  const facts = { client: clientFacts(socket), server: serverFacts(accepted) };
  const certificate = socket.getPeerCertificate();
  accepted.end('x');
  await once(socket, 'data'); // The tickets of TLS 1.3 come before it.
  if (session.length === 0) session = socket.getSession() ?? session;
  socket.destroy();
  accepted.destroy();
  const keyType = certificate.asn1Curve === undefined ? 'rsa' : 'ec';
  return { ...facts, keyType, names: certificate.subjectaltname ?? '', session };
}

/** One handshake that fails: what the client and what the server say. */
export async function failure(
  server: Server,
  options: tls.ConnectionOptions = {},
): Promise<{ client: string; server: GateError }> {
  const socket = tls.connect({ port: server.port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  socket.on('secureConnect', () => socket.resume());
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
  const result = await server.next();
  if (!(result instanceof Error)) throw new Error('the handshake succeeded');
  return { client: error.code ?? error.message, server: result };
}

export interface Middle {
  readonly port: number;
  /** Puts in a TLS record that does not decrypt. */
  breakTowards(side: 'server' | 'client'): void;
  close(): void;
}

/** Somebody on the way between one client and the server at `port`. */
export async function startMiddle(port: number): Promise<Middle> {
  const far = net.connect(port, '127.0.0.1');
  far.on('error', () => far.destroy());
  let near: net.Socket | null = null;
  const listener = net.createServer((socket) => {
    near = socket;
    near.on('error', () => near?.destroy());
    near.pipe(far).pipe(near);
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const record = Buffer.concat([Buffer.from('1703030020', 'hex'), Buffer.alloc(32, 0x55)]);
  return {
    port: (listener.address() as net.AddressInfo).port,
    breakTowards: (side) => void (side === 'server' ? far : near)?.write(record),
    close() {
      far.destroy();
      near?.destroy();
      listener.close();
    },
  };
}
