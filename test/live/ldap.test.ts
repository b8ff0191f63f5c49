// The directory in LDAP against a real slapd with Sun's mail schema.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import type { Account, Login } from '../../src/identity/directory.ts';
import { DATA, ODD, SIROE } from '../support/ldap-data.ts';
import { loginOf, openDirectory, PASSWORD, type RigOptions, server } from '../support/ldap-site.ts';
import { ADMIN, type Slapd, startSlapd } from '../support/slapd.ts';

let slapd: Slapd;
before(async () => {
  slapd = await startSlapd({ ldif: DATA });
});
after(() => slapd.remove());

async function find(options: Partial<RigOptions>, id: string | Login, password: string | null = null) {
  const { settings, ...rest } = options;
  const { directory } = openDirectory({ ...rest, settings: { servers: [server(slapd.port)], ...settings } });
  try {
    return await directory.find(typeof id === 'string' ? loginOf(id) : id, password);
  } finally {
    directory.close();
  }
}

async function accountOf(options: Partial<RigOptions>, id: string | Login): Promise<Account> {
  const answer = await find(options, id);
  assert.equal(answer.kind, 'account', JSON.stringify(answer));
  return answer.kind === 'account' ? answer.account : assert.fail();
}

const flat = { hostedDomains: false } as const;

describe('substitutions in filters', () => {
  const rows: readonly [format: string, id: string | Login, user: string][] = [
    ['(uid=%s)', 'flat@siroe.com', 'flat@siroe.com'],
    ['(uid=%U)', 'joe@siroe.com', 'joe'],
    ['(&(uid=john_%V)(sn=%U_%V))', 'john@siroe.com', 'john_siroe.com'],
    ['uid=%U_%V', 'john@siroe.com', 'john_siroe.com'],
    ['(mail=%o)', 'joe@x.com', 'joe'],
    ['(&(uid=%U)(loginAddress=%C))', 'anna@siroe.com', 'anna'],
    ['(&(uid=%U)(empID=%S))', 'anna@siroe.com', 'anna'],
    ['(certSubjectDN=%D)', loginOf('x@siroe.com', { certificateSubject: 'CN=Certain,O=Siroe' }), 'certain'],
  ];
  for (const [searchFormat, id, expected] of rows) {
    test(`${searchFormat} finds ${expected}`, async () => {
      const account = await accountOf({ settings: { ...flat, searchFormat } }, id);
      assert.equal(account.user, expected);
    });
  }

  test('the address of another client finds nobody', async () => {
    const login = loginOf('anna@siroe.com', { client: { address: '203.0.113.8', port: 1 } });
    const settings = { ...flat, searchFormat: '(&(uid=%U)(loginAddress=%C))' };
    assert.deepEqual(await find({ settings }, login), { kind: 'nobody' });
  });

  test('the subject of a certificate that nobody showed finds nobody', async () => {
    const settings = { ...flat, searchFormat: '(certSubjectDN=%D)' };
    assert.deepEqual(await find({ settings }, 'x@siroe.com'), { kind: 'nobody' });
  });
});

describe('names replayed to the store', () => {
  test('%A[uid]@%V is joe@siroe.com', async () => {
    const { replay } = await accountOf({ settings: { replayFormat: '%A[uid]@%V' } }, 'joe@siroe.com');
    assert.equal(replay, 'joe@siroe.com');
  });

  test('%U, what is replayed if nothing is said, is joe', async () => {
    assert.equal((await accountOf({}, 'joe@siroe.com')).replay, 'joe');
  });

  test('wide letters and blanks, by which the entry is found, are not replayed', async () => {
    for (const typed of ['\uff4aoe', 'joe ', ' joe', 'joe'])
      assert.equal((await accountOf({}, `${typed}@siroe.com`)).replay, 'joe', typed);
    assert.equal((await accountOf({}, 'JOE@siroe.com')).replay, 'JOE');
  });

  test('mailAccessProxyReplay %U@%V of a domain makes hugo at the address of yoyo.com hugo@yoyo.com', async () => {
    assert.equal((await accountOf({ defaultDomain: 'yoyo.com' }, 'hugo')).replay, 'hugo@yoyo.com');
  });

  test('mailAccessProxyReplay %U@%V of a domain makes hugo+yoyo.com hugo@yoyo.com', async () => {
    assert.equal((await accountOf({ delimiters: '+' }, 'hugo+yoyo.com')).replay, 'hugo@yoyo.com');
  });

  test('hugo+yoyo.com is replayed as it came with %o, and with %s where + is the canonical delimiter', async () => {
    const rules = { delimiters: '+', canonicalDelimiter: '+' };
    for (const replayFormat of ['%o', '%s']) {
      const { replay } = await accountOf({ ...rules, settings: { replayFormat } }, 'joe+siroe.com');
      assert.equal(replay, 'joe+siroe.com');
    }
  });

  test('%[sn], as the schema spells it, is the surname', async () => {
    assert.equal((await accountOf({}, 'john@compound.com')).replay, 'Smith');
  });

  test('an attribute that is not there refuses for the moment, and the log says which', async () => {
    const { directory, events } = openDirectory({
      settings: { servers: [server(slapd.port)], replayFormat: '%A[telexNumber]' },
    });
    const answer = await directory.find(loginOf('joe@siroe.com'), null);
    assert.ok(answer.kind === 'refused' && answer.temporary);
    assert.match(events.join(''), /no attribute telexnumber/);
    directory.close();
  });
});

describe('hosted domains', () => {
  test('a domain and its user are found by the tree of dc entries', async () => {
    const account = await accountOf({}, 'joe@siroe.com');
    assert.equal(account.user, 'joe@siroe.com');
    assert.deepEqual(account.hosts, ['store1.siroe.com']);
    assert.deepEqual(account.mail, ['joe@x.com']);
    assert.equal(account.status, 'active');
  });

  test('in schema 2 by sunPreferredDomain and by associatedDomain, both are one user', async () => {
    for (const id of ['joe@siroe.com', 'joe@SIROE.net']) {
      const account = await accountOf({ settings: { schema: 2, userGroupBase: 'o=internet' } }, id);
      assert.equal(account.user, 'joe@siroe.com');
    }
  });

  test('an alias of a domain leads to it', async () => {
    assert.equal((await accountOf({}, 'joe@alias.com')).user, 'joe@siroe.com');
  });

  test('inetDomainSearchFilter finds the user, who is called by the uid', async () => {
    assert.equal((await accountOf({}, '0815@badge.com')).user, 'erna@badge.com');
  });

  test('an unknown domain, an unknown user and a name without domain are nobody', async () => {
    for (const id of ['joe@nowhere.com', 'nemo@siroe.com', 'joe', 'joe@siroe..com', '@siroe.com', 'joe@'])
      assert.deepEqual(await find({}, id), { kind: 'nobody' }, id);
  });

  test('a filter of a domain that cannot be understood is a failure, not nobody', async () => {
    await assert.rejects(find({}, 'otto@broken.com'), { code: 'DIRECTORY_DOWN' });
  });

  test('preferredMailHost is the host of who has none', async () => {
    assert.deepEqual((await accountOf({}, 'otto@moving.com')).hosts, ['store9.moving.com']);
  });

  test('mailSMTPSubmitChannel is the channel of the mail of who has it', async () => {
    assert.equal((await accountOf({}, 'joe@siroe.com')).channel, 'tcp_bank');
    assert.equal((await accountOf({}, 'full@siroe.com')).channel, undefined);
  });

  test('the first of mailHostAttrs that is there counts', async () => {
    const settings = { mailHostAttrs: ['mailRoutingHost', 'empID', 'mailHost'] };
    assert.deepEqual((await accountOf({ settings }, 'joe@siroe.com')).hosts, ['4711']);
    assert.deepEqual((await accountOf({ settings }, 'full@siroe.com')).hosts, ['store1.siroe.com']);
  });

  test('rules of the domain and of the user both come along, and whether passwords are checked here', async () => {
    const account = await accountOf({}, 'otto@rules.com');
    assert.deepEqual(account.access, ['+imap:*', '-pop:*']);
    assert.equal(account.preAuth, false);
    assert.deepEqual((await accountOf({}, 'guarded@siroe.com')).access, ['+imaps:*']);
  });

  const statuses: readonly [id: string, status: string][] = [
    ['held@siroe.com', 'hold'],
    ['gone@siroe.com', 'inactive'],
    ['off@siroe.com', 'inactive'],
    ['full@siroe.com', 'active'],
    ['otto@closed.com', 'inactive'],
    ['otto@moving.com', 'hold'],
  ];
  for (const [id, status] of statuses) {
    test(`${id} is ${status}`, async () => {
      assert.equal((await accountOf({}, id)).status, status);
    });
  }

  test('two entries for one name are an error that names both', async () => {
    await assert.rejects(find({}, 'twin@siroe.com'), (error: Error) => {
      assert.match(error.message, /uid=twin,.*cn=other twin,/);
      return 'code' in error && error.code === 'DIRECTORY_AMBIGUOUS';
    });
  });

  for (const uid of ODD) {
    const isThere = ODD.indexOf(uid) >= 3;
    test(`${uid} is ${isThere ? 'the user of that name' : 'nobody'}`, async () => {
      const answer = await find({}, `${uid}@siroe.com`);
      if (!isThere) assert.deepEqual(answer, { kind: 'nobody' });
      else assert.equal(answer.kind === 'account' ? answer.account.user : '', `${uid}@siroe.com`);
    });
  }

  test('names with NUL, line breaks or a thousand characters are nobody, and logged', async () => {
    const { directory, events } = openDirectory({ settings: { servers: [server(slapd.port)] } });
    for (const id of ['joe\0@siroe.com', 'joe\r\n@siroe.com', `${'j'.repeat(1000)}@siroe.com`, ''])
      assert.deepEqual(await directory.find(loginOf(id), null), { kind: 'nobody' });
    assert.equal(events.filter((line) => line.includes('login name refused')).length, 4);
    directory.close();
  });
});

describe('passwords', () => {
  test('right, wrong and empty', async () => {
    const proofs: unknown[] = [];
    for (const password of [PASSWORD, 'another', '', `${PASSWORD}\0`]) {
      const answer = await find({}, 'joe@siroe.com', password);
      proofs.push(answer.kind === 'account' ? answer.proof : answer);
    }
    assert.deepEqual(proofs, ['right', 'wrong', 'wrong', 'wrong']);
  });

  test('of a domain that has them checked by its store nothing is said', async () => {
    const answer = await find({}, 'otto@rules.com', PASSWORD);
    assert.ok(answer.kind === 'account' && answer.proof === null);
  });

  test('one search serves several passwords', async () => {
    const { directory } = openDirectory({ settings: { servers: [server(slapd.port)] } });
    const login = loginOf('joe@siroe.com');
    const answer = await directory.find(login, null);
    assert.ok(answer.kind === 'account' && answer.proof === null && answer.account.secrets.length === 0);
    assert.equal(await directory.prove?.(login, answer.account, 'no'), 'wrong');
    assert.equal(await directory.prove?.(login, answer.account, PASSWORD), 'right');
    directory.close();
  });

  test('to compare them the entry is read as bindDn, who may', async () => {
    const options = {
      settings: { passwords: 'compare', bindDn: 'cn=proxy,o=internet' },
      source: { bindPassword: 'of the proxy' },
    } as const;
    const account = await accountOf(options, 'joe@siroe.com');
    assert.deepEqual(account.secrets, [PASSWORD]);
    assert.equal(JSON.stringify(account.attributes).includes(PASSWORD), false);
    assert.deepEqual((await accountOf({ settings: { passwords: 'compare' } }, 'joe@siroe.com')).secrets, []);
  });

  test('a wrong password of bindDn is a failure, not nobody', async () => {
    const options = { settings: { bindDn: ADMIN.dn }, source: { bindPassword: 'wrong' } };
    await assert.rejects(find(options, 'joe@siroe.com'), { code: 'DIRECTORY_DOWN' });
  });
});

test('names that are searched for alike are one spelling, and no others', () => {
  const spelling = (id: string, settings: RigOptions['settings'] = {}): string => {
    const rig = openDirectory({ defaultDomain: 'siroe.com', settings });
    rig.directory.close();
    return rig.directory.spelling(loginOf(id)).toLowerCase();
  };
  for (const id of ['joe@siroe.com', 'JOE@Siroe.Com', ' joe', 'joe @siroe.com']) {
    assert.equal(spelling(id), spelling('joe'), id);
  }
  assert.notEqual(spelling('joe@yoyo.com'), spelling('joe'));
  assert.notEqual(spelling('j oe'), spelling('joe'));
  const byUser = { ...flat, searchFormat: '(uid=%U)' };
  assert.equal(spelling('joe@yoyo.com', byUser), spelling('joe', byUser));
  assert.notEqual(spelling('joe@yoyo.com', flat), spelling('joe', flat));
  const byAddress = { ...flat, searchFormat: '(&(uid=%U)(loginAddress=%C))' };
  assert.notEqual(spelling('joe', byAddress), spelling('anna', byAddress));
});

describe('accounts of entries that a certificate stands for', () => {
  const at = async (dn: string, settings: RigOptions['settings'] = {}, defaultDomain = 'siroe.com') => {
    const rig = openDirectory({ defaultDomain, settings: { servers: [server(slapd.port)], ...settings } });
    try {
      const answer = await rig.directory.accountAt(loginOf(''), dn);
      return answer.kind === 'account' ? `${answer.account.user} as ${answer.account.replay}` : answer.kind;
    } finally {
      rig.directory.close();
    }
  };

  test('an entry is in the domain whose users are there', async () => {
    assert.equal(await at(`uid=anna,${SIROE}`), 'anna@siroe.com as anna');
    assert.equal(await at(`uid=anna,${SIROE}`, { schema: 2 }), 'anna@siroe.com as anna');
    assert.equal(
      await at('uid=erna,ou=People,o=badge.com,o=internet', {}, 'badge.com'),
      'erna@badge.com as erna',
    );
  });

  test('an entry in no domain that its name or address is of is nobody, as is none', async () => {
    assert.equal(await at('uid=hugo,ou=People,o=yoyo.com,o=internet'), 'nobody');
    assert.equal(await at(`uid=nemo,${SIROE}`), 'nobody');
  });

  test('in one tree it is the user of that uid', async () => {
    assert.equal(
      await at('uid=hugo,ou=People,o=yoyo.com,o=internet', { hostedDomains: false }),
      'hugo as hugo',
    );
  });

  test('it is called at the store what it is called when its uid and a password are typed', async () => {
    const yoyo = 'ou=People,o=yoyo.com,o=internet';
    for (const [uid, dn, settings] of [
      ['hugo', `uid=hugo,${yoyo}`, { ...flat, searchFormat: '(uid=%U)', replayFormat: '%s' }],
      ['hugo', `uid=hugo,${yoyo}`, { ...flat, searchFormat: '(uid=%U)', replayFormat: '%U/%V' }],
      ['flat@siroe.com', `uid=flat@siroe.com,${SIROE}`, flat],
      ['flat@siroe.com', `uid=flat@siroe.com,${SIROE}`, { domainSearchFormat: '(uid=%s)' }],
      ['anna', `uid=anna,${SIROE}`, { replayFormat: '%s' }],
    ] as const) {
      const { user, replay } = await accountOf({ settings, defaultDomain: 'siroe.com' }, uid);
      assert.equal(await at(dn, settings), `${user} as ${replay}`);
    }
  });
});
