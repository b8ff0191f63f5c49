// A login at a store to learn whether a password is right: what counts as yes, as no, and as neither; and that nothing
// is said where nothing may be said.

import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { test, type TestContext } from 'node:test';
import { logInToStore, type StoreTarget } from '../../src/identity/store-login.ts';
import { BackendTls } from '../../src/tls/client.ts';
import { realWorld } from '../../src/world.ts';
import { storeContext, testMaterial } from '../support/gateway.ts';
import { startPasswordStore, type PasswordStoreOptions } from '../support/password-store.ts';

type Mode = StoreTarget['mode'];

interface Scene extends PasswordStoreOptions {
  readonly mode?: Mode;
  readonly pin?: readonly string[];
  readonly ca?: string;
  readonly host?: string;
  readonly allowClear?: boolean;
  readonly timeoutMs?: number;
  readonly asked?: string;
}

/** The answer or the code of the failure, and what the store heard. */
async function login(t: TestContext, scene: Scene): Promise<{ answer: string; logins: string[] }> {
  const { mode = 'notls', pin = [], host = '127.0.0.1', allowClear = false, timeoutMs = 5000 } = scene;
  const store = await startPasswordStore(t, scene);
  const ca = scene.ca ?? testMaterial().authority.ca;
  const rules = {
    mode,
    verify: true,
    ca,
    name: null,
    pin,
    minVersion: 'TLSv1.2',
    ciphers: 'default',
  } as const;
  const target = {
    host,
    port: store.port,
    mode,
    tls: new BackendTls(rules),
    allowClear,
    timeoutMs,
    world: realWorld,
  };
  const answer = await logInToStore(target, { user: 'anna', password: scene.asked ?? 'secret' }).catch(
    (error: { code: string }) => error.code,
  );
  return { answer, logins: store.logins };
}

test('the right password is right and another is not', async (t) => {
  assert.equal((await login(t, {})).answer, 'accepted');
  assert.equal((await login(t, { asked: 'guess' })).answer, 'refused');
});

for (const [what, verdict, answer] of [
  ['NO without a code', 'NO sorry', 'refused'],
  ['NO [UNAVAILABLE]', 'NO [UNAVAILABLE] later', 'BACKEND_REFUSED'],
  ['NO [INUSE]', 'NO [INUSE] later', 'BACKEND_REFUSED'],
  ['BAD', 'BAD what', 'BACKEND_CLOSED'],
  ['the end of the connection', null, 'BACKEND_CLOSED'],
] as const) {
  test(`${what} is ${answer === 'refused' ? 'a wrong password' : 'no answer to the question'}`, async (t) => {
    assert.equal((await login(t, { verdict })).answer, answer);
  });
}

for (const [what, greeting, code] of [
  ['greets with PREAUTH', '* PREAUTH welcome', 'BACKEND_PREAUTH'],
  ['greets with BYE', '* BYE full', 'BACKEND_CLOSED'],
  ['says nothing', null, 'BACKEND_TIMEOUT'],
] as const) {
  test(`a store that ${what} lets nobody in and is told no password`, async (t) => {
    assert.deepEqual(await login(t, { greeting, timeoutMs: 300 }), { answer: code, logins: [] });
  });
}

test('a store that nobody listens for is unreachable', async (t) => {
  const { answer } = await login(t, { host: '127.0.0.99', timeoutMs: 1000 });
  assert.equal(answer, 'BACKEND_UNREACHABLE');
});

for (const [mode, implicit] of [
  ['maytls', false],
  ['musttls', false],
  ['implicit', true],
] as const) {
  test(`under ${mode} the store is verified before it is told anything`, async (t) => {
    const secured = { mode, implicit, tls: storeContext() };
    assert.equal((await login(t, secured)).answer, 'accepted');
    const stranger = testMaterial().authority.issue({ names: ['elsewhere.test'] });
    const wrong = await login(t, { ...secured, tls: storeContext(stranger) });
    assert.deepEqual(wrong, { answer: 'BACKEND_TLS_FAILED', logins: [] });
  });

  test(`under ${mode} a pinned certificate is taken whatever its CA, and no other`, async (t) => {
    const { cert } = testMaterial().store;
    const pin = createHash('sha256').update(new X509Certificate(cert).raw).digest('hex');
    const secured = { mode, implicit, tls: storeContext(), ca: testMaterial().front.cert };
    assert.equal((await login(t, { ...secured, pin: [pin] })).answer, 'accepted');
    const wrong = await login(t, { ...secured, pin: ['00'.repeat(32)] });
    assert.deepEqual(wrong, { answer: 'BACKEND_TLS_FAILED', logins: [] });
  });
}

test('under musttls a store without STARTTLS is told nothing, under maytls on loopback it is', async (t) => {
  const { answer, logins } = await login(t, { mode: 'musttls' });
  assert.notEqual(answer, 'accepted');
  assert.deepEqual(logins, []);
  assert.equal((await login(t, { mode: 'maytls' })).answer, 'accepted');
});

test('what would break a line is refused and sent nowhere', async (t) => {
  assert.deepEqual(await login(t, { asked: 'a\r\nb LOGOUT' }), { answer: 'refused', logins: [] });
});

test('a failure tells the place and never the password', async (t) => {
  const store = await startPasswordStore(t, { verdict: 'BAD hunter2' });
  const tls = new BackendTls({
    mode: 'notls',
    verify: true,
    ca: null,
    name: null,
    minVersion: 'TLSv1.2',
    ciphers: 'default',
  });
  const target = { host: '127.0.0.1', port: store.port, mode: 'notls', tls, allowClear: false } as const;
  await assert.rejects(
    logInToStore({ ...target, timeoutMs: 3000, world: realWorld }, { user: 'anna', password: 'hunter2' }),
    (error: Error) => {
      assert.match(error.message, new RegExp(`127.0.0.1:${store.port}`));
      assert.doesNotMatch(`${error.message} ${JSON.stringify(error)} ${error.stack}`, /hunter2|aHVudGVyM/);
      return true;
    },
  );
});
