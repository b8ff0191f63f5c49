// A script for nginx's auth_http as sites have them: it knows users, their stores by protocol, and speaks in headers
// only; it judges whatever nginx has it judge. It keeps the account of what it was asked.

import { createHash, createHmac } from 'node:crypto';
import http from 'node:http';
import type net from 'node:net';

export interface KnownUser {
  readonly password: string;
  readonly imap: number;
  readonly pop3: number;
  /** The name at the store. */
  readonly storeUser?: string;
  /** SHA-1 of their certificate in hexadecimal, as nginx tells it. */
  readonly fingerprint?: string;
  readonly token?: string;
}

export interface AuthScript {
  readonly url: string;
  /** The headers of each request, as they came. */
  readonly asked: Readonly<Record<string, string>>[];
  /** The names of their headers, in the order in which they came. */
  readonly names: string[][];
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
  const names: string[][] = [];
  let connections = 0;
  const make = (): http.Server => {
    const server = http.createServer((request, response) => {
      asked.push(
        Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)])),
      );
      names.push(request.rawHeaders.filter((_text, place) => place % 2 === 0));
      const said = (name: string): string =>
        decodeURIComponent(Buffer.from(String(request.headers[name] ?? ''), 'latin1').toString('utf8'));
      const user = whose(users, said);
      const isKey = request.headers[key[0].toLowerCase()] === key[1];
      if (user === undefined || !isKey) {
        response.writeHead(200, { 'Auth-Status': 'Invalid login or password', 'Auth-Wait': '1' });
      } else {
        response.writeHead(200, {
          'Auth-Status': 'OK',
          'Auth-Server': '127.0.0.1',
          'Auth-Port': String(said('auth-protocol') === 'pop3' ? user.pop3 : user.imap),
          ...(user.storeUser === undefined ? {} : { 'Auth-User': user.storeUser }),
          // What the client has not shown, the store still wants.
          ...(said('auth-method') === 'plain'
            ? {}
            : { 'Auth-Pass': Buffer.from(user.password).toString('latin1') }),
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
    names,
    connections: () => connections,
    down: close,
    async up() {
      server = make();
      await listen(port);
    },
    close,
  };
}

/** Who it is, if what was shown is right. */
function whose(
  users: Readonly<Record<string, KnownUser>>,
  said: (name: string) => string,
): KnownUser | undefined {
  const [method, pass, salt] = [said('auth-method'), said('auth-pass'), said('auth-salt')];
  const byName = users[said('auth-user')];
  if (method === 'external') {
    if (said('auth-ssl-verify') !== 'SUCCESS') return undefined;
    const shown = said('auth-ssl-fingerprint');
    const owner = Object.entries(users).find(([, { fingerprint }]) => fingerprint === shown);
    if (owner === undefined) return undefined;
    const [name, user] = owner;
    if (said('auth-user') === '') return { ...user, storeUser: user.storeUser ?? name };
    return user === byName ? user : undefined;
  }
  if (byName === undefined) return undefined;
  const { password, token } = byName;
  const expected: Readonly<Record<string, string | undefined>> = {
    plain: password,
    apop: createHash('md5')
      .update(salt + password)
      .digest('hex'),
    'cram-md5': createHmac('md5', password).update(salt).digest('hex'),
    xoauth2: token,
    oauthbearer: token,
  };
  return expected[method] === pass && pass !== '' ? byName : undefined;
}
