// How a worker's garbage collector weighs memory outside the heap. V8 before 14.8 counts every byte that was ever
// allocated for a buffer or a TLS session since the last full collection, also those long freed: at 64 MiB it marks the
// whole heap, ten times a second under load, for nothing. Later ones count what is held, as part of the heap's own
// limit; the earlier ones can be told to.

import { setFlagsFromString } from 'node:v8';

/** The first whose only way this is; it knows the flag no more. */
const FIRST = [14, 8] as const;

/** The flag that this V8 has to be given; null: none. */
export function memoryFlag(version: string): string | null {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const isLater = major > FIRST[0] || (major === FIRST[0] && minor >= FIRST[1]);
  return isLater ? null : '--external-memory-accounted-in-global-limit';
}

/** To be called before much is allocated. */
export function countMemoryThatIsHeld(): void {
  const flag = memoryFlag(process.versions.v8);
  if (flag !== null) setFlagsFromString(flag);
}
