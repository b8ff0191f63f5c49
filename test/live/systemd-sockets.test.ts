// Listening sockets that a service manager keeps: a stop and a start of the service refuse nobody, because the sockets
// outlive it; and what is given and not wanted, or wanted and not given, is dealt with.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { stringify } from 'yaml';

import { freePorts } from '../support/ports.ts';
import { run, until } from '../support/program.ts';
import { anna, startSite } from '../support/site.ts';
import { keepSockets, type SocketKeeper } from '../support/socket-keeper.ts';
import { startSteadyLoad } from '../support/steady-load.ts';

const main = new URL('../../src/main.ts', import.meta.url).pathname;
const site = await startSite();
const folder = join(site.folder, 'kept');
const settingsFile = join(folder, 'sallyport.yaml');
const unixPath = join(folder, 'imap.sock');
const ports = await freePorts(4);
const [imaps = 0, smtp = 0, pop3 = 0, nobody = 0] = ports;
let keeper: SocketKeeper | null = null;
after(async () => {
  await keeper?.stop();
  await site.stop();
});

function settings(more: Readonly<Record<string, unknown>> = {}): string {
  const services = site.settings['services'] as Record<string, Record<string, unknown>>;
  return stringify({
    ...site.settings,
    timeouts: { drain: 10 },
    services: {
      imaps: { ...services['imaps'], listen: [`127.0.0.1:${imaps}`] },
      smtp: { ...services['smtp'], listen: [`127.0.0.1:${smtp}`] },
      imap: { ...services['imap'], listen: [`unix:${unixPath}`] },
      pop3: { ...services['pop3'], listen: [`127.0.0.1:${pop3}`] },
      ...more,
    },
  });
}

async function start(): Promise<SocketKeeper> {
  mkdirSync(folder, { recursive: true });
  writeFileSync(settingsFile, settings());
  return keepSockets(
    [
      ['tcp', ['127.0.0.1', imaps], 'imaps'],
      ['tcp', ['127.0.0.1', smtp], 'smtp'],
      ['unix', unixPath, 'imap'],
      ['tcp', ['127.0.0.1', nobody], 'leftover'],
    ],
    [process.execPath, main, 'serve', '--config', settingsFile],
  );
}

function greetingOn(where: net.NetConnectOpts): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = net.connect(where);
  socket.once('data', (data) => {
    resolve(data.toString());
    socket.destroy();
  });
  socket.on('error', reject);
  return promise;
}

async function sallyport(...args: string[]): Promise<string> {
  const answer = await run(process.execPath, [main, ...args, '--config', settingsFile]);
  assert.equal(answer.code, 0, answer.text);
  return answer.stdout.toString();
}

test('given sockets are served by the services with their addresses, TCP and Unix; the others are bound; no child gets them', async () => {
  keeper = await start();
  const status = await sallyport('status');
  for (const listener of [`imaps: imap on 127.0.0.1:${imaps}`, `imap: imap on unix:${unixPath}`])
    assert.ok(status.includes(listener), status);
  assert.match(await greetingOn({ path: unixPath }), /^\* OK/);
  assert.match(await greetingOn({ port: smtp, host: '127.0.0.1' }), /^220 /);
  assert.match(await greetingOn({ port: pop3, host: '127.0.0.1' }), /^\+OK/);
  assert.match(
    keeper.output(),
    new RegExp(`127.0.0.1:${nobody} came from the service manager, and no service listens`),
  );
  for (const [, pid] of status.matchAll(/^worker .* pid (\d+)/gm)) {
    const sockets = readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      const link = readlinkSync(`/proc/${pid}/fd/${fd}`);
      return link.startsWith('socket:') ? [link] : [];
    });
    assert.equal(new Set(sockets).size, sockets.length, 'no listener is there twice');
  }
});

test('a service that is stopped and started under its sockets refuses nobody, cuts nothing and loses no message', async (t) => {
  keeper ??= await start();
  const recipient = 'kept@example.com';
  const traffic = startSteadyLoad({
    perSecond: 50,
    imapsPort: imaps,
    smtpPort: smtp,
    ca: site.authority.ca,
    user: anna.user,
    password: anna.password,
    recipient,
  });
  await traffic.ended(50);
  for (let round = 1; round <= 2; round++) {
    await keeper.restart();
    await traffic.ended(50);
  }
  const book = await traffic.stop();
  const { accepted, ...figures } = book;
  t.diagnostic(JSON.stringify({ accepted: accepted.length, ...figures }));
  assert.deepEqual([book.refused, book.cut], [[], []]);
  assert.deepEqual(keeper.codes(), [0, 0]);
  assert.ok(book.done.visit > 0 && accepted.length > 0);
  await site.arrived(recipient, accepted.length);
  assert.ok(existsSync(unixPath), 'the file of a given socket is not ours to remove');
  assert.match(await greetingOn({ path: unixPath }), /^\* OK/);
});

test('a given socket that no service wants for a while is kept, and served again when one does', async () => {
  keeper ??= await start();
  const services = site.settings['services'] as Record<string, Record<string, unknown>>;
  writeFileSync(settingsFile, settings({ smtp: { ...services['smtp'], listen: [`127.0.0.1:${nobody}`] } }));
  // The manager holds this address, and its socket was closed here when the service started.
  const refused = await run(process.execPath, [main, 'reload', '--config', settingsFile]);
  assert.match(refused.stderr.toString(), /EADDRINUSE/);
  const without = settings({ smtp: undefined });
  writeFileSync(settingsFile, without);
  assert.match(await sallyport('reload'), /0 addresses opened, 1 closed/);
  writeFileSync(settingsFile, settings());
  assert.match(await sallyport('reload'), /1 address opened, 0 closed/);
  assert.match(await greetingOn({ port: smtp, host: '127.0.0.1' }), /^220 /);
});

test('a hand-over takes the given sockets along', async () => {
  keeper ??= await start();
  await sallyport('restart');
  const before = keeper.readyCount();
  assert.ok(before >= 2);
  await until(
    () => /"event":"stopped"/.test(keeper?.output().split('"event":"handed-over"').at(-1) ?? ''),
    20_000,
    () => keeper?.output().slice(-1000) ?? '',
  );
  assert.match(await greetingOn({ path: unixPath }), /^\* OK/);
  assert.match(await greetingOn({ port: smtp, host: '127.0.0.1' }), /^220 /);
  const ended = JSON.parse(await sallyport('status', '--json')) as { pid: number };
  await sallyport('drain');
  await until(
    () => !existsSync(`/proc/${ended.pid}`),
    20_000,
    () => 'the successor does not end',
  );
  assert.ok(existsSync(unixPath), 'the file of a given socket is not ours to remove, whoever ends');
});
