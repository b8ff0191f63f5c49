// Answers a CA that looks at our names, and nobody else: http-01 (RFC 8555 8.3) as the smallest web server there can be,
// tls-alpn-01 (RFC 8737) as TLS connections that end with the handshake. Lives in the unprivileged process of one order.
// Promises: only what is expected at the moment is answered; every other request gets 404, every other handshake an
// alert; a connection has CONNECTIONS_MAX others beside it at most and LIFE_MS to live; nothing of what comes is kept.
// The caller owns the listening handles and gives them away; close() closes them and every connection.

import http from 'node:http';
import type net from 'node:net';
import tls from 'node:tls';

import type { AcmeChallenge, ExpectedAnswer } from '../../certdb/acme.ts';
import type { World } from '../../world.ts';
import type { ListeningHandle } from '../handles.ts';

const CONNECTIONS_MAX = 64;
const LIFE_MS = 10_000;
const HEADER_BYTES_MAX = 8192;
const BACKLOG = 64;
/** RFC 8737 6.2 */
const ALPN = 'acme-tls/1';
const TOKEN_PATH = /^\/\.well-known\/acme-challenge\/([A-Za-z0-9_-]{1,256})$/;

export class AcmeResponder {
  readonly #challenge: AcmeChallenge;
  readonly #world: World;
  readonly #answers = new Map<string, string>();
  readonly #contexts = new Map<string, tls.SecureContext>();
  readonly #servers: net.Server[] = [];
  readonly #sockets = new Set<net.Socket>();

  constructor(challenge: AcmeChallenge, world: World) {
    this.#challenge = challenge;
    this.#world = world;
  }

  /** From now on, until what it gives back is called. */
  expect(answer: ExpectedAnswer): () => void {
    if (answer.kind === 'http-01') {
      this.#answers.set(answer.token, answer.answer);
      return () => void this.#answers.delete(answer.token);
    }
    const name = answer.name.toLowerCase();
    this.#contexts.set(name, tls.createSecureContext({ cert: answer.cert, key: answer.key }));
    return () => void this.#contexts.delete(name);
  }

  /** Resolves when it listens; null, or the code of what went wrong. */
  listen(handle: ListeningHandle): Promise<string | null> {
    const server = this.#challenge === 'http-01' ? this.#webServer() : this.#tlsServer();
    this.#servers.push(server);
    server.maxConnections = CONNECTIONS_MAX;
    server.on('connection', (socket: net.Socket) => this.#limit(socket));
    const { promise, resolve } = Promise.withResolvers<string | null>();
    server.once('listening', () => resolve(null));
    server.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen(handle, BACKLOG);
    return promise;
  }

  close(): void {
    for (const server of this.#servers) server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #limit(socket: net.Socket): void {
    this.#sockets.add(socket);
    const life = this.#world.after(LIFE_MS, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.once('close', () => {
      life.cancel();
      this.#sockets.delete(socket);
    });
  }

  #webServer(): http.Server {
    const server = http.createServer({ maxHeaderSize: HEADER_BYTES_MAX }, (request, response) => {
      const token = request.method === 'GET' ? TOKEN_PATH.exec(request.url ?? '')?.[1] : undefined;
      const answer = token === undefined ? undefined : this.#answers.get(token);
      const headers = { 'content-type': 'application/octet-stream', connection: 'close' };
      response.writeHead(answer === undefined ? 404 : 200, {
        ...headers,
        'content-length': answer?.length ?? 0,
      });
      response.end(answer ?? '');
    });
    server.on('clientError', (_error, socket) => socket.destroy());
    return server;
  }

  #tlsServer(): tls.Server {
    const server = tls.createServer({
      minVersion: 'TLSv1.2',
      handshakeTimeout: LIFE_MS,
      // RFC 8737 3: acme-tls/1 alone is offered.
      ALPNCallback: ({ protocols }) => (protocols.length === 1 && protocols[0] === ALPN ? ALPN : undefined),
      SNICallback: (name, done) => {
        const context = this.#contexts.get(name.toLowerCase());
        if (context === undefined) done(new Error('nothing is expected for this name'));
        else done(null, context);
      },
    });
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    server.on('secureConnection', (socket) => {
      socket.on('error', () => socket.destroy());
      // RFC 8737 3: nothing is said on it.
      socket.resume();
      socket.end();
    });
    return server;
  }
}
