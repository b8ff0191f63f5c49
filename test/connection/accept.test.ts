// Step 1: a socket becomes a connection, or is told that there is no room.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accept, type AcceptOptions } from '../../src/connection/accept.ts';
import { Conversation } from '../support/conversation.ts';
import { settle, testGate } from '../support/gates.ts';
import { cable } from '../support/wire.ts';

const nothing = (): void => undefined;

const options = (state: { full: boolean }): AcceptOptions => ({
  id: 'ab-1',
  onClose: nothing,
  onLogin: nothing,
  onDecision: nothing,
  ...state,
});

test('a socket becomes a client that nobody has read yet', () => {
  const gate = testGate({ protocol: 'imap' });
  const [near] = cable();
  const client = accept(gate, near.asSocket(), options({ full: false }));
  assert.ok(client !== null);
  assert.deepEqual([client.id, client.phase, near.listenerCount('data')], ['ab-1', 'login', 0]);
});

test('a socket that is dead already becomes nothing', () => {
  const gate = testGate({ protocol: 'imap' });
  const [near] = cable();
  near.destroy();
  assert.equal(accept(gate, near.asSocket(), options({ full: false })), null);
  assert.deepEqual(gate.lines, []);
});

test('a socket that breaks before anybody reads it does not break the worker', async () => {
  const gate = testGate({ protocol: 'imap' });
  const [near, far] = cable();
  accept(gate, near.asSocket(), options({ full: false }));
  far.reset();
  await settle();
  assert.equal(near.destroyed, true);
});

for (const [protocol, words] of [
  ['imap', '* BYE [UNAVAILABLE] Too many connections, please try again later\r\n'],
  ['pop3', '-ERR [SYS/TEMP] Too many connections, please try again later\r\n'],
  ['smtp', '421 4.3.2 mail.test Too many connections, please try again later\r\n'],
] as const) {
  test(`a worker that is full says so in ${protocol}, logs it, and closes`, async () => {
    const gate = testGate({ protocol });
    const [near, far] = cable();
    const talk = new Conversation(far);
    assert.equal(accept(gate, near.asSocket(), options({ full: true })), null);
    assert.equal(await talk.end(), words);
    assert.equal(gate.lines[0]?.['event'], 'refused');
    assert.equal(gate.lines[0]?.['code'], 'SERVER_FULL');
  });
}

test('whoever stays on after that is cut', async () => {
  const gate = testGate({ protocol: 'smtp' });
  const [near, far] = cable();
  new Conversation(far).send('EHLO x\r\n');
  accept(gate, near.asSocket(), options({ full: true }));
  await settle();
  gate.world.advance(499);
  assert.equal(near.destroyed, false);
  gate.world.advance(1);
  assert.equal(near.destroyed, true);
});

test('where too many are being told already, one more is told nothing', async () => {
  const gate = testGate({ protocol: 'smtp' });
  const refuse = (): boolean => {
    const [near, far] = cable();
    // Somebody who does not close.
    new Conversation(far).send('x');
    assert.equal(accept(gate, near.asSocket(), options({ full: true })), null);
    return near.destroyed;
  };
  const cut = Array.from({ length: 45 }, refuse).filter(Boolean).length;
  assert.equal(cut, 5);
  await settle();
  gate.world.advance(500);
  await settle();
  assert.equal(refuse(), false, 'there is room again');
});

test('whoever goes leaves no timer behind', async () => {
  const gate = testGate({ protocol: 'smtp' });
  const [near, far] = cable();
  accept(gate, near.asSocket(), options({ full: true }));
  far.destroy();
  near.destroy();
  await settle();
  assert.equal(gate.world.pending, 0);
});

test('on an implicit-TLS port nothing can be said in clear, so the socket just goes', async () => {
  const gate = testGate({ protocol: 'imap', implicitTls: true });
  const [near, far] = cable();
  const talk = new Conversation(far);
  assert.equal(accept(gate, near.asSocket(), options({ full: true })), null);
  assert.equal(near.destroyed, true);
  assert.equal(await talk.end(), '');
});
