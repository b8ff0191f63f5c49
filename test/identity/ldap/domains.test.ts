import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GateError } from '../../../src/errors.ts';
import { type LdapEntry, LdapFailure, type LdapSearch } from '../../../src/identity/ldap/connection.ts';
import { LdapDomains } from '../../../src/identity/ldap/domains.ts';
import { createLog } from '../../../src/log.ts';
import { filterText } from '../../../src/wire/ldap-filter.ts';
import { manualWorld } from '../../support/manual-world.ts';

type Tree = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** `entries` by name; a search below finds by sunPreferredDomain and associatedDomain. */
function rig(entries: Tree, schema: 1 | 2 = 1, max = 100) {
  const world = manualWorld();
  const searches: string[] = [];
  let isDown = false;
  const made = ([dn, given]: [string, Readonly<Record<string, string>>]): LdapEntry => ({
    dn,
    attributes: new Map(Object.entries(given).map(([name, value]) => [name.toLowerCase(), [value]])),
    binary: new Map(),
  });
  const search = async ({ base, scope, filter }: LdapSearch): Promise<readonly LdapEntry[]> => {
    searches.push(`${scope} ${base}`);
    await Promise.resolve();
    if (isDown) throw new LdapFailure('server', 'down');
    if (scope === 'sub') {
      const text = filterText(filter);
      return Object.entries(entries)
        .map(made)
        .filter(({ attributes }) =>
          ['sunPreferredDomain', 'associatedDomain'].some((name) =>
            text.includes(`(${name}=${attributes.get(name.toLowerCase())?.[0]})`),
          ),
        );
    }
    const found = entries[base];
    if (found === undefined) throw new LdapFailure('missing', 'result code 32');
    return [made([base, found])];
  };
  const log = createLog({ level: 'error', format: 'text' });
  const options = { search, schema, base: 'o=internet', ttlMs: 1000, missTtlMs: 100, max, world, log };
  return {
    domains: new LdapDomains(options),
    world,
    searches,
    down: (value: 'down' | 'up') => (isDown = value === 'down'),
  };
}

const SIROE: Tree = {
  'dc=siroe,dc=com,o=internet': {
    inetDomainBaseDN: 'o=siroe',
    inetDomainStatus: 'active',
    mailDomainStatus: 'hold',
  },
  'o=siroe': { inetDomainStatus: 'inactive' },
  'dc=alias,dc=com,o=internet': { aliasedObjectName: 'dc=siroe,dc=com,o=internet' },
  'dc=twice,dc=com,o=internet': { aliasedObjectName: 'dc=alias,dc=com,o=internet' },
  'dc=index,dc=com,o=internet': { inetDomainBaseDN: 'o=siroe', inetCanonicalDomainName: 'Siroe.com' },
  'dc=com,o=internet': {},
};

test('the dc entry says where the users are; the organisation has the last word about its status', async () => {
  const domain = await rig(SIROE).domains.find('Siroe.COM');
  assert.equal(domain?.name, 'siroe.com');
  assert.equal(domain?.usersBase, 'o=siroe');
  assert.deepEqual(domain?.status, ['inactive', 'hold']);
});

test('an alias is followed once, and is called by the name that it stands for', async () => {
  const { domains } = rig(SIROE);
  assert.equal((await domains.find('alias.com'))?.name, 'siroe.com');
  assert.equal((await domains.find('index.com'))?.name, 'siroe.com');
  assert.equal(await domains.find('twice.com'), null);
});

test('what is no domain is not searched for, what is none in the tree is not there', async () => {
  const { domains, searches } = rig(SIROE);
  for (const name of ['', 'a..b', '.com', 'com.', `${'x'.repeat(300)}.com`])
    assert.equal(await domains.find(name), null);
  assert.equal(searches.length, 0);
  assert.equal(await domains.find('nowhere.com'), null);
  assert.equal(await domains.find('com'), null);
  assert.equal(await domains.find('a,o=siroe'), null);
  assert.ok(searches.includes(String.raw`base dc=a\,o\=siroe,o=internet`));
});

test('a hundred who ask at once make one search, and the answer is kept for its time', async () => {
  const { domains, searches, world } = rig(SIROE);
  await Promise.all(Array.from({ length: 100 }, () => domains.find('siroe.com')));
  assert.equal(searches.length, 2);
  world.advance(999);
  await domains.find('siroe.com');
  assert.equal(searches.length, 2);
  world.advance(1);
  await domains.find('siroe.com');
  assert.equal(searches.length, 4);
});

test('that there is none is kept for a shorter time, a failure not at all', async () => {
  const { domains, searches, world, down } = rig(SIROE);
  await domains.find('nowhere.com');
  await domains.find('nowhere.com');
  assert.equal(searches.length, 1);
  world.advance(100);
  await domains.find('nowhere.com');
  assert.equal(searches.length, 2);
  down('down');
  await assert.rejects(domains.find('siroe.com'), /down/);
  down('up');
  assert.equal((await domains.find('siroe.com'))?.usersBase, 'o=siroe');
});

test('no more domains are kept than there is room for', async () => {
  const { domains, searches } = rig(SIROE, 1, 2);
  for (const name of ['siroe.com', 'a.com', 'b.com']) await domains.find(name);
  searches.length = 0;
  await domains.find('siroe.com');
  assert.equal(searches.length, 2);
});

const ORGANISATIONS: Tree = {
  'o=siroe': { sunPreferredDomain: 'siroe.com', associatedDomain: 'siroe.net', mailAccessProxyPreAuth: 'No' },
  'o=index': {
    sunPreferredDomain: 'index.com',
    inetDomainBaseDN: 'o=siroe',
    mailAccessProxyPreAuth: 'perhaps',
  },
  'o=a': { sunPreferredDomain: 'twice.com' },
  'o=b': { associatedDomain: 'twice.com' },
  'o=bad': { sunPreferredDomain: 'bad.com', mailAccessProxyReplay: '%C' },
};

test('in schema 2 the organisation is the base, unless it names another', async () => {
  const { domains } = rig(ORGANISATIONS, 2);
  const [preferred, associated, index] = await Promise.all(
    ['siroe.com', 'siroe.net', 'index.com'].map((name) => domains.find(name)),
  );
  assert.deepEqual(
    [preferred?.usersBase, preferred?.name, preferred?.preAuth],
    ['o=siroe', 'siroe.com', false],
  );
  assert.equal(associated?.name, 'siroe.com');
  // What cannot be understood is no way around the check.
  assert.deepEqual([index?.usersBase, index?.preAuth], ['o=siroe', true]);
});

test('a domain of two organisations is nobody’s, and both are named', async () => {
  await assert.rejects(rig(ORGANISATIONS, 2).domains.find('twice.com'), (error) => {
    assert.ok(error instanceof GateError && error.code === 'DIRECTORY_AMBIGUOUS');
    return /o=a \| o=b/.test(error.message);
  });
});

test('a template of a domain that cannot be understood is a failure that names it', async () => {
  await assert.rejects(rig(ORGANISATIONS, 2).domains.find('bad.com'), /mailAccessProxyReplay/);
});
