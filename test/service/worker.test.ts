// The worker's listeners, by messages as the supervisor sends them, on Unix sockets of the test's own.

import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { existsSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setImmediate } from 'node:timers/promises';

import { defaultSettings } from '../../src/config/load.ts';
import type { Settings } from '../../src/config/settings.ts';
import type { Front } from '../../src/service/front.ts';
import { NO_DIRECTORY } from '../../src/service/directories/material.ts';
import { NO_TIER_PASSWORDS } from '../../src/service/passwords.ts';
import { bindListeners, type BoundListener } from '../../src/service/handles.ts';
import { createLiveLog } from '../../src/service/live-log.ts';
import type { FromWorker, ToWorker } from '../../src/service/messages.ts';
import { runWorker, type WorkerPort } from '../../src/service/worker.ts';
import { realWorld } from '../../src/world.ts';
import { temporaryFolder } from './stub-supervisor.ts';

const greeter: Front = {
  serve: (service, socket) => void socket.end(`${service}\n`),
  update: () => undefined,
  drain: () => Promise.resolve(),
  counters: () => ({}),
  notice: () => undefined,
  servers: () => [],
  probe: () => undefined,
  sessions: () => ({ sessions: [], count: 0 }),
  kick: () => 0,
  evict: () => 0,
};

class Port extends EventEmitter implements WorkerPort {
  send(_message: FromWorker, sent: () => void): void {
    sent();
  }

  tell(message: ToWorker, handle?: BoundListener['handle']): void {
    this.emit('message', message, handle);
  }
}

async function startWorker(
  t: TestContext,
): Promise<{ port: Port; bind: (name: string) => Promise<BoundListener> }> {
  const folder = temporaryFolder();
  const port = new Port();
  const log = createLiveLog({ level: 'error', format: 'json', write: () => undefined });
  const finished = runWorker({ index: 0, port, world: realWorld, createFront: () => greeter, log });
  const settings: Settings = {
    ...defaultSettings(),
    log: { level: 'error', format: 'json' },
  };
  const material = {
    services: {},
    backendTrust: { authorities: [], crls: [] },
    backendCas: {},
    backendSecrets: {},
    tierPasswords: NO_TIER_PASSWORDS,
    spoofs: {},
    domainAdmins: {},
    directory: NO_DIRECTORY,
    certmaps: {},
    ticketKeys: Buffer.alloc(48),
    saltKey: Buffer.alloc(32, 7),
  };
  port.tell({ kind: 'start', settings, material, connectionsMax: 5 });
  t.after(async () => {
    port.tell({ kind: 'drain', graceMs: 10, newcomersMs: 0 });
    await finished;
    folder[Symbol.dispose]();
  });
  const bind = async (name: string): Promise<BoundListener> => {
    const endpoint = { kind: 'unix', path: join(folder.path, name) } as const;
    const wanted = [{ key: name, service: name, endpoint, ipv6Only: false }];
    const { bound, failures } = await bindListeners(wanted, null, realWorld);
    assert.deepEqual(failures, []);
    return bound[0] ?? assert.fail('nothing was bound');
  };
  return { port, bind };
}

async function whoAnswers(listener: BoundListener): Promise<string> {
  const path = listener.endpoint.kind === 'unix' ? listener.endpoint.path : '';
  const socket = net.connect(path);
  try {
    const [data] = (await once(socket, 'data')) as [Buffer];
    return data.toString();
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : 'no answer';
  } finally {
    socket.destroy();
  }
}

test('a listener that is closed and opened again in one breath is open', async (t) => {
  const { port, bind } = await startWorker(t);
  const [first, second] = [await bind('first'), await bind('second')];
  port.tell({ kind: 'listen', key: 'k', service: 'first' }, first.handle);
  assert.equal(await whoAnswers(first), 'first\n');
  port.tell({ kind: 'unlisten', keys: ['k'] });
  port.tell({ kind: 'listen', key: 'k', service: 'second' }, second.handle);
  assert.equal(await whoAnswers(second), 'second\n');
});

test('a listener that is told twice is one listener, and closing it closes it', async (t) => {
  const { port, bind } = await startWorker(t);
  const [first, again] = [await bind('first'), await bind('again')];
  port.tell({ kind: 'listen', key: 'k', service: 'first' }, first.handle);
  port.tell({ kind: 'listen', key: 'k', service: 'first' }, again.handle);
  assert.equal(await whoAnswers(first), 'first\n');
  assert.match(await whoAnswers(again), /^E/);
  port.tell({ kind: 'unlisten', keys: ['k'] });
  // Its file goes with it. Connecting meanwhile would be traffic that is still to be served.
  const path = first.endpoint.kind === 'unix' ? first.endpoint.path : '';
  for (let turns = 0; turns < 10_000 && existsSync(path); turns++) await setImmediate();
  assert.match(await whoAnswers(first), /^E/);
});
