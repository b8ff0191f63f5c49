// When certificates are ordered, what becomes of them, and what of failures: over a real database, with a CA that is a
// function and a clock that stands still.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';

import { renewalId } from '../../../src/certdb/renewal-id.ts';
import { inlineSecret } from '../../../src/config/secret.ts';
import type { AcmeFailure } from '../../../src/service/acme/memory.ts';
import { rig, settled } from './stub-ca.ts';

const DAY = 86_400_000;
const MINUTE = 60_000;

const named = (events: readonly Record<string, unknown>[], event: string): Record<string, unknown>[] =>
  events.filter((one) => one['event'] === event);

test('what holds the place is replaced at the start, and the watch has one change to find', async (t) => {
  const { keeper, settings, certificates, pass, ca, events } = rig(t);
  await certificates().makePlaceholder('Mail', ['mail.test']);
  keeper.follow(settings());
  await pass(1000);
  assert.equal(ca.orders.length, 1);
  const [pair, ...more] = certificates().pairs('Mail');
  assert.deepEqual(pair?.names.toSorted(), ['imap.test', 'mail.test']);
  assert.equal(more.length, 0);
  assert.match(pair.cert, /BEGIN CERT/);
  assert.equal(named(events, 'acme-issued').length, 1);
  const [status] = keeper.status();
  assert.deepEqual(
    { ...status, directory: '' },
    {
      nickname: 'Mail',
      names: ['mail.test', 'imap.test'],
      directory: '',
      isOrdering: false,
      notAfter: '2030-04-01T00:00:01Z',
      nextAt: '2030-03-02T00:00:01Z',
      failures: 0,
      lastFailure: null,
    },
  );
});

test('what is there stays until its time; then it is renewed with a new key, by the same account', async (t) => {
  const { keeper, settings, certificates, pass, ca } = rig(t);
  keeper.follow(settings());
  await pass(1000);
  const [before] = certificates().pairs('Mail');
  for (let day = 0; day < 59; day++) await pass(DAY);
  assert.equal(ca.orders.length, 1);
  await pass(DAY);
  await pass(DAY);
  assert.equal(ca.orders.length, 2);
  const [next] = certificates().pairs('Mail');
  assert.notEqual(next?.key, before?.key);
  assert.equal(ca.orders[1]?.task.accountKey, ca.orders[0]?.task.accountKey);
  assert.equal(certificates().entries().length, 1, 'the one before is gone');
});

test('a CA that wants a renewal sooner is asked once a day, and gets it; later than its time it cannot be', async (t) => {
  const { keeper, settings, certificates, pass, ca, world } = rig(t);
  keeper.follow(settings());
  await pass(1000);
  assert.deepEqual(ca.questions, []);
  for (let day = 0; day < 5; day++) await pass(DAY);
  assert.equal(ca.orders.length, 1);
  assert.equal(ca.questions.length, 5);
  const [entry] = certificates().entries();
  assert.equal(ca.questions[0], renewalId(new X509Certificate(entry?.cert ?? '')));
  ca.window = { start: world.now() + 300 * DAY, end: world.now() + 301 * DAY };
  await pass(DAY);
  assert.equal(keeper.status()[0]?.nextAt, '2030-03-02T00:00:01Z');
  ca.window = { start: world.now() - 2 * DAY, end: world.now() - DAY };
  await pass(DAY);
  assert.equal(ca.orders.length, 2);
});

test('a certificate that somebody takes away is ordered anew, as soon as the change is noticed', async (t) => {
  const { keeper, settings, certificates, pass, ca } = rig(t);
  keeper.follow(settings());
  await pass(1000);
  await pass(2 * 60 * MINUTE);
  certificates()
    .database()
    .change((change) => change.removeCertificate('Mail'));
  keeper.lookSoon();
  await pass(1000);
  assert.equal(ca.orders.length, 2);
  assert.equal(certificates().pairs('Mail').length, 1);
});

test('each CA has an account of its own', async (t) => {
  const { keeper, settings, pass, ca } = rig(t);
  keeper.follow(settings());
  await pass(1000);
  keeper.follow(settings({ directory: 'https://other.test/directory', names: { Other: ['mail.test'] } }));
  await pass(1000);
  assert.equal(ca.orders.length, 2);
  assert.notEqual(ca.orders[1]?.task.accountKey, ca.orders[0]?.task.accountKey);
});

test('a failure is told, counted and waited for, and what is served stays', async (t) => {
  const { keeper, settings, certificates, pass, ca, events } = rig(t);
  await certificates().makePlaceholder('Mail', ['mail.test']);
  ca.refusal = { cause: 'no such name', retryAfterMs: null };
  keeper.follow(settings());
  await pass(1000);
  assert.equal(certificates().pairs('Mail').length, 1);
  assert.equal(named(events, 'acme-failed')[0]?.['cause'], 'no such name');
  assert.equal(keeper.status()[0]?.lastFailure?.cause, 'no such name');
  await pass(14 * MINUTE);
  assert.equal(ca.orders.length, 1);
  await pass(3 * MINUTE);
  assert.equal(ca.orders.length, 2);
  await pass(29 * MINUTE);
  assert.equal(ca.orders.length, 2);
  ca.refusal = null;
  await pass(5 * MINUTE);
  assert.equal(ca.orders.length, 3);
  assert.deepEqual(
    keeper.status().map(({ failures, lastFailure }) => [failures, lastFailure]),
    [[0, null]],
  );
});

test('a server that starts again and again does not ask again and again; with other settings it asks at once', async (t) => {
  const { keeper, settings, pass, ca, again } = rig(t);
  ca.refusal = { cause: 'no', retryAfterMs: null };
  keeper.follow(settings());
  await pass(1000);
  keeper.close();
  for (let start = 0; start < 5; start++) {
    const next = again();
    next.follow(settings());
    await pass(2000);
    assert.equal(next.status()[0]?.failures, 1);
    next.close();
  }
  assert.equal(ca.orders.length, 1);
  const last = again();
  last.follow(settings({ challenge: 'tls-alpn-01' }));
  await pass(2000);
  assert.equal(ca.orders.length, 2);
});

test('a CA that wants to be left alone for a day is', async (t) => {
  const { keeper, settings, pass, ca } = rig(t);
  ca.refusal = { cause: 'too many', retryAfterMs: DAY };
  keeper.follow(settings());
  await pass(1000);
  for (let hour = 0; hour < 23; hour++) await pass(60 * MINUTE);
  assert.equal(ca.orders.length, 1);
  for (let hour = 0; hour < 5; hour++) await pass(60 * MINUTE);
  assert.equal(ca.orders.length, 2);
});

test('what the CA sends is not kept when it is not what was asked for', async (t) => {
  const { keeper, settings, certificates, pass, ca, events } = rig(t);
  await certificates().makePlaceholder('Mail', ['mail.test']);
  const [before] = certificates().pairs('Mail');
  ca.chain = before?.cert ?? '';
  keeper.follow(settings());
  await pass(1000);
  assert.match(String(named(events, 'acme-failed')[0]?.['cause']), /not for our key/);
  assert.deepEqual(certificates().pairs('Mail'), [before]);
});

test('a certificate that is due as soon as it is there is ordered once an hour, not in a circle', async (t) => {
  const { keeper, settings, pass, ca } = rig(t);
  ca.backdatedMs = 80 * DAY;
  keeper.follow(settings());
  await pass(1000);
  for (let minute = 0; minute < 59; minute++) await pass(MINUTE);
  assert.equal(ca.orders.length, 1);
  await pass(2 * MINUTE);
  assert.equal(ca.orders.length, 2);
});

test('--now orders what is not due, one or all, and says what went wrong', async (t) => {
  const { keeper, settings, pass, ca } = rig(t);
  assert.match(JSON.stringify(await keeper.orderNow(null)), /nothing is ordered by ACME/);
  keeper.follow(settings({ names: { Mail: ['mail.test'], Other: ['other.test'] } }));
  await pass(1000);
  assert.equal(ca.orders.length, 2);
  assert.equal((await keeper.orderNow('Other')).ok, true);
  assert.deepEqual(ca.orders.at(-1)?.task.names, ['other.test']);
  assert.equal(ca.orders.length, 3);
  assert.match(JSON.stringify(await keeper.orderNow('Nobody')), /has no Nobody, it has Mail, Other/);
  ca.refusal = { cause: 'no', retryAfterMs: null };
  assert.deepEqual(await keeper.orderNow(null), {
    ok: false,
    error: 'not every certificate was issued:',
    mistakes: ['Mail: no', 'Other: no'],
  });
});

test('orders go one after another', async (t) => {
  const { keeper, settings, pass, ca } = rig(t);
  const { promise, resolve } = Promise.withResolvers<void>();
  ca.hold = promise;
  keeper.follow(settings({ names: { Mail: ['mail.test'], Other: ['other.test'] } }));
  await pass(1000);
  const now = keeper.orderNow('Mail');
  await settled();
  assert.equal(ca.orders.length, 1);
  assert.deepEqual(
    keeper.status().map(({ isOrdering }) => isOrdering),
    [true, false],
  );
  resolve();
  assert.equal((await now).ok, true);
  await settled();
  assert.deepEqual(
    ca.orders.map(({ task }) => task.names[0]),
    ['mail.test', 'mail.test', 'other.test'],
  );
});

test('close and other settings end an order, which then counts for nothing', async (t) => {
  const { keeper, settings, certificates, pass, ca, events } = rig(t);
  const { promise, resolve } = Promise.withResolvers<void>();
  ca.hold = promise;
  keeper.follow(settings());
  await pass(1000);
  const [order] = ca.orders;
  assert.equal(order?.signal.aborted, false);
  keeper.follow(settings(null));
  assert.equal(order?.signal.aborted, true);
  resolve();
  await settled();
  assert.deepEqual(named(events, 'acme-issued'), []);
  assert.deepEqual(named(events, 'acme-failed'), []);
  assert.equal(certificates().lacks('Mail'), true);
  assert.deepEqual(keeper.status(), []);
});

test('the same settings again, as after a reload, let an order go on; another secret does not', async (t) => {
  const { keeper, settings, pass, ca } = rig(t);
  ca.hold = new Promise(() => {});
  const eab = (key: string) => ({ eab: { kid: 'kid', key: inlineSecret(key) } });
  keeper.follow(settings(eab('0123456789abcdef')));
  await pass(1000);
  keeper.follow(settings(eab('0123456789abcdef')));
  assert.equal(ca.orders[0]?.signal.aborted, false);
  assert.deepEqual(ca.orders[0]?.task.eab, { kid: 'kid', key: '0123456789abcdef' });
  keeper.follow(settings(eab('0123456789abcdeX')));
  assert.equal(ca.orders[0]?.signal.aborted, true);
});

test('a certificate of another type of key stays beside it, but for one that only holds the place', async (t) => {
  const { keeper, settings, certificates, pass } = rig(t);
  await certificates().makePlaceholder('Mail', ['mail.test']);
  keeper.follow(settings({ keyType: 'rsa' }));
  await pass(1000);
  for (let round = 0; round < 20 && certificates().pairs('Mail')[0]?.keyType !== 'rsa'; round++)
    await settled();
  assert.deepEqual(
    certificates()
      .pairs('Mail')
      .map(({ keyType }) => keyType),
    ['rsa'],
  );
  keeper.follow(settings({ keyType: 'ec' }));
  await pass(1000);
  assert.deepEqual(
    certificates()
      .pairs('Mail')
      .map(({ keyType }) => keyType),
    ['ec', 'rsa'],
  );
});

test('a failure of a clock that was years ahead holds nothing up when the clock is right again', async (t) => {
  const { keeper, settings, pass, ca, again } = rig(t);
  ca.refusal = { cause: 'no', retryAfterMs: null };
  keeper.follow(settings());
  await pass(1000);
  keeper.close();
  const file = join(settings().dataDir, 'acme.json');
  const { failures } = JSON.parse(readFileSync(file, 'utf8')) as { failures: Record<string, AcmeFailure> };
  const ahead = Object.entries(failures).map(([nickname, failure]) => [
    nickname,
    { ...failure, at: failure.at + 3650 * DAY, nextAt: failure.nextAt + 3650 * DAY },
  ]);
  writeFileSync(file, JSON.stringify({ failures: Object.fromEntries(ahead) }));
  const next = again();
  next.follow(settings());
  await pass(1000);
  assert.equal(ca.orders.length, 2);
  assert.equal(next.status()[0]?.failures, 2);
  await pass(10 * MINUTE);
  assert.equal(ca.orders.length, 2, 'and is waited for by the right one');
});

test('nothing is ordered for a database that could not keep it', async (t) => {
  const { keeper, settings, certificates, pass, ca, events } = rig(t);
  await certificates().makePlaceholder('Mail', ['mail.test']);
  keeper.follow(settings());
  await pass(1000);
  assert.equal(ca.orders.length, 1);
  const { database } = settings().certificates;
  certificates()
    .database()
    .change((change) => change.removeCertificate('Mail'));
  const held = new DatabaseSync(join(database, 'cert.db'));
  t.after(() => held.close());
  // What a full disk or a folder that became read-only does to every write.
  held.exec("CREATE TRIGGER full BEFORE INSERT ON accounts BEGIN SELECT RAISE(ABORT, 'disk is full'); END");
  await pass(2 * 60 * MINUTE);
  keeper.lookSoon();
  await pass(1000);
  assert.equal(ca.orders.length, 1);
  assert.match(
    String(named(events, 'acme-failed')[0]?.['cause']),
    /cert\.db: cannot be used \(disk is full\)/,
  );
});
