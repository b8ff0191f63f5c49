// A safe move of a user to another server of hashed backends: the user is held in the store, every supervisor that has
// signed on ends what leads to the mailbox and says so (placement-book.ts), then the new server is written and the hold is
// gone with it. Promises: no two moves of a user at once; the new server holds only after all have answered; a move that
// fails leaves the user where it was, and where not even that can be written, the hold ends by itself.

import { explain, type Log } from '../../log.ts';
import {
  formatPlacement,
  isHeld,
  type Placement,
  parsePlacement,
  placementKey,
} from '../../policy/placements.ts';
import type { Entry, Store } from '../../state/store.ts';
import type { World } from '../../world.ts';
import { DONE_TABLE, doneKey, entryOf, NODE_TABLE, PLACEMENT_TABLE, type PlacementBook } from './book.ts';

/** A hold lasts so much longer than the wait, so that nobody is let in while the end is written. */
const MARGIN_MS = 10_000;
const LOOK_EVERY_MS = 100;
/** More than any site moves by hand; the store forgets the oldest of twice as many. */
export const PLACEMENTS_MAX = 50_000;

export interface Target {
  readonly backend: string;
  /** Identity of the server; null: where hashing puts the user. */
  readonly to: string | null;
}

export interface MoveOrder {
  readonly user: string;
  readonly targets: readonly Target[];
  readonly waitMs: number;
}

interface Mover {
  readonly book: PlacementBook;
  readonly store: Store | null;
  readonly world: World;
  readonly log: Log;
}

/** A place of the user: what is in the store before, and what shall be. */
interface Step {
  readonly key: string;
  readonly before: Placement | null;
  readonly held: Placement;
  /** Identity of the server; null: hashing decides. */
  readonly to: string | null;
}

class MoveError extends Error {}

/** null: the user is where it should be; else why it is where it was. Never rejects. */
export async function moveUser(mover: Mover, order: MoveOrder): Promise<string | null> {
  const { store, world, log } = mover;
  const { user, waitMs, targets } = order;
  if (store === null || store.state === 'down') return 'the store of shared state is not reached';
  if (mover.book.count >= PLACEMENTS_MAX) return `${PLACEMENTS_MAX} users have been moved already (--back)`;
  const deadline = world.now() + waitMs;
  const steps: Step[] = [];
  try {
    const move = { id: world.random(8).toString('hex'), until: deadline + MARGIN_MS };
    for (const target of targets) steps.push(await hold(mover, store, { user, target, move }));
    await othersDone(mover, store, { steps, deadline });
    const now = world.now();
    if (now >= deadline) throw new MoveError('it took too long');
    // All places at once, so that the user is moved or not.
    const after = steps.map(({ key, to }) => ({ key, placement: { server: to, at: now, hold: null } }));
    await store.put(
      PLACEMENT_TABLE,
      after.map(({ key, placement }) => entryOf(key, placement)),
    );
    for (const { key, placement } of after) mover.book.adopt(key, placement);
  } catch (error) {
    const reason = error instanceof MoveError ? error.message : explain(error);
    log.warn('move-failed', { user, targets, cause: reason });
    await giveUp(mover, store, steps);
    return reason;
  }
  log.info('moved', { user, targets });
  return null;
}

interface Holding {
  readonly user: string;
  readonly target: Target;
  readonly move: { readonly id: string; readonly until: number };
}

async function hold(mover: Mover, store: Store, { user, target, move }: Holding): Promise<Step> {
  const { book, world } = mover;
  const key = placementKey(target.backend, user);
  const entry = await store.get(PLACEMENT_TABLE, key);
  const before = entry === null ? null : parsePlacement(entry.value);
  if (isHeld(before, world.now())) throw new MoveError('the user is being moved already');
  const at = world.now();
  const held: Placement = { server: before?.server ?? null, at, hold: move };
  const { value, expiresAt } = entryOf(key, held);
  const change = { key, from: entry?.value ?? null, to: { value, expiresAt } };
  if (!(await store.change(PLACEMENT_TABLE, change))) throw new MoveError('the user is being moved already');
  book.adopt(key, held);
  return { key, before, held, to: target.to };
}

/** Resolves when every supervisor has said that nobody is left. */
async function othersDone(
  { world, book }: Mover,
  store: Store,
  { steps, deadline }: { readonly steps: readonly Step[]; readonly deadline: number },
): Promise<void> {
  for (;;) {
    const nodes = new Set([book.node, ...(await store.load(NODE_TABLE)).map(({ key }) => key)]);
    const done = new Set((await store.load(DONE_TABLE)).map(({ key }) => key));
    const isDone = (node: string): boolean =>
      steps.every(({ key, held }) => done.has(doneKey(held.hold?.id ?? '', node, key)));
    const late = [...nodes].filter((node) => !isDone(node));
    if (late.length === 0) return;
    if (world.now() >= deadline) {
      const here = late.includes(book.node) ? 'sessions of the user do not end on this machine' : '';
      const others = late.filter((node) => node !== book.node).length;
      const there =
        others === 0 ? '' : `${others} of ${nodes.size} supervisors did not say that theirs have ended`;
      throw new MoveError([here, there].filter((part) => part !== '').join('; '));
    }
    await new Promise<void>((resolve) => void world.after(LOOK_EVERY_MS, resolve));
  }
}

/** Everything as it was. What is not held by this move any more is left alone. */
async function giveUp({ book, world }: Mover, store: Store, steps: readonly Step[]): Promise<void> {
  for (const { key, before, held } of steps) {
    const back: Placement = { server: before?.server ?? null, at: world.now(), hold: null };
    const to: Omit<Entry, 'key'> | null = back.server === null ? null : entryOf(key, back);
    const change = { key, from: formatPlacement(held), to };
    const isMine = await store.change(PLACEMENT_TABLE, change).catch(() => true);
    if (isMine) book.adopt(key, back);
  }
}
