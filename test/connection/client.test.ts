// Where a connection stands, how long it may stand there, and who is told when it stood too long.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteRelay } from '../../src/connection/byte-relay.ts';
import type { Client } from '../../src/connection/client.ts';
import type { Phase } from '../../src/connection/waits.ts';
import { close } from '../../src/connection/close.ts';
import type { World } from '../../src/world.ts';
import { settle, testBack, testClient, testGate, TIMEOUTS } from '../support/gates.ts';

/** The code that a wait ends with. */
function codeOf(wait: Promise<unknown>): Promise<unknown> {
  return wait.then(
    () => 'nothing',
    (error: { code: unknown }) => error.code,
  );
}

// The waits in which the client is waited for.
for (const [phase, limitMs, code] of [
  ['login', TIMEOUTS.loginMs, 'LOGIN_TIMEOUT'],
  ['client', TIMEOUTS.smtpMs, 'IDLE_TIMEOUT'],
] as const) {
  test(`a client that is silent in the phase ${phase} gets ${code}, not a millisecond early`, async () => {
    const gate = testGate({ protocol: 'smtp' });
    const { client } = testClient(gate);
    client.leg.attach();
    client.enter(phase);
    let ended: unknown = null;
    const wait = codeOf(client.leg.line()).then((seen) => (ended = seen));
    gate.world.advance(limitMs - 1);
    client.check(gate.world.monotonic());
    await settle(2);
    assert.equal(ended, null);
    gate.world.advance(1);
    client.check(gate.world.monotonic());
    assert.equal(await wait, code);
  });
}

// The waits in which the backend is waited for.
for (const [phase, limitMs] of [
  ['backend', TIMEOUTS.replyMs],
  ['relay', TIMEOUTS.replyMs],
  ['end of data', TIMEOUTS.dataMs],
] as const) {
  test(`a backend that is silent in the phase "${phase}" has ${limitMs / 1000} seconds`, async () => {
    const gate = testGate({ protocol: 'smtp' });
    const { client } = testClient(gate);
    const { back } = testBack(gate);
    client.back = back;
    client.enter(phase);
    let ended: unknown = null;
    const wait = codeOf(back.leg.line()).then((seen) => (ended = seen));
    gate.world.advance(limitMs - 1);
    client.check(gate.world.monotonic());
    await settle(2);
    assert.equal(ended, null);
    gate.world.advance(1);
    client.check(gate.world.monotonic());
    assert.equal(await wait, 'BACKEND_TIMEOUT');
  });
}

test('before login there is one budget: a client that drips bytes gains nothing', async () => {
  const gate = testGate({ protocol: 'imap' });
  const { client, talk } = testClient(gate);
  client.leg.attach();
  const wait = codeOf(client.leg.line());
  for (let passed = 0; passed < TIMEOUTS.loginMs; passed += 10_000) {
    talk.send('x');
    await settle(4);
    gate.world.advance(10_000);
    client.check(gate.world.monotonic());
  }
  assert.equal(await wait, 'LOGIN_TIMEOUT');
});

test('nor does a client that comes back to the login after a refusal', async () => {
  const gate = testGate({ protocol: 'imap' });
  const { client } = testClient(gate);
  client.leg.attach();
  gate.world.advance(TIMEOUTS.loginMs - 1);
  client.enter('backend');
  client.enter(client.ownTurn);
  const wait = codeOf(client.leg.line());
  gate.world.advance(1);
  client.check(gate.world.monotonic());
  assert.equal(await wait, 'LOGIN_TIMEOUT');
});

test('once a backend has taken the client, each sign of life starts its wait anew', async () => {
  const gate = testGate({ protocol: 'smtp' });
  const { client, talk } = testClient(gate);
  client.leg.attach();
  client.welcomed = true;
  assert.equal(client.ownTurn, 'client');
  client.enter(client.ownTurn);
  const wait = codeOf(client.leg.line());
  for (let i = 0; i < 5; i++) {
    talk.send('x');
    await settle(4);
    gate.world.advance(TIMEOUTS.smtpMs - 1);
    client.check(gate.world.monotonic());
  }
  gate.world.advance(TIMEOUTS.smtpMs);
  client.check(gate.world.monotonic());
  assert.equal(await wait, 'IDLE_TIMEOUT');
});

test('a backend that answers, however little, is waited for on', async () => {
  const gate = testGate({ protocol: 'imap' });
  const { client } = testClient(gate);
  const { back, talk } = testBack(gate);
  client.back = back;
  client.enter('backend');
  for (let i = 0; i < 5; i++) {
    talk.send('x');
    await settle(4);
    gate.world.advance(TIMEOUTS.replyMs - 1);
    client.check(gate.world.monotonic());
  }
  assert.equal(back.leg.ended, false);
});

interface Relayed {
  readonly client: Client;
  readonly up: (bytes: string) => Promise<void>;
  readonly down: (bytes: string) => Promise<void>;
  readonly end: Promise<unknown>;
  readonly pass: (ms: number) => void;
}

function relayed(protocol: 'imap' | 'pop3'): Relayed {
  const gate = testGate({ protocol });
  const { client, talk } = testClient(gate);
  const { back, talk: store } = testBack(gate);
  client.leg.attach();
  client.back = back;
  const relay = new ByteRelay(client.leg.release(), back.leg.release(), protocol);
  client.relayed = relay;
  client.enter('bytes');
  const end = codeOf(relay.run());
  const step = async (from: { send(bytes: string): void }, bytes: string): Promise<void> => {
    from.send(bytes);
    await settle();
    client.check(gate.world.monotonic());
  };
  return {
    client,
    up: (bytes) => step(talk, bytes),
    down: (bytes) => step(store, bytes),
    end,
    pass(ms) {
      gate.world.advance(ms);
      client.check(gate.world.monotonic());
    },
  };
}

for (const [what, protocol, command, limitMs] of [
  ['an IMAP session', 'imap', 'a NOOP\r\n', TIMEOUTS.imapMs],
  ['an IMAP session in IDLE', 'imap', 'a IDLE\r\n', TIMEOUTS.imapIdleMs],
  ['a POP3 session', 'pop3', 'NOOP\r\n', TIMEOUTS.pop3Ms],
] as const) {
  test(`${what} may be silent for ${limitMs / 1000} seconds`, async () => {
    const scene = relayed(protocol);
    await scene.up(command);
    scene.pass(limitMs - 1);
    assert.equal(scene.client.phase, 'bytes');
    await scene.down('* 1 EXISTS\r\n');
    scene.pass(limitMs - 1);
    scene.pass(1);
    assert.equal(await scene.end, 'IDLE_TIMEOUT');
  });
}

test('behind DONE the shorter time holds again', async () => {
  const scene = relayed('imap');
  await scene.up('a IDLE\r\n');
  await scene.up('DONE\r\n');
  scene.pass(TIMEOUTS.imapMs);
  assert.equal(await scene.end, 'IDLE_TIMEOUT');
});

test('in a drain a byte relay is left once it was quiet for a moment, at a place where words fit', async () => {
  const scene = relayed('imap');
  await scene.up('a NOOP\r\n');
  await scene.down('a OK done\r\n');
  scene.client.drain();
  scene.pass(199);
  assert.equal(scene.client.phase, 'bytes');
  scene.pass(1);
  assert.equal(await scene.end, 'DRAINING');
});

test('in a drain a byte relay in the middle of something is waited for', async () => {
  const scene = relayed('imap');
  await scene.up('a FETCH 1 BODY[]\r\n');
  await scene.down('* 1 FETCH (BODY[] {10}\r\n01234');
  scene.client.drain();
  scene.pass(5000);
  await scene.down('56789)\r\na OK done\r\n');
  scene.pass(200);
  assert.equal(await scene.end, 'DRAINING');
});

/** A client whose last words were said and that does not close its half. */
async function lingering(
  phase: 'drained' | 'ended',
): Promise<{ client: Client; pass: (ms: number) => void }> {
  const gate = testGate({ protocol: 'imap' });
  const { client } = testClient(gate);
  const { back } = testBack(gate);
  client.leg.attach();
  client.back = back;
  client.relayed = new ByteRelay(client.leg.release(), back.leg.release(), 'imap');
  client.enter('bytes');
  const end = client.relayed.run().catch((error: unknown) => error);
  if (phase === 'drained') {
    client.drain();
    gate.world.advance(200);
    client.check(gate.world.monotonic());
    await end;
  }
  close(client, null);
  await settle();
  client.check(gate.world.monotonic());
  const pass = (ms: number): void => {
    gate.world.advance(ms);
    client.check(gate.world.monotonic());
  };
  return { client, pass };
}

for (const phase of ['ended', 'drained'] as const) {
  test(`a client that does not close is cut after timeouts.close when it was ${phase}`, async () => {
    const { client, pass } = await lingering(phase);
    assert.equal(client.phase, 'closing');
    pass(TIMEOUTS.closeMs - 1);
    assert.equal(client.leg.socket.destroyed, false);
    pass(1);
    assert.equal(client.leg.socket.destroyed, true);
  });
}

test('a client that still takes what was sent to it is not cut', async () => {
  const gate = testGate({ protocol: 'imap' });
  const { client, far } = testClient(gate);
  far.pause();
  client.leg.attach();
  for (let i = 0; i < 2; i++) client.leg.send(Buffer.alloc(300_000));
  close(client, null);
  await settle();
  gate.world.advance(TIMEOUTS.closeMs - 1);
  const before = client.leg.socket.writableLength;
  while (client.leg.socket.writableLength === before) {
    far.read();
    await settle(2);
  }
  client.check(gate.world.monotonic());
  gate.world.advance(TIMEOUTS.closeMs - 1);
  client.check(gate.world.monotonic());
  assert.equal(client.leg.socket.destroyed, false);
  gate.world.advance(1);
  client.check(gate.world.monotonic());
  assert.equal(client.leg.socket.destroyed, true);
});

test('a drain ends an idle wait for a command at once, and no other wait', async () => {
  const gate = testGate({ protocol: 'imap' });
  const idle = testClient(gate).client;
  idle.leg.attach();
  const command = codeOf(idle.leg.command());
  await settle(2);
  idle.drain();
  assert.equal(await command, 'DRAINING');

  const busy = testClient(gate);
  busy.client.leg.attach();
  const answer = busy.client.leg.line();
  await settle(2);
  busy.client.drain();
  busy.talk.say('secret');
  assert.equal((await answer).toString(), 'secret');
});

test('in a drain nobody may wait for a new command, but what has come is served', async () => {
  const gate = testGate({ protocol: 'smtp' });
  const { client, talk } = testClient(gate);
  client.leg.attach();
  talk.say('MAIL FROM:<a@b>');
  await settle();
  client.drain();
  assert.equal((await client.leg.command()).toString(), 'MAIL FROM:<a@b>');
  assert.equal(await codeOf(client.leg.command()), 'DRAINING');
});

for (const [given, shown] of [
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['2001:DB8::7', '2001:db8::7'],
  [undefined, ''],
] as const) {
  test(`a client from ${given ?? 'a Unix socket'} is known as "${shown}"`, () => {
    const { client } = testClient(testGate({ protocol: 'imap' }), { remoteAddress: given });
    assert.equal(client.remote.address, shown);
  });
}

function lookedUp(
  confirmedNames: World['confirmedNames'],
  clientLookup = true,
): [Promise<string | null>, () => void] {
  const gate = testGate({ protocol: 'smtp', service: { clientLookup }, world: { confirmedNames } });
  const { client } = testClient(gate);
  return [client.name, () => gate.world.advance(TIMEOUTS.connectMs)];
}

test('the client’s name is looked up only where the service says so', async () => {
  const asked: string[] = [];
  const names = async (address: string): Promise<readonly string[]> => {
    asked.push(address);
    return ['client.example', 'other.example'];
  };
  assert.equal(await lookedUp(names)[0], 'client.example');
  assert.equal(await lookedUp(names, false)[0], null);
  assert.deepEqual(asked, ['192.0.2.7']);
});

test('a look-up that fails, finds nothing or takes too long leaves the client without a name', async () => {
  assert.equal(await lookedUp(async () => [])[0], null);
  assert.equal(await lookedUp(() => Promise.reject(new Error('SERVFAIL')))[0], null);
  const [name, wait] = lookedUp(() => new Promise(() => undefined));
  wait();
  assert.equal(await name, null);
});

test('a client without an address is not looked up', async () => {
  const gate = testGate({
    protocol: 'smtp',
    service: { clientLookup: true },
    world: { confirmedNames: () => Promise.reject(new Error('asked')) },
  });
  assert.equal(await testClient(gate, { remoteAddress: undefined }).client.name, null);
});

test('bytes count over the handing over from leg to relay, each once', async () => {
  const gate = testGate({ protocol: 'imap' });
  const { client, talk } = testClient(gate);
  const { back, talk: store } = testBack(gate);
  client.leg.attach();
  talk.send('a LOGIN x y\r\nb NOOP\r\n');
  await client.leg.line();
  client.leg.send('a OK\r\n');
  client.relayed = new ByteRelay(client.leg.release(), back.leg.release(), 'imap');
  const end = client.relayed.run();
  store.say('b OK');
  await settle();
  assert.deepEqual([client.bytesIn, client.bytesOut], [21, 12]);
  client.cut();
  await end;
  assert.equal(back.leg.socket.destroyed, false);
});

test('cut() takes both legs', () => {
  const gate = testGate({ protocol: 'imap' });
  const { client, near } = testClient(gate);
  const { back, near: store } = testBack(gate);
  client.back = back;
  client.cut();
  assert.deepEqual([near.destroyed, store.destroyed], [true, true]);
});

test('a backend that is left is said goodbye to by the end of our half, and cut when it lingers', async () => {
  const gate = testGate({ protocol: 'smtp' });
  const { client } = testClient(gate);
  const { back, talk, near } = testBack(gate);
  client.back = back;
  client.leaveBackend();
  assert.equal(client.back, null);
  await talk.end();
  gate.world.advance(TIMEOUTS.closeMs - 1);
  assert.equal(near.destroyed, false);
  gate.world.advance(1);
  assert.equal(near.destroyed, true);
});

test('every phase has a limit', () => {
  const phases: readonly Phase[] = ['login', 'backend', 'client', 'relay', 'end of data', 'bytes', 'closing'];
  for (const phase of phases) {
    const gate = testGate({ protocol: 'imap' });
    const { client } = testClient(gate);
    client.enter(phase);
    gate.world.advance(TIMEOUTS.imapIdleMs + 1);
    assert.doesNotThrow(() => client.check(gate.world.monotonic()), phase);
  }
});
