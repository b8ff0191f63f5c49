import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  connectionsAllowed,
  decidePrivileges,
  findUser,
  limitWarnings,
  parseProcessLimits,
  readProcessLimits,
} from '../../src/service/machine.ts';

const limits = (openFiles: number, coreBytes = 0) => ({ openFiles, coreBytes });

test('the limits of /proc/self/limits are read, unlimited ones too', () => {
  const text =
    'Limit                     Soft Limit           Hard Limit           Units     \n' +
    'Max core file size        unlimited            unlimited            bytes     \n' +
    'Max open files            1024                 20000                files     \n';
  assert.deepEqual(parseProcessLimits(text), limits(1024, Infinity));
  assert.equal(parseProcessLimits('nothing of the kind'), null);
  assert.ok((readProcessLimits()?.openFiles ?? 0) > 0);
});

test('a worker holds two descriptors a connection, and never more connections than fit', () => {
  assert.equal(connectionsAllowed(0, limits(20_000)), 9950);
  assert.equal(connectionsAllowed(500, limits(20_000)), 500);
  assert.equal(connectionsAllowed(50_000, limits(20_000)), 9950);
  assert.ok(connectionsAllowed(0, limits(Infinity)) > 9950);
  assert.ok(connectionsAllowed(0, limits(64)) >= 1);
});

test('a small open-file limit is warned of with both numbers and the way out', () => {
  const [warning = ''] = limitWarnings(10_000, limits(8192));
  for (const word of ['8192', '10000', '20100', 'LimitNOFILE=20100', 'ulimit -n 20100']) {
    assert.ok(warning.includes(word), `${word} in: ${warning}`);
  }
  assert.equal(limitWarnings(0, limits(1024)).length, 1);
});

test('an open-file limit that is large enough is not warned of', () => {
  assert.deepEqual(limitWarnings(4000, limits(8192)), []);
  assert.deepEqual(limitWarnings(0, limits(8192)), []);
  assert.deepEqual(limitWarnings(0, limits(Infinity)), []);
  assert.deepEqual(limitWarnings(0, null), []);
});

test('core files are warned of, because keys would be in them', () => {
  assert.match(limitWarnings(0, limits(8192, 1)).join(), /LimitCORE=0.*ulimit -c 0/);
});

test('root without `user` is warned, root with `user` gives it to the workers', () => {
  assert.equal(decidePrivileges(null, 0).warnings.length, 1);
  assert.deepEqual(decidePrivileges(null, 1000).warnings, []);
  const found = decidePrivileges('mail', 0, () => ({ uid: 8, gid: 8 }));
  assert.deepEqual(found, { owner: { uid: 8, gid: 8 }, mistakes: [], warnings: [] });
});

test('`user` is a mistake where it cannot be had, and nothing to do where we are it already', () => {
  const find = () => ({ uid: 8, gid: 8 });
  assert.match(decidePrivileges('mail', 1000, find).mistakes.join(), /only root can start workers as mail/);
  assert.match(decidePrivileges('nemo', 0, () => null).mistakes.join(), /no user nemo/);
  assert.deepEqual(decidePrivileges('mail', 8, find), { owner: null, mistakes: [], warnings: [] });
});

test('a user name is never taken for an option or a path', () => {
  assert.equal(findUser('root')?.uid, 0);
  for (const name of ['--help', '-u', '../root', 'a b', '', 'root:x']) assert.equal(findUser(name), null);
});
