// The directory behind a script for nginx's auth_http: what it makes of its answers, and scripts that misbehave, none of
// which is ever a wrong password.

import assert from 'node:assert/strict';
import https from 'node:https';
import net from 'node:net';
import { test, type TestContext } from 'node:test';
import type { Directory, Login, Shown } from '../../src/identity/directory.ts';
import { httpDirectory, type HttpDirectoryOptions } from '../../src/identity/http-directory.ts';
import { NameBook } from '../../src/identity/login-id.ts';
import { realWorld } from '../../src/world.ts';
import { testMaterial } from '../support/gateway.ts';

const LOGIN: Login = {
  id: 'anna',
  service: 'imap',
  protocol: 'imap',
  tls: false,
  client: { address: '192.0.2.7', port: 50_001 },
  server: { address: '198.51.100.1', port: 143 },
  certificateSubject: null,
  attempt: 2,
};

const names = new NameBook({ defaultDomain: null, delimiters: '@', canonicalDelimiter: '@' });

async function serve(
  t: TestContext,
  answer: (socket: net.Socket, request: string) => void,
  options: Partial<HttpDirectoryOptions> = {},
): Promise<Directory> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    let heard = '';
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1');
      if (!heard.endsWith('\r\n\r\n')) return;
      const request = heard;
      heard = '';
      answer(socket, request);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as net.AddressInfo;
  const directory = httpDirectory({
    url: `http://127.0.0.1:${port}/auth?site=1`,
    ca: null,
    header: 'X-Auth-Key: mine',
    timeoutMs: 400,
    connections: 2,
    names,
    world: realWorld,
    ...options,
  });
  t.after(() => {
    directory.close();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return directory;
}

const GOOD =
  'HTTP/1.1 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 192.0.2.1\r\nAuth-Port: 143\r\nContent-Length: 0\r\n\r\n';

const MISBEHAVIOURS: Readonly<Record<string, (socket: net.Socket) => void>> = {
  'is silent': () => undefined,
  'hangs up': (socket) => void socket.destroy(),
  'speaks something else': (socket) => void socket.end('220 mail ESMTP\r\n'),
  fails: (socket) => void socket.end('HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n'),
  'is not there any more': (socket) => void socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'),
  'sends headers without end': (socket) =>
    void socket.write(`HTTP/1.1 200 OK\r\n${'X-Y: z\r\n'.repeat(10_000)}`),
  'stops in the middle': (socket) => void socket.write('HTTP/1.1 200 OK\r\nAuth-Status: O'),
  'names no port': (socket) => void socket.end(GOOD.replace('Auth-Port: 143\r\n', '')),
  'asks to wait again and again': (socket) =>
    void socket.write('HTTP/1.1 200 OK\r\nAuth-Status: WAIT\r\nContent-Length: 0\r\n\r\n'),
};

for (const [what, answer] of Object.entries(MISBEHAVIOURS)) {
  test(`a script that ${what} is a directory that is down`, async (t) => {
    const directory = await serve(t, answer);
    await assert.rejects(directory.find(LOGIN, 'secret'), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'DIRECTORY_DOWN');
      assert.doesNotMatch(`${error.message} ${String(error.cause)}`, /secret|mine|site=1/);
      return true;
    });
  });
}

test('a polite script is heard, with the header of the settings, whatever the body', async (t) => {
  let heard = '';
  const directory = await serve(t, (socket, request) => {
    heard = request;
    socket.write(`${GOOD.replace('Content-Length: 0', 'Content-Length: 100000')}${'x'.repeat(100_000)}`);
  });
  const answer = await directory.find(LOGIN, 'secret');
  assert.ok(answer.kind === 'account' && answer.proof === 'right');
  assert.deepEqual(answer.account.hosts, ['192.0.2.1:143']);
  assert.match(heard, /^GET \/auth\?site=1 HTTP\/1\.1\r\n/);
  assert.match(heard, /\r\nX-Auth-Key: mine\r\n/);
});

test('a kept connection that the script has closed meanwhile is replaced without anybody noticing', async (t) => {
  let asked = 0;
  const directory = await serve(t, (socket) => {
    asked++;
    // The second request of a connection finds it closed.
    if (asked === 2) socket.destroy();
    else socket.write(GOOD);
  });
  for (let time = 0; time < 2; time++) assert.equal((await directory.find(LOGIN, 'secret')).kind, 'account');
  assert.equal(asked, 3);
});

test('no more connections than the settings say, however many ask', async (t) => {
  let [open, most] = [0, 0];
  const directory = await serve(t, (socket) => {
    most = Math.max(most, ++open);
    setImmediate(() => {
      open--;
      socket.write(GOOD);
    });
  });
  await Promise.all(Array.from({ length: 20 }, () => directory.find(LOGIN, 'secret')));
  assert.ok(most <= 2, String(most));
});

test('names and passwords that fit no header are nobody, and the script is not asked', async (t) => {
  let asked = 0;
  const directory = await serve(t, () => asked++);
  assert.deepEqual(await directory.find({ ...LOGIN, id: 'x'.repeat(5000) }, 'secret'), { kind: 'nobody' });
  assert.deepEqual(await directory.find({ ...LOGIN, id: '' }, 'secret'), { kind: 'nobody' });
  assert.equal(asked, 0);
});

test('who asks after the end is answered still', async (t) => {
  const directory = await serve(t, (socket) => void socket.end(GOOD));
  directory.close();
  assert.equal((await directory.find(LOGIN, 'secret')).kind, 'account');
});

test('https: a script that shows a certificate of the CA is asked, one that does not is not', async (t) => {
  const { authority, store } = testMaterial();
  const asked: unknown[] = [];
  const server = https.createServer({ cert: store.cert, key: store.key }, (request, response) => {
    asked.push(request.headers['auth-user']);
    response.writeHead(200, { 'Auth-Status': 'OK' }).end();
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = `https://127.0.0.1:${(server.address() as net.AddressInfo).port}/`;
  const common = { url, header: null, timeoutMs: 2000, connections: 2, names, world: realWorld };
  const [trusting, others] = [authority.ca, null].map((ca) => httpDirectory({ ...common, ca }));
  t.after(() => {
    trusting?.close();
    others?.close();
  });
  assert.equal((await trusting?.find(LOGIN, 'secret'))?.kind, 'account');
  await assert.rejects(async () => others?.find(LOGIN, 'secret'), { code: 'DIRECTORY_DOWN' });
  assert.deepEqual(asked, ['anna']);
});

/** A script that knows these by address; what it is asked is kept. */
async function byMail(t: TestContext, known: Readonly<Record<string, string>>) {
  const heard: string[] = [];
  const directory = await serve(t, (socket, request) => {
    heard.push(request);
    const [, user = ''] = /\r\nAuth-User: (.*)\r\n/.exec(request) ?? [];
    const answer = known[user] ?? 'Auth-Status: No such user';
    socket.write(`HTTP/1.1 200 OK\r\n${answer}\r\nContent-Length: 0\r\n\r\n`);
  });
  const login: Login = { ...LOGIN, id: '', tls: true, certificateSubject: 'CN=anna', byCertificate: true };
  return { heard, ask: (...addresses: string[]) => directory.byMail?.(login, addresses) };
}

const isUser = (user: string): string =>
  `Auth-Status: OK\r\nAuth-User: ${user}\r\nAuth-Server: 192.0.2.1\r\nAuth-Port: 143`;

test('the script is asked for the mail address of a certificate, and may call its user something else', async (t) => {
  const script = await byMail(t, { 'anna@x.com': isUser('anna') });
  const found = await script.ask('anna@x.com', 'unknown@x.com');
  assert.ok(found?.kind === 'account' && found.account.user === 'anna');
  assert.deepEqual(found.account.hosts, ['192.0.2.1:143']);
  assert.match(script.heard.join(''), /Auth-Method: external[^]*Auth-Pass: \r\n[^]*Auth-SSL-Verify: SUCCESS/);
});

test('addresses that the script takes for two users are nobody’s, for one user that user’s', async (t) => {
  const script = await byMail(t, {
    'a@x.com': isUser('anna'),
    'b@x.com': isUser('bert'),
    'c@x.com': isUser('anna'),
  });
  assert.equal((await script.ask('a@x.com', 'b@x.com'))?.kind, 'nobody');
  assert.equal((await script.ask('a@x.com', 'c@x.com'))?.kind, 'account');
});

test('what the script says no to is nobody’s, without a wait or an end; one that cannot say just now decides nothing', async (t) => {
  const later = 'Auth-Status: Later\r\nAuth-Error-Code: 451 4.3.0';
  const script = await byMail(t, { 'a@x.com': isUser('anna'), 'b@x.com': later });
  const none = await script.ask('z@x.com');
  assert.ok(none?.kind === 'nobody' && none.steps.join().includes('z@x.com: No such user'));
  const both = await script.ask('b@x.com', 'a@x.com');
  assert.ok(both?.kind === 'refused' && both.temporary);
});

const DIGEST: Shown = {
  kind: 'digest',
  mechanism: 'CRAM-MD5',
  challenge: '<1.2@mail.test>',
  digest: 'b913a602c7eda7a495b4e6e7334d3890',
};
const WITH_PASSWORD = GOOD.replace('Content-Length', 'Auth-Pass: own\r\nContent-Length');

test('a digest that the script takes is the login of whom it gives the password of', async (t) => {
  let heard = '';
  const directory = await serve(t, (socket, request) => {
    heard = request;
    socket.write(WITH_PASSWORD);
  });
  const answer = await directory.judge?.(LOGIN, DIGEST);
  assert.ok(answer?.kind === 'account' && answer.proof === 'right');
  assert.equal(answer.account.replayPassword, 'own');
  assert.match(
    heard,
    /Auth-Method: cram-md5\r\nAuth-User: anna\r\nAuth-Pass: b913.*\r\nAuth-Salt: <1\.2@mail\.test>\r\n/,
  );
});

test('a script that says OK to a digest and knows no password has not looked at it, but in SMTP, as with nginx', async (t) => {
  const directory = await serve(t, (socket) => void socket.write(GOOD));
  await assert.rejects(
    async () => directory.judge?.(LOGIN, DIGEST),
    (error: Error & { code?: string }) => {
      assert.equal(error.code, 'DIRECTORY_DOWN');
      assert.doesNotMatch(`${error.message} ${String(error.cause)}`, /b913a602/);
      return true;
    },
  );
  assert.equal((await directory.judge?.({ ...LOGIN, protocol: 'smtp' }, DIGEST))?.kind, 'account');
});

test('tokens are judged by the script where the settings say so, and then it may say whose they are', async (t) => {
  let heard = '';
  const user = GOOD.replace('Content-Length', 'Auth-User: bob\r\nContent-Length');
  const answers = [GOOD, user, GOOD];
  const directory = await serve(
    t,
    (socket, request) => {
      heard = request;
      socket.write(answers.shift() ?? '');
    },
    { passTokens: true },
  );
  const token: Shown = { kind: 'token', mechanism: 'OAUTHBEARER', token: 'ey.J-w' };
  assert.equal((await directory.judge?.(LOGIN, token))?.kind, 'account');
  assert.match(heard, /Auth-Method: oauthbearer\r\nAuth-User: anna\r\nAuth-Pass: ey\.J-w\r\n/);
  const nameless = { ...LOGIN, id: '' };
  const found = await directory.judge?.(nameless, token);
  assert.ok(found?.kind === 'account' && found.account.user === 'bob' && found.account.replay === 'bob');
  assert.equal((await directory.judge?.(nameless, token))?.kind, 'nobody');
  assert.deepEqual([...(directory.judges ?? [])], ['digest', 'token']);
  assert.deepEqual([...((await serve(t, () => undefined)).judges ?? [])], ['digest']);
  assert.deepEqual(await directory.judge?.(LOGIN, { ...token, token: 'x'.repeat(20_000) }), {
    kind: 'nobody',
  });
});

test('EXTERNAL: the script judges the certificate with whom it asks to be, where it has a password for the store', async (t) => {
  const answers = [WITH_PASSWORD, GOOD, 'HTTP/1.1 200 OK\r\nAuth-Status: No\r\nContent-Length: 0\r\n\r\n'];
  const directory = await serve(t, (socket) => void socket.write(answers.shift() ?? ''));
  const login: Login = { ...LOGIN, tls: true, certificateSubject: 'CN=anna' };
  const found = await directory.judgeCertificate?.(login);
  assert.ok(found?.kind === 'account' && found.isAsked === true && found.account.user === 'anna');
  assert.equal((await directory.judgeCertificate?.(login))?.kind, 'nobody');
  assert.equal((await directory.judgeCertificate?.(login))?.kind, 'nobody');
});
