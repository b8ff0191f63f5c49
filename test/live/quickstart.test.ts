// The quickstart's sessions, played as an administrator would see them, in a folder of its own.

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { run } from '../support/program.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-quickstart-test-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('the quickstart plays six sessions, shows the logs, prints no password and leaves nothing behind', async () => {
  const script = join(import.meta.dirname, '../../scripts/quickstart.ts');
  const own = join(folder, 'own');
  const { code, text } = await run(process.execPath, [script, '--exit', '--folder', own]);
  assert.equal(code, 0, text);
  for (const service of ['submission', 'imap', 'pop3', 'submissions', 'imaps', 'pop3s']) {
    assert.ok(text.includes(`--- ${service}: `), service);
  }
  assert.equal(text.match(/-- TLSv1\.3, .*certificate verified/g)?.length, 6);
  assert.match(text, /imap-login: Info: Login: user=<anna@example\.com>.* rip=127\.0\.0\.23,/);
  assert.match(text, /client=unknown\[127\.0\.0\.23\]/);
  assert.match(text, /tail -f .*own\/sallyport\.log\n/);
  for (const name of ['dovecot', 'postfix']) assert.match(text, new RegExp(`tail -f /.*/${name}\\.log\\n`));
  assert.ok(!text.includes('open sesame'));
  assert.ok(!text.includes(Buffer.from('open sesame').toString('base64').slice(0, 12)));
  assert.ok(!existsSync(own));
});

test('the quickstart does not take a folder that is not of its own making', async () => {
  const script = join(import.meta.dirname, '../../scripts/quickstart.ts');
  const { code, text } = await run(process.execPath, [script, '--exit', '--folder', folder]);
  assert.equal(code, 1);
  assert.match(text, /move it away/);
  assert.ok(existsSync(folder));
});
