// The process of an order, as the supervisor starts it: what it is given, what becomes of its answers, what is left.

import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import net from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';

import type { AcmeResult, AcmeTask } from '../../../src/certdb/acme.ts';
import type { AcmeSettings, Endpoint } from '../../../src/config/settings.ts';
import { acmeEndpoints, askRenewalProcess, runAcmeProcess } from '../../../src/service/acme/process.ts';
import { realWorld } from '../../../src/world.ts';
import { manualWorld } from '../../support/manual-world.ts';
import { freePort, isFree } from '../../support/ports.ts';
import { until } from '../../support/program.ts';

const entry = join(import.meta.dirname, 'stub-order.ts');
const settings: AcmeSettings = {
  directory: 'https://127.0.0.1/',
  contact: [],
  agreeTerms: true,
  names: { Mail: ['mail.test'] },
  challenge: 'http-01',
  listen: null,
  keyType: 'ec',
  renewBeforeMs: null,
  ca: null,
  eab: null,
};

interface Run {
  readonly result: Promise<AcmeResult>;
  readonly children: ChildProcess[];
  readonly stop: AbortController;
}

function start(directory: string, listen: readonly Endpoint[], world = realWorld): Run {
  const children: ChildProcess[] = [];
  const stop = new AbortController();
  const task: AcmeTask = {
    directory,
    ca: null,
    accountKey: '',
    contact: [],
    agreeTerms: true,
    eab: null,
    challenge: 'http-01',
    names: ['mail.test', 'imap.test'],
    request: '',
  };
  const result = runAcmeProcess(
    { settings: { ...settings, listen }, task, signal: stop.signal },
    {
      fork() {
        const child = fork(entry, {
          serialization: 'advanced',
          stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
        });
        children.push(child);
        return child;
      },
      owner: null,
      world,
    },
  );
  return { result, children, stop };
}

async function local(): Promise<{ port: number; listen: readonly Endpoint[] }> {
  const port = await freePort();
  return { port, listen: [{ kind: 'tcp', host: '127.0.0.1', port }] };
}

function gone(children: readonly ChildProcess[]): Promise<unknown> {
  return until(
    () => children.every(({ exitCode, signalCode }) => exitCode !== null || signalCode !== null),
    5000,
    () => 'a process is left',
  );
}

test('the order gets its task and the address that answers, and its answer comes back; nothing is left', async () => {
  const { port, listen } = await local();
  const run = start(`https://127.0.0.1:${port}/`, listen);
  assert.deepEqual(await run.result, { kind: 'issued', chain: 'token.mail.test,imap.test' });
  await gone(run.children);
  assert.equal(await isFree(port, '127.0.0.1'), true);
});

for (const [path, kind, words] of [
  ['die', 'failed', /the process of the order ended \(7\)/],
  ['odd', 'failed', /no reason given/],
  ['long', 'failed', /more than a chain/],
  ['refuse', 'failed', /^no\\u001b\[2J$/],
] as const) {
  test(`a process that does /${path} is a failed order, and nothing is left`, async () => {
    const { port, listen } = await local();
    const run = start(`https://127.0.0.1/${path}`, listen);
    const result = await run.result;
    assert.equal(result.kind, kind);
    assert.match(result.kind === 'failed' ? result.cause : '', words);
    assert.equal(result.kind === 'failed' && result.retryAfterMs, path === 'refuse' ? 5000 : null);
    await gone(run.children);
    assert.equal(await isFree(port, '127.0.0.1'), true);
  });
}

test('a process that says nothing is ended after five minutes, or when it is told', async () => {
  const world = manualWorld();
  const { port, listen } = await local();
  const slow = start('https://127.0.0.1/silent', listen, world);
  await until(
    () => slow.children.length > 0,
    5000,
    () => 'no process',
  );
  world.advance(300_000);
  assert.match(JSON.stringify(await slow.result), /no end within 300 s/);
  await gone(slow.children);
  assert.equal(world.pending, 0);
  const stopped = start('https://127.0.0.1/silent', listen);
  await until(
    () => stopped.children.length > 0,
    5000,
    () => 'no process',
  );
  stopped.stop.abort();
  assert.match(JSON.stringify(await stopped.result), /stopped/);
  await gone(stopped.children);
  assert.equal(await isFree(port, '127.0.0.1'), true);
});

test('the question when to renew is put without any address, and no answer is one too', async () => {
  const children: ChildProcess[] = [];
  const ask = (certificate: string) =>
    askRenewalProcess(
      { directory: settings.directory, ca: null, certificate },
      {
        fork() {
          const child = fork(entry, { serialization: 'advanced' });
          children.push(child);
          return child;
        },
        world: realWorld,
        signal: new AbortController().signal,
      },
    );
  assert.deepEqual(await ask('known'), { kind: 'window', start: 1, end: 2 });
  assert.deepEqual(await ask('unknown'), { kind: 'none' });
  const fails = {
    fork: () => assert.fail('no more processes'),
    world: realWorld,
    signal: new AbortController().signal,
  };
  const question = { directory: settings.directory, ca: null, certificate: 'known' };
  assert.deepEqual(await askRenewalProcess(question, fails), { kind: 'none' });
  await gone(children);
});

test('an address that is taken fails the order before any process is started', async () => {
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as net.AddressInfo;
  const other = await freePort();
  const listen = [other, port].map((one) => ({ kind: 'tcp', host: '127.0.0.1', port: one }) as const);
  const run = start('https://127.0.0.1/', listen);
  const result = await run.result;
  assert.match(
    result.kind === 'failed' ? result.cause : '',
    new RegExp(`^cannot listen on 127.0.0.1:${port}: EADDR`),
  );
  assert.equal(run.children.length, 0);
  assert.equal(await isFree(other, '127.0.0.1'), true);
  server.close();
});

test('without addresses in the settings each challenge has its port, on both families', () => {
  const both = (port: number) => ['0.0.0.0', '::'].map((host) => ({ kind: 'tcp', host, port }));
  assert.deepEqual(acmeEndpoints(settings), both(80));
  assert.deepEqual(acmeEndpoints({ ...settings, challenge: 'tls-alpn-01' }), both(443));
});
