// Access rules: who may not use a service is told so before anything else, and leaves one line.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL, IMAP, POP3 } from '../support/dialects.ts';
import { assertLine, type LogLine, openGateway } from '../support/gateway.ts';

const DENIED = {
  imap: 'S: * BYE Access denied\n-- eof\n-- end',
  pop3: 'S: -ERR Access denied\n-- eof\n-- end',
  smtp: 'S: 554 5.7.1 mail.test Access denied\n-- eof\n-- end',
} as const;

const refused = (line: LogLine): boolean => line['event'] === 'refused';

for (const errands of ALL) {
  const { protocol } = errands;
  test(`${protocol}: an address that the rules deny is refused, its neighbour served`, async (t) => {
    const access = '+ALL:192.0.2.0/24 EXCEPT 192.0.2.7';
    const gateway = openGateway(t, { protocol, backend: errands.store().script, service: { access } });
    await gateway.play(DENIED[protocol]);
    assertLine(await gateway.logged(refused), {
      code: 'ACCESS_DENIED',
      client: '192.0.2.7',
      service: 'mail',
    });
    await gateway.play(`${errands.greeting}\n${errands.login}\n${errands.logout}`, { from: '192.0.2.8' });
    assertLine(await gateway.closed(1), { code: null, user: 'anna' });
    await gateway.settle();
    assert.equal(gateway.lines.filter((line) => line['event'] === 'closed').length, 1);
  });
}

test('a rule for imaps lets in TLS from the first byte and nobody else', async (t) => {
  const service = { access: '+imaps:ALL' };
  const backend = IMAP.store().script;
  const clear = openGateway(t, { protocol: 'imap', backend, service });
  await clear.play(DENIED.imap);
  const secure = openGateway(t, { protocol: 'imap', backend, service, tls: 'implicit' });
  await secure.resume(secure.connect(), `-- tls\n${IMAP.greeting}\n${IMAP.login}`);
});

test('on an implicit-TLS port a denied client is cut without a word', async (t) => {
  const service = { access: '-imap:ALL' };
  const gateway = openGateway(t, { protocol: 'imap', backend: 'refused', service, tls: 'implicit' });
  assert.equal(await gateway.connect().end(), '');
  await gateway.logged(refused);
});

test('a name is looked up where the rules hang on it, and nowhere else', async (t) => {
  const asked: string[] = [];
  const namesOf = async (address: string) => {
    asked.push(address);
    const names = address === '192.0.2.8' ? ['pc.example.org'] : [];
    return { claimed: names, confirmed: names };
  };
  const gateway = openGateway(t, {
    protocol: 'pop3',
    backend: POP3.store().script,
    service: { access: '+pop:198.51.100.0/24$-pop:ALL EXCEPT .example.org' },
    world: { namesOf },
  });
  await gateway.play(POP3.greeting, { from: '198.51.100.1' });
  assert.deepEqual(asked, []);
  await gateway.play(POP3.greeting, { from: '192.0.2.8' });
  await gateway.play(DENIED.pop3, { from: '192.0.2.7' });
  assert.deepEqual(asked, ['192.0.2.8', '192.0.2.7']);
});

test('a name service that is silent names nobody, after timeouts.connect', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: IMAP.store().script,
    service: { access: '-imap:UNKNOWN' },
    timeouts: { connect: 2 },
    world: { namesOf: () => new Promise(() => undefined) },
  });
  const client = gateway.connect();
  await gateway.advance(1900);
  assert.equal(gateway.lines.length, 0);
  await gateway.advance(200);
  await gateway.resume(client, DENIED.imap);
});

test('denied connections hold no place in the limits', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: IMAP.store().script,
    service: { access: '-imap:192.0.2.7' },
    limits: { total: 1 },
  });
  for (let i = 0; i < 5; i++) await gateway.play(DENIED.imap);
  await gateway.play(IMAP.greeting, { from: '192.0.2.8' });
});
