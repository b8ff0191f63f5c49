// The result of --crowd as Markdown: a row for each number of workers.

import type { CrowdResult, Moment } from './crowd.ts';
import { ratioOf } from './crowd.ts';
import { median } from './measure.ts';

const HEAD = [
  'workers',
  'idle connections',
  'dropped',
  'KiB each',
  'idle CPU, % of a core',
  'full login, CPU ms: none → crowd → none',
  'ratio',
  'down, CPU s/GiB: none → crowd → none',
  'ratio',
];

function moments(costs: Readonly<Record<Moment, readonly number[]>>): string {
  return (['before', 'with', 'after'] as const).map((moment) => median(costs[moment]).toFixed(2)).join(' → ');
}

export function renderCrowd(results: readonly CrowdResult[]): string {
  const rows = results.map((result) => {
    const { workers, wanted, alive, pssKiBPerConnection, idleCpu, loginFullMs, downSecondsPerGiB } = result;
    return [
      workers,
      wanted,
      wanted - alive,
      pssKiBPerConnection.toFixed(0),
      (idleCpu * 100).toFixed(1),
      moments(loginFullMs),
      `**${ratioOf(loginFullMs).toFixed(2)}**`,
      moments(downSecondsPerGiB),
      `**${ratioOf(downSecondsPerGiB).toFixed(2)}**`,
    ];
  });
  const lines = [HEAD, HEAD.map(() => '---:'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
  return lines.join('\n');
}
