// The summary of settings: what `sallyport check` warns of.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { stringify } from 'yaml';

import { createConfigurationSource } from '../../src/service/configuration.ts';
import { summarise } from '../../src/service/summary.ts';
import { realWorld } from '../../src/world.ts';
import { temporaryFolder } from './stub-supervisor.ts';

test('users of two protocols who are led to one port are warned of, and each to its own are not', async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, 'sallyport.yaml');
  const users = join(folder.path, 'users.yaml');
  const pop3 = { protocol: 'pop3', listen: ['[::]:0'], tls: 'notls', backend: 'popstores' };
  const settings = {
    hostname: 'mx.test',
    dataDir: './data',
    directory: { type: 'file', file: users },
    services: { imap: { ...pop3, protocol: 'imap', backend: 'stores' }, pop3 },
    backends: {
      stores: { servers: ['127.0.0.1:143'] },
      popstores: { servers: ['127.0.0.1:110'] },
      old: { servers: ['127.0.0.1:1143'] },
    },
  };
  writeFileSync(file, stringify(settings));
  const warningsOf = async (text: string): Promise<string> => {
    writeFileSync(users, text);
    const source = createConfigurationSource({ file, world: realWorld, missing: 'foresee' });
    return summarise(await source.load(), 0).warnings.join('\n');
  };
  assert.match(await warningsOf('anna: old'), /^backends\.old: users of imap and of pop3 are led to it/m);
  assert.doesNotMatch(await warningsOf('anna: { backend: { imap: old } }'), /users of imap/);
});
