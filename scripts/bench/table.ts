// The bench's result as Markdown: one table a key type, a row a peer, in each cell the median, its ratio to nginx
// mail, and the smallest and largest figure of the rounds.

import { median } from './measure.ts';
import type { Figure } from './measure.ts';

export interface PeerResult {
  readonly name: string;
  readonly title: string;
  readonly version: string | null;
  /** Why there are no figures, or no more: 'not installed', or what went wrong. */
  problem: string | null;
  readonly samples: Record<Figure, number[]>;
}

export const emptySamples = (): Record<Figure, number[]> => ({
  loginFullMs: [],
  loginResumedMs: [],
  downSecondsPerGiB: [],
  upSecondsPerGiB: [],
  idlePssKiB: [],
  idleRssKiB: [],
  noopAddedUs: [],
  noopAddedP99Us: [],
  loginWallMs: [],
});

interface Column {
  readonly figure: Figure;
  readonly title: string;
  /** 'plain': no ratio, because it would be one of noise, or of what nginx mail waits for. */
  readonly kind: 'ratio' | 'plain';
}

const COLUMNS: readonly Column[] = [
  { figure: 'loginFullMs', title: 'full login, CPU ms', kind: 'ratio' },
  { figure: 'loginResumedMs', title: 'resumed login, CPU ms', kind: 'ratio' },
  { figure: 'downSecondsPerGiB', title: 'down, CPU s/GiB', kind: 'ratio' },
  { figure: 'upSecondsPerGiB', title: 'up, CPU s/GiB', kind: 'ratio' },
  { figure: 'idlePssKiB', title: 'idle, KiB', kind: 'ratio' },
  { figure: 'noopAddedUs', title: 'NOOP, added µs', kind: 'ratio' },
  { figure: 'noopAddedP99Us', title: 'p99', kind: 'plain' },
  { figure: 'loginWallMs', title: 'login, wall ms', kind: 'plain' },
];

export const REFERENCE = 'nginx-mail';

function digits(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 20 ? 0 : size >= 5 ? 1 : 2);
}

function cell(figures: readonly number[], reference: readonly number[] | undefined): string {
  if (figures.length === 0) return '–';
  const value = median(figures);
  const base = reference === undefined || reference.length === 0 ? Number.NaN : median(reference);
  const ratio = base > 0 ? ` (${(value / base).toFixed(2)}×)` : '';
  const spread =
    figures.length === 1 ? '' : ` ${digits(Math.min(...figures))}–${digits(Math.max(...figures))}`;
  return `**${digits(value)}**${ratio}${spread}`;
}

function row(result: PeerResult, reference: PeerResult | undefined): string {
  const name = result.version === null ? result.title : `${result.title} ${result.version}`;
  const hasFigures = COLUMNS.some(({ figure }) => result.samples[figure].length > 0);
  const cells = hasFigures
    ? COLUMNS.map(({ figure, kind }) =>
        cell(result.samples[figure], kind === 'ratio' ? reference?.samples[figure] : undefined),
      )
    : COLUMNS.map((_, index) => (index === 0 ? (result.problem ?? '–') : ''));
  const mark = hasFigures && result.problem !== null ? ` (stopped: ${result.problem})` : '';
  return `| ${[name + mark, ...cells].join(' | ')} |`;
}

/** The Markdown table of one key type. */
export function renderTable(results: readonly PeerResult[]): string {
  const reference = results.find((result) => result.name === REFERENCE);
  const head = `| ${['', ...COLUMNS.map(({ title }) => title)].join(' | ')} |`;
  const rule = `|---${'|---:'.repeat(COLUMNS.length)}|`;
  return [head, rule, ...results.map((result) => row(result, reference))].join('\n');
}
