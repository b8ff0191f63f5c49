// The schema, the settings' types, the code that reads them, the shipped files and the reference hold together.

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadSettings } from '../../src/config/load.ts';
import { describeSettings } from '../../src/config/secret.ts';
import { SCHEMAS, leavesOf } from '../../src/config/schema.ts';
import { stalePages } from '../../scripts/reference.ts';

const ROOT = join(import.meta.dirname, '../..');

/** Where a setting of the schema is in settings.ts, if not under its own name. */
const FIELDS: Record<string, string> = {
  'certificates.watch': 'watchMs',
  'certificates.acme.renewBefore': 'renewBeforeMs',
  'tls.certificate': 'certificates',
  'tickets.rotate': 'rotateMs',
  'services.NAME.tls.mode': 'tlsMode',
  'services.NAME.tls.certificate': 'certificates',
  'backends.NAME.tls.certificate': 'certificates',
  'backends.NAME.failover': 'failoverMs',
  'backends.NAME.failoverTimeout': 'failoverTimeoutMs',
  'backends.NAME.check.every': 'everyMs',
  'backends.NAME.check.timeout': 'timeoutMs',
  'backends.NAME.admin.passwordFile': 'password',
  'directory.ldap.urls': 'servers',
  'directory.ldap.timeout': 'timeoutMs',
  'directory.ldap.retry': 'retryMs',
  'directory.ldap.refresh': 'refreshMs',
  'services.NAME.domains.ADDRESS.ldap.urls': 'servers',
  'services.NAME.domains.ADDRESS.admin.passwordFile': 'password',
  'services.NAME.domains.ADDRESS.cache.ttl': 'ttlMs',
  'services.NAME.domains.ADDRESS.cache.missTtl': 'missTtlMs',
  'services.NAME.domains.ADDRESS.cache.passwordTtl': 'passwordTtlMs',
  'directory.http.timeout': 'timeoutMs',
  'directory.sql.timeout': 'timeoutMs',
  'directory.sql.retry': 'retryMs',
  'directory.sql.refresh': 'refreshMs',
  'directory.cache.ttl': 'ttlMs',
  'directory.cache.missTtl': 'missTtlMs',
  'directory.cache.passwordTtl': 'passwordTtlMs',
  'services.NAME.grantTtl': 'grantTtlMs',
  'services.NAME.domains.ADDRESS.grantTtl': 'grantTtlMs',
  probe: 'probeMs',
  'popBeforeSmtp.ttl': 'ttlMs',
  'penalties.step': 'stepMs',
  'penalties.max': 'maxMs',
  'penalties.decay': 'decayMs',
};

function settingsTypes(): string {
  const files = ['settings.ts', 'settings-directory.ts'];
  return files.map((file) => readFileSync(join(ROOT, 'src/config', file), 'utf8')).join('\n');
}

function settings(): { setting: string; field: string; doc: string }[] {
  return SCHEMAS.flatMap(({ place, schema }) =>
    [...leavesOf(schema)].map(([path, leaf]) => {
      const setting = [...(place === '' ? [] : [place]), ...path].join('.');
      const last = path.at(-1) ?? '';
      const field = FIELDS[setting] ?? (path[0] === 'timeouts' ? `${last}Ms` : last);
      return { setting, field, doc: leaf.doc };
    }),
  );
}

/** All code outside config/, without comments and texts: those do not read a setting. */
function sourceOutsideConfig(): string {
  const files = globSync('src/**/*.ts', { cwd: ROOT }).filter((file) => !file.startsWith('src/config/'));
  const texts = files.map((file) => readFileSync(join(ROOT, file), 'utf8'));
  return texts.map((text) => text.replace(/\/\*[\s\S]*?\*\/|\/\/.*|'[^'\n]*'/g, '')).join('\n');
}

test('the reference pages are what the schema and the error table say', () => {
  assert.deepEqual(stalePages(), [], 'run npm run docs');
});

test('every setting has a sentence that says what it means', () => {
  const wrong = settings().filter(({ doc }) => !/^[A-Z].*\.$/.test(doc));
  assert.deepEqual(wrong, []);
});

test('every setting of the schema is a field of the settings', () => {
  const types = settingsTypes();
  const strange = settings().filter(({ field }) => !new RegExp(`readonly ${field}\\b`).test(types));
  assert.deepEqual(strange, []);
});

test('every field of the settings comes from a setting of the schema', () => {
  const types = settingsTypes().replace(/^\s*(\/\*\*|\*|\/\/).*$/gm, '');
  const interfaces = [...types.matchAll(/export interface (\w+) \{([^]*?)\n\}/g)];
  const known = new Set(settings().map(({ field }) => field));
  // Made by the loader: the file, an entry's own name, the parts of `client`, and what stands for several settings.
  const made = new Set(['file', 'name', 'method', 'required', 'mode', 'http', 'cache', 'overrides']);
  const fields = interfaces.flatMap(([, , body]) =>
    [...(body ?? '').matchAll(/readonly (\w+):/g)].map((m) => m[1]),
  );
  const groups = new Set(
    SCHEMAS.flatMap(({ schema }) => [...leavesOf(schema)].flatMap(([path]) => path.slice(0, -1))),
  );
  const orphans = fields.filter((f) => f !== undefined && !known.has(f) && !made.has(f) && !groups.has(f));
  assert.deepEqual(orphans, []);
});

test('every setting is read by code outside config/', () => {
  const source = sourceOutsideConfig();
  const unread = settings().filter(({ field }) => !new RegExp(`\\b${field}\\b`).test(source));
  assert.deepEqual(
    unread.map(({ setting, field }) => `${setting} (${field})`),
    [],
  );
});

test('every shipped file loads and can be printed', () => {
  for (const file of ['config/sallyport.yaml', ...globSync('config/examples/*.yaml', { cwd: ROOT })]) {
    const loaded = loadSettings({ file: join(ROOT, file) });
    assert.ok(Object.keys(loaded.services).length > 0, file);
    assert.doesNotMatch(describeSettings(loaded), /"value"/);
  }
});

test('the commented default file shows every setting', () => {
  const text = readFileSync(join(ROOT, 'config/sallyport.yaml'), 'utf8');
  const missing = settings().filter(({ setting }) => {
    const key = setting.split('.').at(-1) ?? '';
    return !new RegExp(`(^|[ {#])${key}:`, 'm').test(text);
  });
  assert.deepEqual(missing, []);
});
