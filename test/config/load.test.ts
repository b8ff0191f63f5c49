import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import fc from 'fast-check';
import { defaultSettings, findSettingsFile, loadSettings } from '../../src/config/load.ts';
import type { Settings } from '../../src/config/settings.ts';
import { SettingsError } from '../../src/errors.ts';
import { settingsFile } from './settings-file.ts';

const IMAP = `
services:
  imap: { protocol: imap, listen: "127.0.0.1:143", tls: maytls, backend: stores }
backends:
  stores: { servers: "127.0.0.1:10143", tls: notls }
`;

function mistakes(t: TestContext, text: string | Uint8Array): readonly string[] {
  const { file, folder } = settingsFile(t, text);
  try {
    loadSettings({ file });
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    return error.mistakes.map((mistake) => mistake.replace(`${folder}/`, ''));
  }
  return [];
}

test('a file with five mistakes names all five, each with line and key', (t) => {
  const found = mistakes(
    t,
    `hostname: mail_example
services:
  imap: { protocol: imap, listen: "127.0.0.1:143", tls: mayby, backend: stores }
  smtp: { protocol: smtp, listen: "127.0.0.1:25", channel: tcp_lokal }
channels:
  tcp_local: { keywords: smtp maytlsserver, relay: stores }
backends:
  stores: { servers: "127.0.0.1:10143", verfy: false }
timeouts:
  login: never
`,
  );
  assert.deepEqual(found, [
    'sallyport.yaml:1: hostname: expected a host name, found "mail_example"',
    'sallyport.yaml:3: services.imap.tls: expected one of notls, maytls, musttls, implicit, found "mayby"',
    'sallyport.yaml:4: services.smtp.channel: there is no channel "tcp_lokal", did you mean tcp_local?',
    'sallyport.yaml:8: backends.stores.verfy: unknown key',
    'sallyport.yaml:10: timeouts.login: expected seconds from 0.001 to 86400, found "never"',
  ]);
});

test('the same file without its mistakes loads', (t) => {
  const { file, folder } = settingsFile(t, IMAP);
  const settings = loadSettings({ file });
  assert.equal(settings.file, file);
  assert.equal(settings.hostname, hostname());
  assert.equal(settings.certificates.database, join(folder, 'certs'));
  assert.equal(settings.certificates.passwordFile, join(folder, 'sslpassword.conf'));
  assert.equal(settings.services['imap']?.tlsMode, 'maytls');
});

test('the defaults need no file', () => {
  const settings = defaultSettings();
  assert.equal(settings.file, null);
  assert.deepEqual(settings.services, {});
  assert.equal(settings.timeouts.loginMs, 60_000);
});

test('settings are frozen to the bottom', (t) => {
  const settings = loadSettings({ file: settingsFile(t, IMAP).file });
  const loose: string[] = [];
  const walk = (value: unknown, path: string): void => {
    if (typeof value !== 'object' || value === null) return;
    if (!Object.isFrozen(value)) loose.push(path);
    for (const [key, inner] of Object.entries(value)) walk(inner, `${path}.${key}`);
  };
  walk(settings, 'settings');
  assert.deepEqual(loose, []);
});

test('settings can be sent to a worker as they are', (t) => {
  const settings: Settings = loadSettings({ file: settingsFile(t, IMAP).file });
  assert.deepEqual(structuredClone(settings), settings);
  assert.deepEqual(JSON.parse(JSON.stringify(settings)), settings);
});

test('one load does not leave anything behind for the next', (t) => {
  assert.equal(mistakes(t, 'limits: { pipelined: 7 }').length, 0);
  assert.equal(defaultSettings().limits.pipelined, 100);
  assert.equal(Object.hasOwn(Object.prototype, 'polluted'), false);
});

test('a file that is missing, a folder, too large or not UTF-8 is named with the reason', (t) => {
  const { folder } = settingsFile(t, '');
  const reason = (file: string): RegExp => new RegExp(`^${file}: `);
  assert.throws(
    () => loadSettings({ file: join(folder, 'none.yaml') }),
    /none\.yaml: there is no such file$/,
  );
  mkdirSync(join(folder, 'sub'));
  assert.throws(() => loadSettings({ file: join(folder, 'sub') }), { message: reason(join(folder, 'sub')) });
  assert.deepEqual(mistakes(t, Buffer.from('user: \xff', 'latin1')), [
    'sallyport.yaml: expected UTF-8, found other bytes',
  ]);
  assert.match(mistakes(t, '#'.repeat(1_048_577))[0] ?? '', /expected settings of at most 1048576 bytes/);
});

test('brackets without end and aliases that multiply are refused quickly', (t) => {
  assert.match(mistakes(t, '['.repeat(20_000))[0] ?? '', /^sallyport\.yaml/);
  const layers = Array.from({ length: 30 }, (_, i) => `l${i + 1}: &l${i + 1} [${`*l${i},`.repeat(9)}]`);
  assert.match(mistakes(t, `l0: &l0 [x]\n${layers.join('\n')}`)[0] ?? '', /too many aliases/);
});

test('the environment and the command line are no settings', (t) => {
  const { file } = settingsFile(t, IMAP);
  process.env['hostname'] = 'changed.example.com';
  process.argv.push('--hostname', 'changed.example.com');
  t.after(() => {
    delete process.env['hostname'];
    process.argv.splice(-2);
  });
  assert.equal(loadSettings({ file }).hostname, hostname());
});

test('the file of --config wins, else the one of the current folder is taken', (t) => {
  const { folder } = settingsFile(t, IMAP);
  const before = process.cwd();
  t.after(() => process.chdir(before));
  process.chdir(folder);
  assert.equal(findSettingsFile('/nowhere/other.yaml'), '/nowhere/other.yaml');
  assert.equal(findSettingsFile(undefined), './sallyport.yaml');
});

test('whatever the file holds, loading it gives settings or a SettingsError', (t) => {
  const key = fc.constantFrom(
    'tls',
    'services',
    'imap',
    'listen',
    'mode',
    'sni',
    '__proto__',
    'a.b',
    'certificate',
  );
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small' },
      fc.constantFrom(null, true, 0, -1, 1e99, '', 'maytls', 'x/y', 'toString'),
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.array(fc.tuple(key, tie('tree')), { maxLength: 4 }).map((pairs) => ({ pairs })),
    ),
  }));
  const write = (value: unknown): string => {
    if (Array.isArray(value)) return `[${value.map(write).join(', ')}]`;
    if (typeof value === 'object' && value !== null && 'pairs' in value) {
      return `{${(value.pairs as [string, unknown][]).map(([k, v]) => `${JSON.stringify(k)}: ${write(v)}`).join(', ')}}`;
    }
    return JSON.stringify(value);
  };
  fc.assert(
    fc.property(fc.array(fc.tuple(key, tree), { maxLength: 5 }), (pairs) => {
      mistakes(t, pairs.map(([k, v]) => `${JSON.stringify(k)}: ${write(v)}`).join('\n'));
    }),
    { numRuns: 300 },
  );
});
