// What a peer is to the bench: something that may be installed, and can be started in the foreground on a free port
// in front of the sink, with one worker and otherwise its own defaults. Whoever starts it stops it.

import { join } from 'node:path';
import type { Certificate } from '../certificates.ts';
import { processTree } from '../meter.ts';
import { Program, accepts } from '../programs.ts';

export interface PeerContext {
  /** A folder of this peer alone; others may pass through it, not look into it. */
  readonly folder: string;
  readonly port: number;
  readonly certificate: Certificate;
  readonly backendPort: number;
  /** Port of the auth_http server, for nginx mail. */
  readonly authPort: number;
  /** The start of every command: taskset and its arguments, or nothing. */
  readonly pin: readonly string[];
}

export interface RunningPeer {
  readonly name: string;
  readonly version: string;
  readonly port: number;
  /** The key exchange group, where it has no X25519. */
  readonly group: string | null;
  /** All its processes as they are now. */
  pids(): readonly number[];
  stop(): Promise<void>;
}

export interface Peer {
  /** As `--only` takes it. */
  readonly name: string;
  readonly title: string;
  /** The only key exchange group that it has, if that is not X25519. */
  readonly group?: string;
  /** A heavy one gets fewer logins and idle connections, so that the run ends in time. */
  readonly weight: 'light' | 'heavy';
  /** null: not installed. */
  version(): string | null;
  start(context: PeerContext): Promise<RunningPeer>;
}

export interface Launch {
  readonly peer: Peer;
  readonly context: PeerContext;
  /** Program and arguments. */
  readonly command: readonly string[];
  readonly isReady?: (logFile: string) => boolean;
}

/** Starts the peer's program and resolves once it accepts connections. */
export async function launch({ peer, context, command, isReady }: Launch): Promise<RunningPeer> {
  const logFile = join(context.folder, 'output.log');
  const program = new Program({ command: [...context.pin, ...command], logFile });
  await program.ready(() => (isReady === undefined || isReady(logFile)) && accepts(context.port));
  return {
    name: peer.name,
    version: peer.version() ?? '',
    port: context.port,
    group: peer.group ?? null,
    pids: () => processTree(program.pid),
    stop: () => program.stop(),
  };
}
