import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { rootCertificates } from 'node:tls';

import { judgePath } from '../../../src/cli/cert/verdict.ts';
import type { Verdict } from '../../../src/cli/cert/verdict.ts';
import type { Entry } from '../../../src/certdb/database.ts';
import { temporaryFolder } from '../../service/stub-supervisor.ts';
import { makeAuthority } from '../../support/authority.ts';

const now = Date.now();

function entryOf(nickname: string, cert: string, trust = ',,'): Entry {
  return { nickname, cert, trust, extra: [], hasKey: false, keyId: '', keyType: 'ec', addedAt: 0 };
}

function judge(entry: Entry, known: readonly Entry[] = [], at = now): Verdict {
  return judgePath(entry, known, { now: at, tool: 'msgcert' });
}

/** A leaf of an authority, and the authority under that trust. */
function pairOf(folder: string, trust: string): { leaf: Entry; ca: Entry } {
  const authority = makeAuthority(folder);
  const [leaf = ''] = authority.issue({ names: ['a.test'] }).cert.split(/(?<=-----END CERTIFICATE-----\n)/);
  return { leaf: entryOf('Leaf', leaf), ca: entryOf("The 'CA'", authority.ca, trust) };
}

test('a way that ends in a CA of the database is trusted for what the CA is trusted for', () => {
  using folder = temporaryFolder();
  for (const [trust, whom] of [
    ['C,,', ['servers']],
    ['T,,', ['clients']],
    ['CT,,', ['servers', 'clients']],
  ] as const) {
    const { leaf, ca } = pairOf(folder.path, trust);
    const { end, trustedFor, problems, steps } = judge(leaf, [leaf, ca]);
    assert.deepEqual([end, trustedFor, problems], ['trusted', whom, []]);
    assert.deepEqual(
      steps.map(({ alias }) => alias),
      ['Leaf', "The 'CA'"],
    );
  }
});

test('a CA that is there and not trusted, and one that is not there, are told apart', () => {
  using folder = temporaryFolder();
  const { leaf, ca } = pairOf(folder.path, ',,');
  const untrusted = judge(leaf, [leaf, ca]);
  assert.equal(untrusted.end, 'untrusted');
  assert.match(untrusted.problems[0] ?? '', /which is not trusted: msgcert trust 'The '\\''CA'\\''' C,,$/);
  const missing = judge(leaf, [leaf]);
  assert.equal(missing.end, 'missing');
  assert.match(
    missing.problems[0] ?? '',
    /of its issuer .* is not there: msgcert add-cert -C CERT_ALIAS CERT_FILE$/,
  );
});

test('a trusted certificate that is no CA vouches for nobody', () => {
  using folder = temporaryFolder();
  const { leaf } = pairOf(folder.path, ',,');
  assert.equal(judge({ ...leaf, trust: 'C,,' }, [leaf]).end, 'missing');
});

test('what has expired or is not yet valid is a problem wherever it stands', () => {
  using folder = temporaryFolder();
  const { leaf, ca } = pairOf(folder.path, 'C,,');
  const after = Date.parse(new X509Certificate(leaf.cert).validTo) + 1;
  assert.match(judge(leaf, [leaf, ca], after).problems[0] ?? '', /^CN=a\.test has expired, on /);
  assert.match(
    judge(leaf, [leaf, ca], 0).problems.join('\n'),
    /CN=a\.test is not yet valid, before .*\n.* is not yet valid/,
  );
});

test('a public root is recognised, and not trusted by the database for that', () => {
  const root =
    rootCertificates.find((pem) => new X509Certificate(pem).subject.includes('ISRG Root X1')) ?? '';
  assert.deepEqual(
    [judge(entryOf('Root', root)).end, judge(entryOf('Root', root)).trustedFor],
    ['public', []],
  );
});
