import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { test } from 'node:test';

import { certTool, PASSWORD, toolWithDatabase } from '../../support/cert-tool.ts';
import type { CertTool } from '../../support/cert-tool.ts';

const lines = (text: string): string[] => text.trimEnd().split('\n');
const modeOf = (file: string): string => (statSync(file).mode & 0o777).toString(8);

function openssl(tool: CertTool, ...words: string[]): string {
  return execFileSync('openssl', words, {
    cwd: tool.folder,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** A CA of openssl's: ca.pem, ca.key. */
function makeAuthority(tool: CertTool, subject = '/CN=The CA'): void {
  const words = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl(tool, ...words, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', subject, '-days', '100');
}

/** The CA signs request → certificate. */
function certify(tool: CertTool, request: string, certificate: string, days = '50'): string {
  const names = ['-copy_extensions', 'copy'];
  const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-days', days, ...names];
  openssl(tool, 'x509', '-req', '-in', request, ...by, '-out', certificate);
  return tool.file(certificate);
}

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
  assert.equal((await tool.msgcert(['list-certs', '-W', '/dev/stdin'], PASSWORD)).code, 0);
  assert.match((await withFile(tool.write('two', 'one\ntwo\n'))).text, /expected one line with the password/);
  assert.match((await withFile(tool.write('none', '\n'))).text, /expected a password, found an empty line/);
  assert.match((await withFile('nowhere')).text, /nowhere: the password cannot be read \(ENOENT\)/);
  execFileSync('chmod', ['644', tool.passwordFile]);
  const loose = await withFile(tool.passwordFile);
  assert.equal(loose.code, 0);
  assert.match(loose.stderr.toString(), /others may read this password: chmod 600/);
});

test('a request in both formats is what openssl takes, with the names that were asked for', async () => {
  using tool = await toolWithDatabase();
  const names = [
    '--name',
    'mail.example.test',
    '--org',
    'Sïroe',
    '--dns',
    'a.test,b.test',
    '--dns',
    'c.test',
  ];
  const wide = ['--ip', '::1', '--email', 'a@b.test'];
  assert.equal(await tool.ok('request-cert', ...names, ...wide, '-o', 'binary.req'), '');
  const pem = await tool.ok('request-cert', ...names, '--keytype', 'rsa', '--keysize', '2048', '-F', 'ASCII');
  tool.write('ascii.req', pem);
  assert.match(pem, /^-----BEGIN CERTIFICATE REQUEST-----\n/);
  const binary = openssl(tool, 'req', '-inform', 'DER', '-in', 'binary.req', '-noout', '-text', '-verify');
  assert.match(
    binary,
    /DNS:mail\.example\.test, DNS:a\.test, DNS:b\.test, DNS:c\.test, IP Address:0:.*:1, email:a@b\.test/,
  );
  assert.match(binary, /id-ecPublicKey/);
  const ascii = openssl(tool, 'req', '-in', 'ascii.req', '-noout', '-text', '-verify', '-nameopt', 'utf8');
  assert.match(ascii, /O = Sïroe|O=Sïroe/);
  assert.match(ascii, /Public-Key: \(2048 bit\)/);
  const { requests } = JSON.parse(await tool.ok('list-certs', '--json'));
  assert.deepEqual(
    requests.map(({ keyType }: { keyType: string }) => keyType),
    ['ec', 'rsa'],
  );
});

test('a request that cannot be written leaves no key behind', async () => {
  using tool = await toolWithDatabase();
  const said = await tool.refused(1, 'request-cert', '--name', 'x', '-o', 'no/such/folder.req');
  assert.match(said, /no\/such\/folder\.req: cannot be written \(ENOENT\)/);
  assert.deepEqual(JSON.parse(await tool.ok('list-certs', '--json')).requests, []);
  assert.match(await tool.refused(1, 'request-cert', '--name', 'x', '-o', '.'), /is a folder/);
});

test('add-cert joins a certificate to the key of its request, and says what its trust lacks', async () => {
  using tool = await toolWithDatabase();
  makeAuthority(tool);
  tool.write('a.req', await tool.ok('request-cert', '--name', 'aqua', '-F', 'ascii'));
  const file = certify(tool, 'a.req', 'server-cert-file');
  const added = await tool.msgcert(['add-cert', '-W', tool.passwordFile, file]);
  assert.equal(added.stdout.toString(), 'server-cert-file: added, CN=aqua\n');
  assert.match(
    added.stderr.toString(),
    /is installed, but is not yet trusted: .* issuer CN=The CA is not there/,
  );
  assert.match(await tool.ok('add-cert', '-C', 'CA-cert', 'ca.pem'), /^CA-cert: added, CN=The CA\n$/);
  assert.match(await tool.ok('chain', 'server-cert-file'), /ends in a CA that is trusted for servers/);
  const own = JSON.parse(await tool.ok('list-certs', '--json')).certificates;
  assert.deepEqual(
    own.map(({ alias, hasKey }: { alias: string; hasKey: boolean }) => [alias, hasKey]),
    [
      ['Server-Cert', true],
      ['server-cert-file', true],
    ],
  );
  const authorities = JSON.parse(await tool.ok('list-certs', '-C', '--json')).certificates;
  assert.deepEqual(
    authorities.map(({ alias, trust }: { alias: string; trust: string }) => [alias, trust]),
    [['CA-cert', 'C,,']],
  );
});

test('a chain in one file is taken whole, whatever its order', async () => {
  using tool = await toolWithDatabase();
  makeAuthority(tool);
  tool.write('a.req', await tool.ok('request-cert', '--name', 'aqua', '-F', 'ascii'));
  const leaf = readFileSync(certify(tool, 'a.req', 'leaf.pem'), 'utf8');
  tool.write('chain.pem', readFileSync(tool.file('ca.pem'), 'utf8') + leaf);
  assert.match(
    await tool.ok('add-cert', 'Mine', 'chain.pem'),
    /^Mine: added, CN=aqua, with 1 certificate of its chain\n$/,
  );
});

test('add-cert refuses what is no certificate, no authority, or there already', async () => {
  using tool = await toolWithDatabase();
  makeAuthority(tool);
  await tool.ok('add-cert', '-C', 'CA-cert', 'ca.pem');
  tool.write('a.req', await tool.ok('request-cert', '--name', 'aqua', '-F', 'ascii'));
  certify(tool, 'a.req', 'leaf.pem');
  const cases: [words: string[], said: RegExp][] = [
    [['x', 'nowhere.pem'], /nowhere\.pem: does not exist/],
    [['x', 'ca.key'], /ca\.key: holds a private key/],
    [['x', 'a.req'], /a\.req: holds a certificate request/],
    [['-C', 'x', 'leaf.pem'], /CN=aqua is no certificate authority, its CA flag is missing/],
    [['x', 'ca.pem'], /this certificate is there already, as "CA-cert"/],
    [['Server-Cert', 'leaf.pem'], /the nickname "Server-Cert" is taken/],
  ];
  for (const [words, said] of cases) assert.match(await tool.refused(1, 'add-cert', ...words), said);
  assert.match(await tool.ok('add-cert', 'Mine', 'leaf.pem'), /^Mine: added/);
});

test('trust is for servers first, for clients when it is said, and for authorities only', async () => {
  using tool = await toolWithDatabase();
  makeAuthority(tool);
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

test('a self-signed certificate is renewed with its key, names and length', async () => {
  using tool = await toolWithDatabase();
  await tool.ok('add-selfsign-cert', '--name', 'siroe.test', '--dns', 'b.test', '--validity', '1y', 'Mine');
  const facts = async () => JSON.parse(await tool.ok('show-cert', '--json', 'Mine'))[0];
  const before = await facts();
  assert.match(await tool.ok('renew-selfsign-cert', 'Mine'), /^Mine: renewed, valid until /);
  const after = await facts();
  assert.notEqual(after.serialNumber, before.serialNumber);
  assert.deepEqual(
    [after.subject, after.extensions, after.publicKey],
    [before.subject, before.extensions, before.publicKey],
  );
  const length = (each: { notBefore: string; notAfter: string }) =>
    Date.parse(each.notAfter) - Date.parse(each.notBefore);
  assert.equal(length(after), length(before));
  assert.match(await tool.ok('renew-selfsign-cert', '--validity', '2w', 'Mine'), /renewed/);
  assert.equal(length(await facts()), 14 * 86_400_000);
});

test('renew-cert takes a later certificate of the same key or of a new request, and nothing by mistake', async () => {
  using tool = await toolWithDatabase();
  makeAuthority(tool);
  const request = async (name: string, file: string): Promise<void> =>
    void tool.write(file, await tool.ok('request-cert', '--name', name, '-F', 'ascii'));
  await request('aqua.test', 'first.req');
  certify(tool, 'first.req', 'first.pem', '20');
  await tool.ok('add-cert', 'Mine', 'first.pem');
  certify(tool, 'first.req', 'later.pem', '60');
  assert.match(
    await tool.ok('renew-cert', 'Mine', 'later.pem'),
    /^Mine: renewed, CN=aqua\.test, valid until/,
  );
  await request('aqua.test', 'second.req');
  certify(tool, 'second.req', 'second.pem', '80');
  assert.match(await tool.ok('renew-cert', 'Mine', 'second.pem'), /^Mine: renewed/);
  assert.deepEqual(JSON.parse(await tool.ok('list-certs', '--json')).requests, []);
  await request('blue.test', 'blue.req');
  certify(tool, 'blue.req', 'blue.pem', '90');
  openssl(
    tool,
    'req',
    '-new',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    'x.key',
    '-subj',
    '/CN=aqua.test',
    '-out',
    'x.req',
  );
  certify(tool, 'x.req', 'strange.pem');
  const cases: [words: string[], said: RegExp][] = [
    [['Mine', 'second.pem'], /the certificate that is there already/],
    [['Mine', 'blue.pem'], /it is for CN=blue\.test, the one that is there is for CN=aqua\.test/],
    [['Mine', 'strange.pem'], /does not match: it belongs to a private key that is not in the database/],
    [['Server-Cert', 'second.pem'], /of "Mine": renew that one with it/],
    [['Mine', 'x.key'], /holds a private key/],
    [['Mime', 'second.pem'], /did you mean "Mine"\?/],
  ];
  for (const [words, said] of cases) assert.match(await tool.refused(1, 'renew-cert', ...words), said);
  assert.match(await tool.ok('renew-cert', '--force', 'Mine', 'blue.pem'), /^Mine: renewed, CN=blue\.test/);
  assert.match(
    await tool.refused(1, 'renew-selfsign-cert', 'Mine'),
    /is not self-signed but issued by CN=The CA: msgcert renew-cert Mine CERT_FILE/,
  );
});

test('the certificate of a CA is renewed by one of the same name and key, and stays trusted', async () => {
  using tool = await toolWithDatabase();
  makeAuthority(tool);
  await tool.ok('add-cert', '-C', 'CA', 'ca.pem');
  await tool.ok('trust', 'CA', 'CT,,');
  openssl(tool, 'req', '-x509', '-key', 'ca.key', '-subj', '/CN=The CA', '-days', '300', '-out', 'later.pem');
  assert.match(await tool.ok('renew-cert', 'CA', 'later.pem'), /^CA: renewed/);
  const [ca] = JSON.parse(await tool.ok('list-certs', '-C', '--json')).certificates;
  assert.match(ca.trust, /^(CT|TC),,$/);
  makeAuthority(tool);
  assert.match(await tool.refused(1, 'renew-cert', 'CA', 'ca.pem'), /it has another public key/);
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

test('what a request left behind is shown and can be removed by its key', async () => {
  using tool = await toolWithDatabase();
  await tool.ok('request-cert', '--name', 'a.test', '-o', '/dev/null');
  const { stderr } = await tool.msgcert(['list-certs', '-W', tool.passwordFile]);
  const [, key = ''] =
    /^a key \(EC, ([0-9a-f]{16})\) waits for its certificate since /.exec(stderr.toString()) ?? [];
  assert.match(await tool.ok('remove-cert', key), /is removed/);
  assert.equal((await tool.msgcert(['list-certs', '-W', tool.passwordFile])).stderr.toString(), '');
});

test('a site has its own CA: it signs requests for servers and clients, and nothing else does', async () => {
  using tool = await toolWithDatabase();
  assert.match(
    await tool.ok('add-selfsign-cert', '--use', 'ca', '-S', 'CN=Site CA,O=Example', 'Site CA'),
    /^Site CA: made/,
  );
  tool.write('a.req', await tool.ok('request-cert', '--name', 'mail.test', '-F', 'ascii'));
  tool.write('server.pem', await tool.ok('sign-request', '--ca', 'Site CA', 'a.req'));
  assert.match(
    openssl(tool, 'x509', '-in', 'server.pem', '-noout', '-text'),
    /TLS Web Server Authentication[^]*DNS:mail\.test/,
  );
  await tool.ok(
    'sign-request',
    '--ca',
    'Site CA',
    '--use',
    'client',
    '--validity',
    '5',
    '-F',
    'binary',
    '-o',
    'c.der',
    'a.req',
  );
  assert.match(
    openssl(tool, 'x509', '-inform', 'DER', '-in', 'c.der', '-noout', '-text'),
    /TLS Web Client Authentication/,
  );
  assert.match(await tool.ok('add-cert', 'Mine', 'server.pem'), /^Mine: added/);
  assert.match(await tool.ok('chain', 'Mine'), /trusted for servers/);
  tool.write('site.pem', await tool.ok('show-cert', '-F', 'ascii', 'Site CA'));
  assert.match(openssl(tool, 'verify', '-CAfile', 'site.pem', 'server.pem'), /OK/);
  assert.match(await tool.refused(1, 'sign-request', '--ca', 'Server-Cert', 'a.req'), /CA flag is missing/);
  assert.match(
    await tool.refused(1, 'sign-request', '--ca', 'Site CA', 'server.pem'),
    /a certificate request is wanted/,
  );
  assert.match(
    await tool.refused(1, 'sign-request', '--ca', 'Site CA', 'nowhere'),
    /nowhere: does not exist/,
  );
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
