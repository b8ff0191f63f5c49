// What `sallyport status` shows: the supervisor's state as plain data, and nothing that is secret. Pure.

import type { AcmeStatus } from './acme/keeper.ts';
import { type ChannelDecisions, splitDecisions } from './channel-counters.ts';
import type { Configuration } from './configuration.ts';
import type { BackendStatus } from './backends/fleet.ts';
import type { BoundListener } from './handles.ts';
import type { CertificateFacts } from './material.ts';
import type { CrlFacts } from './certificates/revocation-lists.ts';
import type { Counters } from './messages.ts';
import type { SharedStatus } from './shared-state.ts';
import type { WorkerState } from './worker-process.ts';

export interface WorkerStatus {
  readonly index: number;
  readonly pid: number | null;
  readonly state: WorkerState;
  readonly restarts: number;
  /** null: the worker did not answer in time. */
  readonly open: number | null;
}

export interface ServiceStatus {
  readonly name: string;
  readonly protocol: string;
  readonly listen: readonly string[];
}

export interface CertificateStatus {
  readonly source: string;
  readonly services: readonly string[];
  readonly names: readonly string[];
  readonly notAfter: string;
  readonly daysLeft: number;
}

export interface CrlStatus {
  readonly source: string;
  /** The authority; null: none that is known here has signed it. */
  readonly issuer: string | null;
  readonly thisUpdate: string;
  readonly nextUpdate: string | null;
  readonly stale: boolean;
  readonly revoked: number;
}

/** How a reload, a look at changed certificate files, a replacement of the workers, or a restart ended. */
export interface ChangeStatus {
  readonly what: 'reload' | 'certificates' | 'workers' | 'restart';
  /** ISO 8601. */
  readonly at: string;
  readonly ok: boolean;
  readonly mistakes: readonly string[];
}

export interface Status {
  readonly version: string;
  readonly pid: number;
  readonly state: 'starting' | 'running' | 'draining';
  readonly uptimeSeconds: number;
  /** The supervisor that this one took over from, while it drains. */
  readonly predecessor: number | null;
  readonly file: string | null;
  /** Also those that drain while others go on. */
  readonly workers: readonly WorkerStatus[];
  readonly services: readonly ServiceStatus[];
  readonly certificates: readonly CertificateStatus[];
  readonly crls: readonly CrlStatus[];
  readonly backends: readonly BackendStatus[];
  /** By nickname; empty where nothing is ordered by ACME. */
  readonly acme: readonly AcmeStatus[];
  /** The last of each kind since the start. */
  readonly changes: readonly ChangeStatus[];
  /** Counters of the workers that live, summed up. */
  readonly totals: Counters;
  /** Connections and logins that were turned away, by error code; of the workers that live. */
  readonly refused: Counters;
  /** Where shared state is kept, and how many addresses have failed logins to answer for. */
  readonly shared: SharedStatus;
  /** What the rules of the channels decided, likewise. */
  readonly channels: ChannelDecisions;
}

interface WorkerView {
  readonly worker: Omit<WorkerStatus, 'open'>;
  readonly counters: Counters | null;
}

export interface StatusFacts {
  readonly version: string;
  readonly state: Status['state'];
  readonly uptimeMs: number;
  readonly predecessor: number | null;
  readonly now: number;
  readonly configuration: Configuration | null;
  readonly listeners: readonly BoundListener[];
  readonly workers: readonly WorkerView[];
  readonly changes: Iterable<ChangeStatus>;
  readonly shared: SharedStatus;
  readonly backends: readonly BackendStatus[];
  readonly acme: readonly AcmeStatus[];
}

/** Counters of refusals begin so. */
const REFUSED = 'refused ';

export function createStatus(facts: StatusFacts): Status {
  const { configuration } = facts;
  const addresses = addressesByService(facts.listeners);
  const totals = Object.entries(sum(facts.workers.map(({ counters }) => counters ?? {})));
  return {
    version: facts.version,
    pid: process.pid,
    state: facts.state,
    uptimeSeconds: Math.floor(facts.uptimeMs / 1000),
    predecessor: facts.predecessor,
    file: configuration?.settings.file ?? null,
    workers: facts.workers.map(({ worker: { index, pid, state, restarts }, counters }) => ({
      index,
      pid,
      state,
      restarts,
      open: counters?.['open'] ?? null,
    })),
    services: Object.values(configuration?.settings.services ?? {}).map(({ name, protocol }) => ({
      name,
      protocol,
      listen: addresses[name] ?? [],
    })),
    certificates: (configuration?.certificates ?? []).map((certificate) =>
      certificateStatus(certificate, facts.now),
    ),
    crls: (configuration?.trust.crls ?? []).map((crl) => crlStatus(crl, facts.now)),
    backends: facts.backends,
    acme: facts.acme,
    changes: [...facts.changes],
    ...splitDecisions(Object.fromEntries(totals.filter(([name]) => !name.startsWith(REFUSED)))),
    refused: Object.fromEntries(
      totals.flatMap(([name, count]) =>
        name.startsWith(REFUSED) ? [[name.slice(REFUSED.length), count]] : [],
      ),
    ),
    shared: facts.shared,
  };
}

const DAY_MS = 86_400_000;

export function certificateStatus(certificate: CertificateFacts, now: number): CertificateStatus {
  const { source, services, names, notAfter } = certificate;
  return {
    source,
    services,
    names,
    notAfter: new Date(notAfter).toISOString(),
    daysLeft: Math.floor((notAfter - now) / DAY_MS),
  };
}

export function crlStatus(crl: CrlFacts, now: number): CrlStatus {
  const { source, issuer, thisUpdate, nextUpdate, revoked } = crl;
  return {
    source,
    issuer,
    thisUpdate: new Date(thisUpdate).toISOString(),
    nextUpdate: nextUpdate === null ? null : new Date(nextUpdate).toISOString(),
    stale: nextUpdate !== null && nextUpdate <= now,
    revoked,
  };
}

/** One line for people. */
export function crlText({ source, issuer, nextUpdate, stale, revoked }: CrlStatus): string {
  const until =
    nextUpdate === null ? 'no next one announced' : `until ${nextUpdate.slice(0, 16).replace('T', ' ')}`;
  return `CRL ${source}: of ${issuer ?? 'an unknown CA'}; ${revoked} revoked; ${until}${stale ? ' (stale)' : ''}`;
}

/** One line for people. */
export function certificateText({ source, names, notAfter, daysLeft, services }: CertificateStatus): string {
  const left = daysLeft < 0 ? 'expired' : `${daysLeft} days left`;
  return (
    `certificate ${source}: ${names.join(', ')}; until ${notAfter.slice(0, 10)} (${left}); ` +
    `for ${services.join(', ')}`
  );
}

/** The addresses as bound, by service name. */
export function addressesByService(
  listeners: Iterable<BoundListener>,
): Readonly<Record<string, readonly string[]>> {
  const addresses: Record<string, string[]> = {};
  for (const { service, address } of listeners) (addresses[service] ??= []).push(address);
  return addresses;
}

function sum(all: readonly Counters[]): Counters {
  const totals: Record<string, number> = {};
  for (const counters of all) {
    for (const [name, value] of Object.entries(counters)) totals[name] = (totals[name] ?? 0) + value;
  }
  return totals;
}
