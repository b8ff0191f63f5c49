// Who may log in for others, by groups of a real slapd: named members in both kinds of groups, members by a URL, and the
// administrators of one domain.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import type { Account } from '../../src/identity/directory.ts';
import type { LdapDirectory } from '../../src/identity/ldap/directory.ts';
import {
  COM,
  dcDomain,
  entry,
  loginOf,
  openDirectory,
  organisation,
  server,
  user,
} from '../support/ldap-site.ts';
import { type Slapd, startSlapd } from '../support/slapd.ts';

const SIROE = 'ou=People,o=siroe.com,o=internet';
const YOYO = 'ou=People,o=yoyo.com,o=internet';
const GROUPS = 'ou=Groups,o=siroe.com,o=internet';
const SUB = 'o=sub.com,o=siroe.com,o=internet';
const ROLE = { mailAdminRole: 'storeAdmin' };

function groupOf(
  cn: string,
  members: readonly string[],
  more: Readonly<Record<string, string>> = {},
): string {
  return entry(`cn=${cn},${GROUPS}`, ['groupOfUniqueNames', 'inetMailAdministrator'], {
    cn,
    uniqueMember: members,
    ...more,
  });
}

const DATA = [
  COM,
  dcDomain('siroe.com'),
  organisation('siroe.com'),
  dcDomain('yoyo.com'),
  organisation('yoyo.com'),
  entry(GROUPS, ['organizationalUnit'], { ou: 'Groups' }),
  ...['root', 'helper', 'urls', 'j,oe (x)*', 'manager', 'former', 'joe'].map((uid) => user(uid, SIROE)),
  user('hugo', YOYO),
  user('urls', YOYO),
  entry(`cn=unique,${GROUPS}`, ['groupOfUniqueNames'], {
    cn: 'unique',
    uniqueMember: [`uid=root,${SIROE}`, `uid=j\\,oe (x)*,${SIROE}`, `uid=hugo,${YOYO}`],
  }),
  entry(`cn=plain,${GROUPS}`, ['groupOfNames'], { cn: 'plain', member: [`UID=helper, ${SIROE}`] }),
  entry(`cn=dynamic,${GROUPS}`, ['groupOfURLs'], {
    cn: 'dynamic',
    memberURL: [
      'nonsense',
      `ldap:///${encodeURI(SIROE)}??one?(&(objectClass=inetOrgPerson)(uid=%75rls))`,
      `ldap:///${encodeURI(SIROE)}??sub?(uid=broken`,
    ],
  }),
  groupOf('Domain Administrators', [`uid=manager,${SIROE}`], ROLE),
  groupOf('Former Administrators', [`uid=former,${SIROE}`]),
  // A domain whose organisation is below another domain's.
  entry(`dc=sub,dc=com,o=internet`, ['domain', 'inetDomain', 'mailDomain', 'inetDomainAuthInfo'], {
    dc: 'sub',
    inetDomainBaseDN: SUB,
  }),
  entry(SUB, ['organization'], { o: 'sub.com' }),
  entry(`ou=Groups,${SUB}`, ['organizationalUnit'], { ou: 'Groups' }),
  user('submanager', SUB),
  user('subjoe', SUB),
  entry(`cn=Domain Administrators,ou=Groups,${SUB}`, ['groupOfUniqueNames', 'inetMailAdministrator'], {
    cn: 'Domain Administrators',
    uniqueMember: `uid=submanager,${SUB}`,
    ...ROLE,
  }),
].join('');

let slapd: Slapd;
before(async () => {
  slapd = await startSlapd({ ldif: DATA });
});
after(() => slapd.remove());

async function accountOf(directory: LdapDirectory, id: string): Promise<Account> {
  const answer = await directory.find(loginOf(id), null);
  return answer.kind === 'account' ? answer.account : assert.fail(JSON.stringify(answer));
}

const ROWS: readonly (readonly [
  group: string | null,
  admin: string,
  target: string | null,
  expected: boolean,
])[] = [
  ['unique', 'root@siroe.com', 'hugo@yoyo.com', true],
  ['unique', 'root@siroe.com', null, true],
  ['unique', 'j,oe (x)*@siroe.com', 'joe@siroe.com', true],
  ['unique', 'hugo@yoyo.com', 'joe@siroe.com', true],
  ['unique', 'helper@siroe.com', 'joe@siroe.com', false],
  ['plain', 'helper@siroe.com', 'joe@siroe.com', true],
  ['plain', 'root@siroe.com', 'joe@siroe.com', false],
  ['dynamic', 'urls@siroe.com', 'hugo@yoyo.com', true],
  ['dynamic', 'urls@yoyo.com', 'hugo@yoyo.com', false],
  ['dynamic', 'root@siroe.com', 'joe@siroe.com', false],
  ['missing', 'root@siroe.com', 'joe@siroe.com', false],
  [null, 'root@siroe.com', 'joe@siroe.com', false],
  [null, 'manager@siroe.com', 'joe@siroe.com', true],
  ['missing', 'manager@siroe.com', 'joe@siroe.com', true],
  [null, 'manager@siroe.com', 'hugo@yoyo.com', false],
  [null, 'manager@siroe.com', null, false],
  [null, 'former@siroe.com', 'joe@siroe.com', false],
  [null, 'joe@siroe.com', 'joe@siroe.com', false],
  [null, 'submanager@sub.com', 'subjoe@sub.com', true],
  [null, 'submanager@sub.com', 'joe@siroe.com', false],
];

for (const [group, admin, target, expected] of ROWS) {
  test(`adminGroup ${group ?? 'none'}: ${admin} for ${target ?? 'nobody'}: ${expected ? 'may' : 'may not'}`, async () => {
    const adminGroup = group === null ? null : `cn=${group},${GROUPS}`;
    const { directory } = openDirectory({ settings: { servers: [server(slapd.port)], adminGroup } });
    try {
      const account = await accountOf(directory, admin);
      const of = target === null ? null : await accountOf(directory, target);
      assert.equal(await directory.isAdministrator({ account, target: of }), expected);
    } finally {
      directory.close();
    }
  });
}

test('a group that cannot be asked for is a directory that is down, and nobody is let in', async () => {
  const { directory } = openDirectory({
    settings: { servers: [server(slapd.port)], adminGroup: `cn=unique,${GROUPS}`, timeoutMs: 1000 },
  });
  try {
    const account = await accountOf(directory, 'root@siroe.com');
    await slapd.stop();
    await assert.rejects(directory.isAdministrator({ account, target: null }), { code: 'DIRECTORY_DOWN' });
  } finally {
    directory.close();
    await slapd.start();
  }
});
