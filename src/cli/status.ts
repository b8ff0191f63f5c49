// `sallyport status`: what the running supervisor says of itself, its workers, services and certificates.

import { certificateText, crlText } from '../service/status.ts';
import type { ChangeStatus, Status } from '../service/status.ts';
import { acmeText } from './acme.ts';
import { askSupervisor, refusalText } from './ask.ts';
import { backendLines } from './backend.ts';
import { CONFIG_HELP, CONFIG_OPTION, counted, DONE, FAILED, JSON_HELP, JSON_OPTION } from './usage.ts';
import type { Command } from './usage.ts';

export const status: Command = {
  name: 'status',
  summary: 'shows workers, connections, services, backends and certificates of the running supervisor',
  options: { ...CONFIG_OPTION, ...JSON_OPTION },
  help: `\n${CONFIG_HELP}${JSON_HELP}`,
  async run(values, program) {
    const answer = await askSupervisor('status', values, program);
    if (!answer.ok) {
      program.err(refusalText(answer));
      return FAILED;
    }
    const found = answer['status'] as Status;
    program.out(values['json'] === true ? `${JSON.stringify(found, null, 2)}\n` : statusText(found));
    return DONE;
  },
};

export function statusText(found: Status): string {
  const { version, pid, state, uptimeSeconds, file } = found;
  const lines = [
    `sallyport ${version}: ${state}, pid ${pid}, up ${uptimeText(uptimeSeconds)}, ${file ?? 'defaults'}`,
  ];
  if (found.predecessor !== null)
    lines.push(`before it: process ${found.predecessor}, draining after a restart`);
  for (const worker of found.workers) {
    const open = worker.open === null ? 'no answer' : counted(worker.open, 'connection');
    lines.push(
      `worker ${worker.index}: ${worker.state}, pid ${worker.pid ?? '-'}, ${open}, ${counted(worker.restarts, 'restart')}`,
    );
  }
  for (const { name, protocol, listen } of found.services) {
    lines.push(`service ${name}: ${protocol} on ${listen.join(', ') || 'no address'}`);
  }
  lines.push(...found.backends.flatMap(backendLines).map((line) => line.trimEnd()));
  lines.push(...found.certificates.map(certificateText), ...found.acme.map(acmeText));
  lines.push(...found.crls.map(crlText));
  lines.push(...found.changes.flatMap(changeLines));
  const { store, storeState, penalised } = found.shared;
  lines.push(
    `state: ${store}${storeState === 'up' ? '' : ' (NOT REACHED, this machine counts alone)'}; ` +
      `${counted(penalised, 'address', 'addresses')} penalised`,
  );
  const refused = Object.entries(found.refused).map(([code, count]) => `${code} ${count}`);
  if (refused.length > 0) lines.push(`refused: ${refused.join(', ')}`);
  for (const [channel, decisions] of Object.entries(found.channels)) {
    const counts = Object.entries(decisions).map(([rule, count]) => `${rule} ${counted(count, 'time')}`);
    lines.push(`channel ${channel}: ${counts.join(', ')}`);
  }
  const totals = Object.entries(found.totals).map(([name, value]) => `${name} ${value}`);
  if (totals.length > 0) lines.push(`totals: ${totals.join(', ')}`);
  return lines.map((line) => `${line}\n`).join('');
}

/** What each kind of change is called, and what it means where it was not made. */
const CHANGES = {
  reload: ['last reload', 'REFUSED, the old settings go on'],
  certificates: ['last change of certificate files', 'REFUSED, the old ones are served on'],
  workers: ['last replacement of workers', 'STOPPED, the old ones stay'],
  restart: ['last restart', 'FAILED, the old process goes on'],
} as const;

function changeLines({ what, at, ok, mistakes }: ChangeStatus): string[] {
  const [name, refused] = CHANGES[what];
  return [`${name}: ${ok ? 'done' : refused}, ${at}`, ...mistakes.map((mistake) => `  ${mistake}`)];
}

function uptimeText(seconds: number): string {
  const days = Math.floor(seconds / 86_400);
  const clock = new Date((seconds % 86_400) * 1000).toISOString().slice(11, 19);
  return days > 0 ? `${days} d ${clock}` : clock;
}
