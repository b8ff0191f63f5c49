// The prober: how often it looks, what it asks, and when it says that a server is down or up.

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { ALL, type Errands, IMAP } from '../../support/dialects.ts';
import { type BackendPlan, frontMaterial, type Gateway, openGateway } from '../../support/gateway.ts';
import { startPasswordStore, type PasswordStoreOptions } from '../../support/password-store.ts';
import type { CheckReport } from '../../../src/service/backends/checks.ts';

const ONE = '127.0.0.2:1001';
const EVERY_MS = 10_000;

function prober(
  t: TestContext,
  errands: Errands,
  plan: BackendPlan,
): { gateway: Gateway; reports: CheckReport[] } {
  const gateway = openGateway(t, {
    protocol: errands.protocol,
    backend: plan,
    to: { servers: [ONE], check: { every: EVERY_MS / 1000, timeout: 2 } },
  });
  const reports: CheckReport[] = [];
  gateway.front.probe((report) => reports.push(report));
  return { gateway, reports };
}

const WELL = {
  imap: 'S: * OK [CAPABILITY IMAP4rev1] hi\nC: s1 NOOP\nS: s1 OK done\nC: s LOGOUT\n-- eof\n-- end',
  pop3: 'S: +OK hi\nC: CAPA\nS: +OK\nS: .\nC: CAPA\nS: +OK\nS: .\nC: QUIT\n-- eof\n-- end',
  smtp: 'S: 220 hi\nC: EHLO mail.test\nS: 250 hi\nC: NOOP\nS: 250 2.0.0 ok\nC: QUIT\n-- eof\n-- end',
};

const brief = ({ server, mark }: CheckReport): string => `${server} ${mark}`;

for (const errands of ALL) {
  const { protocol } = errands;
  test(`${protocol}: greeting and a command that changes nothing; up at the second time, down at the third`, async (t) => {
    const { gateway, reports } = prober(t, errands, WELL[protocol]);
    await gateway.settle();
    assert.equal(reports.length, 0, 'once is not enough');
    await gateway.advance(EVERY_MS);
    await gateway.scriptsDone();
    assert.deepEqual(reports.map(brief), [`${ONE} up`]);
    gateway.backend = 'refused';
    await gateway.advance(EVERY_MS);
    await gateway.advance(EVERY_MS);
    assert.equal(reports.length, 1, 'two failures are not enough');
    await gateway.advance(EVERY_MS);
    assert.deepEqual(reports.map(brief), [`${ONE} up`, `${ONE} down`]);
    const causes = reports.map(({ cause }) => cause ?? '');
    assert.match(causes[1] ?? '', /BACKEND_UNREACHABLE/);
    await gateway.advance(EVERY_MS);
    gateway.backend = WELL[protocol];
    await gateway.advance(EVERY_MS);
    await gateway.advance(EVERY_MS);
    assert.deepEqual(reports.map(brief), [`${ONE} up`, `${ONE} down`, `${ONE} up`]);
    await gateway.advance(EVERY_MS);
    assert.equal(reports.length, 3, 'what stays is not said again');
  });

  test(`${protocol}: a server that is silent is given up after check.timeout, and no second look waits beside it`, async (t) => {
    const { gateway, reports } = prober(t, errands, 'silent');
    for (let look = 0; look < 3; look++) {
      await gateway.advance(2000);
      await gateway.advance(EVERY_MS - 2000);
    }
    assert.deepEqual(reports.map(brief), [`${ONE} down`]);
    assert.ok(gateway.dialled.length <= 4);
  });
}

test('only the one that is told to looks, and a front that drains looks no more', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: WELL.imap,
    to: { servers: [ONE], check: { every: 10 } },
  });
  await gateway.advance(60_000);
  assert.deepEqual(gateway.dialled, []);
  gateway.front.probe(() => undefined);
  await gateway.settle();
  assert.deepEqual(gateway.dialled, [ONE]);
  await gateway.front.drain(1000);
  await gateway.advance(60_000);
  assert.deepEqual(gateway.dialled, [ONE]);
});

/** For a while; who asks looks whether it came. */
async function until(check: () => boolean): Promise<void> {
  for (let wait = 0; wait < 100 && !check(); wait++) await new Promise((resolve) => setTimeout(resolve, 10));
}

async function withAccount(
  t: TestContext,
  store: PasswordStoreOptions,
): Promise<{ gateway: Gateway; reports: CheckReport[]; logins: string[] }> {
  const { port, logins } = await startPasswordStore(t, { user: 'probe', password: 'pw', ...store });
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: 'refused',
    to: { servers: [`127.0.0.1:${port}`], tls: 'notls', check: { every: 10, user: 'probe', password: 'pw' } },
  });
  const reports: CheckReport[] = [];
  gateway.front.probe((report) => reports.push(report));
  for (let look = 0; look < 5; look++) {
    await until(() => logins.length > look);
    await new Promise((resolve) => setTimeout(resolve, 50));
    gateway.world.advance(10_000);
  }
  return { gateway, reports, logins };
}

test('imap: with an account it logs in', async (t) => {
  const { reports, logins } = await withAccount(t, {});
  assert.equal(logins[0], 'probe pw');
  assert.deepEqual(
    reports.map(({ mark }) => mark),
    ['login'],
  );
});

test('imap: an account that is refused is the account’s trouble, told once; the server is up', async (t) => {
  const { gateway, reports } = await withAccount(t, { password: 'changed' });
  assert.deepEqual(
    reports.map(({ mark }) => mark),
    ['up'],
  );
  const told = gateway.lines.filter(({ event }) => event === 'check-account-refused');
  assert.deepEqual(
    told.map(({ user }) => user),
    ['probe'],
  );
  assert.doesNotMatch(JSON.stringify(gateway.lines), /"pw"/);
});

test('imap: a store that cannot log anybody in is down', async (t) => {
  const { reports } = await withAccount(t, { verdict: 'NO [UNAVAILABLE] no passwords today' });
  assert.deepEqual(
    reports.map(({ mark }) => mark),
    ['down'],
  );
});

test('imap: the prober’s word decides which server clients are led to', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: IMAP.store().script,
    to: { servers: [ONE, '127.0.0.3:1002'], balance: 'priority' },
  });
  gateway.front.notice([{ backend: 'behind', server: ONE, drained: false, mark: 'down' }]);
  await gateway.play(`${IMAP.greeting}\n${IMAP.login}\n${IMAP.logout}`);
  assert.deepEqual(gateway.dialled, ['127.0.0.3:1002']);
});

test('a server that is taken from the checks and comes back is looked at anew: down is said again', async (t) => {
  const { gateway, reports } = prober(t, IMAP, 'refused');
  const look = async (times: number): Promise<void> => {
    for (let n = 0; n < times; n++) await gateway.advance(EVERY_MS);
  };
  const { behind } = gateway.settings.backends;
  assert.ok(behind !== undefined);
  const reload = (everyMs: number): void => {
    const backends = { behind: { ...behind, check: { ...behind.check, everyMs } } };
    const settings = { ...gateway.settings, backends };
    gateway.front.update(settings, frontMaterial(settings), 1000);
  };
  await look(3);
  assert.deepEqual(reports.map(brief), [`${ONE} down`]);
  reload(0);
  await look(3);
  reload(EVERY_MS);
  await look(3);
  assert.deepEqual(reports.map(brief), [`${ONE} down`, `${ONE} down`]);
});

test('imap: an account that is let in again is said so, not only a server that comes back', async (t) => {
  const store = { user: 'probe', password: 'changed' };
  const { port, logins } = await startPasswordStore(t, store);
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: 'refused',
    to: { servers: [`127.0.0.1:${port}`], tls: 'notls', check: { every: 10, user: 'probe', password: 'pw' } },
  });
  const marks: string[] = [];
  gateway.front.probe(({ mark }) => marks.push(mark));
  for (let look = 1; look <= 4; look++) {
    await until(() => logins.length >= look);
    await new Promise((resolve) => setTimeout(resolve, 50));
    if (look === 3) store.password = 'pw';
    gateway.world.advance(10_000);
  }
  await until(() => marks.length >= 2);
  assert.deepEqual(marks, ['up', 'login']);
});
