// The backend cannot be reached: the client is told in its protocol's words for "later", and may try again in IMAP and
// POP3, where the connection stays.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL, IMAP, SEND, SMTP } from '../support/dialects.ts';
import { assertLine, frontMaterial, openGateway } from '../support/gateway.ts';

for (const errands of ALL) {
  const { protocol } = errands;
  const stays = errands !== SMTP;

  test(`${protocol}: a backend that refuses the connection is reported as out of service`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: 'refused' });
    const client = await gateway.play(`${errands.greeting}\n${errands.tries}\n${errands.unavailable}`);
    if (stays) await gateway.resume(client, errands.logout);
    await gateway.logged(
      (line) => line['event'] === 'backend-failed' && line['code'] === 'BACKEND_UNREACHABLE',
    );
    assertLine(await gateway.closed(), { code: stays ? null : 'BACKEND_UNREACHABLE' });
  });

  test(`${protocol}: a backend that never answers the call is given up after timeouts.connect`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: 'silent', timeouts: { connect: 7 } });
    const client = await gateway.play(`${errands.greeting}\n${errands.tries}`);
    await gateway.advance(7000);
    await gateway.resume(client, errands.unavailable);
    await gateway.logged((line) => line['code'] === 'BACKEND_UNREACHABLE');
  });

  test(`${protocol}: the next of two servers is tried where the first is down`, async (t) => {
    const store = errands.store();
    const servers = ['127.0.0.2:1001', '127.0.0.3:1002'];
    const gateway = openGateway(t, { protocol, backend: 'refused', to: { servers } });
    const { serveThe } = firstRefused(gateway);
    serveThe(store.script);
    await gateway.play(`${errands.greeting}\n${errands.login}\n${errands.logout}`);
    assertLine(await gateway.closed(), { code: null, user: 'anna', backend: '127.0.0.3:1002' });
  });
}

test('imap: what serverDownAlert says comes before the refusal, and only where the store is away', async (t) => {
  const service = { serverDownAlert: 'Back at noon' };
  const gateway = openGateway(t, { protocol: 'imap', backend: 'refused', service });
  const { greeting, login, logout, tries, unavailable } = IMAP;
  const client = await gateway.play(`${greeting}\n${tries}\nS: * NO [ALERT] Back at noon\n${unavailable}`);
  gateway.backend = IMAP.store().script;
  await gateway.resume(client, `${login}\n${logout}`);
  assertLine(await gateway.closed(), { code: null, user: 'anna' });
});

for (const errands of ALL.filter((one) => one !== SMTP)) {
  test(`${errands.protocol}: who was told to come later may try again on the same connection`, async (t) => {
    const store = errands.store();
    const gateway = openGateway(t, { protocol: errands.protocol, backend: 'refused' });
    const client = await gateway.play(`${errands.greeting}\n${errands.tries}\n${errands.unavailable}`);
    gateway.backend = store.script;
    await gateway.resume(client, `${errands.login}\n${errands.logout}`);
    assertLine(await gateway.closed(), { code: null, user: 'anna' });
  });
}

test('smtp: MAIL to a relay that is down is answered 421 4.4.1, and what waited is not lost silently', async (t) => {
  const gateway = openGateway(t, { protocol: 'smtp', backend: 'refused' });
  await gateway.play(`
    ${SMTP.greeting}
    C: EHLO client.test
    S> 250 *
    C~ MAIL FROM:<a@example.org>\\r\\nRCPT TO:<b@example.org>\\r\\nDATA\\r\\n
    S: 421 4.4.1 *
    -- eof`);
  assertLine(await gateway.closed(), { code: 'BACKEND_UNREACHABLE', messages: 0, end: 'error' });
});

test('smtp: a relay that is back serves the next connection', async (t) => {
  const gateway = openGateway(t, { protocol: 'smtp', backend: 'refused' });
  await gateway.play(`${SMTP.greeting}\n${SMTP.tries}\n${SMTP.unavailable}`);
  gateway.backend = SMTP.store().script;
  await gateway.play(`${SMTP.greeting}\n${SEND}\n${SMTP.logout}`);
  assertLine(await gateway.closed(), { code: null, messages: 1 });
});

test('imap: the client sees the capabilities of a store while its backend is down, and can log out', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: 'refused',
    service: { capabilities: 'probe' },
  });
  await gateway.play(`
    S: * OK [CAPABILITY IMAP4rev1 *AUTH=PLAIN AUTH=LOGIN] *
    ${IMAP.logout}`);
  assertLine(await gateway.closed(), { code: null, end: 'quit' });
});

/** The plan changes as soon as the log shows that the first server was refused. */
function firstRefused(gateway: ReturnType<typeof openGateway>): {
  serveThe: (script: typeof gateway.backend) => void;
} {
  return {
    serveThe: (script) => {
      void gateway
        .logged((line) => line['event'] === 'backend-failed')
        .then(() => {
          gateway.backend = script;
        });
    },
  };
}

test('imap: a backend whose settings are mended is tried at once, one that is as it was is still left alone', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: 'refused' });
  const phases = (): string[] => gateway.front.servers().map(({ phase }) => phase);
  const reload = (allowClearBackend: boolean): void => {
    const { behind } = gateway.settings.backends;
    assert.ok(behind !== undefined);
    const settings = { ...gateway.settings, backends: { behind: { ...behind, allowClearBackend } } };
    gateway.front.update(settings, frontMaterial(settings), 1000);
  };
  reload(false);
  await gateway.play(`${IMAP.greeting}\n${IMAP.tries}\n${IMAP.unavailable}\n${IMAP.logout}`);
  assert.deepEqual(phases(), ['open']);
  reload(false);
  assert.deepEqual(phases(), ['open']);
  reload(true);
  assert.deepEqual(phases(), ['closed']);
});
