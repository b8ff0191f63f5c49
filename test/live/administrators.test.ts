// Logins for somebody else by Python and curl (SASL PLAIN with an identity to act as): users and groups in a real slapd,
// mail on two real Dovecots with master users. Whoever may is in the user's own mailbox, at the user's own store; where
// the store is left to judge, its master user gets to no other store.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { makeAuthority } from '../support/authority.ts';
import { startDovecot, type Dovecot } from '../support/dovecot.ts';
import { startFront } from '../support/front.ts';
import { COM, dcDomain, entry, organisation, PASSWORD, user } from '../support/ldap-site.ts';
import { run } from '../support/program.ts';
import { startSlapd } from '../support/slapd.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-administrators-'));
const authority = makeAuthority(folder);
const MASTERS = { mmpstore: 'of the stores', master: 'of a master' };

async function store(
  name: string,
  users: readonly string[],
  masters: Readonly<Record<string, string>>,
): Promise<Dovecot> {
  const at = join(folder, name);
  mkdirSync(at);
  const file = join(at, 'masters');
  writeFileSync(
    file,
    Object.entries(masters)
      .map(([who, secret]) => `${who}:{PLAIN}${secret}\n`)
      .join(''),
  );
  const dovecot = await startDovecot({
    folder: at,
    users: Object.fromEntries(users.map((who) => [who, PASSWORD])),
    extra: `passdb {\n  driver = passwd-file\n  master = yes\n  args = ${file}\n}`,
  });
  for (const who of users) dovecot.deliver(who, Buffer.from(`Subject: mail of ${who}\r\n\r\nhello\r\n`));
  return dovecot;
}

const [one, two] = await Promise.all([
  store('one', ['joe', 'boss', 'manager'], MASTERS),
  store('two', ['hugo@yoyo.com'], { ...MASTERS, yoyoadmin: 'of yoyo' }),
]);
const hostOf = {
  imap: [one, two].map(({ imapPort }) => `127.0.0.1:${imapPort}`),
  pop3: [one, two].map(({ pop3Port }) => `127.0.0.1:${pop3Port}`),
};

const siroe = 'ou=People,o=siroe.com,o=internet';
const yoyo = 'ou=People,o=yoyo.com,o=internet';
const groups = 'ou=Groups,o=siroe.com,o=internet';
const hosts = (store: 0 | 1) => ({
  mailHost: hostOf.imap[store] ?? '',
  mailEquivalentAddress: hostOf.pop3[store] ?? '',
});
const slapd = await startSlapd({
  ldif: [
    COM,
    dcDomain('siroe.com'),
    organisation('siroe.com'),
    entry(groups, ['organizationalUnit'], { ou: 'Groups' }),
    user('joe', siroe, hosts(0)),
    user('boss', siroe, hosts(0)),
    user('manager', siroe, hosts(0)),
    user('retired', siroe, { ...hosts(0), mailUserStatus: 'deleted' }),
    dcDomain('yoyo.com', { mailAccessProxyReplay: '%U@%V' }),
    organisation('yoyo.com'),
    user('hugo', yoyo, hosts(1)),
    entry(`cn=Administrators,${groups}`, ['groupOfUniqueNames'], {
      cn: 'Administrators',
      uniqueMember: [`uid=boss,${siroe}`, `uid=retired,${siroe}`],
    }),
    entry(`cn=Domain Administrators,${groups}`, ['groupOfUniqueNames', 'inetMailAdministrator'], {
      cn: 'Domain Administrators',
      uniqueMember: `uid=manager,${siroe}`,
      mailAdminRole: 'storeAdmin',
    }),
  ].join(''),
});
const shown = authority.issue({ names: ['localhost', '127.0.0.1', '127.0.0.2'], file: 'front' });
const service = {
  protocol: 'imap',
  listen: ['0.0.0.0:0'],
  tls: 'implicit',
  backend: 'stores',
  verify: 'directory',
  adminPolicy: 'group',
  domains: {
    '127.0.0.2': {
      defaultDomain: 'yoyo.com',
      adminPolicy: 'simple',
      admin: { user: 'yoyoadmin', password: { file: 'yoyo.secret' } },
    },
  },
};
mkdirSync(join(folder, 'front'));
writeFileSync(join(folder, 'front', 'yoyo.secret'), 'of yoyo\n', { mode: 0o600 });
const admin = { user: 'mmpstore', password: 'of the stores' };
const front = await startFront({
  folder: join(folder, 'front'),
  settings: {
    hostname: 'mail.siroe.com',
    workers: 1,
    tls: { certificate: { cert: shown.certFile, key: shown.keyFile } },
    services: {
      imaps: service,
      pop3s: {
        ...service,
        protocol: 'pop3',
        backend: 'popstores',
        domains: { '127.0.0.1': { ldap: { mailHostAttrs: ['mailEquivalentAddress'] } } },
      },
      passing: { ...service, verify: 'backend', domains: {} },
    },
    backends: {
      stores: { hosts: ['127.0.0.1'], tls: 'notls', admin },
      popstores: { servers: hostOf.pop3[0], hosts: ['127.0.0.1'], tls: 'notls', admin },
    },
    directory: {
      type: 'ldap',
      defaultDomain: 'siroe.com',
      ldap: { urls: [slapd.url], adminGroup: `cn=Administrators,${groups}` },
    },
    penalties: { remembered: 0 },
  },
});
after(async () => {
  await front.stop();
  await Promise.all([one.stop(), two.stop(), slapd.remove()]);
  rmSync(folder, { recursive: true, force: true });
});

const SCRIPT = `
import imaplib, ssl, sys
host, port, ca, authzid, user, password = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
session = imaplib.IMAP4_SSL(host, int(port), ssl_context=context)
try:
    session.authenticate('PLAIN', lambda _: '\\0'.join((authzid, user, password)).encode())
except imaplib.IMAP4.error as error:
    print('NO', error)
    session.logout()
    sys.exit()
session.select()
print(session.fetch('1', '(BODY[HEADER.FIELDS (SUBJECT)])')[1][0][1].decode().strip())
session.logout()
`;

interface Try {
  readonly service?: 'imaps' | 'passing';
  readonly host?: string;
}

/** The subject of the mail that is there, or `NO …`. */
async function python(
  login: readonly [authzid: string, user: string, password: string],
  how: Try = {},
): Promise<string> {
  const { service: name = 'imaps', host = '127.0.0.1' } = how;
  const args = ['-c', SCRIPT, host, String(front.port(name)), authority.caFile, ...login];
  const { code, text } = await run('python3', args);
  assert.equal(code, 0, text);
  return text.trim();
}

/** Logins that a store has heard of, right or wrong; a look at what it offers is none. */
function attempts(dovecot: Dovecot): number {
  return [...dovecot.logText().matchAll(/user=<[^>]+>|auth failed|unknown user|mismatch/gi)].length;
}

const WRONG = /^NO .*AUTHENTICATIONFAILED/;
const NOT_ALLOWED = /^NO .*AUTHORIZATIONFAILED/;

test('Python: the administrator of the store, a member of the group and one of the domain get to the mailbox of the user', async () => {
  assert.equal(await python(['joe', 'mmpstore', 'of the stores']), 'Subject: mail of joe');
  assert.equal(await python(['joe', 'boss', PASSWORD]), 'Subject: mail of joe');
  assert.equal(await python(['hugo@yoyo.com', 'boss', PASSWORD]), 'Subject: mail of hugo@yoyo.com');
  assert.equal(await python(['joe', 'manager', PASSWORD]), 'Subject: mail of joe');
  const line = await front.waitForLog(
    ({ event, admin }) => event === 'login-as' && admin === 'manager@siroe.com',
  );
  assert.equal(line['as'], 'joe@siroe.com');
  const closed = await front.waitForLog(
    ({ event, admin }) => event === 'closed' && admin === 'manager@siroe.com',
  );
  assert.deepEqual([closed['user'], closed['backend']], ['joe@siroe.com', hostOf.imap[0]]);
  assert.match(one.logText(), /user=<joe>/);
});

test('Python: nobody else does, each in its words, and no store hears of it', async () => {
  const before = [attempts(one), attempts(two)];
  assert.match(await python(['joe', 'mmpstore', 'guess']), WRONG);
  assert.match(await python(['joe', 'boss', 'guess']), WRONG);
  assert.match(await python(['hugo@yoyo.com', 'manager', PASSWORD]), NOT_ALLOWED);
  assert.match(await python(['boss', 'joe', PASSWORD]), NOT_ALLOWED);
  assert.match(await python(['joe', 'retired', PASSWORD]), NOT_ALLOWED);
  assert.match(await python(['joe', 'nemo', PASSWORD]), WRONG);
  assert.match(await python(['nemo', 'mmpstore', 'of the stores']), WRONG);
  assert.match(await python(['nemo', 'boss', PASSWORD]), WRONG);
  assert.deepEqual([attempts(one), attempts(two)], before);
  // And for themselves all of them do.
  assert.equal(await python(['', 'joe', PASSWORD]), 'Subject: mail of joe');
  assert.equal(await python(['joe', 'joe', PASSWORD]), 'Subject: mail of joe');
});

test('Python: at another address of ours another administrator counts, and no group', async () => {
  const host = '127.0.0.2';
  assert.equal(await python(['hugo', 'yoyoadmin', 'of yoyo'], { host }), 'Subject: mail of hugo@yoyo.com');
  assert.match(await python(['hugo', 'mmpstore', 'of the stores'], { host }), WRONG);
  assert.match(await python(['hugo', 'boss@siroe.com', PASSWORD], { host }), WRONG);
  assert.match(await python(['hugo@yoyo.com', 'yoyoadmin', 'of yoyo']), WRONG);
  assert.match(two.logText(), /user=<hugo@yoyo\.com>/);
});

test("where the stores judge, a master user gets to the user's store and to no other", async () => {
  const before = attempts(two);
  assert.equal(
    await python(['joe', 'master', 'of a master'], { service: 'passing' }),
    'Subject: mail of joe',
  );
  assert.match(await python(['joe', 'master', 'guess'], { service: 'passing' }), WRONG);
  assert.match(await python(['joe', 'boss', PASSWORD], { service: 'passing' }), WRONG);
  assert.match(await python(['nemo', 'master', 'of a master'], { service: 'passing' }), WRONG);
  // yoyoadmin is a master of the second store, where joe's mail is not.
  assert.match(await python(['joe', 'yoyoadmin', 'of yoyo'], { service: 'passing' }), WRONG);
  assert.equal(attempts(two), before);
  assert.equal(
    await python(['hugo@yoyo.com', 'yoyoadmin', 'of yoyo'], { service: 'passing' }),
    'Subject: mail of hugo@yoyo.com',
  );
});

for (const [name, path] of [
  ['imaps', 'INBOX;MAILINDEX=1'],
  ['pop3s', '1'],
] as const) {
  test(`curl --sasl-authzid reads the mail of the user by ${name}`, async () => {
    const read = async (login: string, authzid: string): Promise<string> => {
      const { stdout, text } = await run('curl', [
        '--silent',
        '--show-error',
        '--max-time',
        '30',
        '--cacert',
        authority.caFile,
        '--user',
        login,
        '--login-options',
        'AUTH=PLAIN',
        '--sasl-authzid',
        authzid,
        `${name}://127.0.0.1:${front.port(name)}/${path}`,
      ]);
      return stdout.length > 0 ? stdout.toString() : text;
    };
    assert.match(await read(`boss:${PASSWORD}`, 'joe'), /Subject: mail of joe\r\n/);
    assert.match(await read('mmpstore:of the stores', 'joe'), /Subject: mail of joe\r\n/);
    assert.match(await read(`boss:${PASSWORD}`, 'hugo@yoyo.com'), /Subject: mail of hugo@yoyo\.com\r\n/);
    assert.match(await read(`joe:${PASSWORD}`, 'boss'), /curl: \(67\)/);
  });
}

test('no password of anybody is in the log', () => {
  assert.doesNotMatch(JSON.stringify(front.log()), /of the stores|of yoyo|of a master|a secret of joe/);
});
