// What `check` says where logins by challenge would lead nowhere.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { stringify } from 'yaml';

import { challengeLoginWarnings } from '../../../src/service/directories/challenge-logins.ts';
import { createConfigurationSource } from '../../../src/service/configuration.ts';
import { realWorld } from '../../../src/world.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-challenges-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const KEYS = `{SCRAM-SHA-256}4096,c2FsdA==,${'A'.repeat(43)}=,${'A'.repeat(43)}=`;

async function warnings(
  users: Readonly<Record<string, unknown>>,
  mechanisms: readonly string[],
  admin: object = {},
): Promise<readonly string[]> {
  writeFileSync(join(folder, 'users.yaml'), stringify(users), { mode: 0o600 });
  const settings = {
    dataDir: 'data',
    directory: { type: 'file', file: 'users.yaml' },
    services: {
      pop3: {
        protocol: 'pop3',
        listen: '127.0.0.1:0',
        tls: 'notls',
        backend: 'stores',
        verify: 'directory',
        mechanisms,
      },
    },
    backends: { stores: { servers: '127.0.0.1:110', ...admin }, other: { servers: '127.0.0.1:111' } },
  };
  const file = join(folder, 'sallyport.yaml');
  writeFileSync(file, stringify(settings));
  const source = createConfigurationSource({ file, world: realWorld, missing: 'foresee' });
  return challengeLoginWarnings(await source.load()).map((line) => line.replaceAll(`${folder}/`, ''));
}

const ADMIN = { admin: { user: 'admin', password: 'secret' } };
const PLACE = 'services.pop3.mechanisms: ';
const SHUT = (name: string): string =>
  `${PLACE}whose password is stored as keys of SCRAM is not logged in to backends.${name} by SCRAM unless it has an admin`;

test('plain passwords serve every mechanism, and nothing is said', async () => {
  const all = ['PLAIN', 'CRAM-MD5', 'SCRAM-SHA-256', 'APOP'];
  assert.deepEqual(await warnings({ anna: { password: 'secret' } }, all), []);
});

test('hashes serve none, keys no digest', async () => {
  const listed = ['PLAIN', 'CRAM-MD5', 'SCRAM-SHA-256', 'APOP'];
  assert.deepEqual(await warnings({ anna: { password: '{SSHA}AAAA' } }, listed), [
    `${PLACE}nobody in users.yaml can log in by CRAM-MD5, SCRAM-SHA-256, APOP`,
  ]);
  assert.deepEqual(await warnings({ anna: { password: KEYS } }, listed, ADMIN), [
    `${PLACE}nobody in users.yaml can log in by CRAM-MD5, APOP`,
  ]);
});

test('keys need an administrator at each backend that they lead to; beside a password they need none', async () => {
  const users = { anna: { password: KEYS }, bob: { password: KEYS, backend: 'other' } };
  assert.deepEqual(await warnings(users, ['SCRAM-SHA-256']), [SHUT('stores'), SHUT('other')]);
  assert.deepEqual(await warnings(users, ['SCRAM-SHA-256'], ADMIN), [SHUT('other')]);
  assert.deepEqual(await warnings({ anna: { password: [KEYS, 'secret'] } }, ['SCRAM-SHA-256']), []);
  assert.deepEqual(await warnings(users, ['PLAIN']), []);
});
