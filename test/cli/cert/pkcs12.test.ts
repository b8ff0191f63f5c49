import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync, symlinkSync } from 'node:fs';
import { test } from 'node:test';

import { makeAuthority } from '../../support/authority.ts';
import { PASSWORD, toolWithDatabase } from '../../support/cert-tool.ts';

const EXPORT_PROMPTS =
  'Enter the certificate database password:\n' +
  'Choose the PKCS#12 file password:\nConfirm the PKCS#12 file password:\n';

test('what is exported here is imported there, prompts as documented', async () => {
  using tool = await toolWithDatabase();
  using other = await toolWithDatabase('hostname: other.test\ndataDir: ./data\n');
  await tool.ok('add-selfsign-cert', '--name', 'a.test', 'First Certificate');
  const file = tool.file('first-certificate');
  const out = await tool.msgcert(
    ['export-cert', '-o', file, 'First Certificate'],
    `${PASSWORD}\nsecret\nsecret\n`,
  );
  assert.equal(out.code, 0, out.text);
  assert.equal(out.stderr.toString(), EXPORT_PROMPTS);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const back = await other.msgcert(['import-cert', file], `${PASSWORD}\nsecret\n`);
  assert.equal(back.code, 0, back.text);
  assert.match(
    back.stderr.toString(),
    /^Enter the certificate database password:\nEnter the PKCS#12 file password:\n/,
  );
  assert.match(back.stdout.toString(), /^First Certificate: imported with its private key, CN=a\.test\n$/);
  const page = await tool.ok('show-cert', 'First Certificate');
  assert.equal(await other.ok('show-cert', 'First Certificate'), page);
  other.write('p12pw', 'secret\n');
  const again = await other.refused(1, 'import-cert', '-I', 'p12pw', file);
  assert.match(again, /the nickname "First Certificate" is taken.*--alias CERT_ALIAS gives it another/);
  assert.match(
    await other.ok('import-selfsign-cert', '-I', 'p12pw', '--alias', 'Second', file),
    /^Second: imported/,
  );
});

test('the file replaces another one whole and is its owner\u2019s, through a link too; to a pipe it goes as it is', async () => {
  using tool = await toolWithDatabase();
  const p12 = tool.write('p12pw', 'secret\n');
  tool.write('real.p12', 'old');
  execFileSync('chmod', ['644', tool.file('real.p12')]);
  symlinkSync('real.p12', tool.file('link.p12'));
  await tool.ok('export-cert', '-O', p12, '-o', 'link.p12', 'Server-Cert');
  assert.equal(statSync(tool.file('real.p12')).mode & 0o777, 0o600);
  const words = ['pkcs12', '-in', 'real.p12', '-passin', 'pass:secret', '-nodes'];
  assert.match(
    execFileSync('openssl', words, { cwd: tool.folder, encoding: 'utf8' }),
    /friendlyName: Server-Cert/,
  );
  const piped = await tool.msgcert([
    'export-cert',
    '-W',
    tool.passwordFile,
    '-O',
    p12,
    '--legacy',
    'Server-Cert',
  ]);
  assert.equal(piped.code, 0);
  tool.write('piped.p12', piped.stdout);
  const legacy = ['pkcs12', '-legacy', '-in', 'piped.p12', '-passin', 'pass:secret', '-nokeys'];
  assert.match(execFileSync('openssl', legacy, { cwd: tool.folder, encoding: 'utf8' }), /BEGIN CERTIFICATE/);
});

test('a bad file or password is refused by name, and nothing is added', async () => {
  using tool = await toolWithDatabase();
  const p12 = tool.write('p12pw', 'secret\n');
  tool.write('wrongpw', 'hunter2\n');
  await tool.ok('export-cert', '-O', p12, '-o', 'good.p12', 'Server-Cert');
  const good = readFileSync(tool.file('good.p12'));
  tool.write('cut.p12', good.subarray(0, good.length - 100));
  tool.write('text.p12', 'hello');
  const before = readFileSync(tool.file('certs/cert.db'));
  const cases: [words: string[], said: RegExp][] = [
    [['-I', 'wrongpw', 'good.p12'], /good\.p12: .*password/],
    [['-I', 'p12pw', 'cut.p12'], /cut\.p12: is cut off/],
    [['-I', 'p12pw', 'text.p12'], /text\.p12: is no PKCS#12 file/],
    [['-I', 'p12pw', 'nowhere.p12'], /nowhere\.p12: does not exist/],
    [['-I', 'p12pw', '.'], /is no file/],
  ];
  for (const [words, said] of cases) {
    const err = await tool.refused(1, 'import-cert', ...words);
    assert.match(err, said);
    assert.doesNotMatch(err, /hunter2/);
  }
  assert.deepEqual(readFileSync(tool.file('certs/cert.db')), before);
});

test('import-selfsign-cert takes no other certificate, import-cert says when one has expired', async () => {
  using tool = await toolWithDatabase();
  const openssl = (...words: string[]): void =>
    void execFileSync('openssl', words, { cwd: tool.folder, stdio: 'ignore' });
  const { certFile, keyFile } = makeAuthority(tool.folder).issue({ names: ['a.test'], days: -1, file: 'a' });
  openssl('pkcs12', '-export', '-in', certFile, '-inkey', keyFile, '-out', 'a.p12', '-passout', 'pass:');
  const prompt = `${PASSWORD}\n\n`;
  const refused = await tool.msgcert(['import-selfsign-cert', 'a.p12'], prompt);
  assert.equal(refused.code, 1);
  assert.match(refused.text, /its certificate is not self-signed: msgcert import-cert takes it/);
  const taken = await tool.msgcert(['import-cert', 'a.p12'], prompt);
  assert.equal(taken.code, 0, taken.text);
  assert.equal(
    taken.stdout.toString(),
    'a: imported with its private key, CN=a.test, with 1 certificate of its chain\n',
  );
  assert.match(taken.stderr.toString(), /warning: a has expired, on \d{4}/);
});
