// CRL files and folders of them, as an operator's jobs leave them.

import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CRL_BYTES_MAX } from '../../../src/certdb/crl.ts';
import {
  crlFiles,
  crlWarnings,
  RevocationLists,
} from '../../../src/service/certificates/revocation-lists.ts';
import { makeAuthority } from '../../support/authority.ts';
import { temporaryFolder } from '../stub-supervisor.ts';

test('a folder is all the CRLs in it, each once; links and names with a dot in front are no matter', () => {
  using folder = temporaryFolder();
  const authority = makeAuthority(folder.path);
  const crls = join(folder.path, 'crls');
  mkdirSync(crls);
  writeFileSync(join(crls, 'a.crl'), authority.crl(['01']));
  symlinkSync('a.crl', join(crls, '1234abcd.r0'));
  writeFileSync(join(crls, '.a.crl.new'), 'half of');
  const lists = new RevocationLists();
  assert.equal(lists.read([crls]).length, 1);
  assert.equal(lists.read([crls, join(crls, 'a.crl')]).length, 1);
  assert.deepEqual(crlFiles([crls]), [crls, join(crls, '1234abcd.r0'), join(crls, 'a.crl')]);
  assert.equal(lists.facts([])[0]?.issuer, null);
});

test('an empty folder is no CRL and no mistake', () => {
  using folder = temporaryFolder();
  assert.deepEqual(new RevocationLists().read([folder.path]), []);
});

test('what is no CRL in a folder is named, not left out', () => {
  using folder = temporaryFolder();
  const authority = makeAuthority(folder.path);
  assert.throws(
    () => new RevocationLists().read([folder.path]),
    /ca\.key\.pem: holds "PRIVATE KEY" where a CRL/,
  );
  assert.throws(
    () => new RevocationLists().read([authority.caFile]),
    /holds "CERTIFICATE" where a CRL is wanted/,
  );
});

test('a file that is missing, too big, or a folder in a folder, is named', () => {
  using folder = temporaryFolder();
  const big = join(folder.path, 'big.crl');
  writeFileSync(big, '');
  truncateSync(big, CRL_BYTES_MAX + 1);
  assert.throws(() => new RevocationLists().read([big]), /big\.crl: has \d+ bytes, a CRL has at most/);
  assert.throws(() => new RevocationLists().read([join(folder.path, 'none')]), /none: does not exist/);
  using outer = temporaryFolder();
  mkdirSync(join(outer.path, 'inner'));
  assert.throws(() => new RevocationLists().read([outer.path]), /inner: is not a regular file/);
  assert.deepEqual(crlFiles([join(folder.path, 'none')]), [join(folder.path, 'none')]);
});

test('a CRL is warned of when it is stale, from the future, or of nobody we know', () => {
  const fact = { source: 'a.crl', issuer: 'CN=x', thisUpdate: 1000, nextUpdate: 2000, revoked: 0 };
  assert.deepEqual(crlWarnings([fact], 1500), []);
  assert.deepEqual(crlWarnings([{ ...fact, nextUpdate: null }], 5000), []);
  assert.match(crlWarnings([fact], 2000).join('\n'), /is stale/);
  assert.match(crlWarnings([fact], 500).join('\n'), /from the future/);
  assert.match(crlWarnings([{ ...fact, issuer: null }], 1500).join('\n'), /no CA that is known here/);
});
