import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { readIssued } from '../../src/certdb/issued.ts';
import { makeAuthority } from '../support/authority.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-issued-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const authority = makeAuthority(folder);
const stranger = makeAuthority(folder, 'Stranger');
const names = ['mail.example.com', 'imap.example.com'];
const good = authority.issue({ names: [...names, 'More.example.com'] });
const key = createPrivateKey(good.key);
const now = new Date().getTime();
const [leaf = '', ca = ''] = good.cert.split(/(?<=-----END CERTIFICATE-----\n)/);

function problem(chain: string, more: { names?: readonly string[]; now?: number } = {}): string {
  const read = readIssued(chain, { key, names, now, ...more });
  return typeof read === 'string' ? read : 'nothing';
}

test('a certificate for our key and our names is taken, with its chain, whatever stands between', () => {
  const read = readIssued(`Words of the CA\n${leaf}\n\n${ca}`, { key, names, now });
  assert.ok(typeof read !== 'string', JSON.stringify(read));
  assert.equal(read.cert, new X509Certificate(leaf).toString());
  assert.deepEqual(read.extra, [new X509Certificate(ca).toString()]);
  assert.equal(problem(leaf), 'nothing', 'a chain may be left out');
});

test('one for another key is refused', () => {
  assert.match(problem(authority.issue({ names }).cert), /not for our key/);
});

test('one that lacks a name is refused, and says which', () => {
  assert.match(problem(good.cert, { names: [...names, 'pop.example.com'] }), /is not for pop\.example\.com$/);
  assert.equal(problem(good.cert, { names: ['more.example.com'] }), 'nothing');
});

test('one that has expired, or is not valid for days, is refused; clocks may differ a little', () => {
  const { validFrom, validTo } = new X509Certificate(leaf);
  assert.match(problem(good.cert, { now: Date.parse(validTo) }), /has expired/);
  assert.equal(problem(good.cert, { now: Date.parse(validTo) - 1000 }), 'nothing');
  assert.match(problem(good.cert, { now: Date.parse(validFrom) - 86_400_000 }), /not valid yet/);
  assert.equal(problem(good.cert, { now: Date.parse(validFrom) - 600_000 }), 'nothing');
});

test('one that is signed by itself is refused: it would be ordered again and again', () => {
  const self = authority.issue({ names, signer: 'self' });
  const read = readIssued(self.cert, { key: createPrivateKey(self.key), names, now });
  assert.match(JSON.stringify(read), /signed by itself/);
});

test('a chain that does not hold together, has no end or no certificate in it, is refused', () => {
  assert.match(problem(leaf + stranger.ca), /certificate 2 of the chain is not the issuer/);
  assert.match(problem(leaf + ca.repeat(20)), /a chain of 21 certificates/);
  assert.match(problem('<html>'), /sent no certificate/);
  assert.match(problem(leaf.replace(/MII.{20}/, 'MIIAAAAAAAAAAAAAAAAAAAA')), /damaged/);
});
