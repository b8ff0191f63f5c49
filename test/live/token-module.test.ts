// certdb/token.ts and token-objects.ts in this process, over a real SoftHSM: logins, what is remembered of PINs, and what
// a token that goes away looks like.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { generateTokenKey, removeTokenCertificate, removeTokenKey } from '../../src/certdb/token-changes.ts';
import {
  findTokenKey,
  holdsKey,
  tokenKeys,
  tokenSigner,
  unlockTokenKey,
} from '../../src/certdb/token-objects.ts';
import { makeAuthority } from '../support/authority.ts';
import { openModule } from '../../src/certdb/token.ts';
import { makeSoftToken, SOFTHSM } from '../support/tokens.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-token-module-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const token = await makeSoftToken(folder, { label: 'mail', pin: '1234' });
Object.assign(process.env, token.env);
const module = openModule({ name: 'card', library: SOFTHSM, nss: null, token: 'mail', slot: null });
const right = { pin: token.pin, source: 'sslpassword.conf' };
const value = 0x11;

test('a key that is made can neither be read nor made twice', () => {
  const session = module.open(right, 'write');
  const id = Buffer.from('0102', 'hex');
  const made = generateTokenKey(session, { type: 'ec', bits: 256 }, { label: 'ours', id });
  assert.deepEqual([made.keyType, made.bits, made.isExtractable, made.asksAlways], ['ec', 256, false, false]);
  for (const object of session.find([{ type: 0, value: 3 }])) assert.equal(session.read(object, value), null);
  assert.throws(
    () => generateTokenKey(session, { type: 'ec', bits: 256 }, { label: 'ours', id }),
    /there is a key "ours" already/,
  );
  assert.equal(findTokenKey(session, '0102').label, 'ours');
  session.close();
});

test('without a login private keys are not seen, and the login ends with the last session', () => {
  const session = module.open(right);
  assert.equal(tokenKeys(session).length, 1);
  session.close();
  const other = module.open(null);
  assert.equal(tokenKeys(other).length, 0);
  other.close();
});

test('a wrong PIN is tried once, also while another session has the right one', () => {
  const wrong = { pin: '9999', source: 'sslpassword.conf' };
  assert.throws(
    () => module.open(wrong),
    /the PIN is wrong \(from sslpassword\.conf\); it is not tried again$/,
  );
  assert.equal(module.token().pin, 'count low');
  const session = module.open(right);
  assert.equal(module.token().pin, 'fine', 'the right one takes the mark away');
  assert.throws(() => module.open(wrong), /is not tried again until it is another one/);
  assert.throws(
    () => module.open({ ...wrong, pin: '8888' }),
    /not the one by which this process has logged in/,
  );
  assert.equal(module.token().pin, 'fine', 'neither was tried');
  session.close();
});

test('a worker does not log in where a wrong PIN was tried meanwhile', () => {
  const { serial, label } = module.token();
  const { library, parameters } = module;
  const key = {
    module: 'card',
    library,
    parameters,
    label,
    serial,
    id: '0102',
    keyType: 'ec',
    pin: token.pin,
  } as const;
  unlockTokenKey(module, key).close();
  assert.throws(() => module.open({ pin: '7777', source: 'x' }), /the PIN is wrong/);
  assert.throws(() => unlockTokenKey(module, key), /a wrong PIN was tried since the supervisor logged in/);
  module.open(right).close();
  unlockTokenKey(module, key).close();
  assert.throws(() => unlockTokenKey(module, { ...key, id: '0999' }), /there is another one in its place/);
});

test('a certificate takes no key along that is not its own, or that another one needs', async () => {
  for (const label of ['nameless', 'nameless too'])
    await token.tool(['--keypairgen', '--key-type', 'EC:prime256v1', '--label', label, '--usage-sign']);
  const authority = makeAuthority(folder);
  writeFileSync(join(folder, 'ca.der'), new X509Certificate(authority.ca).raw);
  await token.tool(['--write-object', join(folder, 'ca.der'), '--type', 'cert', '--label', 'a CA']);
  await token.makeKey('55', 'EC:prime256v1');
  await token.certify('55', 'first', 'first.example.com');
  await token.certify('55', 'second', 'second.example.com');
  const session = module.open(right, 'write');
  const labels = (): string[] => tokenKeys(session).map(({ label }) => label);
  const there = labels();
  assert.equal(removeTokenCertificate(session, 'a CA', { keys: 'too' })[0]?.hasKey, false);
  assert.throws(() => removeTokenKey(session, ''), /has no id/);
  assert.throws(() => tokenSigner(session, findTokenKey(session, 'nameless')), /has no id/);
  assert.equal(removeTokenCertificate(session, 'first', { keys: 'too' })[0]?.hasKey, false);
  assert.deepEqual(labels(), there);
  assert.equal(removeTokenCertificate(session, 'second', { keys: 'too' })[0]?.hasKey, true);
  assert.deepEqual(
    labels(),
    there.filter((label) => label !== 'key 55'),
  );
  session.close();
});

test('a token that goes is seen by whoever holds a session, and its way back by looking anew', () => {
  const session = module.open(right);
  assert.ok(holdsKey(session, '0102'));
  token.remove();
  assert.ok(!holdsKey(session, '0102'));
  module.restart();
  assert.throws(() => module.token(), /the token is absent/);
  token.putBack();
  module.restart();
  const again = module.open(right);
  assert.ok(holdsKey(again, '0102'));
  assert.ok(!holdsKey(session, '0102'), 'the old session does not come back');
  again.close();
});
