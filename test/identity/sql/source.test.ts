import assert from 'node:assert/strict';
import type net from 'node:net';
import { test } from 'node:test';
import { refuseClear, type SqlAccess, within } from '../../../src/identity/sql/source.ts';
import { BackendTls } from '../../../src/tls/client.ts';
import { manualWorld } from '../../support/manual-world.ts';

const TLS = new BackendTls({
  mode: 'musttls',
  verify: true,
  ca: null,
  name: null,
  minVersion: 'TLSv1.2',
  ciphers: 'default',
});

function access(changes: Partial<SqlAccess>): SqlAccess {
  return {
    user: 'lookup',
    database: 'mail',
    password: null,
    tls: null,
    ownTls: null,
    tlsName: null,
    allowClear: false,
    timeoutMs: 1000,
    world: manualWorld(),
    ...changes,
  };
}

const at = (remoteAddress: string): net.Socket => ({ remoteAddress }) as net.Socket;

test('nothing goes to a server elsewhere without TLS, unless the settings say so', () => {
  const place = { kind: 'tcp', host: 'localhost', port: 5432 } as const;
  // It is the address that counts, whatever the name.
  assert.throws(() => refuseClear(place, at('192.0.2.7'), access({})), { blame: 'server' });
  assert.throws(() => refuseClear(place, at('::ffff:192.0.2.7'), access({})), { blame: 'server' });
  refuseClear(place, at('127.0.0.1'), access({}));
  refuseClear(place, at('::1'), access({}));
  refuseClear(place, at('192.0.2.7'), access({ allowClear: true }));
  refuseClear(place, at('192.0.2.7'), access({ tls: TLS }));
  refuseClear({ kind: 'unix', path: '/run/x' }, at(''), access({}));
});

test('work ends with its result, its failure, or when its time is over', async () => {
  const world = manualWorld();
  let late = 0;
  const limit = { world, ms: 100, late: () => void late++ };
  assert.equal(await within(limit, () => Promise.resolve(7)), 7);
  await assert.rejects(
    within(limit, () => Promise.reject(new TypeError('no'))),
    TypeError,
  );
  assert.equal(late, 0);
  assert.equal(world.pending, 0);
  const waiting = within(limit, () => new Promise<never>(() => undefined));
  world.advance(100);
  await assert.rejects(waiting, { blame: 'server', message: 'no answer in 100 ms' });
  assert.equal(late, 1);
});
