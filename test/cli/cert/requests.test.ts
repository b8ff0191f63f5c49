import assert from 'node:assert/strict';
import { readFileSync, symlinkSync } from 'node:fs';
import { test } from 'node:test';

import { makeAuthority } from '../../support/authority.ts';
import { toolWithDatabase } from '../../support/cert-tool.ts';
import { openssl, OpensslAuthority } from '../../support/openssl-authority.ts';

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
  const binary = openssl(
    tool.folder,
    'req',
    '-inform',
    'DER',
    '-in',
    'binary.req',
    '-noout',
    '-text',
    '-verify',
  );
  assert.match(
    binary,
    /DNS:mail\.example\.test, DNS:a\.test, DNS:b\.test, DNS:c\.test, IP Address:0:.*:1, email:a@b\.test/,
  );
  assert.match(binary, /id-ecPublicKey/);
  const ascii = openssl(
    tool.folder,
    'req',
    '-in',
    'ascii.req',
    '-noout',
    '-text',
    '-verify',
    '-nameopt',
    'utf8',
  );
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
  const authority = new OpensslAuthority(tool.folder);
  tool.write('a.req', await tool.ok('request-cert', '--name', 'aqua', '-F', 'ascii'));
  const file = authority.certify({ request: 'a.req', certificate: 'server-cert-file' });
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

test('a certificate that is not valid at the moment is added with a warning', async () => {
  using tool = await toolWithDatabase();
  const authority = makeAuthority(tool.folder);
  const { certFile: expired } = authority.issue({ names: ['a.test'], days: -1, file: 'expired' });
  const { certFile: early } = authority.issue({ names: ['b.test'], startsInDays: 2, file: 'early' });
  const add = (file: string) => tool.msgcert(['add-cert', '-W', tool.passwordFile, file]);
  const [first, second] = [await add(expired), await add(early)];
  assert.deepEqual([first.code, second.code], [0, 0], first.text + second.text);
  assert.match(first.text, /warning: .*expired\.cert\.pem.* expired/);
  assert.match(second.text, /warning: .*early\.cert\.pem.*not yet valid/);
  assert.match(second.text, /there is no private key for it in the database, so no server can use it/);
});

test('a chain in one file is taken whole, whatever its order', async () => {
  using tool = await toolWithDatabase();
  const authority = new OpensslAuthority(tool.folder);
  tool.write('a.req', await tool.ok('request-cert', '--name', 'aqua', '-F', 'ascii'));
  const leaf = readFileSync(authority.certify({ request: 'a.req', certificate: 'leaf.pem' }), 'utf8');
  tool.write('chain.pem', readFileSync(tool.file('ca.pem'), 'utf8') + leaf);
  assert.match(
    await tool.ok('add-cert', 'Mine', 'chain.pem'),
    /^Mine: added, CN=aqua, with 1 certificate of its chain\n$/,
  );
});

test('add-cert refuses what is no certificate, no authority, or there already', async () => {
  using tool = await toolWithDatabase();
  const authority = new OpensslAuthority(tool.folder);
  await tool.ok('add-cert', '-C', 'CA-cert', 'ca.pem');
  tool.write('a.req', await tool.ok('request-cert', '--name', 'aqua', '-F', 'ascii'));
  authority.certify({ request: 'a.req', certificate: 'leaf.pem' });
  const cases: [words: string[], said: RegExp][] = [
    [['x', 'nowhere.pem'], /nowhere\.pem: does not exist/],
    [['x', 'ca.key'], /ca\.key: holds a private key/],
    [['x', 'a.req'], /a\.req: holds a certificate request/],
    [['-C', 'x', 'leaf.pem'], /CN=aqua is no certificate authority, its CA flag is missing/],
    [['x', 'ca.pem'], /this certificate is there already, as "CA-cert"$/m],
    [['-C', 'x', 'ca.pem'], /there already, as "CA-cert"; sallyport cert trust CA-cert C,, trusts it/],
    [
      ['Server-Cert', 'leaf.pem'],
      /the nickname "Server-Cert" is taken, .*; sallyport cert renew-cert puts a new/,
    ],
  ];
  for (const [words, said] of cases) assert.match(await tool.refused(1, 'add-cert', ...words), said);
  assert.match(await tool.ok('add-cert', 'Mine', 'leaf.pem'), /^Mine: added/);
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
    openssl(tool.folder, 'x509', '-in', 'server.pem', '-noout', '-text'),
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
    openssl(tool.folder, 'x509', '-inform', 'DER', '-in', 'c.der', '-noout', '-text'),
    /TLS Web Client Authentication/,
  );
  assert.match(await tool.ok('add-cert', 'Mine', 'server.pem'), /^Mine: added/);
  assert.match(await tool.ok('chain', 'Mine'), /trusted for servers/);
  tool.write('site.pem', await tool.ok('show-cert', '-F', 'ascii', 'Site CA'));
  assert.match(openssl(tool.folder, 'verify', '-CAfile', 'site.pem', 'server.pem'), /OK/);
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

test('no result is written over the database or its password, by whatever name', async () => {
  using tool = await toolWithDatabase();
  const before = readFileSync(tool.file('certs/cert.db'));
  symlinkSync(tool.file('certs/cert.db'), tool.file('link'));
  for (const output of ['certs/cert.db', 'link', './certs/../sslpassword.conf'])
    assert.match(
      await tool.refused(1, 'request-cert', '--name', 'a.test', '-o', output),
      /itself, which is not overwritten/,
    );
  assert.deepEqual(readFileSync(tool.file('certs/cert.db')), before);
  await tool.ok('request-cert', '--name', 'a.test', '-o', 'certs/request');
});

test('a name that is no host name is said to serve nobody, one that is or an address is not', async () => {
  using tool = await toolWithDatabase();
  const said = async (...words: string[]): Promise<string> =>
    (
      await tool.msgcert(['request-cert', '-W', tool.passwordFile, '-F', 'ascii', ...words])
    ).stderr.toString();
  for (const name of ['münchen.example', 'Mail Server'])
    assert.match(await said('--name', name), /warning: it is valid for no host name.*--dns HOST/);
  assert.doesNotMatch(await said('--name', 'Mail Server', '--dns', 'a.test'), /warning/);
  assert.doesNotMatch(await said('--name', 'aqua'), /warning/);
  assert.doesNotMatch(await said('--name', 'Jo Doe', '--email', 'jo@a.test'), /warning/);
});
