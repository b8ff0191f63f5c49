import assert from 'node:assert/strict';
import { existsSync, readFileSync, renameSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import tls from 'node:tls';

import { connect, temporaryFolder } from '../service/stub-supervisor.ts';
import { makeAuthority } from '../support/authority.ts';
import { startFront } from '../support/front.ts';
import type { Front } from '../support/front.ts';
import { run, until } from '../support/program.ts';

const main = join(import.meta.dirname, '../../src/main.ts');

function settings(certificate: unknown, more: Readonly<Record<string, unknown>> = {}) {
  return {
    hostname: 'mx.test',
    workers: 2,
    certificates: { watch: 0.05 },
    tls: { certificate },
    timeouts: { drain: 5 },
    services: {
      imap: {
        protocol: 'imap',
        listen: ['127.0.0.1:0'],
        tls: 'maytls',
        backend: 'stores',
        capabilities: ['IMAP4rev1'],
      },
      imaps: {
        protocol: 'imap',
        listen: ['127.0.0.1:0'],
        tls: 'implicit',
        backend: 'stores',
        capabilities: ['IMAP4rev1'],
      },
    },
    backends: { stores: { servers: ['127.0.0.1:1'] } },
    ...more,
  };
}

function sallyport(front: Front, command: string, ...more: string[]) {
  return run(process.execPath, [main, command, '--config', front.settingsFile, ...more]);
}

/** The names of the certificate that a new connection is shown. */
function shownNames(port: number): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = tls.connect(
    { port, host: '127.0.0.1', rejectUnauthorized: false, servername: 'mx.test' },
    () => {
      resolve(socket.getPeerCertificate().subjectaltname ?? '');
      socket.destroy();
    },
  );
  socket.on('error', reject);
  return promise;
}

async function workerPids(front: Front): Promise<number[]> {
  const { stdout } = await sallyport(front, 'status', '--json');
  const { workers } = JSON.parse(stdout.toString()) as { workers: { pid: number }[] };
  return workers.map(({ pid }) => pid);
}

const isAlive = (pid: number): boolean => existsSync(`/proc/${pid}/status`);

test('serve, status, reload and drain work together, and no process title or log line has a secret', async () => {
  using folder = temporaryFolder();
  const authority = makeAuthority(folder.path);
  const { certFile, keyFile, key } = authority.issue({ names: ['mx.test'] });
  const front = await startFront({
    folder: folder.path,
    settings: settings({ cert: certFile, key: keyFile, passphrase: 'open-sesame' }),
  });
  const status = await sallyport(front, 'status');
  assert.equal(status.code, 0, status.text);
  assert.match(status.text, /worker 2: ready, pid \d+, 0 connections, 0 restarts/);
  assert.equal(front.log().find((line) => line['event'] === 'ready')?.['file'], front.settingsFile);
  assert.match(status.text, new RegExp(`service imap: imap on 127\\.0\\.0\\.1:${front.port('imap')}`));
  assert.match(status.text, /certificate .*: mx\.test; until .* for imap, imaps/);
  for (const pid of await workerPids(front)) {
    assert.match(readFileSync(`/proc/${pid}/cmdline`, 'latin1'), /^sallyport: worker [12]/);
    assert.match(readFileSync(`/proc/${pid}/status`, 'latin1'), /^SigIgn|^SigCgt/m);
  }
  assert.match(readFileSync(`/proc/${front.pid}/cmdline`, 'latin1'), /^sallyport: supervisor/);
  const reload = await sallyport(front, 'reload');
  assert.deepEqual([reload.code, reload.stdout.toString()], [0, 'reloaded: 0 addresses opened, 0 closed\n']);
  const text = JSON.stringify(front.log()) + status.text;
  assert.equal(text.includes('open-sesame') || text.includes(key.slice(28, 60)), false);
  const drain = await sallyport(front, 'drain');
  assert.match(drain.stdout.toString(), /^draining: process \d+ ends within 5 s/);
  await front.waitForLog((line) => line['event'] === 'stopped');
  assert.equal(await front.stop(), 0);
});

test('reload with wrong settings prints each mistake, ends with 78, and status and drain still work', async () => {
  using folder = temporaryFolder();
  const { certFile, keyFile } = makeAuthority(folder.path).issue({ names: ['mx.test'] });
  const given = settings({ cert: certFile, key: keyFile });
  const front = await startFront({ folder: folder.path, settings: given });
  front.writeSettings({ ...given, workers: 'many', user: 7 });
  const reload = await sallyport(front, 'reload');
  assert.equal(reload.code, 78, reload.text);
  assert.match(reload.stderr.toString(), /yaml:\d+: workers: /);
  assert.match(reload.stderr.toString(), /yaml:\d+: user: /);
  assert.match((await connect(front.port('imap')).line()) ?? '', /^\* OK/);
  assert.equal((await sallyport(front, 'status')).code, 0);
  assert.equal((await sallyport(front, 'drain')).code, 0);
  // Another signal meanwhile would be a kill.
  await front.waitForLog((line) => line['event'] === 'stopped');
  assert.equal(await front.stop(), 0);
});

test('a new certificate file is shown to the next client, and a broken one never', async () => {
  using folder = temporaryFolder();
  const authority = makeAuthority(folder.path);
  const { certFile, keyFile } = authority.issue({ names: ['old.test'], file: 'live' });
  const front = await startFront({
    folder: folder.path,
    settings: settings({ cert: certFile, key: keyFile }),
  });
  const port = front.port('imaps');
  const open = connect(front.port('imap'));
  assert.match((await open.line()) ?? '', /^\* OK/);
  assert.equal(await shownNames(port), 'DNS:old.test');
  const other = authority.issue({ names: ['new.test'], file: 'next' });
  // The certificate without its key: refused, and tried again when the key comes.
  renameSync(other.certFile, certFile);
  const refused = await front.waitForLog((line) => line['event'] === 'certificates-refused');
  assert.match(String((refused['served'] as string[])[0]), /live.* until \d{4}-\d\d-\d\dT/);
  assert.match(
    (await sallyport(front, 'status')).text,
    /^last change of certificate files: REFUSED, the old ones are served on, \d{4}-.*\n  .*does not match/m,
  );
  assert.equal(await shownNames(port), 'DNS:old.test');
  renameSync(other.keyFile, keyFile);
  await front.waitForLog((line) => line['event'] === 'certificates-reloaded');
  assert.equal(await shownNames(port), 'DNS:new.test');
  open.socket.write('a NOOP\r\n');
  assert.match((await open.line()) ?? '', /^a OK/);
  open.socket.destroy();
  assert.equal(await front.stop(), 0);
});

test('when the supervisor is killed, the workers say goodbye and end, and a new one can start', async () => {
  using folder = temporaryFolder();
  const { certFile, keyFile } = makeAuthority(folder.path).issue({ names: ['mx.test'] });
  const given = settings({ cert: certFile, key: keyFile });
  const front = await startFront({ folder: folder.path, settings: given });
  const pids = await workerPids(front);
  const open = connect(front.port('imap'));
  assert.match((await open.line()) ?? '', /^\* OK/);
  await front.stop('SIGKILL');
  assert.match((await open.line()) ?? '', /^\* BYE/);
  open.socket.end();
  await until(
    () => pids.every((pid) => !isAlive(pid)),
    10_000,
    () => 'workers still live',
  );
  const next = await startFront({ folder: folder.path, settings: given });
  assert.equal(await next.stop(), 0);
});

test('a worker that gets SIGTERM alone drains and is replaced', async () => {
  using folder = temporaryFolder();
  const { certFile, keyFile } = makeAuthority(folder.path).issue({ names: ['mx.test'] });
  const given = { ...settings({ cert: certFile, key: keyFile }), workers: 1 };
  const front = await startFront({ folder: folder.path, settings: given });
  const [pid = 0] = await workerPids(front);
  const open = connect(front.port('imap'));
  await open.line();
  process.kill(pid, 'SIGTERM');
  assert.match((await open.line()) ?? '', /^\* BYE/);
  open.socket.end();
  const died = await front.waitForLog((line) => line['event'] === 'worker-died');
  assert.deepEqual([died['level'], died['code']], ['warn', 0]);
  assert.match((await connect(front.port('imap')).line()) ?? '', /^\* OK/);
  assert.equal(await front.stop(), 0);
});

test('a second SIGTERM ends at once, with 1', async () => {
  using folder = temporaryFolder();
  const { certFile, keyFile } = makeAuthority(folder.path).issue({ names: ['mx.test'] });
  const given = settings({ cert: certFile, key: keyFile });
  const front = await startFront({ folder: folder.path, settings: given });
  const pids = await workerPids(front);
  // A stopped worker cannot drain.
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  front.signal('SIGTERM');
  await front.waitForLog((line) => line['event'] === 'draining');
  assert.equal(await front.stop('SIGTERM'), 1);
  assert.deepEqual(pids.filter(isAlive), []);
});

test('SIGUSR1 opens no debugger in the supervisor and none in a worker', async () => {
  using folder = temporaryFolder();
  const { certFile, keyFile } = makeAuthority(folder.path).issue({ names: ['mx.test'] });
  const front = await startFront({
    folder: folder.path,
    settings: settings({ cert: certFile, key: keyFile }),
  });
  for (const pid of [front.pid, ...(await workerPids(front))]) process.kill(pid, 'SIGUSR1');
  assert.equal((await sallyport(front, 'status')).code, 0);
  const { promise, resolve } = Promise.withResolvers<string>();
  const probe = net.connect(9229, '127.0.0.1');
  probe.on('connect', () => resolve('open')).on('error', () => resolve('closed'));
  assert.equal(await promise, 'closed');
  probe.destroy();
  assert.equal(await front.stop(), 0);
});
