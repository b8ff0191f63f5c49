// The way to a backend: which server, within which time, what is known of it, and what may be sent to it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BackendSettings, Endpoint, TlsMode } from '../../src/config/settings.ts';
import {
  Backend,
  type BackLeg,
  mayCarryPassword,
  serverName,
  type Visit,
  within,
} from '../../src/connection/backend-leg.ts';
import { HealthBoard } from '../../src/connection/server-health.ts';
import { createLog } from '../../src/log.ts';
import { imap } from '../../src/protocol/imap.ts';
import { BackendTls } from '../../src/tls/client.ts';
import { Conversation } from '../support/conversation.ts';
import { settle, testBack, testGate, TIMEOUTS } from '../support/gates.ts';
import { storeContext, testMaterial } from '../support/gateway.ts';
import { manualWorld, type ManualWorld } from '../support/manual-world.ts';
import { LIMITS } from '../support/scripted-talk.ts';
import { play } from '../support/transcript.ts';
import { cable, type CableEnd } from '../support/wire.ts';

/** A transcript in the server's part; 'refused': ECONNREFUSED; 'deaf': the dial never ends. */
type Script = string;

interface Fleet {
  readonly backend: Backend;
  readonly world: ManualWorld;
  /** Hosts in the order in which they were dialled. */
  readonly dialled: string[];
  /** Our ends. */
  readonly ends: CableEnd[];
  readonly scripts: Record<string, Script>;
  readonly lines: Readonly<Record<string, unknown>>[];
  /** What the scripts ended with; '' is well. */
  readonly done: () => Promise<readonly string[]>;
}

const PROBE_MS = 300_000;
const FAILOVER_MS = 30_000;
const VISIT: Visit = { user: 'anna', address: '192.0.2.7', proxied: null };

function fleet(scripts: Record<string, Script>, mode: TlsMode = 'notls'): Fleet {
  const dialled: string[] = [];
  const ends: CableEnd[] = [];
  const lines: Readonly<Record<string, unknown>>[] = [];
  const running: Promise<string>[] = [];
  const world = manualWorld({
    dial(target) {
      const host = target.kind === 'tcp' ? target.host : target.path;
      const [near, far] = cable();
      near.remoteAddress = host;
      dialled.push(host);
      ends.push(near);
      const script = scripts[host] ?? 'refused';
      setImmediate(() => {
        if (near.destroyed || script === 'deaf') return;
        if (script === 'refused') {
          near.destroy(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }));
          return;
        }
        near.emit('connect');
        const talk = new Conversation(far);
        const played = play(script, talk, { as: 'server', serverTls: storeContext() });
        running.push(
          played.then(
            () => '',
            (error: Error) => error.message,
          ),
        );
      });
      return near.asSocket();
    },
  });
  const settings: BackendSettings = {
    name: 'stores',
    servers: Object.keys(scripts).map((host): Endpoint => ({ kind: 'tcp', host, port: 143 })),
    hosts: [],
    port: null,
    balance: 'roundRobin',
    failoverTimeoutMs: null,
    failoverMs: FAILOVER_MS,
    check: { everyMs: 0, timeoutMs: 10_000, user: null, password: null },
    tls: {
      mode,
      verify: true,
      ca: null,
      crl: [],
      name: 'store.test',
      pin: [],
      certificates: [],
      minVersion: 'TLSv1.2',
      ciphers: 'default',
    },
    connections: 0,
    login: 'replay',
    admin: null,
    allowClearBackend: false,
    client: [],
    xpehloPassword: null,
  };
  const log = createLog({
    level: 'debug',
    format: 'json',
    write: (line) => void lines.push(JSON.parse(line) as Readonly<Record<string, unknown>>),
  });
  const backend = new Backend({
    settings,
    dialect: imap,
    admin: null,
    tls: new BackendTls({ ...settings.tls, ca: testMaterial().authority.ca, certificates: [] }),
    hostname: 'mail.test',
    limits: LIMITS,
    timeouts: TIMEOUTS,
    probeMs: PROBE_MS,
    world,
    health: new HealthBoard({ world, log }),
    log,
  });
  return { backend, world, dialled, ends, scripts, lines, done: () => Promise.all(running) };
}

const HELLO = 'S: * OK [CAPABILITY IMAP4rev1 IDLE AUTH=PLAIN] ready';
const PROBED = `${HELLO}\nC: s LOGOUT\n-- eof\n-- end`;
const offers = (...words: string[]): Script =>
  `S: * OK [CAPABILITY ${words.join(' ')}] ready\nC: s LOGOUT\n-- eof\n-- end`;

/** The code that a promise is rejected with. */
async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'nothing',
    (error: { code: unknown }) => error.code,
  );
}

test('a leg is opened, greeted, and belongs to the caller', async () => {
  const { backend, ends, world } = fleet({ one: HELLO });
  const back = await backend.connect(VISIT);
  assert.deepEqual([back.server, back.leg.secured], ['one:143', false]);
  assert.deepEqual(back.session.mechanisms, ['PLAIN']);
  assert.equal(ends[0]?.destroyed, false);
  assert.equal(world.pending, 0, 'no timer stays');
});

test('the servers take turns', async () => {
  const { backend, dialled } = fleet({ one: HELLO, two: HELLO, three: HELLO });
  for (let i = 0; i < 4; i++) await backend.connect(VISIT);
  assert.deepEqual(dialled, ['one', 'two', 'three', 'one']);
});

for (const [what, script, code] of [
  ['refuses', 'refused', 'BACKEND_UNREACHABLE'],
  ['closes at once', '-- end', 'BACKEND_CLOSED'],
  ['says BYE', 'S: * BYE too busy', 'BACKEND_REFUSED'],
  ['speaks another protocol', 'S: 220 mta.test', 'BACKEND_PROTOCOL'],
  ['greets with PREAUTH', 'S: * PREAUTH hello', 'BACKEND_PREAUTH'],
] as const) {
  test(`the next server is tried where one ${what}, and the log names the one that failed`, async () => {
    const { backend, dialled, lines, ends } = fleet({ one: script, two: HELLO });
    const back = await backend.connect(VISIT);
    assert.equal(back.server, 'two:143');
    assert.deepEqual(dialled, ['one', 'two']);
    assert.deepEqual(
      lines
        .filter((line) => line['event'] === 'backend-failed')
        .map((line) => [line['event'], line['backend'], line['server'], line['code']]),
      [['backend-failed', 'stores', 'one:143', code]],
    );
    assert.equal(ends[0]?.destroyed, true, 'the leg that failed is gone');
  });

  test(`where every server ${what} the last failure is the answer`, async () => {
    const { backend, dialled } = fleet({ one: script, two: script });
    assert.equal(await codeOf(backend.connect(VISIT)), code);
    assert.equal(dialled.length, 2);
  });
}

test('a server that does not answer the dial is left in time for the next one', async () => {
  const { backend, world, dialled } = fleet({ one: 'deaf', two: HELLO });
  const back = backend.connect(VISIT);
  await settle();
  world.advance(TIMEOUTS.connectMs - 1);
  assert.equal((await back).server, 'two:143');
  assert.deepEqual(dialled, ['one', 'two']);
});

test('a dial that nobody answers ends with timeouts.connect, and its socket is gone', async () => {
  const { backend, world, ends } = fleet({ one: 'deaf' });
  const code = codeOf(backend.connect(VISIT));
  await settle();
  world.advance(TIMEOUTS.connectMs - 1);
  await settle(2);
  assert.equal(ends[0]?.destroyed, false);
  world.advance(1);
  assert.equal(await code, 'BACKEND_UNREACHABLE');
  assert.deepEqual([ends[0]?.destroyed, world.pending], [true, 0]);
});

test('all servers together have the time of timeouts.connect to be reached', async () => {
  const { backend, world, dialled } = fleet({ one: 'deaf', two: 'deaf', three: 'deaf' });
  const code = codeOf(backend.connect(VISIT));
  for (let passed = 0; passed < TIMEOUTS.connectMs; passed += 500) {
    await settle(4);
    world.advance(500);
  }
  assert.equal(await code, 'BACKEND_UNREACHABLE');
  assert.deepEqual(dialled, ['one', 'two', 'three']);
});

test('a server that is silent behind its accept has timeouts.reply', async () => {
  const { backend, world, ends } = fleet({ one: 'C: nothing ever' });
  const code = codeOf(backend.connect(VISIT));
  await settle();
  world.advance(TIMEOUTS.replyMs);
  assert.equal(await code, 'BACKEND_TIMEOUT');
  assert.deepEqual([ends[0]?.destroyed, world.pending], [true, 0]);
});

const STARTTLS = `
  S: * OK [CAPABILITY IMAP4rev1 STARTTLS] ready
  C: s1 STARTTLS
  S: s1 OK go
  -- tls
  C: s2 CAPABILITY
  S: * CAPABILITY IMAP4rev1 AUTH=PLAIN
  S: s2 OK done`;

for (const mode of ['maytls', 'musttls'] as const) {
  test(`under ${mode} the leg is secured by STARTTLS, against the given CA and name`, async () => {
    const { backend } = fleet({ one: STARTTLS }, mode);
    const back = await backend.connect(VISIT);
    assert.equal(back.leg.secured, true);
    assert.equal(back.leg.facts?.version, 'TLSv1.3');
    back.leg.destroy();
  });
}

test('under implicit the leg is secured before the greeting', async () => {
  const { backend } = fleet({ one: `-- tls\n${HELLO}` }, 'implicit');
  const back = await backend.connect(VISIT);
  assert.deepEqual([back.leg.secured, back.session.mechanisms], [true, ['PLAIN']]);
  back.leg.destroy();
});

test('under implicit a server that speaks in clear is refused', async () => {
  const { backend } = fleet({ one: HELLO }, 'implicit');
  assert.equal(await codeOf(backend.connect(VISIT)), 'BACKEND_TLS_FAILED');
});

test('under musttls a server without STARTTLS is refused, under maytls it is taken', async () => {
  assert.equal(await codeOf(fleet({ one: HELLO }, 'musttls').backend.connect(VISIT)), 'BACKEND_TLS_MISSING');
  assert.equal((await fleet({ one: HELLO }, 'maytls').backend.connect(VISIT)).leg.secured, false);
});

test('what is known is asked for once, and the servers are said goodbye to', async () => {
  const { backend, dialled, done, ends } = fleet({ one: PROBED });
  const [first, second] = await Promise.all([backend.knowledge(), backend.knowledge()]);
  assert.equal(first, second);
  assert.equal(await backend.knowledge(), first);
  assert.deepEqual(first, { capabilities: ['IMAP4REV1', 'IDLE', 'AUTH=PLAIN'], mechanisms: ['PLAIN'] });
  assert.deepEqual(dialled, ['one']);
  assert.deepEqual(await done(), ['']);
  await settle();
  assert.equal(ends[0]?.destroyed, true);
});

test('what is known is what all servers have', async () => {
  const { backend } = fleet({
    one: offers('IMAP4rev1', 'IDLE', 'MOVE', 'AUTH=PLAIN', 'AUTH=XOAUTH2'),
    two: offers('IMAP4rev1', 'MOVE', 'AUTH=PLAIN'),
    three: offers('IMAP4rev1', 'IDLE', 'MOVE', 'AUTH=PLAIN'),
  });
  assert.deepEqual(await backend.knowledge(), {
    capabilities: ['IMAP4REV1', 'MOVE', 'AUTH=PLAIN'],
    mechanisms: ['PLAIN'],
  });
});

test('a server that cannot be asked does not count', async () => {
  const { backend } = fleet({ one: 'refused', two: offers('IMAP4rev1', 'IDLE') });
  assert.deepEqual((await backend.knowledge()).capabilities, ['IMAP4REV1', 'IDLE']);
});

test('it is believed for its time; then the old answer is given while a new one is fetched', async () => {
  const { backend, world, dialled, scripts } = fleet({ one: offers('IMAP4rev1') });
  const first = await backend.knowledge();
  scripts['one'] = offers('IMAP4rev1', 'IDLE');
  world.advance(PROBE_MS);
  assert.equal(await backend.knowledge(), first);
  await settle();
  assert.equal(dialled.length, 1);
  world.advance(1);
  assert.equal(await backend.knowledge(), first);
  await settle();
  assert.equal(dialled.length, 2);
  assert.deepEqual((await backend.knowledge()).capabilities, ['IMAP4REV1', 'IDLE']);
});

test('a new answer that says the same is the same object', async () => {
  const { backend, world } = fleet({ one: offers('IMAP4rev1') });
  const first = await backend.knowledge();
  world.advance(PROBE_MS + 1);
  await backend.knowledge();
  await settle();
  assert.equal(await backend.knowledge(), first);
});

test('a renewal that fails leaves what was known', async () => {
  const { backend, world, scripts, dialled } = fleet({ one: offers('IMAP4rev1') });
  const first = await backend.knowledge();
  scripts['one'] = 'refused';
  world.advance(PROBE_MS + 1);
  await backend.knowledge();
  await settle();
  assert.equal(dialled.length, 2);
  assert.equal(await backend.knowledge(), first);
});

test('where nobody answers, that is told for a second without asking again', async () => {
  const { backend, world, dialled, scripts } = fleet({ one: 'refused' });
  assert.equal(await codeOf(backend.knowledge()), 'BACKEND_UNREACHABLE');
  world.advance(999);
  assert.equal(await codeOf(backend.knowledge()), 'BACKEND_UNREACHABLE');
  assert.equal(dialled.length, 1);
  scripts['one'] = offers('IMAP4rev1');
  world.advance(1);
  assert.deepEqual((await backend.knowledge()).capabilities, ['IMAP4REV1']);
});

for (const [what, endpoint, remote, allowed] of [
  ['an IPv4 loopback address', { kind: 'tcp', host: '127.0.0.2', port: 143 }, '127.0.0.2', true],
  ['the IPv6 loopback address', { kind: 'tcp', host: '::1', port: 143 }, '::1', true],
  ['a mapped loopback address', { kind: 'tcp', host: '::ffff:127.0.0.1', port: 143 }, '::1', true],
  ['a name that led to loopback', { kind: 'tcp', host: 'localhost', port: 143 }, '127.0.0.1', true],
  ['a Unix socket', { kind: 'unix', path: '/run/imap' }, undefined, true],
  ['another address', { kind: 'tcp', host: '192.0.2.1', port: 143 }, '192.0.2.1', false],
  ['a name that led elsewhere', { kind: 'tcp', host: 'localhost', port: 143 }, '192.0.2.1', false],
  ['a name like an address', { kind: 'tcp', host: '127.0.0.1.example', port: 143 }, '192.0.2.1', false],
  ['a connection that is gone', { kind: 'tcp', host: 'store.test', port: 143 }, undefined, false],
] as const) {
  test(`to ${what} a password ${allowed ? 'may' : 'may not'} go in clear`, () => {
    const { back, near } = testBack(testGate({ protocol: 'imap' }));
    near.remoteAddress = remote;
    const leg: BackLeg = { ...back, endpoint };
    const settings = fleet({ one: HELLO }).backend.settings;
    assert.equal(mayCarryPassword(leg, settings), allowed);
    assert.equal(mayCarryPassword(leg, { ...settings, allowClearBackend: true }), true);
  });
}

test('through TLS a password may go anywhere', async () => {
  const { backend, ends } = fleet({ one: STARTTLS }, 'musttls');
  const back = await backend.connect(VISIT);
  Object.assign(ends[0] ?? {}, { remoteAddress: '192.0.2.1' });
  assert.equal(mayCarryPassword(back, backend.settings), true);
  back.leg.destroy();
});

test('servers are named for logs as the settings name them', () => {
  assert.equal(serverName({ kind: 'tcp', host: 'imap.test', port: 143 }), 'imap.test:143');
  assert.equal(serverName({ kind: 'tcp', host: '2001:db8::1', port: 993 }), '[2001:db8::1]:993');
  assert.equal(serverName({ kind: 'unix', path: '/run/imap' }), '/run/imap');
});

test('work within a limit leaves no timer, and past it the leg fails with BACKEND_TIMEOUT', async () => {
  const gate = testGate({ protocol: 'imap' });
  const { back } = testBack(gate);
  const limit = { leg: back.leg, ms: 100, server: 'one:143', what: 'login' };
  assert.equal(await within(gate.world, limit, async () => 'done'), 'done');
  assert.equal(gate.world.pending, 0);
  const late = codeOf(within(gate.world, limit, () => back.leg.line()));
  await settle(2);
  gate.world.advance(100);
  assert.equal(await late, 'BACKEND_TIMEOUT');
  assert.equal(back.leg.socket.destroyed, true);
});
