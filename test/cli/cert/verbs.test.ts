import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { test } from 'node:test';

import { certTool, PASSWORD, toolWithDatabase } from '../../support/cert-tool.ts';
import { OpensslAuthority } from '../../support/openssl-authority.ts';
import { run } from '../../support/program.ts';

const lines = (text: string): string[] => text.trimEnd().split('\n');
const modeOf = (file: string): string => (statSync(file).mode & 0o777).toString(8);

test('generate-certDB makes the database, keeps its password for the server, and makes Server-Cert', async () => {
  using tool = certTool();
  const said = await tool.ok('generate-certDB');
  assert.match(said, /sslpassword\.conf: keeps its password/);
  assert.deepEqual([modeOf(tool.file('certs/cert.db')), modeOf(tool.file('certs'))], ['600', '700']);
  assert.equal(modeOf(tool.file('sslpassword.conf')), '600');
  assert.equal(
    readFileSync(tool.file('sslpassword.conf'), 'utf8'),
    `Internal (Software) Token:${PASSWORD}\n`,
  );
  const { certificates } = JSON.parse(await tool.ok('list-certs', '--json'));
  assert.deepEqual(
    certificates.map((each: Record<string, unknown>) => [each['alias'], each['subject'], each['selfSigned']]),
    [['Server-Cert', 'CN=mail.example.test', true]],
  );
});

test('generate-certDB leaves a database that is there as it is, before any password is asked for', async () => {
  using tool = await toolWithDatabase();
  const before = readFileSync(tool.file('certs/cert.db'));
  const { code, stderr } = await tool.msgcert(['generate-certDB']);
  assert.equal(code, 1);
  assert.match(stderr.toString(), /there is a certificate database already, it is left as it is/);
  assert.deepEqual(readFileSync(tool.file('certs/cert.db')), before);
});

test('list-certs has the documented columns, and says who issued what', async () => {
  using tool = await toolWithDatabase();
  await tool.ok('add-selfsign-cert', '-S', 'CN=SFO,L=SC,ST=ca,C=us', 'SelfSignedCrt');
  const listed = lines(await tool.ok('list-certs'));
  assert.match(listed[0] ?? '', /^Alias +Valid from +Expires on +Self- +Issued by +Issued to$/);
  assert.match(listed[1] ?? '', /^ +signed\?$/);
  assert.match(listed[2] ?? '', /^-+  -+  -+  -+  -+  -+$/);
  const [alias, issued] = [listed[0]?.indexOf('Valid'), listed[0]?.indexOf('Issued by')];
  const date = String.raw`\d{4}/\d\d/\d\d \d\d:\d\d`;
  assert.match(
    listed[3] ?? '',
    new RegExp(`^SelfSignedCrt +${date}  ${date}  y +CN=SFO,L=SC,ST=ca,C=us +Same as issuer$`),
  );
  assert.match(listed[4] ?? '', /^Server-Cert .* y +CN=mail\.example\.test +Same as issuer$/);
  for (const line of listed.slice(3, 5)) {
    assert.match(line.slice(alias), /^\d{4}\//);
    assert.match(line.slice(issued), /^CN=/);
  }
  assert.deepEqual(listed.slice(5), ['2 certificates found']);
});

test('the password is asked for where no file is given, and each prompt takes one line of standard input', async () => {
  using tool = await toolWithDatabase();
  const { code, stdout, stderr } = await tool.msgcert(['list-certs'], `${PASSWORD}\n`);
  assert.equal(code, 0);
  assert.equal(stderr.toString(), 'Enter the certificate database password:\n');
  assert.match(stdout.toString(), /^1 certificate found$/m);
});

test('a wrong, empty or missing password changes nothing, and never stands in what is said', async () => {
  using tool = await toolWithDatabase();
  const before = readFileSync(tool.file('certs/cert.db'));
  const add = ['add-selfsign-cert', '--name', 'x', 'x'];
  const cases: [input: string, said: RegExp][] = [
    ['hunter2\n', /the certificate database password is wrong; the server opens it by the one in .*: -W /],
    ['\n', /an empty password is refused/],
    ['', /there was no answer/],
    [`${'x'.repeat(5000)}\n`, /more than 1024 characters/],
  ];
  for (const [input, said] of cases) {
    const { code, text } = await tool.msgcert(add, input);
    assert.equal(code, 1);
    assert.match(text, said);
    assert.doesNotMatch(text, /hunter2|xxxx/);
  }
  assert.deepEqual(readFileSync(tool.file('certs/cert.db')), before);
});

test('-W takes a line, a sslpassword.conf, or a pipe, and refuses what is none of them', async () => {
  using tool = await toolWithDatabase();
  const withFile = (file: string) => tool.msgcert(['list-certs', '-W', file]);
  assert.equal((await withFile(tool.file('sslpassword.conf'))).code, 0);
  assert.equal((await withFile(tool.write('crlf', `${PASSWORD}\r\n\n`))).code, 0);
  const piped = await run('bash', ['-c', `${tool.command} list-certs -W <(echo ${PASSWORD})`], {
    cwd: tool.folder,
  });
  assert.equal(piped.code, 0, piped.text);
  assert.match((await withFile(tool.write('two', 'one\ntwo\n'))).text, /expected one line with the password/);
  assert.match(
    (await withFile(tool.write('old', Buffer.from('p\xe4ss\n', 'latin1')))).text,
    /\(it is not UTF-8\)/,
  );
  assert.match((await withFile(tool.write('none', '\n'))).text, /expected a password, found an empty line/);
  assert.match(
    (await withFile('nowhere')).text,
    /nowhere: the password cannot be read \(ENOENT\); a file with the password is wanted/,
  );
  execFileSync('chmod', ['644', tool.passwordFile]);
  const loose = await withFile(tool.passwordFile);
  assert.equal(loose.code, 0);
  assert.match(loose.stderr.toString(), /others may read this password: chmod 600/);
});

test('trust is for servers first, for clients when it is said, and for authorities only', async () => {
  using tool = await toolWithDatabase();
  new OpensslAuthority(tool.folder);
  await tool.ok('add-cert', '-C', 'ca.pem');
  assert.match(await tool.ok('trust', 'ca', 'CT,,'), /^ca: trusted for servers and clients/);
  assert.match(
    await tool.ok('show-cert', 'ca'),
    /SSL Flags:\n +Valid CA\n +Trusted CA\n +Trusted Client CA\n/,
  );
  assert.match(await tool.ok('trust', 'ca', ',,'), /neither servers nor clients/);
  assert.match(await tool.refused(1, 'trust', 'Server-Cert', 'T,,'), /its CA flag is missing/);
  assert.match(
    await tool.refused(1, 'trust', 'caa', 'C,,'),
    /no certificate has the nickname "caa", did you mean "ca"\?/,
  );
});

test('remove-cert takes the key along, and not what the settings name unless it is forced', async () => {
  using tool = await toolWithDatabase(
    'hostname: mail.example.test\ndataDir: ./data\ntls:\n  sni:\n    a.test: Named\nservices:\n' +
      '  imap: { protocol: imap, listen: ["127.0.0.1:0"], backend: stores }\n' +
      'backends:\n  stores: { servers: ["127.0.0.1:1"] }\n',
  );
  await tool.ok('add-selfsign-cert', '--name', 'a.test', 'Named');
  await tool.ok('add-selfsign-cert', '--name', 'b.test', 'Free');
  assert.match(await tool.ok('remove-cert', 'Free'), /^Free: removed\n$/);
  assert.match(await tool.refused(1, 'remove-cert', 'Free'), /no certificate has the nickname "Free"/);
  assert.match(await tool.refused(1, 'remove-cert', 'Named'), /sallyport\.yaml:4: tls\.sni names "Named"/);
  assert.match(
    await tool.refused(1, 'remove-cert', 'Server-Cert'),
    /tls\.certificate \(by default\) names "Server-Cert"/,
  );
  assert.match(await tool.ok('remove-cert', '--force', 'Named'), /removed/);
  assert.deepEqual(JSON.parse(await tool.ok('list-certs', '--json')).requests, []);
});

test('an alias may have a certificate of each type of key, and one of them can be removed', async () => {
  using tool = await toolWithDatabase();
  await tool.ok(
    'add-selfsign-cert',
    '--name',
    'a.test',
    '--keytype',
    'rsa',
    '--keysize',
    '2048',
    'Server-Cert',
  );
  assert.match(await tool.ok('list-certs'), /2 certificates found/);
  assert.match(
    await tool.refused(1, 'add-selfsign-cert', '--name', 'a.test', 'Server-Cert'),
    /is taken, by a certificate with a key of this type \(EC\)/,
  );
  assert.match(
    await tool.refused(1, 'export-cert', '-O', tool.passwordFile, '-o', 'x', 'Server-Cert'),
    /say --keytype ec or rsa/,
  );
  await tool.ok('remove-cert', '--keytype', 'rsa', 'Server-Cert');
  assert.match(await tool.ok('list-certs'), /1 certificate found/);
});

test('chain ends with 1 where the way does not hold, and says why', async () => {
  using tool = await toolWithDatabase();
  const alone = await tool.msgcert(['chain', '-W', tool.passwordFile, '--json', 'Server-Cert']);
  assert.equal(alone.code, 1);
  const { chains } = JSON.parse(alone.stdout.toString());
  assert.deepEqual([chains[0].ok, chains[0].end, chains[0].certificates.length], [false, 'alone', 1]);
});

test('another password opens the database from then on, for the server as well', async () => {
  using tool = await toolWithDatabase();
  const { code, stderr } = await tool.msgcert(['change-password'], `${PASSWORD}\nnew one\nnew one\n`);
  assert.equal(code, 0, stderr.toString());
  assert.match(readFileSync(tool.file('sslpassword.conf'), 'utf8'), /:new one\n$/);
  assert.match(await tool.refused(1, 'list-certs'), /password is wrong/);
  assert.equal((await tool.msgcert(['list-certs', '-W', 'sslpassword.conf'])).code, 0);
  const typo = await tool.msgcert(['change-password', '-W', 'sslpassword.conf'], 'one\ntwo\n');
  assert.equal(typo.code, 1);
  assert.match(typo.text, /the two passwords are not the same, nothing was changed/);
});

test('a database that others may read is refused, with the chmod to run', async () => {
  using tool = await toolWithDatabase();
  chmodSync(tool.file('certs/cert.db'), 0o640);
  assert.match(await tool.refused(1, 'list-certs'), /has mode 0640, .*: chmod 600 .*cert\.db/);
  chmodSync(tool.file('certs/cert.db'), 0o600);
  assert.match(await tool.ok('list-certs'), /1 certificate found/);
});

test('generate-certDB overlooks no certificates of an older version', async () => {
  using tool = certTool();
  mkdirSync(tool.file('certs'), { mode: 0o700 });
  tool.write('certs/Org-Cert.cert.pem', 'a certificate');
  assert.match(
    await tool.refused(1, 'generate-certDB'),
    /certs: holds certificates from before version 0\.3 \(Org-Cert\.cert\.pem\): sallyport serve takes them/,
  );
  rmSync(tool.file('certs/Org-Cert.cert.pem'));
  assert.match(await tool.ok('generate-certDB'), /made the certificate database/);
});

test('a sslpassword.conf that cannot keep a password is refused before anything is made or changed for it', async () => {
  using tool = certTool();
  const line = 'Internal (Software) Token:netscape!\n';
  chmodSync(tool.write('sslpassword.conf', line), 0o644);
  assert.match(await tool.refused(1, 'generate-certDB'), /sslpassword\.conf: has mode 0644.*chmod 600/);
  assert.equal(existsSync(tool.file('certs/cert.db')), false);
  chmodSync(tool.file('sslpassword.conf'), 0o600);
  await tool.ok('generate-certDB');
  tool.write('sslpassword.conf', 'no colon\n');
  const next = tool.write('next', 'another one\n');
  assert.match(
    await tool.refused(1, 'change-password', '-N', next),
    /sslpassword\.conf:1: expected moduleName/,
  );
  await tool.ok('list-certs');
});
