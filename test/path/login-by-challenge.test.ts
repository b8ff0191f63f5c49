// APOP, CRAM-MD5 and SCRAM-SHA-256 end here: who it is, is proven by what the directory holds, and the store is logged in
// to with the password, or by its administrator. Whoever cannot prove it is told the words of a wrong password.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test, type TestContext } from 'node:test';

import { apopDigest, cramDigest, scramClient, type ScramOptions } from '../support/challenge-client.ts';
import type { Conversation } from '../support/conversation.ts';
import { ALL, type Errands, IMAP, plain, POP3 } from '../support/dialects.ts';
import { assertLine, clientTls, type Gateway, type GatewayOptions, openGateway } from '../support/gateway.ts';
import type { Login } from '../support/stores.ts';

/** Of `pencil`, by `doveadm pw -s SCRAM-SHA-256`. */
const KEYS =
  '{SCRAM-SHA-256}4096,luPjNvjmrn43X9HwYj+JMQ==,bZ86DvJi40maZ6Taw7YjdzSadH7eRVTU0yknDvP3qS4=,X73f5/f7mDWa1gQ5quVOiOjmJSTLxFaOpy2Y9ipWJ90=';
const USERS = `
anna: { password: secret }
keys: { password: "${KEYS}" }
hash: { password: "{SSHA}XKbvDYTuR1ZRb3JYTBkgsqaemGHUV1QT" }
held: { password: secret, status: hold }
gone: { password: secret, status: inactive }
name: { password: secret, login: another }
`;
const MECHANISMS = ['PLAIN', 'CRAM-MD5', 'SCRAM-SHA-256', 'SCRAM-SHA-256-PLUS'];

interface Opened {
  readonly gateway: Gateway;
  readonly logins: readonly Login[];
}

function open(t: TestContext, errands: Errands, options: Partial<GatewayOptions> = {}): Opened {
  const behind = errands.store({ accepts: () => true });
  const isPop = errands.protocol === 'pop3';
  const gateway = openGateway(t, {
    protocol: errands.protocol,
    backend: behind.script,
    users: USERS,
    service: {
      verify: 'directory',
      mechanisms: isPop ? [...MECHANISMS, 'APOP'] : MECHANISMS,
      ...options.service,
    },
    ...Object.fromEntries(Object.entries(options).filter(([key]) => key !== 'service')),
  });
  return { gateway, logins: behind.logins };
}

const COMMAND = { imap: 'a1 AUTHENTICATE', pop3: 'AUTH', smtp: 'AUTH' };
const CHALLENGE = { imap: /^\+ (.*)$/, pop3: /^\+ (.*)$/, smtp: /^334 (.*)$/ };
const ACCEPTED = { imap: /^a1 OK /, pop3: /^\+OK /, smtp: /^235 / };
const REFUSED = { imap: /^a1 NO \[AUTHENTICATIONFAILED\] /, pop3: /^-ERR \[AUTH\] /, smtp: /^535 5\.7\.8 / };
const BROKEN_OFF = { imap: /^a1 BAD /, pop3: /^-ERR /, smtp: /^501 / };
const LATER = { imap: /^a1 NO \[UNAVAILABLE\]/, pop3: /^-ERR \[SYS\/TEMP\]/, smtp: /^454 / };

/** Greeted, and in SMTP introduced; in TLS if that is asked for. */
async function meet(
  { gateway }: Opened,
  errands: Errands,
  how: 'clear' | 'tls' = 'clear',
): Promise<Conversation> {
  const client = gateway.connect();
  const hello = errands.protocol === 'smtp' ? '\nC: EHLO client.test\nS> 250 *' : '';
  await gateway.resume(client, errands.greeting + hello);
  if (how === 'tls') await gateway.resume(client, errands.starttls + hello);
  return client;
}

/** The challenge in an answer; the answer itself where it is none. */
function challengeOf({ protocol }: Errands, answer: string): string {
  return CHALLENGE[protocol].exec(answer)?.[1] ?? assert.fail(`no challenge: ${answer}`);
}

async function cram(client: Conversation, errands: Errands, login: ScramOptions): Promise<string> {
  const { user, password } = login;
  const asked = challengeOf(errands, await client.ask(`${COMMAND[errands.protocol]} CRAM-MD5`));
  const challenge = Buffer.from(asked, 'base64').toString();
  assert.match(challenge, /^<[\w-]{24}\.\d+@mail\.test>$/);
  return client.ask(Buffer.from(`${user} ${cramDigest(password, challenge)}`).toString('base64'));
}

interface ScramLogin extends ScramOptions {
  readonly mechanism?: string;
}

/** The last answer; that the server knows the secret is looked at on the way. */
async function scram(client: Conversation, errands: Errands, login: ScramLogin): Promise<string> {
  const { mechanism = 'SCRAM-SHA-256', ...options } = login;
  const own = scramClient(options);
  const first = await client.ask(`${COMMAND[errands.protocol]} ${mechanism} ${own.first}`);
  if (!CHALLENGE[errands.protocol].test(first)) return first;
  const end = await client.ask(own.final(challengeOf(errands, first)));
  if (!CHALLENGE[errands.protocol].test(end)) return end;
  assert.ok(own.trusts(challengeOf(errands, end)), 'the server does not know the secret');
  return client.ask('');
}

/** A login of the user `anna` unless told otherwise, by each mechanism that the password serves. */
const WAYS: readonly (readonly [
  string,
  (client: Conversation, errands: Errands, login?: Partial<ScramLogin>) => Promise<string>,
])[] = [
  [
    'CRAM-MD5',
    (client, errands, login) => cram(client, errands, { user: 'anna', password: 'secret', ...login }),
  ],
  [
    'SCRAM-SHA-256',
    (client, errands, login) => scram(client, errands, { user: 'anna', password: 'secret', ...login }),
  ],
];

for (const errands of ALL) {
  const { protocol } = errands;

  for (const [mechanism, logIn] of WAYS) {
    test(`${protocol}, ${mechanism}: who proves to know the password is logged in with it`, async (t) => {
      const opened = open(t, errands);
      const client = await meet(opened, errands);
      assert.match(await logIn(client, errands), ACCEPTED[protocol]);
      assert.deepEqual(
        opened.logins.map(({ user, secret }) => [user, secret]),
        [['anna', 'secret']],
      );
      client.finish();
      assertLine(await opened.gateway.closed(), { user: 'anna', mechanism });
      assert.doesNotMatch(JSON.stringify(opened.gateway.lines), /secret/);
    });

    test(`${protocol}, ${mechanism}: with an administrator the store is logged in to by that one`, async (t) => {
      const opened = open(t, errands, { to: { admin: { user: 'admin', password: 'storepass' } } });
      const client = await meet(opened, errands);
      assert.match(await logIn(client, errands, { user: 'name' }), ACCEPTED[protocol]);
      assert.deepEqual(
        opened.logins.map(({ user, secret, authzid }) => [user, secret, authzid]),
        [['admin', 'storepass', 'another']],
      );
    });

    test(`${protocol}, ${mechanism}: a wrong password, nobody and a hash that is of no use are refused alike`, async (t) => {
      const opened = open(t, errands);
      const answers: string[] = [];
      for (const login of [{ password: 'guess' }, { user: 'nobody' }, { user: 'hash' }]) {
        answers.push(await logIn(await meet(opened, errands), errands, login));
      }
      assert.match(answers[0] ?? '', REFUSED[protocol]);
      assert.equal(new Set(answers).size, 1, answers.join('\n'));
      assert.deepEqual(opened.gateway.dialled, []);
      const said = opened.gateway.lines
        .filter(({ event }) => event === 'login-refused')
        .map((line) => line['said']);
      assert.deepEqual(said, [
        'wrong password',
        'no such user',
        `none of the stored passwords can be used for ${mechanism}`,
      ]);
    });

    test(`${protocol}, ${mechanism}: wrong answers are counted as wrong passwords are`, async (t) => {
      const opened = open(t, errands, { penalties: { step: 2, max: 60, decay: 900 } });
      const client = await meet(opened, errands);
      for (let time = 0; time < 3; time++) {
        const answer = logIn(client, errands, { password: 'guess' });
        for (let second = 0; second < 20; second++) await opened.gateway.advance(1000);
        assert.match(await answer, REFUSED[protocol]);
      }
      await client.end();
      assertLine(await opened.gateway.closed(), { code: 'TOO_MANY_LOGINS' });
      assert.ok(opened.gateway.lines.some(({ event }) => event === 'login-delayed'));
    });

    test(`${protocol}, ${mechanism}: what the directory says of an account is told to whom has proven it`, async (t) => {
      const opened = open(t, errands);
      assert.match(await logIn(await meet(opened, errands), errands, { user: 'held' }), LATER[protocol]);
      assert.doesNotMatch(
        await logIn(await meet(opened, errands), errands, { user: 'gone' }),
        protocol === 'imap' ? REFUSED.imap : ACCEPTED[protocol],
      );
      const guess = { user: 'held', password: 'guess' };
      assert.match(await logIn(await meet(opened, errands), errands, guess), REFUSED[protocol]);
      assert.deepEqual(opened.gateway.dialled, []);
    });
  }

  test(`${protocol}: stored keys are enough where there is an administrator, and nowhere else`, async (t) => {
    const byAdmin = open(t, errands, { to: { admin: { user: 'admin', password: 'storepass' } } });
    const login = { user: 'keys', password: 'pencil' };
    assert.match(await scram(await meet(byAdmin, errands), errands, login), ACCEPTED[protocol]);
    assert.deepEqual(
      byAdmin.logins.map(({ user, authzid }) => [user, authzid]),
      [['admin', 'keys']],
    );
    const guess = { user: 'keys', password: 'pen' };
    assert.match(await scram(await meet(byAdmin, errands), errands, guess), REFUSED[protocol]);
    const alone = open(t, errands);
    assert.doesNotMatch(await scram(await meet(alone, errands), errands, login), ACCEPTED[protocol]);
    assert.deepEqual(alone.gateway.dialled, []);
    const stranded = alone.gateway.lines.find(({ event }) => event === 'login-refused')?.['said'];
    assert.equal(stranded, 'backends.behind has no admin, and no password was shown');
    const answer = await (
      await meet(alone, errands)
    ).ask(`${COMMAND[protocol]} PLAIN ${plain('keys', 'pencil')}`);
    assert.match(answer, ACCEPTED[protocol]);
  });

  test(`${protocol}: nobody acts as somebody else, and whoever it is must be proven first`, async (t) => {
    const opened = open(t, errands);
    const other = { user: 'anna', password: 'secret', gs2Header: 'n,a=name,' };
    assert.doesNotMatch(await scram(await meet(opened, errands), errands, other), ACCEPTED[protocol]);
    assert.deepEqual(opened.gateway.dialled, []);
    const own = { ...other, gs2Header: 'n,a=anna,' };
    const guess = { ...own, password: 'guess' };
    assert.match(await scram(await meet(opened, errands), errands, guess), REFUSED[protocol]);
    assert.match(await scram(await meet(opened, errands), errands, own), ACCEPTED[protocol]);
  });

  test(`${protocol}: -PLUS is offered in TLS, and binds to that very connection`, async (t) => {
    const opened = open(t, errands);
    const plus = { mechanism: 'SCRAM-SHA-256-PLUS', user: 'anna', password: 'secret' };
    const exported = (client: Conversation): Buffer =>
      client.tls.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0));
    const client = await meet(opened, errands, 'tls');
    const another = await meet(opened, errands, 'tls');
    const gs2Header = 'p=tls-exporter,,';
    const stolen = { ...plus, gs2Header, binding: exported(another) };
    assert.match(await scram(client, errands, stolen), REFUSED[protocol]);
    const said = opened.gateway.lines.findLast(({ event }) => event === 'login-refused')?.['said'];
    assert.equal(said, 'it is bound to another TLS connection');
    const right = { ...plus, gs2Header, binding: exported(client) };
    assert.match(await scram(client, errands, right), ACCEPTED[protocol]);
    const raw = another.tls.getPeerX509Certificate()?.raw ?? Buffer.alloc(0);
    const endPoint = createHash('sha256').update(raw).digest();
    const byCertificate = { ...plus, gs2Header: 'p=tls-server-end-point,,', binding: endPoint };
    const unique = { ...plus, gs2Header: 'p=tls-unique,,', binding: exported(another) };
    assert.match(await scram(another, errands, unique), REFUSED[protocol]);
    assert.match(await scram(another, errands, byCertificate), ACCEPTED[protocol]);
    const clear = await meet(opened, errands);
    assert.doesNotMatch(await scram(clear, errands, right), ACCEPTED[protocol]);
  });

  test(`${protocol}: a client that was told of no -PLUS in TLS is not believed`, async (t) => {
    const opened = open(t, errands);
    const login = { user: 'anna', password: 'secret', gs2Header: 'y,,' };
    const client = await meet(opened, errands, 'tls');
    assert.match(await scram(client, errands, login), REFUSED[protocol]);
    const said = opened.gateway.lines.findLast(({ event }) => event === 'login-refused')?.['said'];
    assert.match(String(said), /^somebody has taken SCRAM-SHA-256-PLUS out of what it was offered/);
    assert.match(await scram(client, errands, { ...login, gs2Header: 'n,,' }), ACCEPTED[protocol]);
    assert.match(await scram(await meet(opened, errands), errands, login), ACCEPTED[protocol]);
  });

  test(`${protocol}: whoever breaks off or sends nonsense is told so, is not blamed and may try again`, async (t) => {
    const opened = open(t, errands, { penalties: { step: 2, max: 60, decay: 900 } });
    const client = await meet(opened, errands);
    const { first } = scramClient({ user: 'anna', password: 'secret' });
    for (const second of ['*', '####', Buffer.from('c=biws,r=x').toString('base64')]) {
      const asked = await client.ask(`${COMMAND[protocol]} SCRAM-SHA-256 ${first}`);
      challengeOf(errands, asked);
      assert.match(await client.ask(second), BROKEN_OFF[protocol]);
    }
    assert.match(await scram(client, errands, { user: 'anna', password: 'secret' }), ACCEPTED[protocol]);
    assert.deepEqual(
      opened.gateway.lines.filter(({ event }) => event === 'login-delayed' || event === 'login-refused'),
      [],
    );
  });

  test(`${protocol}: a client that leaves in the middle is gone, one that is silent is too slow`, async (t) => {
    const opened = open(t, errands);
    const { first } = scramClient({ user: 'anna', password: 'secret' });
    const gone = await meet(opened, errands);
    challengeOf(errands, await gone.ask(`${COMMAND[protocol]} SCRAM-SHA-256 ${first}`));
    gone.finish();
    assertLine(await opened.gateway.closed(), { code: 'CLIENT_CLOSED' });
    const silent = await meet(opened, errands);
    challengeOf(errands, await silent.ask(`${COMMAND[protocol]} SCRAM-SHA-256 ${first}`));
    await opened.gateway.advance(opened.gateway.settings.timeouts.loginMs + 1000);
    assertLine(await opened.gateway.closed(2), { code: 'LOGIN_TIMEOUT' });
    assert.deepEqual(opened.gateway.dialled, []);
  });
}

/** Salt and iterations that a name is asked with. */
async function asksWith(opened: Opened, user: string): Promise<string> {
  const client = await meet(opened, IMAP);
  const { first } = scramClient({ user, password: 'x' });
  const asked = challengeOf(IMAP, await client.ask(`a1 AUTHENTICATE SCRAM-SHA-256 ${first}`));
  return Buffer.from(asked, 'base64')
    .toString()
    .replace(/^r=[^,]+/, '');
}

test('a user that nobody has and one with stored keys are asked alike, each time with the same salt', async (t) => {
  const opened = open(t, IMAP, { to: { admin: { user: 'admin', password: 'storepass' } } });
  const ask = (user: string): Promise<string> => asksWith(opened, user);
  const known = await ask('keys');
  const [one, two, other] = [await ask('nobody'), await ask('nobody'), await ask('someone')];
  assert.equal(one, two);
  assert.notEqual(one, other);
  assert.equal(one.replace(/s=[^,]+/, '').length, known.replace(/s=[^,]+/, '').length);
  assert.equal(one.length, known.length);
});

test('all spellings of one name are asked with one salt, whether somebody has it or not', async (t) => {
  const opened = open(t, IMAP, {
    users: `keys@sun.com: { password: "${KEYS}" }\nanna@sun.com: { password: secret }\n`,
    directory: { type: 'file', defaultDomain: 'sun.com', domainDelimiters: '@+' },
    to: { admin: { user: 'admin', password: 'storepass' } },
  });
  const salts: string[] = [];
  for (const name of ['keys', 'nobody', 'anna']) {
    const spellings = [name, `${name}@sun.com`, `${name}+Sun.com`, name.toUpperCase()];
    const asked: string[] = [];
    for (const spelling of spellings) asked.push(await asksWith(opened, spelling));
    assert.equal(new Set(asked).size, 1, asked.join(' '));
    salts.push(...asked);
  }
  assert.equal(new Set(salts).size, 3);
  assert.notEqual(await asksWith(opened, 'nobody@other.com'), salts[4]);
});

const stampOf = (greeting: string): string => /<[^>]+>$/.exec(greeting)?.[0] ?? assert.fail(greeting);

test('pop3, APOP: the digest of the greeting’s stamp logs in, another’s does not, nor does it a second time', async (t) => {
  const opened = open(t, POP3);
  const client = opened.gateway.connect();
  const stamp = stampOf(await client.line());
  assert.match(await client.ask(`APOP anna ${apopDigest('guess', stamp)}`), REFUSED.pop3);
  assert.match(await client.ask(`APOP nobody ${apopDigest('secret', stamp)}`), REFUSED.pop3);
  assert.match(await client.ask(`APOP hash ${apopDigest('secret', stamp)}`), REFUSED.pop3);
  const again = opened.gateway.connect();
  const fresh = stampOf(await again.line());
  assert.notEqual(fresh, stamp);
  assert.match(await again.ask(`APOP anna ${apopDigest('secret', stamp)}`), REFUSED.pop3);
  assert.match(await again.ask(`APOP anna ${apopDigest('secret', fresh)}`), ACCEPTED.pop3);
  assert.deepEqual(
    opened.logins.map(({ user, secret }) => [user, secret]),
    [['anna', 'secret']],
  );
  again.finish();
  assertLine(await opened.gateway.closed(2), { user: 'anna', mechanism: 'APOP' });
});

test('pop3: where APOP is not listed there is no stamp', async (t) => {
  const { gateway } = open(t, POP3, { service: { mechanisms: ['PLAIN', 'CRAM-MD5'] } });
  const client = gateway.connect();
  assert.doesNotMatch(await client.line(), /</);
  assert.match(await client.ask(`APOP anna ${apopDigest('secret', '<1@x>')}`), /^-ERR APOP is not available/);
});

test('imap: TLS that a balancer has ended binds to nothing, so -PLUS is not offered', async (t) => {
  const opened = open(t, IMAP, {
    tls: 'implicit',
    service: {
      verify: 'directory',
      mechanisms: MECHANISMS,
      proxyProtocol: { from: ['192.0.2.7/32'], mode: 'require' },
    },
  });
  const offer = async (header: Buffer): Promise<string> => {
    const client = opened.gateway.connect();
    client.send(header);
    await client.startTls(clientTls());
    return client.line();
  };
  const plainHeader = Buffer.from('PROXY TCP4 203.0.113.9 198.51.100.1 5000 993\r\n');
  assert.match(await offer(plainHeader), /AUTH=SCRAM-SHA-256-PLUS/);
  const told = await offer(tlsEndedHeader());
  assert.match(told, /AUTH=SCRAM-SHA-256[ \]]/);
  assert.doesNotMatch(told, /-PLUS/);
});

/** PROXY v2: TCP over IPv4, and the word (PP2_TYPE_SSL) that the balancer's client came by TLS. */
function tlsEndedHeader(): Buffer {
  const addresses = Buffer.from([203, 0, 113, 9, 198, 51, 100, 1, 0x13, 0x88, 0x03, 0xe1]);
  const version = Buffer.concat([Buffer.from([0x21, 0, 7]), Buffer.from('TLSv1.3')]);
  const ssl = Buffer.concat([Buffer.from([0x20, 0, 5 + version.length, 1, 0, 0, 0, 0]), version]);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(addresses.length + ssl.length);
  const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
  return Buffer.concat([signature, Buffer.from([0x21, 0x11]), length, addresses, ssl]);
}
