// What a successor makes of the words of the supervisor before it, and of their end.

import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';

import type { FromSuccessor, Inheritance, ToSuccessor } from '../../../src/service/succession/handover.ts';
import { meetPredecessor, type PredecessorPort } from '../../../src/service/succession/predecessor.ts';

class Port extends EventEmitter implements PredecessorPort {
  readonly said: FromSuccessor[] = [];

  send(message: FromSuccessor): Promise<void> {
    this.said.push(message);
    return Promise.resolve();
  }

  hear(message: ToSuccessor, handle?: { close(): void }): void {
    this.emit('message', message, handle);
  }
}

const inheritance: Inheritance = {
  protocol: 1,
  pid: 7,
  dataDir: '/var/lib/sallyport',
  notifySocket: '/run/notify',
  ticketKeys: Buffer.alloc(48, 3).toString('base64'),
  ticketKeysMadeAt: 1000,
  notices: [{ backend: 'stores', server: 'imap1:143', drained: true, mark: 'none' }],
};
const handle = { close: () => undefined };
const facts = {
  key: '127.0.0.1:143',
  endpoint: { kind: 'tcp', host: '127.0.0.1', port: 143 },
  address: '127.0.0.1:143',
  file: null,
} as const;

async function meet(port = new Port()) {
  const meeting = meetPredecessor(port);
  port.hear({ kind: 'listener', facts: { ...facts, origin: 'bound' } }, handle);
  port.hear({ kind: 'listener', facts: { ...facts, key: 'other', origin: 'manager' } }, handle);
  port.hear({ kind: 'inherit', inheritance });
  return { port, predecessor: (await meeting) ?? assert.fail('nobody was met') };
}

test('all that is handed over arrives, and what the manager gave stays the manager’s', async () => {
  const { predecessor } = await meet();
  assert.deepEqual(
    [predecessor.pid, predecessor.dataDir, predecessor.notifySocket],
    [7, '/var/lib/sallyport', '/run/notify'],
  );
  assert.deepEqual(predecessor.notices, inheritance.notices);
  assert.deepEqual(predecessor.ticketKeys, { bytes: Buffer.alloc(48, 3), madeAt: 1000 });
  assert.deepEqual(
    predecessor.listeners.map(({ key, origin, handle: given }) => [key, origin, given === handle]),
    [
      ['127.0.0.1:143', 'predecessor', true],
      ['other', 'manager', true],
    ],
  );
});

test('it takes charge when it is told to, and not when it is told to end', async () => {
  const told = await meet();
  const charge = told.predecessor.prepared('1.2.3');
  assert.deepEqual(told.port.said, [{ kind: 'prepared', pid: process.pid, version: '1.2.3' }]);
  told.port.hear({ kind: 'take-charge' });
  assert.equal(await charge, true);
  const ended = await meet();
  ended.port.hear({ kind: 'abandon' });
  ended.port.emit('disconnect');
  assert.equal(await ended.predecessor.prepared('1.2.3'), false);
  await ended.predecessor.abandoned;
});

test('when the other dies after it handed over, it takes charge unasked; before that it is nobody’s successor', async () => {
  const { port, predecessor } = await meet();
  port.emit('disconnect');
  await predecessor.gone;
  assert.equal(await predecessor.prepared('1.2.3'), true);
  const early = new Port();
  const meeting = meetPredecessor(early);
  early.hear({ kind: 'listener', facts: { ...facts, origin: 'bound' } }, handle);
  early.emit('disconnect');
  assert.equal(await meeting, null);
});

test('a protocol that it does not know is refused, nonsense is passed over, keys that are none are not taken', async () => {
  const strange = new Port();
  const meeting = meetPredecessor(strange);
  strange.hear({ kind: 'inherit', inheritance: { ...inheritance, protocol: 2 } });
  assert.equal(await meeting, null);
  assert.match(JSON.stringify(strange.said), /stop the service and start it/);
  const port = new Port();
  const next = meetPredecessor(port);
  for (const value of [null, 'inherit', {}, { kind: 'reboot' }]) port.emit('message', value);
  port.hear({ kind: 'inherit', inheritance: { ...inheritance, ticketKeys: 'AAAA' } });
  assert.equal((await next)?.ticketKeys, null);
});
