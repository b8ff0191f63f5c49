// Whoever tries to log in for somebody else learns nothing of whom it is for: the directory and the checks are asked the
// same, whether there is such a user or not, until the right to do so is proven.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServiceSettings } from '../../src/config/settings.ts';
import type { Backend } from '../../src/connection/backend-leg.ts';
import type { Gate } from '../../src/connection/gate.ts';
import { route, type Target } from '../../src/connection/route.ts';
import { plainAccount } from '../../src/identity/everyone.ts';
import { splitLoginId } from '../../src/identity/login-id.ts';
import type { Inquiry, Reception, Ruling } from '../../src/identity/reception.ts';
import type { Verdict } from '../../src/protocol/dialect.ts';
import { testClient, testGate } from '../support/gates.ts';

const RULES = { defaultDomain: null, delimiters: '@', canonicalDelimiter: '@' };

interface Scene {
  readonly asked: string[];
  readonly target: Target | null;
  readonly heard: unknown;
  /** What the client heard. */
  readonly told: string;
}

/** `user` logs in for `target`; everybody whose name begins with no is not there, `boss` is an administrator. */
async function trying(user: string, target: string, service: Partial<ServiceSettings> = {}): Promise<Scene> {
  const asked: string[] = [];
  const reception = {
    async ask({ login, password, checker }: Inquiry): Promise<Ruling> {
      asked.push(`${login.id === target ? 'the user' : login.id} ${password ?? '-'} ${checker}`);
      if (login.id.startsWith('no')) return { kind: 'nobody' };
      const account = plainAccount(splitLoginId(login.id, RULES));
      // The domain of some says that their store checks passwords.
      const checked = checker === 'directory' && !login.id.endsWith('@passed.test');
      const proof = password === null || !checked ? null : password === 'secret' ? 'right' : 'wrong';
      return { kind: 'account', account, checked, proof };
    },
    mayActFor: async ({ account, target: of }: { account: { user: string }; target: unknown }) => {
      asked.push(`may ${account.user} act${of === null ? ' for nobody' : ''}`);
      return account.user === 'boss';
    },
  } as unknown as Reception;
  const base = testGate({
    protocol: 'imap',
    service: { verify: { kind: 'directory' }, adminPolicy: 'group', ...service },
  });
  const backend = { admin: null, settings: { name: 'behind', login: 'replay' } } as unknown as Backend;
  const gate: Gate = { ...base, backend, reception };
  const { client, near } = testClient(gate);
  let told = '';
  Object.assign(client.session, { refuse: ({ words }: Verdict) => void (told = words) });
  const wish = {
    kind: 'login',
    credentials: { kind: 'password', mechanism: 'PLAIN', authzid: target, user, password: 'secret' },
  } as const;
  const found = await route(client, wish);
  near.destroy();
  return { asked, target: found, heard: base.lines.at(-1)?.['said'], told };
}

for (const user of ['bob', 'nobody at all']) {
  test(`${user} makes the directory do the same for a user who is there and for one who is not`, async () => {
    const there = await trying(user, 'anna');
    const gone = await trying(user, 'nosuch');
    assert.deepEqual(
      gone.asked.map((line) => line.replace(' for nobody', '')),
      there.asked,
    );
    assert.deepEqual([there.target, gone.target], [null, null]);
    assert.equal(gone.heard, there.heard);
    assert.ok(there.asked.length >= 2);
  });
}

test('who is there and has its password checked elsewhere is told what is told to those who are not there', async () => {
  const there = await trying('bob@passed.test', 'anna');
  const gone = await trying('nobody@passed.test', 'anna');
  assert.deepEqual([there.target, gone.target], [null, null]);
  assert.match(there.told, /AUTHENTICATIONFAILED/);
  assert.equal(there.told, gone.told);
  // The log has the truth.
  assert.equal(there.heard, 'nobody here checks the password of the administrator');
  assert.equal(gone.heard, 'the administrator is not in the directory');
});

test('an administrator gets to a user who is there, and to nobody else', async () => {
  const there = await trying('boss', 'anna');
  assert.deepEqual(there.target?.actor, { user: 'boss', replay: 'boss' });
  assert.deepEqual([there.target.user, there.target.checked, there.target.proof], ['anna', true, 'right']);
  const gone = await trying('boss', 'nosuch');
  assert.equal(gone.target, null);
  assert.equal(gone.heard, 'no such user');
});

test('where nobody may, nobody is looked for but the user, and the password is not looked at', async () => {
  const scene = await trying('boss', 'anna', { adminPolicy: 'none' });
  assert.deepEqual(scene.asked, ['the user - directory']);
  assert.equal(scene.target, null);
});

test('where the store judges, it is the login as it came that goes there', async () => {
  const { target, asked } = await trying('boss', 'anna', { verify: { kind: 'backend' } });
  assert.deepEqual([target?.user, target?.actor, target?.checked], ['anna', null, false]);
  assert.deepEqual(asked, ['the user - others']);
});
