// What changes under a running `sallyport serve` without its listeners closing: services that are renamed, that change
// protocol or TLS mode, and ticket keys that rotate.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import tls from 'node:tls';

import { connect, temporaryFolder } from '../service/stub-supervisor.ts';
import { makeAuthority } from '../support/authority.ts';
import { startFront } from '../support/front.ts';
import { run } from '../support/program.ts';

function settings(services: Readonly<Record<string, unknown>>, more: Readonly<Record<string, unknown>> = {}) {
  return {
    hostname: 'mx.test',
    workers: 2,
    timeouts: { drain: 5 },
    services,
    channels: { in: { keywords: 'notls', relay: 'behind' } },
    backends: { behind: { servers: ['127.0.0.1:1'] } },
    ...more,
  };
}

const listen = ['127.0.0.1:0'];
const capabilities = ['IMAP4rev1'];

test('an address that stays is never closed: its service is renamed, speaks another protocol, begins with TLS', async () => {
  using folder = temporaryFolder();
  const { certFile, keyFile } = makeAuthority(folder.path).issue({ names: ['mx.test'] });
  const certificate = { tls: { certificate: { cert: certFile, key: keyFile } } };
  const imap = { protocol: 'imap', listen, tls: 'maytls', backend: 'behind', capabilities };
  const front = await startFront({ folder: folder.path, settings: settings({ one: imap }, certificate) });
  const port = front.port('one');
  const open = connect(port);
  assert.match((await open.line()) ?? '', /^\* OK/);
  let running = true;
  const refused: string[] = [];
  let met = 0;
  const loop = (async () => {
    while (running) {
      const client = connect(port);
      // One that begins with TLS waits for the client's first word; that it is connected is what counts.
      await new Promise((resolve) => client.socket.once('connect', resolve).once('error', resolve));
      const failure = client.failure();
      if (failure === null) met++;
      else refused.push(failure);
      client.socket.destroy();
    }
  })();
  for (const services of [
    { two: imap },
    { two: { ...imap, tls: 'implicit' } },
    { three: { protocol: 'pop3', listen, tls: 'notls', backend: 'behind' } },
    { three: { protocol: 'smtp', listen, channel: 'in' } },
    { one: imap },
  ]) {
    front.writeSettings(settings(services, certificate));
    const line = await front.reload();
    assert.deepEqual(
      [line['event'], line['opened'], line['closed']],
      ['reloaded', 0, 0],
      JSON.stringify(line),
    );
  }
  running = false;
  await loop;
  assert.deepEqual(refused, []);
  assert.ok(met > 0);
  open.socket.write('a NOOP\r\n');
  assert.match((await open.line()) ?? '', /^a OK/, 'what was open goes on as it began');
  open.socket.destroy();
  assert.equal(await front.stop(), 0);
});

interface Visit {
  readonly reused: boolean;
  readonly session: Buffer;
}

function visit(port: number, session?: Buffer): Promise<Visit> {
  const { promise, resolve, reject } = Promise.withResolvers<Visit>();
  const socket = tls.connect({
    port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    ...(session === undefined ? {} : { session }),
  });
  // A session that is resumed brings no new ticket.
  let ticket = session;
  socket.on('session', (given: Buffer) => (ticket = given));
  socket.once('data', () => {
    resolve({ reused: socket.isSessionReused(), session: ticket ?? assert.fail('no ticket') });
    socket.destroy();
  });
  socket.on('error', reject);
  return promise;
}

test('after a rotation of the ticket keys an old session costs one full handshake, and the next is resumed by any worker', async () => {
  using folder = temporaryFolder();
  const { certFile, keyFile } = makeAuthority(folder.path).issue({ names: ['mx.test'] });
  const imaps = { protocol: 'imap', listen, tls: 'implicit', backend: 'behind', capabilities };
  const more = { tls: { certificate: { cert: certFile, key: keyFile } }, tickets: { rotate: 0 } };
  const front = await startFront({ folder: folder.path, settings: settings({ imaps }, more) });
  const port = front.port('imaps');
  const first = await visit(port);
  for (let i = 0; i < 10; i++) assert.equal((await visit(port, first.session)).reused, true);
  front.writeSettings(settings({ imaps }, { ...more, tickets: { rotate: 1 } }));
  await front.reload();
  const rotated = await front.waitForLog((line) => line['event'] === 'ticket-keys');
  assert.equal(rotated['how'], 'rotated');
  front.writeSettings(settings({ imaps }, { ...more, tickets: { rotate: 3600 } }));
  await front.reload();
  const second = await visit(port, first.session);
  assert.equal(second.reused, false);
  for (let i = 0; i < 10; i++) assert.equal((await visit(port, second.session)).reused, true);
  assert.equal(await front.stop(), 0);
});

const main = join(import.meta.dirname, '../../src/main.ts');

test('restart says who is in charge; with wrong settings it prints each mistake, ends with 78, and nothing has changed', async () => {
  using folder = temporaryFolder();
  const imap = { protocol: 'imap', listen, tls: 'notls', backend: 'behind', capabilities };
  const given = settings({ imap }, { pidFile: 'pid' });
  const front = await startFront({ folder: folder.path, settings: given });
  const sallyport = (...args: string[]) =>
    run(process.execPath, [main, ...args, '--config', front.settingsFile]);
  const first = front.pid;
  front.writeSettings({ ...given, workers: 'many' });
  const refused = await sallyport('restart');
  assert.equal(refused.code, 78, refused.text);
  assert.match(refused.stderr.toString(), /the old supervisor goes on:\n.*yaml:\d+: workers: /);
  assert.match((await sallyport('status')).text, /^last restart: FAILED, the old process goes on/m);
  assert.equal(readFileSync(join(folder.path, 'pid'), 'utf8'), `${first}\n`);
  front.writeSettings(given);
  const done = await sallyport('restart');
  assert.equal(done.code, 0, done.text);
  await front.waitForLog((line) => line['event'] === 'ready' && line['pid'] !== first);
  assert.match(
    done.stdout.toString(),
    new RegExp(`^restarted: process ${front.pid}, .*; process ${first} ends within 5 s`),
  );
  assert.equal(readFileSync(join(folder.path, 'pid'), 'utf8'), `${front.pid}\n`);
  assert.match((await connect(front.port('imap')).line()) ?? '', /^\* OK/);
  assert.equal(await front.stop(), 0);
  assert.equal(existsSync(join(folder.path, 'pid')), false);
});

test('a successor that nobody hands over to is refused', async () => {
  const alone = await run(process.execPath, [main, 'successor', '--config', 'sallyport.yaml']);
  assert.equal(alone.code, 64);
  assert.match(alone.stderr.toString(), /only a running `sallyport serve` starts it/);
});
