// The name that was probably meant where an unknown one was given. Pure.

/** `, did you mean …?` when a known key is near. */
export function suggest(name: string, known: readonly string[]): string {
  const near = known
    .map((key) => ({ key, distance: distanceBetween(name.toLowerCase(), key.toLowerCase()) }))
    .filter(({ key, distance }) => distance <= Math.min(2, Math.floor(key.length / 2)))
    .toSorted((a, b) => a.distance - b.distance)[0];
  return near ? `, did you mean ${near.key}?` : '';
}

/** Letters to insert, drop, change or swap. */
function distanceBetween(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 2) return Infinity;
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, index) => index)];
  const at = (i: number, j: number): number => rows[i]?.[j] ?? Infinity;
  for (let i = 1; i <= a.length; i += 1) {
    rows.push([i]);
    for (let j = 1; j <= b.length; j += 1) {
      const change = at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swap = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? at(i - 2, j - 2) + 1 : Infinity;
      rows[i]?.push(Math.min(change, swap, at(i - 1, j) + 1, at(i, j - 1) + 1));
    }
  }
  return at(a.length, b.length);
}
