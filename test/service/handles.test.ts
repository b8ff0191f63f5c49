import assert from 'node:assert/strict';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';

import { bindListeners, diffListeners, endpointText, wantedListeners } from '../../src/service/handles.ts';
import { realWorld } from '../../src/world.ts';
import { service, settingsOf, tcp, temporaryFolder } from './stub-supervisor.ts';

const wanted = (...services: ReturnType<typeof service>[]) => wantedListeners(settingsOf(services).services);
const held = (...services: ReturnType<typeof service>[]) =>
  new Map(wanted(...services).map((listener) => [listener.key, listener]));

test('one IPv6 address in two spellings is one address', () => {
  assert.equal(endpointText(tcp(143, '0:0::1')), endpointText(tcp(143, '::1')));
  assert.equal(endpointText(tcp(143, 'FE80::1%eth0')), '[fe80::1%eth0]:143');
});

test('an address that stays is neither opened nor closed, even for another service', () => {
  const before = held(service('imap', tcp(143), tcp(993)));
  const change = diffListeners(before, wanted(service('pop3', tcp(143)), service('imap', tcp(1143))));
  assert.deepEqual(
    change.stays.map(({ key, service: name }) => [key, name]),
    [['127.0.0.1:143', 'pop3']],
  );
  assert.deepEqual(
    change.opens.map(({ key }) => key),
    ['127.0.0.1:1143'],
  );
  assert.deepEqual(
    change.closes.map(({ key }) => key),
    ['127.0.0.1:993'],
  );
});

test('two services on any free port have two addresses', () => {
  assert.equal(held(service('imap', tcp(0), tcp(0)), service('pop3', tcp(0))).size, 3);
});

test('binding is all or nothing', async () => {
  const busy = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => busy.once('listening', resolve));
  const { port } = busy.address() as net.AddressInfo;
  using folder = temporaryFolder();
  const path = join(folder.path, 's');
  const services = [service('imap', { kind: 'unix', path }), service('pop3', tcp(port))];
  const { bound, failures } = await bindListeners(wanted(...services), null, realWorld);
  assert.equal(bound.length, 0);
  assert.equal(failures.length, 1);
  assert.equal(existsSync(path), false);
  busy.close();
});

test('[::] takes IPv4 too', async () => {
  const { bound } = await bindListeners(wanted(service('imap', tcp(0, '::'))), null, realWorld);
  assert.ok(bound[0]);
  const server = net.createServer((socket) => socket.end('hi')).listen(bound[0].handle as net.Server);
  const port = Number(bound[0].address.split(':').at(-1));
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  net
    .connect(port, '127.0.0.1')
    .on('data', (data) => resolve(data.toString()))
    .on('error', reject);
  assert.equal(await promise, 'hi');
  server.close();
});

test('a Unix socket on which somebody answers is left alone', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 's');
  const owner = net.createServer((socket) => socket.destroy()).listen(path);
  await new Promise((resolve) => owner.once('listening', resolve));
  const { failures } = await bindListeners(wanted(service('imap', { kind: 'unix', path })), null, realWorld);
  assert.match(failures[0] ?? '', /service imap: cannot listen on unix:.*: another program answers on it/);
  assert.ok(existsSync(path));
  owner.close();
});

test('a Unix socket that a crash left behind is taken over', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 's');
  const crash = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  const { spawnSync } = await import('node:child_process');
  spawnSync(process.execPath, ['-e', crash]);
  assert.ok(existsSync(path));
  const { bound, failures } = await bindListeners(
    wanted(service('imap', { kind: 'unix', path })),
    null,
    realWorld,
  );
  assert.deepEqual(failures, []);
  for (const { handle } of bound) handle.close();
});

test('a Unix socket is born for its owner and group only, and the mask of the process stays', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 's');
  const mask = process.umask(0o022);
  const { bound } = await bindListeners(wanted(service('imap', { kind: 'unix', path })), null, realWorld);
  assert.equal(statSync(path).mode & 0o777, 0o660);
  assert.equal(process.umask(mask), 0o022);
  for (const { handle } of bound) handle.close();
});

test('a file that is no socket is never removed', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 's');
  writeFileSync(path, 'precious');
  const { failures } = await bindListeners(wanted(service('imap', { kind: 'unix', path })), null, realWorld);
  assert.match(failures[0] ?? '', /is not a socket/);
  assert.ok(existsSync(path));
});

test('a folder that is missing is named as the cause', async () => {
  using folder = temporaryFolder();
  const endpoint = { kind: 'unix', path: join(folder.path, 'no', 's') } as const;
  const { failures } = await bindListeners(wanted(service('imap', endpoint)), null, realWorld);
  assert.match(failures[0] ?? '', /the folder is missing/);
});

test('[::] leaves IPv4 alone where 0.0.0.0 is listed with the same port, and takes it where it is not', () => {
  const both = wanted(service('imap', tcp(143, '0.0.0.0'), tcp(143, '::')));
  assert.deepEqual(
    both.map(({ ipv6Only }) => ipv6Only),
    [false, true],
  );
  assert.equal(wanted(service('imap', tcp(143, '::')))[0]?.ipv6Only, false);
  assert.equal(wanted(service('imap', tcp(993, '0.0.0.0'), tcp(143, '::')))[1]?.ipv6Only, false);
});
