import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  accountOf,
  type AccountRules,
  statusOf,
  wantedAttributes,
} from '../../../src/identity/ldap/account.ts';
import type { Domain } from '../../../src/identity/ldap/domains.ts';
import type { LoginFacts } from '../../../src/identity/substitution.ts';
import { parseReplayTemplate } from '../../../src/wire/login-template.ts';

for (const [given, expected] of [
  [[], 'active'],
  [[undefined, undefined, 'active', 'Active'], 'active'],
  [['active', 'active', 'active', 'hold'], 'hold'],
  [['active', 'hold', 'inactive', 'active'], 'hold'],
  [['inactive', 'hold'], 'inactive'],
  [['deleted'], 'inactive'],
  [[undefined, undefined, undefined, 'removed'], 'inactive'],
  [[undefined, undefined, undefined, 'disabled'], 'inactive'],
  [[undefined, undefined, undefined, 'overquota'], 'active'],
  [[undefined, 'overquota', 'deleted'], 'inactive'],
  [[undefined, undefined, undefined, 'defer'], 'hold'],
  [['what is this'], 'inactive'],
] as const) {
  test(`${given.join(', ') || 'nothing'} is ${expected}`, () => assert.equal(statusOf(given), expected));
}

function rules(changes: Partial<AccountRules> = {}, replay = '%U'): AccountRules {
  const read = parseReplayTemplate(replay);
  assert.ok('pieces' in read);
  return {
    mailHostAttrs: ['mailHost'],
    accessAttr: 'mailAllowedServiceAccess',
    replayFormat: read.pieces,
    ...changes,
  };
}

const FACTS: LoginFacts = {
  original: 'JOE@Siroe.com',
  userId: 'JOE',
  domain: 'siroe.com',
  delimiter: '@',
  clientAddress: '',
  serverAddress: '',
  certificateSubject: '',
};

const DOMAIN: Domain = {
  name: 'siroe.com',
  usersBase: 'o=siroe.com',
  filter: null,
  replay: null,
  preAuth: true,
  mailHosts: ['store9'],
  access: ['+imap:*'],
  status: [undefined, undefined],
};

function account(
  attributes: Record<string, string[]>,
  given: AccountRules = rules(),
  domain: Domain | null = DOMAIN,
) {
  const entry = { dn: 'uid=joe,o=x', attributes: new Map(Object.entries(attributes)), binary: new Map() };
  return accountOf({ entry, domain, facts: FACTS }, given);
}

test('an entry is an account, called by its uid in the name of its domain', () => {
  const given = {
    uid: ['other', 'joe'],
    mail: ['joe@x.com'],
    mailalternateaddress: ['j@x.com'],
    mailhost: [' store1 '],
  };
  assert.deepEqual(account({ ...given, userpassword: ['{SSHA}x'], mailallowedserviceaccess: ['+pop:*'] }), {
    user: 'joe@siroe.com',
    replay: 'JOE',
    backend: null,
    hosts: ['store1'],
    preAuth: true,
    access: ['+imap:*', '+pop:*'],
    status: 'active',
    mail: ['joe@x.com', 'j@x.com'],
    attributes: { ...given, mailallowedserviceaccess: ['+pop:*'] },
    secrets: ['{SSHA}x'],
  });
});

test('the first attribute that names a host counts, then the domain, then nobody', () => {
  const two = rules({ mailHostAttrs: ['mailRoutingHost', 'mailHost'] });
  const hosts = (attributes: Record<string, string[]>, domain: Domain | null = DOMAIN): unknown => {
    const made = account(attributes, two, domain);
    return 'hosts' in made ? made.hosts : made.problem;
  };
  assert.deepEqual(hosts({ mailroutinghost: ['a', 'b'], mailhost: ['c'] }), ['a', 'b']);
  assert.deepEqual(hosts({ mailroutinghost: [' '], mailhost: ['c:1143'] }), ['c:1143']);
  assert.deepEqual(hosts({}), ['store9']);
  assert.deepEqual(hosts({}, null), []);
  assert.deepEqual(hosts({ mailhost: ['2001:db8::1'] }), ['2001:db8::1']);
  assert.equal(hosts({ mailhost: ['a b; rm'] }), 'the mail host "a b; rm" is no host');
});

test('without an attribute for rules users have none of their own', () => {
  const made = account({ mailallowedserviceaccess: ['+pop:*'] }, rules({ accessAttr: null }));
  assert.deepEqual('access' in made && made.access, ['+imap:*']);
});

test('what is asked for is what is needed, passwords where they are compared', () => {
  const asked = wantedAttributes(rules(), { replay: ['sn'], withPasswords: false });
  assert.ok(asked.includes('sn') && asked.includes('mailhost') && !asked.includes('userpassword'));
  assert.ok(wantedAttributes(rules(), { replay: [], withPasswords: true }).includes('userpassword'));
});

test('what is replayed is the uid where only the directory takes it for what was typed', () => {
  for (const [uid, replay] of [
    ['\uff2aoe', '\uff2aoe'],
    ['j\u00f6e', 'j\u00f6e'],
    ['joe ', 'joe '],
    // As it was typed: letter case, and a uid that was not searched for.
    ['joe', 'JOE'],
    ['jsmith', 'JOE'],
  ] as const) {
    const found = account({ uid: ['other', uid] });
    assert.equal('replay' in found && found.replay, replay, uid);
  }
});

test('in one flat tree the uid is the user whatever domain was typed behind it, and without one the name at the store', () => {
  const names = [{ uid: ['joe'] }, {}].map((attributes) => account(attributes, rules({}, '%s'), null));
  assert.deepEqual(
    names.map((made) => 'user' in made && made.user),
    ['joe', 'JOE@siroe.com'],
  );
});

test('passwords are those of userPassword, and of authPassword only keys of SCRAM: the rest would look like a password', () => {
  const keys = `SCRAM-SHA-256$4096:c2FsdA==$${'A'.repeat(43)}=:${'A'.repeat(43)}=`;
  const found = account({
    uid: ['joe'],
    userpassword: ['{SSHA}x', 'plain'],
    authpassword: ['SHA1 $ c2FsdA== $ aGFzaA==', keys, 'MD5$c2FsdA==$aGFzaA=='],
  });
  assert.ok(!('problem' in found));
  assert.deepEqual(found.secrets, ['{SSHA}x', 'plain', keys]);
  assert.deepEqual(Object.keys(found.attributes), ['uid']);
  const asked = wantedAttributes(rules(), { replay: [], withPasswords: true });
  assert.ok(asked.includes('userpassword') && asked.includes('authpassword'));
  assert.ok(!wantedAttributes(rules(), { replay: [], withPasswords: false }).join(' ').includes('password'));
});
