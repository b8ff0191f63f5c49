import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
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
  assert.match(again.text, /sallyport\.yaml: is there already, and is left alone; nothing was written/);
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
  assert.match(kind.text, /expected configutil, mmp, imta, found "configutl", did you mean configutil\?/);
  assert.equal((await sallyport(['import', 'configutil'])).code, 64);
});

const FIXTURES = join(import.meta.dirname, '../fixtures/mmp');

test('import mmp writes settings that check accepts, passwords into files of their owner, and what it left with file and line', async () => {
  using folder = temporaryFolder();
  const output = join(folder.path, 'sallyport.yaml');
  const dir = join(FIXTURES, 'smtp');
  const args = ['import', 'mmp', dir, '--imta', join(dir, 'imta.cnf'), '-o', output];
  const { code, stdout, stderr, text } = await sallyport(args);
  assert.equal(code, 0, text);
  assert.equal(stdout.length, 0);
  assert.match(stderr.toString(), new RegExp(`^${dir}/AService\\.cfg:3: LogDir: `, 'm'));
  assert.match(stderr.toString(), new RegExp(`^${dir}/imta\\.cnf:7: l: `, 'm'));
  const secrets = readdirSync(folder.path).filter((name) => name.endsWith('.secret'));
  assert.deepEqual(secrets.toSorted(), [
    'ldap-dom2.secret',
    'ldap.secret',
    'smtpproxy.secret',
    'storeadmin-dom2.secret',
    'storeadmin.secret',
  ]);
  for (const name of secrets) assert.equal(statSync(join(folder.path, name)).mode & 0o777, 0o600, name);
  assert.doesNotMatch(text + readFileSync(output, 'utf8'), /-secret\b/);
  assert.equal(readFileSync(join(folder.path, 'storeadmin.secret'), 'utf8'), 'store-secret\n');
  const check = await sallyport(['check', '--config', output]);
  assert.equal(check.code, 0, check.text);
  assert.match(check.stdout.toString(), /^ {2}tcp_local → tcp_intranet \(pop-before-smtp\)$/m);
  assert.match(check.text, /^backend mta: manatee:485, gonzo:25, mothra:25 \(roundRobin\).*xpehlo/m);
});

test('the documented sample of POP and IMAP imports; it is checked clean once its certificate is there', async () => {
  using folder = temporaryFolder();
  const output = join(folder.path, 'sallyport.yaml');
  const imported = await sallyport(['import', 'mmp', join(FIXTURES, 'pop-and-imap'), '-o', output]);
  assert.equal(imported.code, 0, imported.text);
  const before = await sallyport(['check', '--config', output]);
  assert.equal(before.code, 78);
  assert.match(before.text, /certificate database .* sallyport cert generate-certDB/);
  const password = join(folder.path, 'password');
  writeFileSync(password, 'netscape!\n', { mode: 0o600 });
  const cert = (...args: string[]): Promise<Run> =>
    sallyport(['cert', ...args.slice(0, 1), '-W', password, '--config', output, ...args.slice(1)]);
  assert.equal((await cert('generate-certDB')).code, 0);
  const made = await cert('add-selfsign-cert', '--keytype', 'rsa', '-S', 'CN=siroe.com', 'Siroe.com');
  assert.equal(made.code, 0, made.text);
  const after = await sallyport(['check', '--config', output]);
  assert.equal(after.code, 0, after.text);
  assert.match(after.text, /^service imaps: imap on \[::\]:993; implicit; to stores$/m);
});

test('nothing is written where any of the files is there already, and a password only with -o', async () => {
  using folder = temporaryFolder();
  const output = join(folder.path, 'sallyport.yaml');
  writeFileSync(join(folder.path, 'ldap.secret'), 'mine\n');
  const dir = join(FIXTURES, 'smtp');
  const refused = await sallyport(['import', 'mmp', dir, '-o', output]);
  assert.equal(refused.code, 1);
  assert.match(refused.text, /ldap\.secret: is there already, and is left alone; nothing was written/);
  assert.deepEqual(readdirSync(folder.path), ['ldap.secret']);
  const printed = await sallyport(['import', 'mmp', dir]);
  assert.equal(printed.code, 0);
  assert.match(printed.text, /^ldap\.secret: the settings name this file with a password; -o writes it$/m);
  assert.doesNotMatch(printed.text, /-secret\b/);
});

test('import imta asks where the mail goes, and writes settings that check accepts', async () => {
  using folder = temporaryFolder();
  const output = join(folder.path, 'sallyport.yaml');
  const file = join(FIXTURES, 'smtp/imta.cnf');
  const asked = await sallyport(['import', 'imta', file, '-o', output]);
  assert.equal(asked.code, 1);
  assert.match(asked.text, /--relay HOST:PORT/);
  assert.ok(!existsSync(output));
  const { code, text } = await sallyport([
    'import',
    'imta',
    file,
    '--relay',
    'mta1.internal:25',
    '-o',
    output,
  ]);
  assert.equal(code, 0, text);
  const check = await sallyport(['check', '--config', output]);
  assert.equal(check.code, 0, check.text);
  assert.match(check.text, /^backend mta: mta1\.internal:25/m);
});

test('options that a kind does not have, and a folder or file that is none, are refused', async () => {
  using folder = temporaryFolder();
  const usage = await sallyport(['import', 'imta', 'imta.cnf', '--imta', 'x']);
  assert.equal(usage.code, 64);
  assert.match(usage.text, /--imta is not for imta/);
  const none = await sallyport(['import', 'mmp', folder.path]);
  assert.equal(none.code, 1);
  assert.match(none.text, /found none of AService\.cfg/);
  assert.match((await sallyport(['import', 'mmp', join(folder.path, 'not')])).text, /expected a folder/);
  const dir = join(FIXTURES, 'smtp');
  const missing = await sallyport(['import', 'mmp', dir, '--imta', join(folder.path, 'not')]);
  assert.deepEqual([missing.code, missing.stdout.length], [1, 0]);
  assert.match(missing.text, /not: there is no such file/);
});
