import assert from 'node:assert/strict';
import { test } from 'node:test';

import { toolWithDatabase } from '../../support/cert-tool.ts';
import { openssl, OpensslAuthority } from '../../support/openssl-authority.ts';

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
  const authority = new OpensslAuthority(tool.folder);
  const request = async (name: string, file: string): Promise<void> =>
    void tool.write(file, await tool.ok('request-cert', '--name', name, '-F', 'ascii'));
  await request('aqua.test', 'first.req');
  authority.certify({ request: 'first.req', certificate: 'first.pem', days: 20 });
  await tool.ok('add-cert', 'Mine', 'first.pem');
  authority.certify({ request: 'first.req', certificate: 'later.pem', days: 60 });
  assert.match(
    await tool.ok('renew-cert', 'Mine', 'later.pem'),
    /^Mine: renewed, CN=aqua\.test, valid until/,
  );
  await request('aqua.test', 'second.req');
  authority.certify({ request: 'second.req', certificate: 'second.pem', days: 80 });
  assert.match(await tool.ok('renew-cert', 'Mine', 'second.pem'), /^Mine: renewed/);
  assert.deepEqual(JSON.parse(await tool.ok('list-certs', '--json')).requests, []);
  await request('blue.test', 'blue.req');
  authority.certify({ request: 'blue.req', certificate: 'blue.pem', days: 90 });
  openssl(
    tool.folder,
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
  authority.certify({ request: 'x.req', certificate: 'strange.pem' });
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
    /is not self-signed but issued by CN=The CA: sallyport cert renew-cert Mine CERT_FILE/,
  );
});

test('the certificate of a CA is renewed by one of the same name and key, and stays trusted', async () => {
  using tool = await toolWithDatabase();
  new OpensslAuthority(tool.folder);
  await tool.ok('add-cert', '-C', 'CA', 'ca.pem');
  await tool.ok('trust', 'CA', 'CT,,');
  openssl(
    tool.folder,
    'req',
    '-x509',
    '-key',
    'ca.key',
    '-subj',
    '/CN=The CA',
    '-days',
    '400',
    '-out',
    'later.pem',
  );
  assert.match(await tool.ok('renew-cert', 'CA', 'later.pem'), /^CA: renewed/);
  const [ca] = JSON.parse(await tool.ok('list-certs', '-C', '--json')).certificates;
  assert.match(ca.trust, /^CT,,$/);
  new OpensslAuthority(tool.folder);
  assert.match(await tool.refused(1, 'renew-cert', 'CA', 'ca.pem'), /it has another public key/);
});
