// The tables of `list-certs`: columns that stay in line whatever is in them, dates as the documentation shows them. Pure.

export interface Column {
  /** One line or two. */
  readonly title: readonly [string] | readonly [string, string];
  readonly least: number;
}

/** Two spaces between columns; nothing behind the last one. */
export function tableText(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map(({ title, least }, place) =>
    Math.max(least, ...title.map(widthOf), ...rows.map((row) => widthOf(row[place] ?? ''))),
  );
  const line = (cells: readonly string[]): string =>
    `${cells.map((cell, place) => padded(cell, widths[place] ?? 0)).join('  ')}`.trimEnd();
  const second = columns.map(({ title }) => title[1] ?? '');
  return [
    line(columns.map(({ title }) => title[0])),
    ...(second.some((words) => words !== '') ? [line(second)] : []),
    line(widths.map((width) => '-'.repeat(width))),
    ...rows.map(line),
  ]
    .map((text) => `${text}\n`)
    .join('');
}

function padded(cell: string, width: number): string {
  return cell + ' '.repeat(Math.max(0, width - widthOf(cell)));
}

/** What takes no place, and what takes two, on a terminal. */
const NARROW = /^[\p{Mn}\p{Me}\p{Cf}]$/u;
const WIDE =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]$/u;

export function widthOf(text: string): number {
  let width = 0;
  for (const character of text) width += NARROW.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
  return width;
}

/** `2006/07/28 12:58`, in the time zone of whoever looks. */
export function dateText(ms: number): string {
  const date = new Date(ms);
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('/');
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}
