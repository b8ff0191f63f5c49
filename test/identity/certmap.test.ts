import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CertMapping, parseCertmap } from '../../src/config/legacy/certmap.ts';
import { type CertificateNames, mapCertificate, mappingFor, planOf } from '../../src/identity/certmap.ts';
import { type LdapEntry, LdapFailure, type LdapSearch } from '../../src/identity/ldap/connection.ts';
import { type DistinguishedName, parseDn } from '../../src/wire/ldap-dn.ts';
import { filterText } from '../../src/wire/ldap-filter.ts';

const BASE = 'o=everybody';
const DER = Buffer.from('the certificate');

function nameOf(text: string): DistinguishedName {
  const parsed = parseDn(text);
  return parsed.kind === 'name' ? parsed.parts : assert.fail(parsed.reason);
}

function mappingsOf(text: string): readonly CertMapping[] {
  const parsed = parseCertmap(text);
  return parsed.kind === 'certmap' ? parsed.mappings : assert.fail(JSON.stringify(parsed.mistakes));
}

function certificate(subject: string, issuer = 'CN=Some CA'): CertificateNames {
  return { subject: nameOf(subject), issuer: nameOf(issuer), der: DER };
}

const EXAMPLE_1 =
  'certmap default default\ndefault:DNComps ou, o, c\ndefault:FilterComps e, uid\ndefault:verifycert on\n';
const USPS = 'ou=United States Postal Service, o=usps, c=US';
const EXAMPLE_2 = `certmap default default
default:DNComps
default:FilterComps e, uid
certmap usps ${USPS}
usps:DNComps ou,o,c
usps:FilterComps e
usps:verifycert on
`;
const MYCO = 'ou=My Company Inc, o=myco, c=US';
const EXAMPLE_3 = `certmap default default
certmap myco ${MYCO}
myco:CmapLdapAttr certSubjectDN
myco:DNComps o, c
myco:FilterComps mail, uid
myco:verifycert on
`;
const MMP = 'certmap default default\ndefault:DNComps\ndefault:FilterComps e=mail\n';
const PILAR = 'certmap default default\ndefault:DNComps\ndefault:FilterComps ou=uid\n';

interface Row {
  readonly title: string;
  readonly conf: string;
  readonly subject: string;
  readonly issuer?: string;
  readonly first?: string;
  readonly base: string;
  readonly filter: string;
}

const rows: readonly Row[] = [
  {
    title: 'example 1: place by ou, o, c, then e-mail and uid',
    conf: EXAMPLE_1,
    subject: 'uid=joe,e=joe@x.com,cn=Joe,ou=Eng,o=X,c=US',
    base: 'ou=Eng,o=X,c=US',
    filter: '(&(uid=joe)(mail=joe@x.com))',
  },
  {
    title: 'example 2: another issuer has the whole tree',
    conf: EXAMPLE_2,
    subject: 'uid=joe,e=joe@x.com,o=X',
    base: BASE,
    filter: '(&(uid=joe)(mail=joe@x.com))',
  },
  {
    title: 'example 2: the issuer with a mapping of its own',
    conf: EXAMPLE_2,
    issuer: USPS,
    subject: 'uid=joe,e=joe@x.com,cn=Joe,ou=Letters,o=usps,c=US',
    base: 'ou=Letters,o=usps,c=US',
    filter: '(mail=joe@x.com)',
  },
  {
    title: 'example 3: first the whole subject, then o, c and uid',
    conf: EXAMPLE_3,
    issuer: MYCO,
    subject: 'uid=Walt Whitman, o=LeavesOfGrass Inc, c=US',
    first:
      '(|(certSubjectDN=uid=Walt Whitman,o=LeavesOfGrass Inc,c=US)(certSubjectDN=uid=Walt Whitman, o=LeavesOfGrass Inc, c=US))',
    base: 'o=LeavesOfGrass Inc,c=US',
    filter: '(uid=Walt Whitman)',
  },
  {
    title: "the MMP's file for e-mail",
    conf: MMP,
    subject: 'e=joe@x.com,cn=Joe',
    base: BASE,
    filter: '(mail=joe@x.com)',
  },
  {
    title: 'from=to of the MMP',
    conf: PILAR,
    subject: 'cn=Pilar Lorca, ou=pilar, o=siroe.com',
    base: BASE,
    filter: '(uid=pilar)',
  },
  {
    title: 'without DNComps the subject is the name of the entry',
    conf: 'certmap default default\n',
    subject: 'e=joe@x.com,uid=joe,o=X',
    base: 'mail=joe@x.com,uid=joe,o=X',
    filter: '(objectClass=*)',
  },
  {
    title: 'values get into names and filters as values',
    conf: 'certmap default default\ndefault:DNComps o\ndefault:FilterComps cn\n',
    subject: String.raw`cn=*)(uid=\*,o=a\,o=b`.replace(String.raw`\*`, '*'),
    base: String.raw`o=a\,o\=b`,
    filter: String.raw`(cn=\2a\29\28uid=\2a)`,
  },
];

for (const { title, conf, subject, issuer, first, base, filter } of rows) {
  test(title, () => {
    const given = certificate(subject, issuer);
    const mapping = mappingFor(mappingsOf(conf), given.issuer);
    assert.ok(mapping !== null);
    const plan = planOf(mapping, given.subject, BASE);
    assert.ok('next' in plan, JSON.stringify(plan));
    assert.equal(plan.first === null ? undefined : filterText(plan.first), first);
    assert.equal(plan.next?.base, base);
    assert.equal(plan.next && filterText(plan.next.filter), filter);
  });
}

test('an issuer is known whatever its letter case and blanks, and by nothing less', () => {
  const mappings = mappingsOf(EXAMPLE_2);
  assert.equal(mappingFor(mappings, nameOf('OU=united states postal service,O=USPS,C=US'))?.name, 'usps');
  assert.equal(mappingFor(mappings, nameOf('O=usps,C=US'))?.name, 'default');
});

function entry(dn: string, uid?: string, held?: Buffer): LdapEntry {
  return {
    dn,
    attributes: new Map(uid === undefined ? [] : [['uid', [uid]]]),
    binary: new Map(held === undefined ? [] : [['usercertificate', [Buffer.from('old one'), held]]]),
  };
}

async function outcome(
  conf: string,
  given: CertificateNames,
  answer: (search: LdapSearch) => readonly LdapEntry[] | LdapFailure,
): Promise<string> {
  const search = (one: LdapSearch): Promise<readonly LdapEntry[]> => {
    const hits = answer(one);
    return hits instanceof LdapFailure ? Promise.reject(hits) : Promise.resolve(hits.slice(0, one.sizeLimit));
  };
  const mapped = await mapCertificate(mappingsOf(conf), given, { search, base: BASE });
  assert.ok(mapped.steps.length > 0);
  return mapped.kind === 'user' ? `user ${mapped.uid}` : mapped.reason;
}

const JOE = certificate('e=joe@x.com,uid=joe,ou=Eng,o=X,c=US');
const joe = entry('uid=joe,o=X', 'joe');

test('one entry is the user, two are nobody, none is nobody', async () => {
  assert.equal(await outcome(MMP, JOE, () => [joe]), 'user joe');
  assert.equal(
    await outcome(MMP, JOE, () => [joe, entry('uid=other,o=X', 'other')]),
    'more than one entry fits',
  );
  assert.equal(await outcome(MMP, JOE, () => []), 'no entry fits');
  assert.equal(await outcome(MMP, JOE, () => new LdapFailure('missing', 'no such base')), 'no entry fits');
  assert.equal(await outcome(MMP, JOE, () => [entry('cn=none,o=X')]), 'cn=none,o=X has no uid');
});

test('verifycert wants the certificate itself, and chooses by it among several', async () => {
  const held = entry('uid=joe,o=X', 'joe', DER);
  const old = entry('uid=old,o=X', 'old', Buffer.from('another'));
  assert.equal(await outcome(EXAMPLE_1, JOE, () => [held]), 'user joe');
  assert.equal(await outcome(EXAMPLE_1, JOE, () => [joe]), 'the entry does not hold the certificate');
  assert.equal(await outcome(EXAMPLE_1, JOE, () => [old]), 'the entry does not hold the certificate');
  assert.equal(await outcome(EXAMPLE_1, JOE, () => [old, held]), 'user joe');
  assert.equal(
    await outcome(EXAMPLE_1, JOE, () => [old, joe]),
    'more than one entry fits, none holds the certificate',
  );
  assert.equal(
    await outcome(EXAMPLE_1, JOE, () => [held, held]),
    'more than one entry holds the certificate',
  );
  assert.equal(
    await outcome(EXAMPLE_1, JOE, () => Array.from({ length: 90 }, () => old)),
    'too many entries fit',
  );
});

test('CmapLdapAttr that finds somebody is enough, one that finds nobody leads on', async () => {
  const walt = certificate('uid=Walt Whitman,o=LeavesOfGrass Inc,c=US', MYCO);
  const bases: string[] = [];
  const held = entry('uid=walt,o=myco', 'walt', DER);
  const answer = (found: 'first' | 'second') => (search: LdapSearch) => {
    bases.push(search.base);
    return (search.base === BASE) === (found === 'first') ? [held] : [];
  };
  assert.equal(await outcome(EXAMPLE_3, walt, answer('first')), 'user walt');
  assert.equal(await outcome(EXAMPLE_3, walt, answer('second')), 'user walt');
  assert.deepEqual(bases, [BASE, BASE, 'o=LeavesOfGrass Inc,c=US']);
});

test('with CmapLdapAttr alone nobody else in the tree is asked for', async () => {
  const conf = 'certmap default default\ndefault:DNComps\ndefault:CmapLdapAttr certSubjectDN\n';
  let count = 0;
  const none = (): readonly LdapEntry[] => {
    count++;
    return [];
  };
  assert.equal(await outcome(conf, JOE, none), 'no entry fits');
  assert.equal(count, 1);
});

test('a certificate without any of the components is nobody', async () => {
  const stranger = certificate('cn=Stranger');
  assert.equal(
    await outcome(MMP, stranger, () => [joe]),
    'the certificate has none of the components of FilterComps',
  );
  assert.equal(
    await outcome('certmap default default\ndefault:DNComps o\n', stranger, () => [joe]),
    'the certificate has none of the components of DNComps',
  );
});

for (const [title, subject, reason] of [
  ['an empty subject', '', 'the certificate has an empty subject'],
  [
    'a NUL in the e-mail',
    String.raw`e=joe@x.com\00.evil.com`,
    'the e of the subject has a control character in it',
  ],
  ['a value that is empty', 'e=,cn=Joe', 'the e of the subject is empty'],
  ['a value of a megabyte', `e=${'x'.repeat(2000)}`, 'the e of the subject is too long'],
] as const) {
  test(`${title} is nobody, and nothing is searched`, async () => {
    const answer = (): never => assert.fail('searched');
    assert.equal(await outcome(MMP, certificate(subject), answer), reason);
  });
}

test('a subject of a hundred parts is nobody', async () => {
  const subject = Array.from({ length: 100 }, () => [{ attribute: 'e', value: 'joe@x.com' }]);
  const given = { ...JOE, subject };
  assert.equal(await outcome(MMP, given, () => [joe]), 'the subject has more than 64 parts');
});

test('a name that the directory makes no sense of is nobody, a directory that is down is not', async () => {
  assert.match(
    await outcome(MMP, JOE, () => new LdapFailure('question', 'result code 34')),
    /result code 34/,
  );
  await assert.rejects(
    outcome(MMP, JOE, () => new LdapFailure('server', 'it is down')),
    /it is down/,
  );
});
