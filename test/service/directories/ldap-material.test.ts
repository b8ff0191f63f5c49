import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { loadSettings } from '../../../src/config/load.ts';
import type { Settings } from '../../../src/config/settings.ts';
import { withoutSecrets } from '../../../src/service/configuration.ts';
import { ldapFiles, NO_LDAP, readLdapMaterial } from '../../../src/service/directories/ldap-material.ts';
import { settingsFile } from '../../config/settings-file.ts';
import { testMaterial } from '../../support/gateway.ts';

const YAML = `
services:
  imap:
    protocol: imap
    listen: "127.0.0.1:143"
    backend: stores
    domains:
      "192.0.2.10": { defaultDomain: siroe.com }
      "192.0.2.11": { ldap: { bindDn: cn=other, bindPassword: another one } }
backends: { stores: { hosts: "*.siroe.com" } }
directory:
  type: ldap
  ldap: { urls: ldaps://ldap.siroe.com, bindDn: cn=proxy, bindPassword: { file: bind.secret }, ca: ca.pem }
`;

function given(t: TestContext): { readonly settings: Settings; readonly folder: string } {
  const { file, folder } = settingsFile(t, YAML);
  writeFileSync(join(folder, 'bind.secret'), 'of the proxy\n', { mode: 0o600 });
  writeFileSync(join(folder, 'ca.pem'), testMaterial().authority.ca);
  return { settings: loadSettings({ file }), folder };
}

test('password and CAs are read for all and for each address that has its own', (t) => {
  const { settings, folder } = given(t);
  const material = readLdapMaterial(settings, (error) => assert.fail(String(error)));
  assert.equal(material.common.bindPassword, 'of the proxy');
  assert.match(material.common.ca ?? '', /BEGIN CERTIFICATE/);
  assert.deepEqual(Object.keys(material.places), ['imap 192.0.2.11']);
  assert.equal(material.places['imap 192.0.2.11']?.bindPassword, 'another one');
  assert.deepEqual(
    new Set(ldapFiles(settings)),
    new Set([join(folder, 'ca.pem'), join(folder, 'bind.secret')]),
  );
});

test('what cannot be read is told with its place', (t) => {
  const { settings, folder } = given(t);
  writeFileSync(join(folder, 'ca.pem'), 'no certificate');
  const told: string[] = [];
  readLdapMaterial(settings, (error, where) => told.push(`${String(error)}${where}`));
  assert.equal(told.length, 2);
  assert.match(told[0] ?? '', /ca\.pem: expected CA certificates in PEM, found none \(for directory\.ldap\)/);
  assert.match(told[1] ?? '', /\(for services\.imap\.domains\.192\.0\.2\.11\.ldap\)/);
});

test('the settings of workers hold no password of the directory', (t) => {
  const { settings } = given(t);
  const bare = withoutSecrets(settings);
  assert.equal(bare.directory.ldap.bindPassword, null);
  assert.equal(bare.services['imap']?.domains['192.0.2.11']?.ldap?.bindPassword, null);
  assert.equal(bare.services['imap']?.domains['192.0.2.10']?.ldap, null);
  assert.equal(bare.services['imap']?.domains['192.0.2.11']?.ldap?.bindDn, 'cn=other');
});

test('of another type of directory nothing is read', (t) => {
  const { settings } = given(t);
  const other = { ...settings, directory: { ...settings.directory, type: 'none' as const } };
  assert.deepEqual(
    readLdapMaterial(other, (error) => assert.fail(String(error))),
    NO_LDAP,
  );
  assert.deepEqual(ldapFiles(other), []);
});
