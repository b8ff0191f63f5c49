// When certificates are ordered, what becomes of them, and what of failures: over a real database, with a CA that is a
// function and a clock that stands still.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import type { AcmeResult, RenewalAnswer, RenewalQuestion } from '../../src/certdb/acme.ts';
import { nameOf } from '../../src/certdb/distinguished-name.ts';
import { selfSign, signRequest } from '../../src/certdb/issue.ts';
import { generateKey, softwareSigner } from '../../src/certdb/keys.ts';
import { renewalId } from '../../src/certdb/renewal-id.ts';
import { defaultSettings } from '../../src/config/load.ts';
import { inlineSecret } from '../../src/config/secret.ts';
import type { AcmeSettings, Settings } from '../../src/config/settings.ts';
import { createLog } from '../../src/log.ts';
import { AcmeKeeper } from '../../src/service/acme-keeper.ts';
import type { AcmeOrder } from '../../src/service/acme-process.ts';
import { CertificateKeeper } from '../../src/service/certificate-keeper.ts';
import { manualWorld, type ManualWorld } from '../support/manual-world.ts';
import { temporaryFolder } from './stub-supervisor.ts';

const DAY = 86_400_000;
const MINUTE = 60_000;

/** Signs whatever is asked for, unless `refusal` is set; `hold` keeps it waiting. */
class StubCa {
  readonly orders: AcmeOrder[] = [];
  refusal: { cause: string; retryAfterMs: number | null } | null = null;
  hold: Promise<void> | null = null;
  /** How long ago they begin, by what they say. */
  backdatedMs = 0;
  /** When it wants certificates renewed. */
  window: { start: number; end: number } | null = null;
  readonly questions: string[] = [];
  /** Instead of what was asked for. */
  chain: string | null = null;
  readonly #world: ManualWorld;
  readonly #signer = softwareSigner(generateKey({ type: 'ec' }));
  #certificate: X509Certificate | null = null;

  constructor(world: ManualWorld) {
    this.#world = world;
  }

  readonly askRenewal = async ({ certificate }: RenewalQuestion): Promise<RenewalAnswer> => {
    this.questions.push(certificate);
    return this.window === null ? { kind: 'none' } : { kind: 'window', ...this.window };
  };

  readonly order = async (order: AcmeOrder): Promise<AcmeResult> => {
    this.orders.push(order);
    if (this.hold !== null) await this.hold;
    if (this.refusal !== null) return { kind: 'failed', ...this.refusal };
    const subject = nameOf({ name: 'Stub CA' });
    assert.ok(!('problem' in subject));
    const now = this.#world.now();
    const wish = {
      subject,
      dns: [],
      ip: [],
      email: [],
      now: now - 100 * DAY,
      days: 3000,
      use: 'ca',
    } as const;
    this.#certificate ??= new X509Certificate(await selfSign(this.#signer, wish));
    const issuer = { certificate: this.#certificate, signer: this.#signer };
    const request = Buffer.from(order.task.request);
    const cert = await signRequest({ request, issuer, now: now - this.backdatedMs, days: 90, use: 'server' });
    return { kind: 'issued', chain: this.chain ?? `${cert}${this.#certificate.toString()}` };
  };
}

interface Rig {
  readonly world: ManualWorld;
  readonly ca: StubCa;
  readonly keeper: AcmeKeeper;
  readonly events: Record<string, unknown>[];
  readonly settings: (acme?: Partial<AcmeSettings> | null) => Settings;
  readonly certificates: () => CertificateKeeper;
  /** Lets time pass until the keeper is at rest. */
  readonly pass: (ms: number) => Promise<void>;
  /** Another keeper over the same files, as after a restart. */
  readonly again: () => AcmeKeeper;
}

const ACME: AcmeSettings = {
  directory: 'https://ca.test/directory',
  contact: [],
  agreeTerms: true,
  names: { Mail: ['mail.test', 'imap.test'] },
  challenge: 'http-01',
  listen: null,
  keyType: 'ec',
  renewBeforeMs: null,
  ca: null,
  eab: null,
};

function rig(t: TestContext): Rig {
  const folder = temporaryFolder();
  t.after(() => folder[Symbol.dispose]());
  const world = manualWorld();
  const ca = new StubCa(world);
  const events: Record<string, unknown>[] = [];
  const log = createLog({
    level: 'debug',
    format: 'json',
    write: (line) => void events.push(JSON.parse(line) as Record<string, unknown>),
  });
  const make = (): AcmeKeeper => {
    const keeper = new AcmeKeeper({ order: ca.order, askRenewal: ca.askRenewal, world, log });
    t.after(() => keeper.close());
    return keeper;
  };
  const settings = (acme: Partial<AcmeSettings> | null = {}): Settings => ({
    ...defaultSettings(),
    dataDir: folder.path,
    certificates: {
      ...defaultSettings().certificates,
      database: join(folder.path, 'certs'),
      passwordFile: join(folder.path, 'sslpassword.conf'),
      acme: acme === null ? null : { ...ACME, ...acme },
    },
  });
  return {
    world,
    ca,
    keeper: make(),
    events,
    settings,
    certificates() {
      const certificates = new CertificateKeeper(settings(), world);
      t.after(() => certificates.close());
      return certificates;
    },
    async pass(ms) {
      world.advance(ms);
      await settled();
    },
    again: make,
  };
}

/** Keys are made and certificates signed on the event loop; none of it takes more than a few rounds. */
async function settled(): Promise<void> {
  for (let round = 0; round < 50; round++) await new Promise((resolve) => setImmediate(resolve));
}

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
