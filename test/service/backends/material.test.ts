// Passwords and keys for backends: read by the supervisor, told to the workers in the material and nowhere else.

import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { stringify } from 'yaml';
import { describeSettings } from '../../../src/config/secret.ts';
import { SettingsError } from '../../../src/errors.ts';
import { type Configuration, createConfigurationSource } from '../../../src/service/configuration.ts';
import { realWorld } from '../../../src/world.ts';
import { makeAuthority } from '../../support/authority.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-secrets-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const authority = makeAuthority(folder);
const shown = authority.issue({ names: ['front.internal'], file: 'front' });
const other = authority.issue({ names: ['front.internal'], file: 'other' });

function secretFile(name: string, text: string, mode = 0o600): string {
  const file = path.join(folder, name);
  writeFileSync(file, text);
  chmodSync(file, mode);
  return file;
}

function load(stores: Readonly<Record<string, unknown>>): Promise<Configuration> {
  const file = path.join(folder, 'sallyport.yaml');
  const document = {
    hostname: 'mail.test',
    services: {
      imap: {
        protocol: 'imap',
        listen: '127.0.0.1:0',
        tls: 'notls',
        backend: 'stores',
        verify: { store: 'check' },
      },
    },
    backends: { stores: { servers: '127.0.0.1:143', ...stores }, check: { servers: '127.0.0.1:144' } },
  };
  writeFileSync(file, stringify(document));
  return createConfigurationSource({ file, world: realWorld, missing: 'refuse' }).load();
}

const adminFile = secretFile('storeadmin.secret', 'open sesame\n');
const probeFile = secretFile('probe.secret', 'probe pw\n');
const full = {
  login: 'proxy',
  admin: { user: 'mmpstore', passwordFile: adminFile },
  check: { every: 5, user: 'probe', password: { file: probeFile } },
  tls: { certificate: { cert: shown.certFile, key: shown.keyFile } },
};

test('the material has them, the workers’ settings do not, and nothing prints them', async () => {
  const { material, shared, settings } = await load(full);
  assert.equal(material.backendSecrets['stores']?.adminPassword, 'open sesame');
  assert.equal(material.backendSecrets['stores']?.checkPassword, 'probe pw');
  const [certificate] = material.backendSecrets['stores']?.certificates ?? [];
  assert.match(certificate !== undefined && 'key' in certificate ? certificate.key : '', /BEGIN PRIVATE KEY/);
  assert.deepEqual(material.backendSecrets['check'], {
    adminPassword: null,
    checkPassword: null,
    certificates: [],
  });
  assert.deepEqual(shared.backends['stores']?.admin, { user: 'mmpstore', password: null });
  assert.equal(shared.backends['stores']?.check.password, null);
  assert.doesNotMatch(describeSettings(settings) + JSON.stringify(shared), /open sesame|probe pw/);
});

test('a password in the settings themselves is not in the workers’ settings either', async () => {
  const { material, shared } = await load({ ...full, admin: { user: 'mmpstore', password: 'in place' } });
  assert.equal(material.backendSecrets['stores']?.adminPassword, 'in place');
  assert.doesNotMatch(JSON.stringify(shared), /in place/);
});

test('files of a backend are watched: secrets and certificates', async () => {
  const { fingerprints } = await load(full);
  for (const file of [adminFile, probeFile, shown.certFile, shown.keyFile]) {
    assert.ok(fingerprints.has(file), file);
  }
});

test('what cannot be read is named with its backend, all of it at once', async () => {
  const broken = {
    login: 'proxy',
    admin: { user: 'mmpstore', passwordFile: secretFile('open.secret', 'x', 0o644) },
    check: { every: 5, user: 'probe', password: { file: path.join(folder, 'none.secret') } },
    tls: { certificate: { cert: shown.certFile, key: other.keyFile }, ca: path.join(folder, 'none.pem') },
  };
  await assert.rejects(load(broken), (error: SettingsError) => {
    const text = error.mistakes.join('\n');
    for (const words of [
      /open\.secret: has mode 0644/,
      /none\.secret/,
      /none\.pem/,
      /front.*other|other.*front/s,
    ]) {
      assert.match(text, words);
    }
    assert.equal(error.mistakes.filter((mistake) => mistake.includes('backends.stores')).length, 4);
    return true;
  });
});
