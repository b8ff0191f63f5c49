// Properties of the code itself, read as text; no code is run. The import table is the one in src/README.md.

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, posix, resolve, sep } from 'node:path';
import { test } from 'node:test';

const ROOT = resolve(import.meta.dirname, '../..');
const SRC = resolve(ROOT, 'src');
const MAP = readFileSync(resolve(SRC, 'README.md'), 'utf8');
const files = globSync('**/*.ts', { cwd: SRC }).map((file) => file.split(sep).join('/'));
const text = new Map(files.map((file) => [file, readFileSync(resolve(SRC, file), 'utf8')]));

const folderOf = (file: string): string => (file.includes('/') ? file.slice(0, file.indexOf('/')) : '.');

interface Import {
  readonly from: string;
  readonly typeOnly: boolean;
}

/** Relative imports become paths under src, packages stay as they are written. */
function importsOf(file: string): readonly Import[] {
  const source = text.get(file) ?? '';
  const found = source.matchAll(
    /^\s*(?:import|export)\s+(type\s)?[^'"`;]*?from\s*['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)|^import\s+['"]([^'"]+)['"]/gm,
  );
  return [...found].map((match) => {
    const target = match[2] ?? match[3] ?? match[4] ?? '';
    return {
      from: target.startsWith('.') ? posix.join(dirname(file), target) : target,
      typeOnly: match[1] !== undefined,
    };
  });
}

/** The table of src/README.md: `| folder | may import |`. */
function importTable(): ReadonlyMap<string, readonly string[]> {
  const rows = [...MAP.matchAll(/^\| `([a-z]+)` +\| (.*) \|$/gm)];
  return new Map(
    rows.map((row) => [
      row[1] ?? '',
      [...(row[2] ?? '').matchAll(/`([a-z]+)`/g)].map((word) => word[1] ?? ''),
    ]),
  );
}

const EVERYWHERE = new Set(['errors.ts', 'log.ts', 'spelling.ts', 'world.ts']);
const isLocal = (target: string): boolean => files.includes(target);

test('every folder under src is in the import table of src/README.md', () => {
  const folders = new Set(files.map(folderOf).filter((folder) => folder !== '.'));
  assert.deepEqual([...folders].toSorted(), [...importTable().keys()].toSorted());
});

for (const file of files.filter((name) => folderOf(name) !== '.')) {
  test(`src/${file} imports only what its folder may`, () => {
    const from = folderOf(file);
    const allowed = importTable().get(from) ?? [];
    for (const { from: target, typeOnly } of importsOf(file).filter((found) => isLocal(found.from))) {
      const to = folderOf(target);
      const open = to === '.' && EVERYWHERE.has(target) && (from !== 'wire' || target === 'errors.ts');
      const settings = typeOnly && to === 'config';
      assert.ok(from === to || open || settings || allowed.includes(to), `${file} must not import ${target}`);
    }
  });
}

test('every relative import leads to a file under src', () => {
  for (const file of files) {
    for (const { from } of importsOf(file).filter((found) => found.from.endsWith('.ts'))) {
      assert.ok(isLocal(from), `${file} imports ${from}`);
    }
  }
});

test('there is no import cycle between files, types left aside', () => {
  const state = new Map<string, 'open' | 'done'>();
  const visit = (file: string, path: readonly string[]): void => {
    if (state.get(file) === 'done') return;
    assert.notEqual(state.get(file), 'open', `cycle: ${[...path, file].join(' → ')}`);
    state.set(file, 'open');
    for (const { from, typeOnly } of importsOf(file))
      if (!typeOnly && isLocal(from)) visit(from, [...path, file]);
    state.set(file, 'done');
  };
  for (const file of files) visit(file, []);
});

test('no source file is over 400 lines, and none hides behind a name that says nothing', () => {
  for (const file of files) {
    assert.ok((text.get(file) ?? '').split('\n').length <= 401, `${file} is too long`);
    assert.doesNotMatch(file, /(^|\/)(utils?|helpers?|common|misc|managers?)(\/|\.ts$)/);
  }
});

test('every source file begins with its contract', () => {
  for (const file of files) {
    const start = (text.get(file) ?? '').replace(/^#!.*\n/, '');
    assert.match(start, /^\/\/ \S/, `${file} has no header`);
  }
});

/** Package → the only places that may import it. */
const HOMES: Readonly<Record<string, RegExp>> = {
  '@mongodb-js/saslprep': /^identity\/passwords\/saslprep\.ts$/,
  'acme-client': /^certdb\/acme\.ts$/,
  bcryptjs: /^identity\/passwords\/crypt-thread\.ts$/,
  convict: /^config\//,
  pkcs11js: /^certdb\/token\.ts$/,
  ioredis: /^state\/redis\.ts$/,
  yaml: /^config\//,
  '@peculiar/asn1-csr': /^certdb\//,
  '@peculiar/asn1-ocsp': /^certdb\//,
  '@peculiar/asn1-schema': /^certdb\//,
  '@peculiar/asn1-x509': /^certdb\//,
  imapflow: /^identity\/store-login\.ts$/,
  mysql2: /^identity\/sql\/mysql\.ts$/,
  pg: /^identity\/sql\/postgres\.ts$/,
  ldapts: /^identity\/ldap\/connection\.ts$/,
  'node-forge': /^certdb\/pkcs12/,
};

test('each package has one home, and there is no package without one', () => {
  const manifest: unknown = JSON.parse(readFileSync(resolve(ROOT, 'package.json'), 'utf8'));
  const { dependencies, optionalDependencies } = manifest as Record<string, object>;
  const packages = Object.keys({ ...dependencies, ...optionalDependencies });
  assert.deepEqual(packages.toSorted(), Object.keys(HOMES).toSorted());
  for (const file of files) {
    for (const { from } of importsOf(file)) {
      if (from.startsWith('node:') || isLocal(from) || from.endsWith('.ts')) continue;
      assert.match(file, HOMES[from] ?? /^$/, `${file} must not import ${from}`);
    }
  }
});

test('the ACME library is loaded by the process of an order and by no other', () => {
  const users = files.filter((file) =>
    importsOf(file).some(({ from, typeOnly }) => from === 'certdb/acme.ts' && !typeOnly),
  );
  assert.deepEqual(users, ['cli/acme-order.ts']);
});

/** Outside things that have one door each. */
const DOORS: readonly (readonly [what: string, pattern: RegExp, where: RegExp])[] = [
  ['process.env', /process\.env\b/, /^config\//],
  ['process.exit', /process\.exit\(/, /^(main|bin|msgcert)\.ts$/],
  ['the clock', /\bDate\.now\(|performance\.now\(/, /^world\.ts$/],
  ['timers', /\b(setTimeout|setInterval)\(/, /^world\.ts$/],
  ['name look-ups', /from 'node:dns/, /^world\.ts$/],
  ['console', /\bconsole\./, /^$/],
  ['Math.random', /Math\.random/, /^$/],
];

test('clock, timers, look-ups, environment and exit have one door each', () => {
  for (const [what, pattern, where] of DOORS) {
    for (const file of files) {
      if (pattern.test(text.get(file) ?? '')) assert.match(file, where, `${what} in ${file}`);
    }
  }
});

test('mail-proxy.ts calls the steps in the order src/README.md lists them', () => {
  const listed = [...MAP.matchAll(/^\d\. `([a-z-]+)\.ts` — /gm)].map((match) => match[1] ?? '');
  assert.ok(listed.length >= 8, 'src/README.md lists the steps as "1. `accept.ts` — …"');
  const imported = new Map(
    importsOf('service/mail-proxy.ts').map(({ from }) => [posix.basename(from, '.ts'), from] as const),
  );
  const source = text.get('service/mail-proxy.ts') ?? '';
  const body = source.slice(source.indexOf('export async function proxyMail'));
  const nameOf: Readonly<Record<string, string>> = {
    backend: 'connectBackend',
    'proxy-header': 'proxyHeader',
  };
  const places = listed
    .filter((step) => step !== 'accept')
    .map((step) => {
      assert.ok(imported.has(step), `mail-proxy.ts does not import ${step}`);
      return body.indexOf(`${nameOf[step] ?? step}(client`);
    });
  assert.ok(places.every((place) => place >= 0));
  assert.deepEqual(
    places,
    places.toSorted((a, b) => a - b),
  );
});
