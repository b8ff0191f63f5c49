// By the address of ours that a client has connected to, other settings of the service hold (`domains`): from the first
// byte where the socket says which it is, and from the word of a balancer or a front tier on where they do.

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { BALANCER, believed, CLIENT } from '../support/balancer.ts';
import { IMAP, plain, POP3, SMTP } from '../support/dialects.ts';
import {
  assertLine,
  frontMaterial,
  type Gateway,
  type GatewayOptions,
  openGateway,
} from '../support/gateway.ts';
import { openGranting } from '../support/granting.ts';
import { mta } from '../support/mta.ts';
import { imapStore } from '../support/stores.ts';

const ONE = '198.51.100.1';
const TWO = '198.51.100.2';
const USERS = 'anna: { password: secret }\n"anna@two.example": { password: two }\n';

function open(
  t: TestContext,
  own: Readonly<Record<string, unknown>>,
  more: Partial<GatewayOptions> = {},
): Gateway {
  return openGateway(t, {
    protocol: 'imap',
    backend: imapStore({ accepts: ({ user }) => ['anna', 'anna@two.example'].includes(user) }).script,
    users: USERS,
    ...more,
    service: { ...more.service, domains: { [TWO]: own, '198.51.100.3': {} } },
  });
}

const login = (password: string, answer: string): string =>
  `${IMAP.greeting}\nC: a1 LOGIN anna ${password}\nS: a1 ${answer}`;

test('verify: a wrong password goes to the store at one address, and is refused here at another', async (t) => {
  const gateway = open(t, { verify: 'directory', defaultDomain: 'two.example' });
  await gateway.play(login('guess', 'OK *'), { at: ONE });
  await gateway.play(login('guess', 'NO [AUTHENTICATIONFAILED] *'), { at: TWO });
  await gateway.play(login('guess', 'OK *'), { at: '198.51.100.3' });
  assert.equal(gateway.dialled.length, 2);
  await gateway.play(`${login('two', 'OK *Welcome anna@two.example')}\n${IMAP.logout}`, { at: TWO });
  assertLine(await gateway.closed(1), { user: 'anna@two.example', service: 'mail' });
});

test('an address of IPv4 that the system writes in IPv6 is the same one', async (t) => {
  const gateway = open(t, { verify: 'directory' });
  await gateway.play(login('guess', 'NO [AUTHENTICATIONFAILED] *'), { at: `::ffff:${TWO}` });
  assert.deepEqual(gateway.dialled, []);
});

test('admin: the one of the address logs in for the users that came there, the one of the backend for others', async (t) => {
  const store = imapStore({ accepts: ({ secret }) => secret.startsWith('of ') });
  const gateway = open(
    t,
    { admin: { user: 'root2', password: 'of two' }, defaultDomain: 'two.example' },
    {
      backend: store.script,
      service: { verify: 'directory' },
      to: { login: 'proxy', admin: { user: 'root', password: 'of all' } },
    },
  );
  await gateway.play(login('secret', 'OK *'), { at: ONE });
  await gateway.play(login('two', 'OK *'), { at: TWO });
  assert.deepEqual(
    store.logins.map(({ authzid, user, secret }) => [authzid, user, secret]),
    [
      ['anna', 'root', 'of all'],
      ['anna@two.example', 'root2', 'of two'],
    ],
  );
  assert.doesNotMatch(JSON.stringify(gateway.lines), /of two|of all/);
});

test('mechanisms: what is offered at an address is what is taken there', async (t) => {
  const gateway = open(t, { mechanisms: ['LOGIN'] });
  const tries = `C: a1 AUTHENTICATE PLAIN ${plain('anna', 'secret')}`;
  const two = await gateway.play(`${IMAP.greeting}\n${tries}\nS: a1 NO *`, { at: TWO });
  assert.match(two.heard, /AUTH=LOGIN/);
  assert.doesNotMatch(two.heard, /AUTH=PLAIN/);
  const one = await gateway.play(`${IMAP.greeting}\n${tries}\nS: a1 OK *`, { at: ONE });
  assert.match(one.heard, /AUTH=PLAIN/);
});

test('access: whoever may not use one address may use another', async (t) => {
  const gateway = open(t, { access: '+ALL:203.0.113.0/24' });
  await gateway.play('S: * BYE Access denied\n-- eof\n-- end', { at: TWO });
  await gateway.play(IMAP.greeting, { at: ONE });
  await gateway.play(IMAP.greeting, { at: TWO, from: '203.0.113.9' });
});

test('by a PROXY header it is the address that the client connected to at the balancer that counts', async (t) => {
  const gateway = open(
    t,
    { verify: 'directory', access: `+ALL:${CLIENT}`, mechanisms: ['LOGIN'] },
    { service: believed('require') },
  );
  const bring = async (local: string, script: string, from = CLIENT): Promise<string> => {
    const client = gateway.connect({ from: BALANCER, at: ONE });
    client.send(`PROXY TCP4 ${from} ${local} 50000 143\r\n`);
    await gateway.resume(client, script);
    return client.heard;
  };
  assert.doesNotMatch(await bring(TWO, login('guess', 'NO [AUTHENTICATIONFAILED] *')), /AUTH=PLAIN/);
  assert.match(await bring(ONE, login('guess', 'OK *')), /AUTH=PLAIN/);
  await bring(TWO, 'S: * BYE Access denied\n-- eof\n-- end', '203.0.113.77');
  // The balancer itself has connected to an address with settings of its own, and says nothing of the client's.
  const local = gateway.connect({ from: BALANCER, at: TWO });
  local.send('PROXY UNKNOWN\r\n');
  await gateway.resume(
    local,
    `${IMAP.greeting}\nC: a1 LOGIN anna secret\nS: * BYE Access denied\n-- eof\n-- end`,
  );
  assert.doesNotMatch(local.heard, /AUTH=PLAIN/);
});

test('imap: a front tier says which address it was, after the greeting', async (t) => {
  const gateway = open(
    t,
    { verify: 'directory', mechanisms: ['LOGIN'], access: '+ALL:203.0.113.9' },
    { service: { frontTier: { from: ['192.0.2.8'] } } },
  );
  const bring = (client: string, script: string): string => `
    ${IMAP.greeting}
    C: i ID ("x-originating-ip" "${client}" "x-connected-ip" "${TWO}")
    S: * ID *
    S: i OK *
    ${script}`;
  const shown = await gateway.play(
    bring('203.0.113.9', 'C: c CAPABILITY\nS: * CAPABILITY *\nS: c OK *\nC: a LOGIN anna guess\nS: a NO *'),
    { from: '192.0.2.8' },
  );
  const [before = '', after = ''] = shown.heard.split('ID ("name"');
  assert.match(before, /AUTH=PLAIN/);
  assert.doesNotMatch(after, /AUTH=PLAIN/);
  assert.deepEqual(gateway.dialled, []);
  await gateway.play(
    bring('203.0.113.10', 'C: a LOGIN anna secret\nS: * BYE Access denied\n-- eof\n-- end'),
    {
      from: '192.0.2.8',
    },
  );
});

test('imap: a client that says so itself is not believed', async (t) => {
  const gateway = open(t, { verify: 'directory' }, { service: { frontTier: { from: ['192.0.2.8'] } } });
  const script = `C: i ID ("x-originating-ip" "203.0.113.9" "x-connected-ip" "${TWO}")\nS: * ID *\nS: i OK *`;
  await gateway.play(`${IMAP.greeting}\n${script}\nC: a1 LOGIN anna guess\nS: a1 OK *`);
});

test('smtp: XCLIENT changes what is offered, and who checks passwords', async (t) => {
  const relay = mta({ accepts: () => true });
  const gateway = open(
    t,
    { verify: 'directory', mechanisms: ['PLAIN'] },
    { protocol: 'smtp', backend: relay.script, service: { frontTier: { from: ['192.0.2.8'] } } },
  );
  const client = await gateway.play(
    `${SMTP.greeting}
    C: EHLO tier.test
    S> 250 *
    C: XCLIENT ADDR=203.0.113.9 DESTADDR=${TWO}
    S: 220 *
    C: EHLO client.test
    S> 250 *
    C: AUTH PLAIN ${plain('anna', 'guess')}
    S: 535 5.7.8 *
    C: AUTH PLAIN ${plain('anna', 'secret')}
    S: 235 *
    ${SMTP.logout}`,
    { from: '192.0.2.8' },
  );
  const [before = '', after = ''] = client.heard.split('220 mail.test', 3).slice(1);
  assert.match(before, /AUTH .*LOGIN/);
  assert.match(after, /AUTH PLAIN\r\n/);
  assert.equal(gateway.dialled.length, 1);
});

test('smtp: a name that a front tier has told stays, and what is looked up goes by the address', async (t) => {
  const relay = mta({ xclient: 'NAME ADDR' });
  const gateway = open(
    t,
    { clientLookup: false },
    {
      protocol: 'smtp',
      backend: relay.script,
      service: { frontTier: { from: ['192.0.2.8'] }, clientLookup: true },
      to: { client: ['xclient'] },
      world: { confirmedNames: (address) => Promise.resolve([`${address}.looked-up.test`]) },
    },
  );
  const bring = (...told: readonly string[]): Promise<unknown> => {
    const said = told.map((one) => `C: XCLIENT ${one}\nS: 220 *\n`);
    return gateway.play(
      `${SMTP.greeting}
      ${said.join('')}
      C: EHLO client.test
      S> 250 *
      C: MAIL FROM:<a@example.org>
      S: 250 *
      ${SMTP.logout}`,
      { from: '192.0.2.8' },
    );
  };
  await bring(`NAME=mx.example.org ADDR=203.0.113.9 DESTADDR=${TWO}`);
  await bring('NAME=mx.example.org ADDR=203.0.113.9', `DESTADDR=${TWO}`);
  await bring(`ADDR=203.0.113.9 DESTADDR=${TWO}`);
  await bring(`ADDR=203.0.113.9 DESTADDR=${ONE}`);
  assert.deepEqual(
    relay.introductions.map((line) => /NAME=(\S+)/.exec(line)?.[1]),
    ['mx.example.org', 'mx.example.org', '[UNAVAILABLE]', '203.0.113.9.looked-up.test'],
  );
});

test('grants are earned at one address and not at another, and asked for where the address allows it', async (t) => {
  const listen = '127.0.0.1:0';
  const pop3 = {
    protocol: 'pop3',
    listen,
    tls: 'maytls',
    backend: 'pops',
    capabilities: ['UIDL'],
    domains: { [TWO]: { grants: false, authService: { from: ['192.0.2.7'] } } },
  };
  const { gateway } = openGranting(t, { popBeforeSmtp: { channel: 'tcp_intranet' }, services: { pop3 } });
  const logIn = `${POP3.greeting}\n${POP3.login}\n${POP3.logout}`;
  const ask = (at: string, answer: string): Promise<unknown> =>
    gateway.play(`${POP3.greeting}\nC: XQUERYAUTH 192.0.2.7\nS: ${answer}\n${POP3.logout}`, {
      at,
      service: 'pop3',
    });
  await gateway.play(logIn, { at: TWO, service: 'pop3' });
  await ask(TWO, '-ERR not authenticated');
  await ask(ONE, '-ERR Log in first');
  await gateway.play(logIn, { at: ONE, service: 'pop3' });
  await ask(TWO, '+OK anna');
});

test('after a reload a client that is there goes on by the settings that it came under', async (t) => {
  const gateway = open(t, { verify: 'directory' });
  const client = await gateway.play(IMAP.greeting, { at: TWO });
  const { mail } = gateway.settings.services;
  assert.ok(mail !== undefined);
  const settings = { ...gateway.settings, services: { mail: { ...mail, domains: {} } } };
  gateway.front.update(settings, frontMaterial(settings), 1000);
  await gateway.resume(client, 'C: a1 LOGIN anna guess\nS: a1 NO *');
  await gateway.play(login('guess', 'OK *'), { at: TWO });
});

test('restrictPlainPasswords: a password in clear is taken at one address and not at another', async (t) => {
  const gateway = open(t, { restrictPlainPasswords: true });
  await gateway.play(`${IMAP.greeting}\nC: a1 LOGIN anna secret\nS: a1 NO *`, { at: TWO });
  await gateway.play(
    `${IMAP.greeting}\n${IMAP.starttls}\nC: a1 LOGIN anna secret\nS: a1 OK *\n${IMAP.logout}`,
    { at: TWO },
  );
  await gateway.play(login('secret', 'OK *'), { at: ONE });
});
