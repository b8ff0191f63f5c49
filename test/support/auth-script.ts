// A script for nginx's auth_http as sites have them: it knows users, their stores by protocol, and speaks in headers
// only. It keeps the account of what it was asked.

import http from 'node:http';
import type net from 'node:net';

export interface KnownUser {
  readonly password: string;
  readonly imap: number;
  readonly pop3: number;
  /** The name at the store. */
  readonly storeUser?: string;
}

export interface AuthScript {
  readonly url: string;
  /** The headers of each request, as they came. */
  readonly asked: Readonly<Record<string, string>>[];
  /** Connections that were made to it. */
  readonly connections: () => number;
  /** Stops answering, and starts again. */
  down(): Promise<void>;
  up(): Promise<void>;
  close(): Promise<void>;
}

export async function startAuthScript(
  users: Readonly<Record<string, KnownUser>>,
  key: readonly [name: string, value: string],
): Promise<AuthScript> {
  const asked: Readonly<Record<string, string>>[] = [];
  let connections = 0;
  const make = (): http.Server => {
    const server = http.createServer((request, response) => {
      asked.push(
        Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)])),
      );
      const said = (name: string): string =>
        decodeURIComponent(Buffer.from(String(request.headers[name] ?? ''), 'latin1').toString('utf8'));
      const user = users[said('auth-user')];
      const isKey = request.headers[key[0].toLowerCase()] === key[1];
      if (user === undefined || user.password !== said('auth-pass') || !isKey) {
        response.writeHead(200, { 'Auth-Status': 'Invalid login or password', 'Auth-Wait': '1' });
      } else {
        response.writeHead(200, {
          'Auth-Status': 'OK',
          'Auth-Server': '127.0.0.1',
          'Auth-Port': String(said('auth-protocol') === 'pop3' ? user.pop3 : user.imap),
          ...(user.storeUser === undefined ? {} : { 'Auth-User': user.storeUser }),
        });
      }
      response.end();
    });
    server.on('connection', () => connections++);
    return server;
  };
  let server = make();
  const listen = (port: number): Promise<void> =>
    new Promise((resolve) => {
      server.listen(port, '127.0.0.1', resolve);
    });
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  await listen(0);
  const { port } = server.address() as net.AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/auth`,
    asked,
    connections: () => connections,
    down: close,
    async up() {
      server = make();
      await listen(port);
    },
    close,
  };
}
