import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { buildServerContexts } from '../../src/tls/context.ts';
import {
  accelerate,
  engineIdentity,
  findEngineFolder,
  isTokenError,
  keyUri,
  tokenKeysProblem,
  withoutPins,
} from '../../src/tls/engine.ts';
import { makeAuthority } from '../support/authority.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-engine-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const issued = makeAuthority(folder).issue({ names: ['mail.example.com'] });

const key = {
  module: 'card',
  library: '/usr/lib/card.so',
  parameters: null,
  label: 'Mail (new); x',
  serial: '01 02',
  id: '01ff',
  keyType: 'ec',
  pin: '1234',
} as const;

test('the identifier of a key is a PKCS#11 URI in which nothing of a label speaks, and no PIN', () => {
  assert.equal(keyUri(key), 'pkcs11:token=Mail%20%28new%29%3B%20x;serial=01%2002;id=%01%ff;type=private');
});

test('a PIN in words of OpenSSL is masked', () => {
  const words = 'not found at: pkcs11:token=t;pin-value=12%2034;id=%01 and pkcs11:pin-source=file:/x y';
  assert.equal(
    withoutPins(words),
    'not found at: pkcs11:token=t;pin-value=[secret];id=%01 and pkcs11:pin-source=[secret] y',
  );
});

test('keys of one library go together, others are refused with a way out; so is everything without the engine', () => {
  const other = { ...key, module: 'softhsm', library: '/usr/lib/softhsm.so' };
  assert.equal(tokenKeysProblem([], null), null);
  assert.equal(tokenKeysProblem([key, { ...key, module: 'again' }], folder), null);
  assert.match(
    tokenKeysProblem([key, other], folder) ?? '',
    /modules card and softhsm cannot .*p11-kit-proxy/,
  );
  assert.match(tokenKeysProblem([key], null) ?? '', /apt install libengine-pkcs11-openssl/);
  assert.equal(findEngineFolder('pkcs11', [folder]), null);
  assert.notEqual(engineIdentity([key]), engineIdentity([other]));
  assert.equal(engineIdentity([]), '');
});

test('a key that cannot be had is told, and the other certificates are served', () => {
  const failures: string[] = [];
  const given: string[] = [];
  const material = {
    certificates: [{ cert: issued.cert, token: key }],
    sni: [{ pattern: 'other.example.com', certificates: [{ cert: issued.cert, key: issued.key }] }],
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    ciphers: 'default',
    groups: 'default',
  } as const;
  const tokenKeys = {
    add(): void {
      given.push('asked');
      throw new Error('pkcs11:pin-value=1234');
    },
    failed: ({ module }: { readonly module: string }, cause: string) =>
      void failures.push(`${module}: ${cause}`),
  };
  const tickets = { ticketKeys: Buffer.alloc(48), sessionIdContext: 'x' };
  const { select } = buildServerContexts(material, { ...tickets, tokenKeys });
  assert.deepEqual(failures, ['card: pkcs11:pin-value=[secret]']);
  assert.notEqual(select?.('other.example.com'), select?.('mail.example.com'));
  buildServerContexts(material, tickets);
  assert.deepEqual(given, ['asked'], 'who only looks at the settings touches no token');
});

test('an engine that the runtime cannot load is refused by name or file, one that it has is taken', () => {
  const variables = new Map<string, string>();
  const options = {
    setVariable: (name: string, value: string) => void variables.set(name, value),
    use: 'try',
  } as const;
  assert.match(accelerate('nonesuch', options) ?? '', /cannot load the engine nonesuch/);
  assert.match(accelerate('/nowhere/fast.so', options) ?? '', /there is no file \/nowhere\/fast\.so/);
  assert.match(accelerate(issued.certFile, options) ?? '', /cannot load the engine/);
  assert.equal(accelerate('dynamic', options), null);
});

test('an error of a token is known by its library', () => {
  assert.ok(isTokenError(Object.assign(new Error('x'), { library: 'PKCS#11 module' })));
  assert.ok(isTokenError(Object.assign(new Error('x'), { library: 'pkcs11 engine' })));
  assert.ok(!isTokenError(Object.assign(new Error('x'), { library: 'SSL routines' })));
  assert.ok(!isTokenError(new Error('x')));
});
