// Servers for those that dial by themselves (the check of a password): whose turn it is, and what becomes known of them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BackendSettings } from '../../src/config/settings.ts';
import { Backend } from '../../src/connection/backend-leg.ts';
import { HealthBoard } from '../../src/connection/server-health.ts';
import { GateError } from '../../src/errors.ts';
import { createLog } from '../../src/log.ts';
import { imap } from '../../src/protocol/imap.ts';
import { BackendTls } from '../../src/tls/client.ts';
import { TIMEOUTS } from '../support/gates.ts';
import { manualWorld } from '../support/manual-world.ts';
import { LIMITS } from '../support/scripted-talk.ts';

function backend(dialled: string[] = []): { made: Backend; states: () => string[] } {
  const world = manualWorld({
    dial: (target) => {
      dialled.push(target.kind === 'tcp' ? target.host : '');
      throw new GateError('KICKED');
    },
  });
  const tls = { mode: 'notls', verify: true, ca: null, name: null, pin: [], certificates: [] } as const;
  const settings = {
    name: 'stores',
    servers: ['one', 'two'].map((host) => ({ kind: 'tcp', host, port: 143 })),
    balance: 'roundRobin',
    failoverTimeoutMs: null,
    failoverMs: 30_000,
    tls: { ...tls, minVersion: 'TLSv1.2', ciphers: 'default' },
    client: [],
  } as unknown as BackendSettings;
  const log = createLog({ level: 'error', format: 'json', write: () => undefined });
  const health = new HealthBoard({ world, log });
  const made = new Backend({
    settings,
    dialect: imap,
    admin: null,
    tls: new BackendTls({ ...tls, minVersion: 'TLSv1.2', ciphers: 'default' }),
    hostname: 'mail.test',
    limits: LIMITS,
    timeouts: TIMEOUTS,
    probeMs: 1000,
    health,
    world,
    log,
  });
  return { made, states: () => health.facts.map(({ phase }) => phase) };
}

const from = (address: string) => ({ user: 'anna', address });

test('a check of the password before each login does not send all logins to every other server', async () => {
  const dialled: string[] = [];
  const { made } = backend(dialled);
  const checked: string[] = [];
  for (let n = 0; n < 4; n++) {
    const [first] = made.approaches(from('192.0.2.7'));
    checked.push(first?.endpoint.kind === 'tcp' ? first.endpoint.host : '');
    await made.connect({ ...from('192.0.2.7'), proxied: null }).catch(() => undefined);
  }
  assert.deepEqual(checked, ['one', 'two', 'one', 'two']);
  assert.deepEqual(dialled, ['one', 'two', 'one', 'two']);
});

const error = new GateError('BACKEND_CLOSED', { backend: 'one:143' });

/** Each address asks the first server. */
function ask(made: Backend, kind: 'unreached' | 'failed', addresses: readonly string[]): void {
  for (const address of addresses) {
    const store = made
      .approaches(from(address))
      .find(({ endpoint }) => endpoint.kind === 'tcp' && endpoint.host === 'one');
    store?.begin();
    store?.end({ kind, error });
  }
}

test('one client whose logins break at a store takes it from nobody, clients of three addresses show that it is broken', () => {
  const { made, states } = backend();
  ask(made, 'failed', ['192.0.2.7', '192.0.2.7', '192.0.2.7', '192.0.2.7', '192.0.2.8']);
  assert.deepEqual(states(), ['closed', 'closed']);
  ask(made, 'failed', ['192.0.2.9']);
  assert.deepEqual(states(), ['open', 'closed']);
});

test('a store that three checks do not reach is down, whoever wanted it', () => {
  const { made, states } = backend();
  ask(made, 'unreached', ['192.0.2.7', '192.0.2.7', '192.0.2.7']);
  assert.deepEqual(states(), ['open', 'closed']);
});

test('a store that answers a login, with yes or no, serves', () => {
  const { made, states } = backend();
  ask(made, 'failed', ['192.0.2.7', '192.0.2.8']);
  for (const { begin, end } of made.approaches(from('192.0.2.7'))) {
    begin();
    end({ kind: 'answered' });
  }
  ask(made, 'failed', ['192.0.2.9']);
  assert.deepEqual(states(), ['closed', 'closed']);
});

test('that we have no descriptors left is no failure of any server', () => {
  const { made, states } = backend();
  const cause = Object.assign(new Error('connect EMFILE'), { code: 'EMFILE' });
  for (let n = 0; n < 5; n++) {
    for (const { end } of made.approaches(from('192.0.2.7'))) {
      end({ kind: 'unreached', error: new GateError('BACKEND_UNREACHABLE', { backend: 'one:143' }, cause) });
    }
  }
  assert.deepEqual(states(), ['closed', 'closed']);
});
