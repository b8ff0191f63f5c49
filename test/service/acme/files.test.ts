import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { defaultSettings } from '../../../src/config/load.ts';
import { inlineSecret } from '../../../src/config/secret.ts';
import type { AcmeSettings } from '../../../src/config/settings.ts';
import { readAcmeFiles, wrongAcmeFiles } from '../../../src/service/acme/files.ts';
import { makeAuthority } from '../../support/authority.ts';
import { temporaryFolder } from '../stub-supervisor.ts';

const settings: AcmeSettings = {
  directory: 'https://ca.test/',
  contact: [],
  agreeTerms: true,
  names: {},
  challenge: 'http-01',
  listen: null,
  keyType: 'ec',
  renewBeforeMs: null,
  ca: null,
  eab: null,
};

function wrong(acme: Partial<AcmeSettings>): readonly string[] {
  const { certificates } = defaultSettings();
  return wrongAcmeFiles({
    ...defaultSettings(),
    certificates: { ...certificates, acme: { ...settings, ...acme } },
  });
}

test('CAs and the binding key are read', () => {
  using folder = temporaryFolder();
  const { caFile, ca } = makeAuthority(folder.path);
  const file = join(folder.path, 'eab.key');
  writeFileSync(file, 'c2VjcmV0LXNlY3JldC1zZWNyZXQ\n', { mode: 0o600 });
  const acme = { ...settings, ca: caFile, eab: { kid: 'kid', key: { kind: 'file', path: file } as const } };
  assert.deepEqual(readAcmeFiles(acme), { ca, eab: { kid: 'kid', key: 'c2VjcmV0LXNlY3JldC1zZWNyZXQ' } });
  assert.deepEqual(wrong(acme), []);
  assert.deepEqual(readAcmeFiles(settings), { ca: null, eab: null });
  assert.deepEqual(wrongAcmeFiles(defaultSettings()), []);
});

test('a file of CAs that is not there, or holds none, is named', () => {
  using folder = temporaryFolder();
  const file = join(folder.path, 'ca.pem');
  assert.match(wrong({ ca: file }).join(), /^certificates\.acme\.ca: .*ca\.pem: cannot be read \(ENOENT\)/);
  writeFileSync(file, 'nothing');
  assert.match(wrong({ ca: file }).join(), /ca\.pem: holds no certificate in PEM/);
  writeFileSync(file, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
  assert.match(wrong({ ca: file }).join(), /ca\.pem: holds a certificate that is damaged/);
});

test('a binding key that can be none is refused, and not printed', () => {
  const eab = { kid: 'kid', key: inlineSecret('not base64, surely') };
  assert.match(wrong({ eab }).join(), /^certificates\.acme\.eab\.key: expected a MAC key in base64url/);
  assert.doesNotMatch(wrong({ eab }).join(), /surely/);
});
