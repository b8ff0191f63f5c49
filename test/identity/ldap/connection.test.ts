import assert from 'node:assert/strict';
import net from 'node:net';
import { test, type TestContext } from 'node:test';
import { LdapConnection, LdapFailure } from '../../../src/identity/ldap/connection.ts';
import { BackendTls } from '../../../src/tls/client.ts';
import { realWorld, type World } from '../../../src/world.ts';

const TLS = new BackendTls({
  mode: 'musttls',
  verify: false,
  ca: null,
  name: null,
  minVersion: 'TLSv1.2',
  ciphers: 'default',
});
const OK = Buffer.from('300c02010178070a010004000400', 'hex');

/** A server that says `answer` to whatever comes first. */
async function serverSaying(
  t: TestContext,
  answer: (socket: net.Socket, data: Buffer) => void,
): Promise<number> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (data: Buffer) => answer(socket, data));
  });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : assert.fail();
}

function open(port: number, tls: 'starttls' | 'none', changes: { world?: World; timeoutMs?: number } = {}) {
  const { world = realWorld, timeoutMs = 2000 } = changes;
  return LdapConnection.open(
    { server: { host: '127.0.0.1', port, tls }, tls: TLS, allowClear: false, world },
    timeoutMs,
  );
}

const failure = (words: RegExp) => (error: unknown) =>
  error instanceof LdapFailure && error.blame === 'server' && words.test(error.message);

test('what is sent in clear text behind the answer to StartTLS ends the connection', async (t) => {
  // An answer to a bind that is still to come.
  const injected = Buffer.from('300c02010261070a010004000400', 'hex');
  const port = await serverSaying(t, (socket) => socket.write(Buffer.concat([OK, injected])));
  await assert.rejects(open(port, 'starttls'), failure(/in clear text behind/));
});

test('a refusal of StartTLS, garbage and a hang-up end it too', async (t) => {
  const refusing = await serverSaying(t, (socket) =>
    socket.write(Buffer.from('300c02010178070a010204000400', 'hex')),
  );
  await assert.rejects(open(refusing, 'starttls'), failure(/refused \(result code 2\)/));
  const talking = await serverSaying(t, (socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'));
  await assert.rejects(open(talking, 'starttls'), failure(/malformed/));
  const leaving = await serverSaying(t, (socket) => socket.end());
  await assert.rejects(open(leaving, 'starttls'), failure(/closed/));
});

test('silence ends it when its time is over', async (t) => {
  const port = await serverSaying(t, () => undefined);
  await assert.rejects(open(port, 'starttls', { timeoutMs: 30 }), failure(/closed|no connection/));
  const connection = await open(port, 'none');
  await assert.rejects(connection.bind('cn=x', 'secret', 30), failure(/no answer in 30 ms/));
  assert.equal(connection.isOpen, false);
});

test('an empty password is asked of nobody', async (t) => {
  let heard = 0;
  const port = await serverSaying(t, () => heard++);
  const connection = await open(port, 'none');
  assert.equal(await connection.bind('cn=x', '', 100), 'wrong');
  assert.equal(heard, 0);
  connection.close();
});

test('a password does not leave without TLS but to loopback', async (t) => {
  let heard = 0;
  const port = await serverSaying(t, () => heard++);
  const elsewhere: World = {
    ...realWorld,
    dial: (target) => {
      const socket = realWorld.dial(target);
      return Object.defineProperty(socket, 'remoteAddress', { value: '192.0.2.1' });
    },
  };
  const connection = await open(port, 'none', { world: elsewhere });
  await assert.rejects(connection.bind('cn=x', 'secret', 100), failure(/without TLS/));
  assert.equal(heard, 0);
  connection.close();
});

test('an answer without end is cut off', async (t) => {
  const port = await serverSaying(t, (socket) => {
    socket.write(Buffer.from('3084ffffffff', 'hex'));
    const chunk = Buffer.alloc(1 << 20);
    const write = (): void => {
      if (!socket.destroyed) socket.write(chunk, () => setImmediate(write));
    };
    write();
  });
  const connection = await open(port, 'none');
  const filter = { kind: 'present', attribute: 'objectClass' } as const;
  await assert.rejects(
    connection.search({ base: 'o=x', scope: 'base', filter, attributes: ['uid'], sizeLimit: 1 }, 10_000),
    failure(/closed/i),
  );
  assert.equal(connection.isOpen, false);
});

test('nobody there is a failure of the server', async (t) => {
  const port = await serverSaying(t, () => undefined);
  await assert.rejects(open(port === 1 ? 2 : 1, 'none'), failure(/ECONNREFUSED/));
});
