// The worked examples of certmap.conf, with the directory asked being a real slapd.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { X509Certificate } from 'node:crypto';
import { after, before, test } from 'node:test';

import { parseCertmap } from '../../src/config/legacy/certmap.ts';
import { mapCertificate, type Mapped } from '../../src/identity/certmap.ts';
import { parseDn } from '../../src/wire/ldap-dn.ts';
import { makeAuthority } from '../support/authority.ts';
import { entry, openDirectory, server, user } from '../support/ldap-site.ts';
import { type Slapd, startSlapd } from '../support/slapd.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-certmap-'));
const authority = makeAuthority(folder);
const der = new X509Certificate(authority.issue({ names: ['joe'] }).cert).raw;
const other = new X509Certificate(authority.issue({ names: ['other'] }).cert).raw;

const binary = (value: Buffer): string => `userCertificate;binary:: ${value.toString('base64')}\n`;
const unit = (ou: string, base: string): string => entry(`ou=${ou},${base}`, ['organizationalUnit'], { ou });
const organisation = (o: string): string => entry(`o=${o},o=internet`, ['organization'], { o });
const withCertificate = (ldif: string, value: Buffer): string => `${ldif.trimEnd()}\n${binary(value)}\n`;

const DATA = [
  organisation('X'),
  unit('Eng', 'o=X,o=internet'),
  withCertificate(user('joe', 'ou=Eng,o=X,o=internet', { mail: 'joe@x.com' }), der),
  organisation('usps'),
  unit('Letters', 'o=usps,o=internet'),
  withCertificate(user('carrier', 'ou=Letters,o=usps,o=internet', { mail: 'carrier@usps.com' }), der),
  withCertificate(user('forger', 'ou=Letters,o=usps,o=internet', { mail: 'forger@usps.com' }), other),
  organisation('LeavesOfGrass Inc'),
  user('Walt Whitman', 'o=LeavesOfGrass Inc,o=internet', { mail: 'walt@leaves.com' }),
  user('pilar', 'o=X,o=internet', { certSubjectDN: 'uid=pl,cn=Pilar Lorca,o=siroe.com' }),
  user('twin1', 'o=X,o=internet', { mail: 'twin@x.com' }),
  user('twin2', 'o=X,o=internet', { mail: 'twin@x.com' }),
  user('(odd)*', 'o=X,o=internet', { mail: 'odd@x.com' }),
].join('');

let slapd: Slapd;
before(async () => {
  slapd = await startSlapd({ ldif: DATA });
});
after(async () => {
  await slapd.remove();
  rmSync(folder, { recursive: true });
});

async function map(conf: string, subject: string, issuer = 'CN=Some CA'): Promise<Mapped> {
  const parsed = parseCertmap(`certmap default default\n${conf}`);
  assert.ok(parsed.kind === 'certmap', JSON.stringify(parsed));
  const [subjectName, issuerName] = [parseDn(subject), parseDn(issuer)];
  assert.ok(subjectName.kind === 'name' && issuerName.kind === 'name');
  const { directory } = openDirectory({ settings: { servers: [server(slapd.port)] } });
  try {
    return await mapCertificate(
      parsed.mappings,
      { subject: subjectName.parts, issuer: issuerName.parts, der },
      { search: (search) => directory.search(search), base: 'o=internet' },
    );
  } finally {
    directory.close();
  }
}

const outcome = (mapped: Mapped): string =>
  mapped.kind === 'user' ? mapped.uid : `nobody: ${mapped.reason}`;

const USPS = 'ou=United States Postal Service, o=usps, c=US';
const EXAMPLE_1 = 'default:DNComps ou, o, dc\ndefault:FilterComps e, uid\ndefault:verifycert on\n';
const EXAMPLE_2 = `default:DNComps
default:FilterComps e, uid
certmap usps ${USPS}
usps:DNComps ou,o
usps:FilterComps e
usps:verifycert on
`;
const EXAMPLE_3 = `certmap myco o=myco, c=US
myco:CmapLdapAttr certSubjectDN
myco:DNComps o
myco:FilterComps mail, uid
`;
const MMP = 'default:DNComps\ndefault:FilterComps e=mail\n';

// The trees of the examples end where certificates do; this one is under o=internet, so that is in the subjects too.
const rows: readonly [title: string, conf: string, subject: string, expected: string, issuer?: string][] = [
  ['example 1', EXAMPLE_1, 'uid=joe,e=joe@x.com,cn=Joe,ou=Eng,o=X,o=internet', 'joe'],
  ['example 2, any other issuer', EXAMPLE_2, 'uid=joe,e=joe@x.com,cn=Joe', 'joe'],
  [
    'example 2, the postal service',
    EXAMPLE_2,
    'e=carrier@usps.com,ou=Letters,o=usps,o=internet',
    'carrier',
    USPS,
  ],
  [
    'example 2, the postal service with a certificate that the entry does not hold',
    EXAMPLE_2,
    'e=forger@usps.com,ou=Letters,o=usps,o=internet',
    'nobody: the entry does not hold the certificate',
    USPS,
  ],
  ['example 3, by the whole subject', EXAMPLE_3, 'UID=pl,CN=Pilar Lorca,O=siroe.com', 'pilar', 'O=myco,C=US'],
  [
    'example 3, by o and uid',
    EXAMPLE_3,
    'uid=Walt Whitman, o=LeavesOfGrass Inc, o=internet',
    'Walt Whitman',
    'O=myco,C=US',
  ],
  ["the MMP's example", MMP, 'e=joe@x.com,cn=Joe', 'joe'],
  [
    'the from=to of the MMP',
    'default:DNComps\ndefault:FilterComps ou=uid\n',
    'cn=Pilar Lorca, ou=pilar, o=siroe.com',
    'pilar',
  ],
  ['the subject as the name of the entry', '', 'uid=joe,ou=Eng,o=X,o=internet', 'joe'],
  ['a subject that is no entry', '', 'uid=nemo,ou=Eng,o=X,o=internet', 'nobody: no entry fits'],
  ['two entries of one address', MMP, 'e=twin@x.com', 'nobody: more than one entry fits'],
  ['nobody of the address', MMP, 'e=nemo@x.com', 'nobody: no entry fits'],
  ['a value full of metacharacters', 'default:DNComps\ndefault:FilterComps uid\n', 'uid=(odd)*', '(odd)*'],
  [
    'a value that would be everybody',
    'default:DNComps\ndefault:FilterComps uid\n',
    'uid=*',
    'nobody: no entry fits',
  ],
];

for (const [title, conf, subject, expected, issuer] of rows) {
  test(`${title}: ${expected}`, async () => {
    const mapped = await map(conf, subject, issuer);
    assert.equal(outcome(mapped), expected, mapped.steps.join('\n'));
  });
}
