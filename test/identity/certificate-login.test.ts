// Whom a certificate stands for: what is asked of a directory, and what is made of its answer.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CertMapping } from '../../src/config/legacy/certmap.ts';
import { onlyOne } from '../../src/identity/certificate-answer.ts';
import { accountOfCertificate, sameAddress } from '../../src/identity/certificate-login.ts';
import type { Account, CertificateAnswer, Directory, Login } from '../../src/identity/directory.ts';
import { plainAccount } from '../../src/identity/everyone.ts';
import { fileDirectory } from '../../src/identity/file-directory.ts';
import { NameBook } from '../../src/identity/login-id.ts';
import type { UserEntry } from '../../src/config/user-map.ts';
import type { CertificateNames } from '../../src/tls/certificate-names.ts';

const login: Login = {
  id: '',
  service: 'imap',
  protocol: 'imap',
  tls: true,
  client: { address: '192.0.2.7', port: 1 },
  server: { address: '198.51.100.1', port: 993 },
  certificateSubject: 'CN=joe',
};

function certificate(alternative: readonly string[], subject: readonly string[] = []): CertificateNames {
  return {
    kind: 'names',
    subject: [[{ attribute: 'cn', value: 'joe' }]],
    issuer: [[{ attribute: 'cn', value: 'ca' }]],
    mail: { alternative, subject },
    der: Buffer.from('der'),
  };
}

const account = (user: string): Account => plainAccount({ given: user, user, domain: '', canonical: user });

interface Asked {
  readonly directory: Directory;
  readonly addresses: (readonly string[])[];
  readonly mappings: unknown[];
}

function directory(
  answer: CertificateAnswer = { kind: 'account', account: account('joe'), steps: ['found'] },
): Asked {
  const asked: Asked = {
    addresses: [],
    mappings: [],
    directory: {
      find: async () => ({ kind: 'nobody' }),
      async byMail(_login, addresses) {
        asked.addresses.push(addresses);
        return answer;
      },
      async byCertmap(_login, _names, mappings) {
        asked.mappings.push(mappings);
        return answer;
      },
      close: () => undefined,
    },
  };
  return asked;
}

const MAPPINGS: readonly CertMapping[] = [
  { name: 'default', issuer: null, dnComps: [], filterComps: [], verify: false, attribute: null },
];

test('with certmap.conf the directory is asked by it, and no address counts', async () => {
  const asked = directory();
  const found = await accountOfCertificate(asked.directory, {
    login,
    certificate: certificate([]),
    mappings: MAPPINGS,
  });
  assert.equal(found.kind, 'account');
  assert.deepEqual([asked.mappings, asked.addresses], [[MAPPINGS], []]);
});

test('without one each address is asked for once, those of the alternative name before that of the subject', async () => {
  const asked = directory();
  const question = { login, mappings: null };
  const both = certificate(['Joe@x.com', 'joe@X.com', 'j@x.com'], ['other@x.com']);
  const found = await accountOfCertificate(asked.directory, { ...question, certificate: both });
  assert.match(found.steps[0] ?? '', /subjectAltName/);
  await accountOfCertificate(asked.directory, { ...question, certificate: certificate([], ['other@x.com']) });
  assert.deepEqual(asked.addresses, [['joe@X.com', 'j@x.com'], ['other@x.com']]);
});

test('an odd certificate is nobody, and nobody is asked', async () => {
  const asked = directory();
  const odd = { kind: 'odd', reason: 'the subject is damaged' } as const;
  for (const mappings of [null, MAPPINGS]) {
    const found = await accountOfCertificate(asked.directory, { login, certificate: odd, mappings });
    assert.ok(found.kind === 'nobody' && found.reason === odd.reason);
  }
  assert.deepEqual([asked.addresses, asked.mappings], [[], []]);
});

test('what is no address makes the certificate nobody’s, even beside one that is', async () => {
  const asked = directory();
  const wrong = [
    '*',
    'joe',
    'joe@',
    '@x.com',
    'a@b@x.com',
    'joe @x.com',
    'joe@x.com\u200b',
    'joe@x\u202e.com',
    // The sign of Kelvin, which is a k in lower case.
    '\u212aate@x.com',
    'jöe@x.com',
    `${'x'.repeat(250)}@x.com`,
  ];
  for (const address of wrong) {
    const found = await accountOfCertificate(asked.directory, {
      login,
      certificate: certificate(['joe@x.com', address]),
      mappings: null,
    });
    assert.ok(found.kind === 'nobody', address);
  }
  assert.deepEqual(asked.addresses, []);
});

test('a directory that knows no addresses, or no entries, knows nobody by a certificate', async () => {
  const plain: Directory = { find: async () => ({ kind: 'nobody' }), close: () => undefined };
  for (const mappings of [null, MAPPINGS]) {
    const found = await accountOfCertificate(plain, {
      login,
      certificate: certificate(['joe@x.com']),
      mappings,
    });
    assert.equal(found.kind, 'nobody');
  }
});

test('one account found twice is one, two accounts are none', () => {
  const [joe, again, ann] = [account('joe'), account('joe'), account('ann')];
  assert.equal(onlyOne([joe, again], []).kind, 'account');
  assert.equal(onlyOne([], []).kind, 'nobody');
  const both = onlyOne([joe, ann], ['asked']);
  assert.ok(both.kind === 'nobody' && both.reason.includes('joe and ann'));
  assert.deepEqual(both.steps.slice(0, 1), ['asked']);
  assert.ok(sameAddress('Joe@X.com', 'joe@x.COM') && !sameAddress('joe@x.com', 'jo@x.com'));
});

function entry(who: string, more: Partial<UserEntry> = {}): UserEntry {
  const plain = {
    backend: null,
    servers: [],
    login: null,
    passwords: [],
    mail: [],
    status: 'active',
    access: null,
  };
  return { ...plain, who, ...more } as UserEntry;
}

async function ofFile(address: string, entries: readonly UserEntry[], delimiter = '@'): Promise<string> {
  const names = new NameBook({
    defaultDomain: 'example.com',
    delimiters: '@+',
    canonicalDelimiter: delimiter,
  });
  const found = await fileDirectory(entries, names).byMail?.(login, [address]);
  assert.ok(found !== undefined);
  return found.kind === 'account' ? `${found.account.user} ${found.account.replay}` : found.kind;
}

test('in a file of users an address is that of the entry that lists it or is called by it, under its own name', async () => {
  const entries = [
    entry('joe', { mail: ['joe@x.com'], login: '%U' }),
    entry('ann@x.com', { login: '%U@store' }),
    entry('@y.com'),
    entry('*@z.com'),
  ];
  assert.equal(await ofFile('JOE@x.com', entries), 'joe joe');
  assert.equal(await ofFile('ann@X.COM', entries), 'ann@x.com ann@store');
  assert.equal(await ofFile('who@y.com', entries), 'who@y.com who@y.com');
  assert.equal(await ofFile('who@z.com', entries), 'nobody');
  assert.equal(await ofFile('joe@example.com', entries), 'nobody');
});

test('names of a file with another delimiter are found by addresses all the same', async () => {
  assert.equal(await ofFile('ann@x.com', [entry('ann+x.com')], '+'), 'ann+x.com ann+x.com');
});

test('who is listed comes before a domain, and two that are listed are none', async () => {
  const joe = entry('joe', { mail: ['joe@x.com'] });
  assert.equal(await ofFile('joe@x.com', [entry('@x.com'), joe]), 'joe joe');
  assert.equal(await ofFile('joe@x.com', [joe, entry('ann', { mail: ['joe@x.com'] })]), 'nobody');
  assert.equal(await ofFile('joe@x.com', [joe, entry('joe@x.com')]), 'nobody');
});
