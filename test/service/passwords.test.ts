// Passwords between tiers reach workers in their material, and nothing that is printed, logged or sent holds them.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { serialize } from 'node:v8';
import { stringify } from 'yaml';
import { describeSettings } from '../../src/config/secret.ts';
import { SettingsError } from '../../src/errors.ts';
import { createConfigurationSource } from '../../src/service/configuration.ts';
import type { Configuration } from '../../src/service/configuration.ts';
import { realWorld } from '../../src/world.ts';
import { temporaryFolder } from './stub-supervisor.ts';

function load(folder: string, secrets: { shown: unknown; wanted: unknown }): Promise<Configuration> {
  const settings = {
    hostname: 'mx.test',
    dataDir: './data',
    services: {
      smtp: {
        protocol: 'smtp',
        listen: '127.0.0.1:0',
        channel: 'tcp',
        frontTier: { from: '192.0.2.1', password: secrets.wanted },
      },
      open: { protocol: 'smtp', listen: '127.0.0.1:0', channel: 'tcp' },
    },
    channels: { tcp: { keywords: 'notlsserver', relay: 'mta' } },
    backends: {
      mta: { servers: '127.0.0.1:25', client: 'xpehlo', xpehloPassword: secrets.shown },
      other: { servers: '127.0.0.1:26' },
    },
  };
  const file = join(folder, 'sallyport.yaml');
  writeFileSync(file, stringify(settings));
  return createConfigurationSource({ file, world: realWorld, missing: 'refuse' }).load();
}

test('both passwords are read for the workers, and are nowhere else', async () => {
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, 'wanted'), 'sesame one\n', { mode: 0o600 });
  const { settings, shared, material, fingerprints } = await load(folder.path, {
    wanted: { file: 'wanted' },
    shown: 'sesame two',
  });
  assert.deepEqual(material.tierPasswords, {
    services: { smtp: 'sesame one', open: null },
    backends: { mta: 'sesame two', other: null },
  });
  assert.equal(serialize(shared).includes('sesame'), false);
  assert.deepEqual(shared.services['smtp']?.frontTier, {
    from: [{ family: 4, address: '192.0.2.1', prefix: 32 }],
    password: null,
  });
  for (const printed of [
    describeSettings(settings),
    JSON.stringify(settings),
    inspect(settings, { depth: 9 }),
  ]) {
    assert.doesNotMatch(printed, /sesame/);
  }
  // A new password is noticed as a new certificate is.
  assert.equal(fingerprints.has(join(folder.path, 'wanted')), true);
});

test('a password that cannot be had is a mistake that says for which setting, and never which password', async () => {
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, 'shared'), 'sesame', { mode: 0o644 });
  const long = `sesame${'x'.repeat(256)}`;
  const error: unknown = await load(folder.path, { wanted: { file: 'shared' }, shown: long }).catch(
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof SettingsError);
  const text = error.mistakes.join('\n');
  assert.match(text, /shared: has mode 0644.*\(for services\.smtp\.frontTier\.password\)/);
  assert.match(text, /at most 256 bytes.*\(for backends\.mta\.xpehloPassword\)/);
  assert.doesNotMatch(text, /sesame/);
});
