// Which known name was probably meant where an unknown one was typed: settings, commands, nicknames. Pure.

/** The nearest known names, nearest first, letter case aside; none where nothing is near enough to be meant. */
export function nearNames(typed: string, known: readonly string[], most = 1): readonly string[] {
  const wanted = typed.slice(0, MAX_TYPED_CHARS).toLowerCase();
  return known
    .map((name) => ({ name, distance: distanceBetween(wanted, name.toLowerCase()) }))
    .filter(({ name, distance }) => distance <= Math.min(3, Math.max(1, Math.floor(name.length / 3))))
    .toSorted((a, b) => a.distance - b.distance)
    .slice(0, most)
    .map(({ name }) => name);
}

const MAX_TYPED_CHARS = 200;

/** Letters to insert, drop, change or swap. */
function distanceBetween(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 3) return Infinity;
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
