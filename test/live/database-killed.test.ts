// kill -9 at every write of a change to the certificate database: strace ends the tool at its first write to the
// database, its second, and so on, until a run comes through. After each the database opens and is the old or the new one.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';

import { databaseFile, openDatabase } from '../../src/certdb/database.ts';
import { realWorld } from '../../src/world.ts';
import { run } from '../support/program.ts';
import type { Run } from '../support/program.ts';

const MAIN = resolve(import.meta.dirname, '../../src/main.ts');
const base = mkdtempSync(join(tmpdir(), 'sallyport-killed-'));
after(() => rmSync(base, { recursive: true, force: true }));
const passwordFile = join(base, 'password');
const PASSWORD = 'of the database';
writeFileSync(passwordFile, `${PASSWORD}\n`, { mode: 0o600 });
writeFileSync(join(base, 'sallyport.yaml'), 'hostname: mx.test\n');

/** More writes than any change has. */
const WRITES_MAX = 120;
const WRITES = 'pwrite64,fsync,fdatasync,unlink,unlinkat,ftruncate,rename,renameat2,link,linkat,chmod,fchmod';

function certArgs(folder: string, words: readonly string[]): string[] {
  return [
    MAIN,
    'cert',
    ...words,
    '-W',
    passwordFile,
    '--config',
    join(base, 'sallyport.yaml'),
    '--database',
    folder,
  ];
}

async function cert(folder: string, words: readonly string[]): Promise<Run> {
  return run(process.execPath, certArgs(folder, words));
}

/** The same, killed as it enters its n-th write to the folder. */
async function certKilledAt(n: number, folder: string, words: readonly string[]): Promise<Run> {
  const names = ['cert.db', 'cert.db-journal', '.'].map((name) => join(folder, name));
  const drafts = ['sslpassword.conf'].map((name) => join(base, name));
  const paths = [...names, ...drafts, folder].flatMap((path) => ['-P', path]);
  const inject = ['-e', `trace=${WRITES}`, '-e', `inject=${WRITES}:signal=KILL:when=${n}`];
  return run('strace', [
    '-f',
    '-qq',
    '-o',
    '/dev/null',
    ...paths,
    ...inject,
    process.execPath,
    ...certArgs(folder, words),
  ]);
}

interface Content {
  readonly serials: readonly string[];
  readonly trust: string;
}

/** Opens it as the server does, key and all. */
function contentOf(folder: string): Content {
  const database = openDatabase(folder, realWorld);
  try {
    database.unlock(PASSWORD);
    const entries = database.entries();
    for (const entry of entries) {
      const key = database.privateKey(entry.keyId);
      assert.ok(key !== null && new X509Certificate(entry.cert).checkPrivateKey(key), entry.nickname);
    }
    return {
      serials: entries.map((entry) => new X509Certificate(entry.cert).serialNumber),
      trust: entries.map(({ trust }) => trust).join(),
    };
  } finally {
    database.close();
  }
}

async function killEverywhere(
  from: string,
  words: readonly string[],
  judge: (before: Content, now: Content, killed: boolean) => void,
): Promise<number> {
  const before = contentOf(from);
  for (let n = 1; n <= WRITES_MAX; n++) {
    const folder = join(base, `killed-${n}`);
    rmSync(folder, { recursive: true, force: true });
    cpSync(from, folder, { recursive: true });
    const { code, text } = await certKilledAt(n, folder, words);
    if (code === 0) {
      judge(before, contentOf(folder), false);
      return n - 1;
    }
    assert.match(text, /^(Killed\s*)?$|killed/i, `the tool failed by itself: ${text}`);
    judge(before, contentOf(folder), true);
    if (n % 6 !== 1) continue;
    // What was left behind is in nobody's way.
    const again = await cert(folder, words);
    assert.ok(again.code === 0 || /is taken|no certificate/.test(again.text), again.text);
  }
  throw new Error(`after ${WRITES_MAX} writes the change is not over`);
}

const first = join(base, 'first');

test('a renewal killed at any write leaves the old certificate or the new one, with its key', async () => {
  const made = await cert(first, ['generate-certDB']);
  assert.equal(made.code, 0, made.text);
  let olds = 0;
  let news = 0;
  const writes = await killEverywhere(
    first,
    ['renew-selfsign-cert', 'Server-Cert'],
    (before, now, killed) => {
      assert.equal(now.serials.length, 1);
      if (now.serials[0] === before.serials[0]) {
        assert.ok(killed, 'a renewal that came through changed nothing');
        olds++;
      } else news++;
    },
  );
  assert.ok(writes >= 5, `only ${writes} writes were seen: strace looks at the wrong files`);
  assert.ok(olds > 0 && news > 0, `old ${olds}, new ${news}`);
});

test('a second certificate killed at any write is there whole or not at all', async () => {
  const words = ['add-selfsign-cert', '--name', 'b.test', '--keytype', 'rsa', 'Second'];
  const writes = await killEverywhere(first, words, (before, now, killed) => {
    assert.ok(now.serials.length === 2 || (killed && now.serials.length === 1));
    assert.ok(now.serials.includes(before.serials[0] ?? ''));
  });
  assert.ok(writes >= 5, `only ${writes} writes were seen`);
});

test('a database killed while it is made is not there, or whole, and can be made afterwards', async () => {
  let seen = 0;
  for (let n = 1; n <= WRITES_MAX; n++) {
    const folder = join(base, `made-${n}`);
    const { code } = await certKilledAt(n, folder, ['generate-certDB']);
    if (existsSync(databaseFile(folder))) assert.equal(contentOf(folder).serials.length, 1);
    if (code === 0) break;
    seen++;
    if (!existsSync(databaseFile(folder))) {
      const again = await cert(folder, ['generate-certDB']);
      assert.equal(again.code, 0, again.text);
      assert.equal(contentOf(folder).serials.length, 1);
      assert.deepEqual(
        readdirSync(folder).filter((name) => name === 'cert.db'),
        ['cert.db'],
      );
    }
  }
  assert.ok(seen >= 1, 'no write was seen');
});
