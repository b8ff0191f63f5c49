// Where the service checks passwords itself, what it finds wrong slows the address down as a backend's refusal does; an
// administrator whom the backend refuses is not the client's fault.

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { IMAP } from '../support/dialects.ts';
import { type Gateway, openGateway } from '../support/gateway.ts';
import { startPasswordStore } from '../support/password-store.ts';

async function open(t: TestContext, admin: 'accepted' | 'refused'): Promise<Gateway> {
  const asked = await startPasswordStore(t, { user: 'anna', password: 'secret' });
  return openGateway(t, {
    protocol: 'imap',
    backend: IMAP.store({ accepts: () => admin === 'accepted' }).script,
    service: { verify: { store: 'check' } },
    to: { login: 'proxy', admin: { user: 'admin', password: 'secret' } },
    backends: { check: { servers: `127.0.0.1:${asked.port}`, tls: 'notls' } },
    penalties: {},
  });
}

const RIGHT = 'C: a1 LOGIN anna secret\nS: a1 OK *';

const delays = (gateway: Gateway): number =>
  gateway.lines.filter((line) => line['event'] === 'login-delayed').length;

test('a wrong password makes the next one wait, and the right one clears the address', async (t) => {
  const gateway = await open(t, 'accepted');
  const client = await gateway.play(`${IMAP.greeting}\nC: g LOGIN anna guess\nS: g NO *`);
  const right = gateway.resume(client, RIGHT);
  await gateway.logged((line) => line['event'] === 'login-delayed');
  await gateway.advance(2100);
  await right;
  await gateway.play(`${IMAP.greeting}\n${RIGHT}`);
  assert.equal(delays(gateway), 1);
});

test('an administrator who is refused slows nobody down, and is no wrong password of the user', async (t) => {
  const gateway = await open(t, 'refused');
  const client = await gateway.play(`${IMAP.greeting}\n${IMAP.tries}\nS: a1 NO [UNAVAILABLE] *`);
  await gateway.resume(client, `${IMAP.tries}\nS: a1 NO [UNAVAILABLE] *\nC: g LOGIN anna guess`);
  await gateway.resume(client, 'S: g NO [AUTHENTICATIONFAILED] *');
  assert.equal(delays(gateway), 0);
  const line = await gateway.logged(({ event }) => event === 'login-failed');
  assert.deepEqual([line['level'], line['code'], line['user']], ['error', 'BACKEND_ADMIN_REFUSED', 'anna']);
  assert.doesNotMatch(JSON.stringify(gateway.lines), /secret/);
});
