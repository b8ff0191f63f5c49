// Where the ticket keys of all nodes meet: what one publishes, another hears and finds; a store of one node has none.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ticketExchangeOf } from '../../../src/service/certificates/ticket-exchange.ts';
import type { Entry, HearChange, SharedCounts, Store } from '../../../src/state/store.ts';
import { manualWorld } from '../../support/manual-world.ts';

/** A store that several nodes share: what one puts, the watchers of the others hear. */
function sharedStore(): { readonly node: () => Store; readonly rows: Map<string, Entry> } {
  const rows = new Map<string, Entry>();
  const watchers: { readonly of: object; readonly table: string; readonly hear: HearChange }[] = [];
  const node = (): Store => {
    const self = {};
    const unused = (): never => {
      throw new Error('not asked of this store');
    };
    return {
      home: 'shared',
      state: 'up',
      counts: {} as SharedCounts,
      load: unused,
      remove: unused,
      change: unused,
      get: async (table, key) => rows.get(`${table} ${key}`) ?? null,
      put: async (table, entries) => {
        for (const entry of entries) {
          rows.set(`${table} ${entry.key}`, entry);
          for (const { of, table: watched, hear } of watchers)
            if (of !== self && watched === table) hear(entry.key, entry);
        }
      },
      watch: (table, hear) => void watchers.push({ of: self, table, hear }),
      onState: unused,
      close: unused,
    };
  };
  return { node, rows };
}

test('what one node publishes the others hear, until they no longer listen, and newcomers find it', async () => {
  const { node } = sharedStore();
  const world = manualWorld({});
  const [one, other, late] = [node(), node(), node()].map((store) => ticketExchangeOf(store, world));
  assert.ok(one && other && late);
  assert.equal(await one.current(), null);
  const heard: string[] = [];
  const subscription = other.subscribe((sealed) => heard.push(sealed));
  await one.publish('first');
  subscription.close();
  await one.publish('second');
  assert.deepEqual(heard, ['first']);
  assert.equal(await late.current(), 'second');
});

test('what nobody renews is forgotten in the end', async () => {
  const { node, rows } = sharedStore();
  const world = manualWorld({});
  await ticketExchangeOf(node(), world)?.publish('sealed');
  const [entry] = rows.values();
  assert.ok(entry !== undefined && entry.expiresAt > world.now() && Number.isFinite(entry.expiresAt));
});

test('a store that is one node’s alone is no exchange', () => {
  const { node } = sharedStore();
  assert.equal(ticketExchangeOf({ ...node(), counts: null }, manualWorld({})), null);
});
