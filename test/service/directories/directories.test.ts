// Which directory a worker asks, over reloads: the same one while nothing has changed, a new one otherwise, and the old
// one is closed only when nobody can be on the way to it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadSettings } from '../../../src/config/load.ts';
import type { Settings } from '../../../src/config/settings.ts';
import type { Login } from '../../../src/identity/directory.ts';
import { plainAccount } from '../../../src/identity/everyone.ts';
import type { Reception } from '../../../src/identity/reception.ts';
import { createLog } from '../../../src/log.ts';
import { Directories } from '../../../src/service/directories/directories.ts';
import {
  bareDirectory,
  directoryFiles,
  NO_DIRECTORY,
  readDirectoryMaterial,
} from '../../../src/service/directories/material.ts';
import { settingsFile } from '../../config/settings-file.ts';
import { manualWorld } from '../../support/manual-world.ts';

const log = createLog({ level: 'error', format: 'json', write: () => undefined });

const LOGIN: Login = {
  id: 'anna',
  service: 'imap',
  protocol: 'imap',
  tls: false,
  client: { address: '192.0.2.7', port: 1 },
  server: { address: '192.0.2.1', port: 143 },
  certificateSubject: null,
};

const SERVICES = `
services: { imap: { protocol: imap, listen: "127.0.0.1:143", backend: stores, tls: notls } }
backends: { stores: { servers: "127.0.0.1:1143" } }
`;

test('without a directory and with names as they are nobody is asked', (t) => {
  const settings = (text: string): Settings =>
    loadSettings({ file: settingsFile(t, `${SERVICES}${text}`).file });
  const directories = new Directories();
  const parts = { material: NO_DIRECTORY, world: manualWorld(), log };
  assert.equal(directories.update({ ...parts, settings: settings('') }), null);
  assert.notEqual(
    directories.update({ ...parts, settings: settings('directory: { defaultDomain: a.org }') }),
    null,
  );
  assert.equal(directories.update({ ...parts, settings: settings('') }), null);
});

test('what has not changed is kept with what it remembers, and what has is replaced', async (t) => {
  const { file } = settingsFile(t, `${SERVICES}directory: { type: file, file: users.yaml }\n`);
  const settings = loadSettings({ file });
  const directories = new Directories();
  const users = (who: string) => [
    {
      who,
      backend: null,
      servers: [],
      channel: null,
      login: null,
      passwords: [],
      mail: [],
      status: 'active' as const,
      access: null,
    },
  ];
  const parts = { settings, world: manualWorld(), log };
  const first = directories.update({ ...parts, material: { ...NO_DIRECTORY, users: users('anna') } });
  const second = directories.update({ ...parts, material: { ...NO_DIRECTORY, users: users('anna') } });
  const third = directories.update({ ...parts, material: { ...NO_DIRECTORY, users: users('bob') } });
  assert.equal(first, second);
  assert.notEqual(second, third);
  const ask = async (reception: typeof first): Promise<unknown> =>
    (await reception?.common.ask({ login: LOGIN, password: null, checker: 'others' }))?.kind;
  assert.deepEqual([await ask(first), await ask(third)], ['account', 'nobody']);
});

test('the secret header goes to the workers in the material, and not in the settings', (t) => {
  const { file } = settingsFile(
    t,
    `${SERVICES}directory: { type: http, http: { url: "http://127.0.0.1:9/", header: "X-Key: mine" } }\n`,
  );
  const settings = loadSettings({ file });
  const mistakes: unknown[] = [];
  const material = readDirectoryMaterial(settings, (error) => mistakes.push(error));
  assert.deepEqual([material.header, mistakes], ['X-Key: mine', []]);
  assert.equal(bareDirectory(settings.directory).http.header, null);
});

test('files whose change matters are watched, and what is wrong in them is told', (t) => {
  const { file, folder } = settingsFile(
    t,
    `${SERVICES}directory: { type: http, http: { url: "https://127.0.0.1:9/", ca: ca.pem, header: { file: key } } }\n`,
  );
  const settings = loadSettings({ file });
  assert.deepEqual(directoryFiles(settings), [`${folder}/ca.pem`, `${folder}/key`]);
  const mistakes: string[] = [];
  readDirectoryMaterial(settings, (error, where) => mistakes.push(`${(error as Error).message}${where}`));
  assert.equal(mistakes.length, 2);
  assert.match(mistakes.join('\n'), /ca\.pem: .*directory\.http\.ca[^]*directory\.http\.header/);
});

test('an address with a cache of its own remembers by itself, and asks the same directory', async (t) => {
  const domains =
    '{ 192.0.2.2: { cache: { ttl: 0, size: 5 } }, 192.0.2.3: { defaultDomain: three.example } }';
  const { file } = settingsFile(
    t,
    `${SERVICES.replace('tls: notls', `tls: notls, domains: ${domains}`)}directory: { defaultDomain: a.org }\n`,
  );
  const settings = loadSettings({ file });
  const made = new Directories().update({ settings, material: NO_DIRECTORY, world: manualWorld(), log });
  assert.deepEqual([...(made?.places.keys() ?? [])], ['imap 192.0.2.2']);
  const userAt = async (reception: Reception | undefined, address: string): Promise<unknown> => {
    const login = { ...LOGIN, server: { address, port: 143 } };
    const found = await reception?.ask({ login, password: null, checker: 'others' });
    return found?.kind === 'account' ? found.account.user : found?.kind;
  };
  assert.equal(await userAt(made?.places.get('imap 192.0.2.2'), '192.0.2.2'), 'anna@a.org');
  assert.equal(await userAt(made?.common, '192.0.2.3'), 'anna@three.example');
});

test('who is listed by a bare name is nobody of that name at an address with names or a tree of its own', async (t) => {
  const domains =
    '{ 192.0.2.2: { defaultDomain: two.example }, 192.0.2.3: { ldap: { base: o=three, hostedDomains: false } }, 192.0.2.4: {} }';
  const { file } = settingsFile(
    t,
    `${SERVICES.replace('tls: notls', `tls: notls, domains: ${domains}`)}
directory:
  { type: ldap, defaultDomain: a.org, admins: [boss, root@b.org], ldap: { urls: ldap://127.0.0.1, base: o=all } }
`,
  );
  const settings = loadSettings({ file });
  const made = new Directories().update({ settings, material: NO_DIRECTORY, world: manualWorld(), log });
  const may = async (user: string, address: string): Promise<boolean | undefined> => {
    const login = { ...LOGIN, id: user, server: { address, port: 143 } };
    const id = { given: user, user, domain: '', canonical: user };
    return made?.common.mayActFor({ login, account: plainAccount(id), target: null });
  };
  for (const [user, address, expected] of [
    ['boss', '192.0.2.1', true],
    ['boss@a.org', '192.0.2.1', true],
    ['root@b.org', '192.0.2.1', true],
    ['boss@b.org', '192.0.2.1', false],
    ['boss', '192.0.2.2', false],
    ['boss@a.org', '192.0.2.2', true],
    ['boss@two.example', '192.0.2.2', false],
    ['boss', '192.0.2.3', false],
    ['root@b.org', '192.0.2.3', true],
    ['boss', '192.0.2.4', true],
  ] as const)
    assert.equal(await may(user, address), expected, `${user} at ${address}`);
});

test('an address that only checks passwords elsewhere needs no directory', (t) => {
  const domains = '{ 192.0.2.2: { verify: { store: stores } } }';
  const { file } = settingsFile(t, SERVICES.replace('tls: notls', `tls: notls, domains: ${domains}`));
  const settings = loadSettings({ file });
  assert.equal(
    new Directories().update({ settings, material: NO_DIRECTORY, world: manualWorld(), log }),
    null,
  );
});
