import assert from 'node:assert/strict';
import { test } from 'node:test';

import { takeServiceManager } from '../../src/config/environment.ts';

const given = {
  LISTEN_PID: '7',
  LISTEN_FDS: '2',
  LISTEN_FDNAMES: 'imap:',
  NOTIFY_SOCKET: '/run/systemd/notify',
  SYSTEMD_EXEC_PID: '7',
};

test('sockets from descriptor 3 on are taken with their names, and nothing of it is left for a child', () => {
  const environment: Record<string, string | undefined> = { ...given, PATH: '/bin' };
  assert.deepEqual(takeServiceManager(environment, 7), {
    descriptors: [
      { fd: 3, name: 'imap' },
      { fd: 4, name: 'unknown' },
    ],
    notifySocket: '/run/systemd/notify',
    isMainProcess: true,
  });
  assert.deepEqual(Object.keys(environment), ['PATH']);
});

test('what is meant for another process, or is no number, is not taken, and is removed all the same', () => {
  for (const [environment, pid] of [
    [{ ...given }, 8],
    [{ ...given, LISTEN_FDS: 'many' }, 7],
    [{ ...given, LISTEN_FDS: '-1' }, 7],
    [{}, 7],
  ] as const) {
    const taken: Record<string, string | undefined> = { ...environment };
    assert.deepEqual(takeServiceManager(taken, pid).descriptors, []);
    assert.equal(taken['LISTEN_FDS'], undefined);
  }
});

test('more descriptors than any service has are not looked for', () => {
  assert.equal(takeServiceManager({ ...given, LISTEN_FDS: '1000000000' }, 7).descriptors.length, 1024);
});
