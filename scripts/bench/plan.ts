// How much is measured: the command line of the bench and what --quick and the full run mean.

import { parseArgs } from 'node:util';
import type { KeyType } from './certificates.ts';
import { PEERS } from './peers/all.ts';
import type { Peer } from './peers/peer.ts';

export interface Plan {
  readonly rounds: number;
  readonly logins: number;
  readonly heavyLogins: number;
  readonly transferMiB: number;
  readonly noops: number;
  /** Logins one after another, for the wall clock. */
  readonly wallLogins: number;
  readonly warmUpLogins: number;
  readonly heavyWarmUpLogins: number;
  readonly warmUpMiB: number;
  /** Idle connections at which memory is read. */
  readonly idle: readonly number[];
  readonly heavyIdle: readonly number[];
}

const FULL: Plan = {
  rounds: 3,
  logins: 600,
  heavyLogins: 200,
  transferMiB: 256,
  noops: 1000,
  wallLogins: 60,
  warmUpLogins: 1500,
  heavyWarmUpLogins: 20,
  warmUpMiB: 256,
  idle: [500, 1000, 1500, 2000],
  heavyIdle: [100, 200, 300],
};

const QUICK: Plan = {
  rounds: 1,
  logins: 300,
  heavyLogins: 60,
  transferMiB: 128,
  noops: 300,
  wallLogins: 20,
  warmUpLogins: 1000,
  heavyWarmUpLogins: 10,
  warmUpMiB: 128,
  idle: [250, 500, 750],
  heavyIdle: [50, 100],
};

/** What --crowd means. */
export interface CrowdPlan {
  /** Idle connections per worker. */
  readonly perWorker: number;
  readonly workers: readonly number[];
  readonly holdMs: number;
}

const CROWD: CrowdPlan = { perWorker: 9000, workers: [1, 2], holdMs: 30_000 };
const QUICK_CROWD: CrowdPlan = { perWorker: 1500, workers: [1, 2], holdMs: 5000 };

export interface Options {
  readonly plan: Plan;
  /** null: the peers are compared. */
  readonly crowd: CrowdPlan | null;
  readonly peers: readonly Peer[];
  readonly keyTypes: readonly KeyType[];
  /** Where the figures go as JSON; null: nowhere. */
  readonly jsonFile: string | null;
}

export const USAGE = `npm run bench -- [--quick] [--only NAME,…] [--keys rsa,p256] [--rounds N] [--crowd] [--json FILE]
  --quick   about a minute instead of about seven: P-256 only, unless --keys says more, and one round
  --crowd   Sallyport alone, with 9,000 idle connections per worker, in one worker and in two
  --only    some of: ${PEERS.map((peer) => peer.name).join(', ')}
  --keys    one key type only
  --rounds  how often everything is measured in turn
  --json    writes every single figure to a file`;

function pick<T extends string>(what: string, given: string | undefined, known: readonly T[]): readonly T[] {
  if (given === undefined) return known;
  const names = given.split(',');
  const wrong = names.filter((name) => !known.some((one) => one === name));
  if (wrong.length > 0) throw new Error(`unknown ${what}: ${wrong.join(', ')}; known: ${known.join(', ')}`);
  return known.filter((name) => names.includes(name));
}

/** Reads the command line; throws a sentence for whoever typed it. null: help was asked for. */
export function readOptions(args: readonly string[]): Options | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      crowd: { type: 'boolean', default: false },
      only: { type: 'string' },
      keys: { type: 'string' },
      rounds: { type: 'string' },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return null;
  const plan = values.quick ? QUICK : FULL;
  const rounds = values.rounds === undefined ? plan.rounds : Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100)
    throw new Error('--rounds takes a number from 1 to 100');
  const names = pick(
    'peer',
    values.only,
    PEERS.map((peer) => peer.name),
  );
  return {
    plan: { ...plan, rounds },
    crowd: values.crowd ? (values.quick ? QUICK_CROWD : CROWD) : null,
    peers: PEERS.filter((peer) => names.includes(peer.name)),
    keyTypes: pick('key type', values.keys ?? (values.quick ? 'p256' : undefined), ['rsa', 'p256'] as const),
    jsonFile: values.json ?? null,
  };
}
