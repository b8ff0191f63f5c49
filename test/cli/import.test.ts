import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../service/stub-supervisor.ts';
import { run, type Run, type RunOptions } from '../support/program.ts';

const main = join(import.meta.dirname, '../../src/main.ts');
const sallyport = (args: readonly string[], options: RunOptions = {}): Promise<Run> =>
  run(process.execPath, [main, ...args], options);

const listing = [
  'local.hostname = mail.example.com',
  'nsserversecurity = on',
  'encryption.rsa.nssslpersonalityssl = Server-Cert',
  'encryption.nsssl3ciphers = +rsa_rc4_128_md5,+rsa_3des_sha',
  'service.imap.enablesslport = yes',
  'service.imap.plaintextmincipher = 128',
  'local.imta.sslnicknames = Server-Cert',
  'local.service.proxy.adminpass = s3cret',
  'store.partition.primary.path = /store',
].join('\n');

test('import configutil writes settings that check accepts, and names what it left with file and line', async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, 'configutil.txt');
  writeFileSync(file, listing);
  const { code, stdout, stderr, text } = await sallyport(['import', 'configutil', file]);
  assert.equal(code, 0, stderr.toString());
  for (const line of [4, 7, 8, 9]) assert.match(stderr.toString(), new RegExp(`^${file}:${line}: `, 'm'));
  assert.match(stderr.toString(), /^.*configutil\.txt: backends\.stores\.servers: .*fill in/m);
  assert.doesNotMatch(text, /s3cret/);
  const settings = join(folder.path, 'sallyport.yaml');
  writeFileSync(settings, stdout);
  const check = await sallyport(['check', '--config', settings]);
  assert.equal(check.code, 0, check.text);
  assert.match(check.stdout.toString(), /^service imaps: imap on \[::\]:993; implicit; to stores$/m);
  assert.match(check.stdout.toString(), /^warning: tls\.ciphers \(for .*\): rsa_rc4_128_md5 is not served/m);
});

test('import reads standard input, and -o makes a new file and never replaces one', async () => {
  using folder = temporaryFolder();
  const output = join(folder.path, 'sallyport.yaml');
  const args = ['import', 'configutil', '-', '-o', output];
  const { code, stdout } = await sallyport(args, { input: listing });
  assert.deepEqual([code, stdout.length], [0, 0]);
  const written = readFileSync(output, 'utf8');
  assert.match(written, /^hostname: mail\.example\.com$/m);
  const again = await sallyport(args, { input: 'local.hostname = other.example.com' });
  assert.equal(again.code, 1);
  assert.match(again.text, /sallyport\.yaml: is there already, and is left alone/);
  assert.equal(readFileSync(output, 'utf8'), written);
});

test('import of what is no listing, or not there, or of an unknown kind, fails and writes nothing', async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, 'text');
  writeFileSync(file, 'hello\n');
  const none = await sallyport(['import', 'configutil', file]);
  assert.deepEqual([none.code, none.stdout.length], [1, 0]);
  assert.match(none.text, /text: expected a listing by configutil .*found no line name = value/);
  const missing = await sallyport(['import', 'configutil', `${file}.not`]);
  assert.equal(missing.code, 1);
  assert.match(missing.text, /text\.not: cannot be read \(ENOENT\)/);
  const kind = await sallyport(['import', 'configutl', file]);
  assert.equal(kind.code, 64);
  assert.match(kind.text, /expected configutil, found "configutl", did you mean configutil\?/);
  assert.equal((await sallyport(['import', 'configutil'])).code, 64);
});
