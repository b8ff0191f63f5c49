// Which server of a hashed backend a user was put on by hand (`sallyport move`), and what a move that is under way means
// for it. Pure. Times are milliseconds of the wall clock, so that they hold over processes and machines.

/** Of one user at one backend. */
export interface Placement {
  /** Identity of the server (balance.ts); null: where hashing puts the user. */
  readonly server: string | null;
  /** When it was last changed. */
  readonly at: number;
  /** A move is under way: nobody new gets to the user's mailbox. */
  readonly hold: Hold | null;
}

export interface Hold {
  /** The move's name. */
  readonly id: string;
  /** By then it is over, whatever became of who moves. */
  readonly until: number;
}

/** A null placement is gone. */
export type PlacementChange = readonly [key: string, placement: Placement | null];

/** One that stays has no end; the store wants one. */
export const FOREVER = Date.UTC(9999, 0, 1);

/** Longer names are not moved. */
export const USER_MAX = 255;

export function placementKey(backend: string, user: string): string {
  return `${backend} ${user.toLowerCase()}`;
}

/** Names of backends hold no blank. */
export function readPlacementKey(key: string): { readonly backend: string; readonly user: string } {
  const blank = key.indexOf(' ');
  return { backend: key.slice(0, blank), user: key.slice(blank + 1) };
}

export function isHeld(placement: Placement | null, now: number): boolean {
  return placement?.hold != null && now < placement.hold.until;
}

/** Whether it says anything, now or ever. */
export function isEmpty(placement: Placement, now: number): boolean {
  return placement.server === null && !isHeld(placement, now);
}

export function endOf({ server, at, hold }: Placement): number {
  return server === null ? (hold?.until ?? at) : FOREVER;
}

export function formatPlacement({ server, at, hold }: Placement): string {
  return JSON.stringify([server, at, ...(hold === null ? [] : [hold.id, hold.until])]);
}

/** Null where it is none. */
export function parsePlacement(text: string): Placement | null {
  try {
    const value: unknown = JSON.parse(text);
    if (!Array.isArray(value)) return null;
    const [server, at, id, until] = value as unknown[];
    if ((server !== null && typeof server !== 'string') || typeof at !== 'number') return null;
    const isHold = typeof id === 'string' && typeof until === 'number';
    return { server, at, hold: isHold ? { id, until } : null };
  } catch {
    return null;
  }
}

export function isSame(a: Placement | null, b: Placement | null): boolean {
  if (a === null || b === null) return a === b;
  return a.server === b.server && a.hold?.id === b.hold?.id;
}
