// spoof. The store of a POP3 user cannot be had: where the service says so, the login is shown a mailbox of ours with one
// message; never where a password was checked and is wrong, and never for what is no outage.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { POP3 } from '../support/dialects.ts';
import { assertLine, frontMaterial, type GatewayOptions, openGateway } from '../support/gateway.ts';
import { GRANTED, openGranting, POP, UNGRANTED } from '../support/granting.ts';
import { startPasswordStore } from '../support/password-store.ts';
import { freePort } from '../support/ports.ts';
import { pop3Store } from '../support/stores.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-spoof-'));
const message = join(folder, 'away.eml');
writeFileSync(message, 'Subject: Your mailbox is away\n\nUntil noon.\n');
after(() => rmSync(folder, { recursive: true, force: true }));

const BOTH = ['unreachable', 'tempfail'];
const ONE = `${POP3.tries}\nS: +OK 1 message (* octets)`;
const READ = `
  C: STAT
  S: +OK 1 *
  C: RETR 1
  S: +OK *
  S: Subject: Your mailbox is away
  S:
  S: Until noon.
  S: .
  C: DELE 1
  S: +OK *
  ${POP3.logout}`;

function options(
  spoof: unknown,
  backend: GatewayOptions['backend'],
  more: Partial<GatewayOptions> = {},
): GatewayOptions {
  return { protocol: 'pop3', backend, ...more, service: { spoof, ...more.service } };
}

test('a store that cannot be reached is stood in for by one message; the log tells the outage and the end', async (t) => {
  const gateway = openGateway(t, options({ message, when: 'unreachable' }, 'refused'));
  await gateway.play(`${POP3.greeting}\n${ONE}\n${READ}`);
  assertLine(await gateway.logged(({ event }) => event === 'login-failed'), {
    code: 'BACKEND_UNREACHABLE',
    user: 'anna',
  });
  assertLine(await gateway.closed(), {
    end: 'spoof',
    failure: 'BACKEND_UNREACHABLE',
    code: null,
    user: null,
    tried: 'anna',
  });
  assert.equal(gateway.front.counters()['logins'], 0);
});

test('without a message the mailbox is empty', async (t) => {
  const gateway = openGateway(t, options({ when: 'unreachable' }, 'refused'));
  await gateway.play(
    `${POP3.greeting}\n${POP3.tries}\nS: +OK No messages\nC: STAT\nS: +OK 0 0\n${POP3.logout}`,
  );
});

test('not asked for, an outage is told as it is; a store that is there is reached', async (t) => {
  const gateway = openGateway(t, options({ message, when: 'tempfail' }, 'refused'));
  const client = await gateway.play(`${POP3.greeting}\n${POP3.tries}\n${POP3.unavailable}`);
  gateway.backend = POP3.store().script;
  await gateway.resume(client, `${POP3.login}\n${POP3.logout}`);
});

for (const [refusal, isShown] of [
  ['[SYS/TEMP] later', true],
  ['[IN-USE] another session', false],
  ['[LOGIN-DELAY] not so often', false],
  ['[SYS/PERM] never', false],
  ['[AUTH] Wrong', false],
] as const) {
  test(`a store that answers -ERR ${refusal} is ${isShown ? '' : 'not '}stood in for`, async (t) => {
    const store = POP3.store({ accepts: () => false, refusal });
    const gateway = openGateway(t, options({ message, when: BOTH }, store.script));
    if (isShown) await gateway.play(`${POP3.greeting}\n${ONE}\n${READ}`);
    else await gateway.play(`${POP3.greeting}\n${POP3.tries}\nS: -ERR ${refusal}\n${POP3.logout}`);
    assert.equal(store.logins.length, 1);
  });
}

const checkedAt = (port: number): Partial<GatewayOptions> => ({
  service: { verify: { store: 'vault' } },
  backends: { vault: { servers: `127.0.0.1:${port}`, tls: 'notls' } },
});

for (const [password, answer] of [
  ['secret', 'S: +OK 1 message (* octets)'],
  ['guess', 'S: -ERR [AUTH] Wrong user name or password'],
] as const) {
  test(`where the service checks passwords, "${password}" is answered ${answer}`, async (t) => {
    const vault = await startPasswordStore(t, { user: 'anna', password: 'secret' });
    const gateway = openGateway(t, options({ message, when: BOTH }, 'refused', checkedAt(vault.port)));
    const tries = `C: USER anna\nS: +OK *\nC: PASS ${password}`;
    await gateway.play(`${POP3.greeting}\n${tries}\n${answer}\n${POP3.logout}`);
  });
}

test('where the store that checks passwords is away, nobody sees the mailbox', async (t) => {
  const gateway = openGateway(t, options({ message, when: BOTH }, 'refused', checkedAt(await freePort())));
  await gateway.play(`${POP3.greeting}\n${POP3.tries}\nS: -ERR [SYS/TEMP] *\n${POP3.logout}`);
});

test('the mailbox earns no grant, and a real login at the store does', async (t) => {
  const { gateway, logIn, send } = openGranting(t, { mailboxes: {}, plans: { [POP]: 'refused' } });
  const { pop3 } = gateway.settings.services;
  assert.ok(pop3 !== undefined);
  const spoofed = { ...pop3, spoof: { message, when: ['unreachable'] as const } };
  const settings = { ...gateway.settings, services: { ...gateway.settings.services, pop3: spoofed } };
  gateway.front.update(settings, frontMaterial(settings), 1000);
  await gateway.play(`${POP3.greeting}\n${ONE}\n${POP3.logout}`, { service: 'pop3' });
  assert.equal(await send(), UNGRANTED);
  gateway.plans[POP] = pop3Store().script;
  await gateway.advance(60_000);
  await logIn();
  assert.equal(await send(), GRANTED);
});

test('the mailbox forgives no guess', async (t) => {
  const gateway = openGateway(t, options({ message, when: BOTH }, 'refused', { penalties: { step: 2 } }));
  gateway.guard.failed('192.0.2.7');
  const client = await gateway.play(`${POP3.greeting}\n${POP3.tries}`);
  await gateway.advance(2100);
  await gateway.resume(client, `S: +OK 1 message *\n${POP3.logout}`);
  assert.ok(gateway.guard.delayOf('192.0.2.7') > 0);
});

test('a silent session in it ends after timeouts.pop3; a kick ends it with a goodbye', async (t) => {
  const gateway = openGateway(
    t,
    options({ message, when: BOTH }, 'refused', { timeouts: { pop3: 600, smtp: 60 } }),
  );
  const client = await gateway.play(`${POP3.greeting}\n${ONE}`);
  await gateway.advance(300_000);
  await gateway.resume(client, 'C: NOOP\nS: +OK *');
  await gateway.advance(601_000);
  await gateway.resume(client, 'S: -ERR [SYS/TEMP] *\n-- eof\n-- end');
  const other = await gateway.play(`${POP3.greeting}\n${ONE}`);
  const nobody = { id: null, user: null, network: null, backend: null, service: 'mail' };
  assert.equal(gateway.front.kick(nobody), 1);
  await gateway.resume(other, 'S: -ERR [SYS/TEMP] Session ended*\n-- eof\n-- end');
});
