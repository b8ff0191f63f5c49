// Hosts that a directory names: which the settings allow, at which port, and that only so many are remembered.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readHostPattern } from '../../src/config/items.ts';
import type { BackendSettings, Endpoint, Protocol } from '../../src/config/settings.ts';
import { HostBook, namedServer } from '../../src/connection/backend-hosts.ts';
import { HealthBoard } from '../../src/connection/server-health.ts';
import { createLog } from '../../src/log.ts';
import { manualWorld } from '../support/manual-world.ts';

interface Given {
  readonly hosts?: readonly string[];
  readonly port?: number;
  readonly mode?: 'maytls' | 'implicit';
}

function settings({ hosts = [], port, mode = 'maytls' }: Given): BackendSettings {
  return {
    name: 'stores',
    servers: [{ kind: 'tcp', host: 'own.internal', port: 1430 }],
    hosts: hosts.flatMap((host) => readHostPattern(host) ?? []),
    port: port ?? null,
    tls: { mode },
  } as unknown as BackendSettings;
}

const ROWS: readonly (readonly [text: string, given: Given, protocol: Protocol, expected: string | null])[] =
  [
    ['a.internal', { hosts: ['*.internal'] }, 'imap', 'a.internal:143'],
    ['A.Internal', { hosts: ['*.internal'] }, 'pop3', 'a.internal:110'],
    ['a.internal', { hosts: ['*.internal'], mode: 'implicit' }, 'imap', 'a.internal:993'],
    ['a.internal', { hosts: ['*.internal'], port: 1143 }, 'imap', 'a.internal:1143'],
    ['a.internal:99', { hosts: ['*.internal'], port: 1143 }, 'imap', 'a.internal:99'],
    ['192.0.2.7', { hosts: ['192.0.2.0/24'] }, 'imap', '192.0.2.7:143'],
    ['2001:db8::7', { hosts: ['2001:db8::/32'] }, 'imap', '2001:db8::7:143'],
    ['[2001:db8::7]:99', { hosts: ['2001:db8::/32'] }, 'imap', '2001:db8::7:99'],
    ['own.internal', {}, 'imap', 'own.internal:1430'],
    ['own.internal:1430', {}, 'imap', 'own.internal:1430'],
    ['imap7.a.internal', { hosts: ['imap*.*.internal'] }, 'imap', 'imap7.a.internal:143'],
    ['own.internal:25', {}, 'imap', null],
    ['a.internal', {}, 'imap', null],
    ['a.internal.evil.net', { hosts: ['*.internal'] }, 'imap', null],
    ['internal', { hosts: ['*.internal'] }, 'imap', null],
    ['192.0.3.7', { hosts: ['192.0.2.0/24'] }, 'imap', null],
    ['127.0.0.1', { hosts: ['*'] }, 'imap', '127.0.0.1:143'],
    ['a.internal:0', { hosts: ['*'] }, 'imap', null],
    ['a.internal:70000', { hosts: ['*'] }, 'imap', null],
    ['unix:/run/x', { hosts: ['*'] }, 'imap', null],
    ['a b', { hosts: ['*'] }, 'imap', null],
    ['', { hosts: ['*'] }, 'imap', null],
  ];

for (const [text, given, protocol, expected] of ROWS) {
  test(`${JSON.stringify(text)} with ${JSON.stringify(given)} for ${protocol} is ${expected ?? 'refused'}`, () => {
    const server = namedServer(text, settings(given), protocol);
    assert.equal(server?.kind === 'tcp' ? `${server.host}:${server.port}` : server, expected);
  });
}

test('so many hosts are remembered and no more, and each has its own health', () => {
  const log = createLog({ level: 'error', format: 'json', write: () => undefined });
  const board = new HealthBoard({ world: manualWorld(), log });
  const book = new HostBook('stores', board);
  const host = (number: number): Endpoint => ({ kind: 'tcp', host: `h${number}.internal`, port: 143 });
  const [first] = book.order([host(0), host(1)], []);
  first?.health.note({ kind: 'refused' }, 30_000);
  assert.deepEqual(
    book.order([host(0), host(1)], []).map(({ health }) => health.server),
    ['h1.internal:143', 'h0.internal:143'],
  );
  for (let number = 2; number < 3000; number++) book.order([host(number)], []);
  assert.deepEqual([book.names.length, board.facts.length], [1024, 1024]);
});
