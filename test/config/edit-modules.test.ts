import assert from 'node:assert/strict';
import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { addModule, moduleNameProblem, removeModule } from '../../src/config/edit-modules.ts';
import { loadSettings } from '../../src/config/load.ts';
import { SettingsError } from '../../src/errors.ts';

function settings(t: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-edit-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'sallyport.yaml');
  writeFileSync(file, text);
  return file;
}

const TEXT =
  '# first\nhostname: mail.example.com # the name\n\ncertificates:\n  # where\n  database: ./certs\n';

test('a module is added to what is there, and removed again without a trace', (t) => {
  const file = settings(t, TEXT);
  addModule(file, 'softhsm', { library: '/usr/lib/softhsm/libsofthsm2.so' });
  addModule(file, 'old', { nss: '/srv/alias', token: 'NSS Certificate DB' });
  const { modules, database } = loadSettings({ file }).certificates;
  assert.equal(modules['softhsm']?.library, '/usr/lib/softhsm/libsofthsm2.so');
  assert.deepEqual(modules['old'], {
    name: 'old',
    library: null,
    nss: '/srv/alias',
    token: 'NSS Certificate DB',
    slot: null,
  });
  assert.match(database, /certs$/);
  removeModule(file, 'old');
  removeModule(file, 'softhsm');
  assert.equal(readFileSync(file, 'utf8'), TEXT);
});

test('a section that is empty, or not there, gets the module', (t) => {
  for (const text of [
    '',
    'certificates:\n',
    'certificates:\n  modules:\n',
    'certificates: { modules: {} }\n',
  ]) {
    const file = settings(t, text);
    addModule(file, 'card', { library: '/x.so', slot: 3 });
    assert.equal(loadSettings({ file }).certificates.modules['card']?.slot, 3, text);
  }
});

test('mode and a link stay, and no draft is left', (t) => {
  const file = settings(t, TEXT);
  chmodSync(file, 0o604);
  const link = `${file}.link`;
  symlinkSync(file, link);
  addModule(link, 'card', { library: '/x.so' });
  assert.ok(lstatSync(link).isSymbolicLink());
  assert.equal(statSync(file).mode & 0o777, 0o604);
  assert.equal(readdirSync(join(file, '..')).length, 2);
});

test('a name that is taken, unknown or none, and a file that is no YAML, change nothing', (t) => {
  const file = settings(t, `${TEXT}  modules: { card: /x.so }\n`);
  const before = readFileSync(file, 'utf8');
  assert.throws(() => addModule(file, 'card', { library: '/y.so' }), /there is a module "card" already/);
  assert.throws(() => removeModule(file, 'crad'), /there is no module "crad"/);
  assert.equal(readFileSync(file, 'utf8'), before);
  const broken = settings(t, 'a: [secret\n');
  assert.throws(
    () => addModule(broken, 'card', { library: '/y.so' }),
    (error: unknown) => {
      assert.ok(error instanceof SettingsError);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    },
  );
  for (const name of ['a:b', '', 'a/b', 'constructor']) assert.notEqual(moduleNameProblem(name), null, name);
  assert.equal(moduleNameProblem('soft-hsm.2'), null);
});
