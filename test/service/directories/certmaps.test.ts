// The files of certmap: every mistake with its line, plug-ins refused by name, watched like all that the settings name.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Settings } from '../../../src/config/settings.ts';
import { SettingsError } from '../../../src/errors.ts';
import { certmapFiles, certmapOf, readCertmaps } from '../../../src/service/directories/certmaps.ts';
import { materialFiles } from '../../../src/service/material.ts';
import { service, settingsOf } from '../stub-supervisor.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-certmaps-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, text: string | Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const withCertmap = (certmap: string): Settings => settingsOf([{ ...service('imap'), certmap }]);

function mistakesOf(text: string | Buffer | null): string[] {
  const path = text === null ? join(folder, 'missing.conf') : file('wrong.conf', text);
  const mistakes: string[] = [];
  const read = readCertmaps(withCertmap(path), (error, where) => {
    assert.ok(error instanceof SettingsError);
    mistakes.push(...error.mistakes.map((mistake) => `${mistake}${where}`));
  });
  // A file that is wrong maps nobody, whatever becomes of the settings.
  assert.deepEqual(certmapOf({ certmap: path }, read), []);
  return mistakes.map((mistake) => mistake.replaceAll(`${folder}/`, ''));
}

test('a file is read for the services that name it, and watched', () => {
  const path = file('certmap.conf', 'certmap default default\ndefault:DNComps\ndefault:FilterComps e=mail\n');
  const settings = withCertmap(path);
  const read = readCertmaps(settings, (error) => assert.ifError(error));
  assert.deepEqual(certmapFiles(settings), [path]);
  assert.ok(materialFiles(settings).includes(path));
  assert.deepEqual(
    certmapOf({ certmap: path }, read)?.map(({ name, filterComps }) => [name, filterComps]),
    [['default', [{ from: 'e', to: 'mail' }]]],
  );
  assert.equal(certmapOf({ certmap: null }, read), null);
});

test('plug-ins are refused by name, with file and line', () => {
  const text = 'certmap default default\ndefault:library /opt/map.so\ndefault:InitFn map_init\n';
  assert.deepEqual(mistakesOf(text), [
    'wrong.conf:2: library: plug-ins of certmap.conf are not run here, as in the MMP (for certmap)',
    'wrong.conf:3: InitFn: plug-ins of certmap.conf are not run here, as in the MMP (for certmap)',
  ]);
});

test('all mistakes of a file are told', () => {
  assert.deepEqual(mistakesOf('certmap one CN=CA\ntwo:DNComps\n'), [
    'wrong.conf:1: the first mapping must be "certmap default default" (for certmap)',
    'wrong.conf:2: there is no mapping "two" above (for certmap)',
  ]);
});

test('what cannot be read is a mistake: a file that is missing, too large, or no UTF-8', () => {
  assert.match(mistakesOf(null).join(), /^missing\.conf: certmap\.conf cannot be read \(.*ENOENT/);
  assert.match(mistakesOf(Buffer.alloc(1_100_000, '#')).join(), /expected a file of at most 1048576 bytes/);
  assert.match(mistakesOf(Buffer.of(0xff, 0xfe)).join(), /^wrong\.conf: certmap\.conf cannot be read/);
});
