// Where the sealed ticket keys of all nodes meet: one entry in the store that the nodes share. What is in it was sealed
// by one of them and means nothing to whoever else reads the store.

import type { Store } from '../../state/store.ts';
import type { World } from '../../world.ts';
import type { TicketExchange } from './ticket-rotation.ts';

const TABLE = 'tickets';
const CURRENT = 'current';
/** Longer than any rotation; keys that nobody renewed for so long are of no use to anybody. */
const KEPT_MS = 30 * 86_400_000;

/** Null: the store is this node's alone. */
export function ticketExchangeOf(store: Store, world: World): TicketExchange | null {
  if (store.counts === null) return null;
  const hearers = new Set<(sealed: string) => void>();
  store.watch(TABLE, (_key, entry) => {
    if (entry !== null) for (const hear of hearers) hear(entry.value);
  });
  return {
    publish: (sealed) =>
      store.put(TABLE, [{ key: CURRENT, value: sealed, expiresAt: world.now() + KEPT_MS }]),
    subscribe(hear) {
      hearers.add(hear);
      return { close: () => void hearers.delete(hear) };
    },
    current: async () => (await store.get(TABLE, CURRENT))?.value ?? null,
  };
}
