import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { loadSettings } from '../../src/config/load.ts';
import { describeSettings, inlineSecret, resolveSecret } from '../../src/config/secret.ts';
import type { Settings } from '../../src/config/settings.ts';
import { SettingsError } from '../../src/errors.ts';
import { createLog } from '../../src/log.ts';
import { settingsFile } from './settings-file.ts';

const SECRET = 'correct horse';
const WITH_SECRET = `
tls:
  certificate: { cert: a.pem, key: a.key, passphrase: "${SECRET}" }
  sni: { "*.example.org": { cert: b.pem, key: b.key, passphrase: "${SECRET}" } }
`;

function passphraseOf(settings: Settings): unknown {
  const [certificate] = Object.values(settings.services)[0]?.tls.certificates ?? [];
  return certificate?.kind === 'files' ? certificate.passphrase : null;
}

function withService(text: string): string {
  return `${text}
services: { imap: { protocol: imap, listen: "127.0.0.1:0", backend: stores } }
backends: { stores: { servers: "127.0.0.1:143" } }
`;
}

test('a secret is masked in every printed form of the settings', (t) => {
  const settings = loadSettings({ file: settingsFile(t, withService(WITH_SECRET)).file });
  const lines: string[] = [];
  createLog({ level: 'info', format: 'json', write: (line) => lines.push(line) }).info('settings', {
    settings,
  });
  createLog({ level: 'info', format: 'text', write: (line) => lines.push(line) }).info('settings', {
    settings,
  });
  const printed = [
    describeSettings(settings),
    describeSettings(structuredClone(settings)),
    JSON.stringify(settings),
    inspect(settings, { depth: 20 }),
    String(passphraseOf(settings)),
    ...lines,
  ];
  for (const text of printed) assert.equal(text.includes(SECRET), false, text);
  assert.match(printed[0] ?? '', /\[secret\]/);
});

test('a masked secret still has its value', (t) => {
  const settings = loadSettings({ file: settingsFile(t, withService(WITH_SECRET)).file });
  assert.deepEqual(passphraseOf(settings), { kind: 'inline', value: SECRET });
  assert.equal(resolveSecret(inlineSecret(SECRET)), SECRET);
});

test('no mistake prints a secret, wherever it was put', (t) => {
  const wrong = [
    `tls: { certificate: { cert: a.pem, key: a.key, passphrase: ["${SECRET}"] } }`,
    `tls: { certificate: { cert: a.pem, key: a.key, passphrase: { fil: "${SECRET}" } } }`,
    `tls: { certificate: { cert: a.pem, key: a.key, passphrase: { "${SECRET}": 1 } } }`,
    `tls: { certificate: { cert: a.pem, key: a.key, pasphrase: "${SECRET}" } }`,
    `tls:\n  certificate:\n    cert: a.pem\n    key: a.key\n    passphrase: "x" ${SECRET}`,
    `tls:\n  certificate:\n    cert: a.pem\n    key: a.key\n    passphrase: "\\q${SECRET}"`,
    `tls:\n  certificate: { cert: a.pem, key: a.key, passphrase: "${SECRET}`,
    `tls:\n  certificate:\n    cert: a.pem\n    key: a.key\n    passphrase: *${SECRET}`,
  ];
  for (const text of wrong) {
    const { file } = settingsFile(t, text);
    assert.throws(
      () => loadSettings({ file }),
      (error: unknown) => error instanceof SettingsError && !/correct|horse/.test(error.message),
      text,
    );
  }
});

test('a secret file that others may open is refused with the command that mends it', (t) => {
  const { folder } = settingsFile(t, '');
  const path = join(folder, 'pass');
  writeFileSync(path, `${SECRET}\n`);
  for (const mode of [0o640, 0o604, 0o620, 0o666]) {
    chmodSync(path, mode);
    assert.throws(() => resolveSecret({ kind: 'file', path }), {
      message: `${path}: has mode 0${mode.toString(8)}, a secret must be its owner's only: chmod 600 ${path}`,
    });
  }
});

test('a secret file of its owner alone is read, without the final line break', (t) => {
  const { folder } = settingsFile(t, '');
  const path = join(folder, 'pass');
  for (const [content, secret] of [
    [`${SECRET}\n`, SECRET],
    [`${SECRET}\r\n`, SECRET],
    [`${SECRET} \n\n`, `${SECRET} \n`],
    [SECRET, SECRET],
  ] as const) {
    writeFileSync(path, content, { mode: 0o600 });
    assert.equal(resolveSecret({ kind: 'file', path }), secret);
  }
});

test('a named pipe where a secret is wanted is refused and holds nothing up', (t) => {
  const { folder } = settingsFile(t, '');
  const path = join(folder, 'pipe');
  execFileSync('mkfifo', ['-m', '600', path]);
  assert.throws(() => resolveSecret({ kind: 'file', path }), /pipe: expected a regular file with a secret/);
});

test("somebody else's secret file is refused, even with mode 600", (t) => {
  if (process.getuid?.() !== 0) {
    assert.throws(() => resolveSecret({ kind: 'file', path: '/etc/shadow' }), /cannot be read \(EACCES\)/);
    return;
  }
  const { folder } = settingsFile(t, '');
  const path = join(folder, 'pass');
  writeFileSync(path, SECRET, { mode: 0o600 });
  chownSync(path, 12_345, 12_345);
  assert.throws(() => resolveSecret({ kind: 'file', path }), {
    message: `${path}: belongs to user 12345, a secret must belong to root or to user 0: chown 0 ${path}`,
  });
  chownSync(path, 0, 12_345);
  assert.equal(resolveSecret({ kind: 'file', path }), SECRET);
});

test('a secret file that is missing, empty or too large is named, not shown', (t) => {
  const { folder } = settingsFile(t, '');
  const path = join(folder, 'pass');
  assert.throws(() => resolveSecret({ kind: 'file', path }), /pass: the secret cannot be read \(ENOENT\)$/);
  writeFileSync(path, '\n', { mode: 0o600 });
  assert.throws(() => resolveSecret({ kind: 'file', path }), /found an empty file$/);
  writeFileSync(path, 'x'.repeat(65_537));
  assert.throws(() => resolveSecret({ kind: 'file', path }), /at most 65536 bytes, found more$/);
});

test('a credential is read from the folder that systemd names', (t) => {
  const { folder } = settingsFile(t, '');
  const before = process.env['CREDENTIALS_DIRECTORY'];
  t.after(() => {
    if (before === undefined) delete process.env['CREDENTIALS_DIRECTORY'];
    else process.env['CREDENTIALS_DIRECTORY'] = before;
  });
  delete process.env['CREDENTIALS_DIRECTORY'];
  assert.throws(() => resolveSecret({ kind: 'credential', name: 'tls-key' }), /credential tls-key: expected/);
  mkdirSync(join(folder, 'credentials'));
  writeFileSync(join(folder, 'credentials', 'tls-key'), SECRET, { mode: 0o440 });
  process.env['CREDENTIALS_DIRECTORY'] = join(folder, 'credentials');
  assert.equal(resolveSecret({ kind: 'credential', name: 'tls-key' }), SECRET);
});
