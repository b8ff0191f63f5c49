// The old supervisor's side of a restart: starts the successor, gives it the listeners and what is worth keeping, and
// waits until it is in charge. Owns the child until then; what it was given are copies, so a successor that fails, in
// whatever way and at whatever point, takes nothing away. One that is too slow is ended. abandon() makes it drain and
// end. A successor that is in charge is nobody's child any more: it outlives us.

import type { ChildProcess } from 'node:child_process';

import { explain } from '../../log.ts';
import type { Timer, World } from '../../world.ts';
import { asFromSuccessor } from './handover.ts';
import type { Inheritance, Refusal, ToSuccessor } from './handover.ts';
import type { ListeningHandle } from '../handles.ts';
import type { SpareListener } from '../listener-set.ts';

/** Settings, keys, binding and workers: a worker alone may take 30 s. */
const PREPARE_LIMIT_MS = 60_000;
const CHARGE_LIMIT_MS = 10_000;

export type SuccessionEnd = { readonly ok: true; readonly pid: number; readonly version: string } | Refusal;

export interface SuccessionOptions {
  readonly fork: () => ChildProcess;
  readonly listeners: readonly SpareListener[];
  readonly inheritance: Inheritance;
  readonly world: World;
}

export class Succession {
  readonly #world: World;
  readonly #end = Promise.withResolvers<SuccessionEnd>();
  readonly #gone = Promise.withResolvers<void>();
  #child: ChildProcess | null = null;
  #prepared: { readonly pid: number; readonly version: string } | null = null;
  #limit: Timer | null = null;
  #isAbandoned = false;

  constructor({ fork, listeners, inheritance, world }: SuccessionOptions) {
    this.#world = world;
    try {
      this.#child = fork();
    } catch (error) {
      this.#refuse(`the successor could not be started: ${explain(error)}`);
      this.#gone.resolve();
      return;
    }
    const child = this.#child;
    child.on('message', (value) => this.#hear(value));
    child.on('error', (error) => child.pid ?? this.#lost(`it could not be started: ${error.message}`));
    child.once('close', (code, signal) => this.#lost(`it ended with ${signal ?? `code ${code}`}`));
    this.#allow(PREPARE_LIMIT_MS);
    for (const { handle, ...facts } of listeners) this.#send({ kind: 'listener', facts }, handle);
    this.#send({ kind: 'inherit', inheritance });
  }

  /** How it ended: the successor is in charge, or nothing has changed. */
  get end(): Promise<SuccessionEnd> {
    return this.#end.promise;
  }

  /** Resolves when the successor's process is gone. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  /** Makes the successor drain and end, even one that is about to take charge. */
  abandon(): void {
    this.#isAbandoned = true;
    this.#send({ kind: 'abandon' });
  }

  kill(): void {
    this.#child?.kill('SIGKILL');
  }

  #hear(value: unknown): void {
    const message = asFromSuccessor(value);
    switch (message?.kind) {
      case 'prepared':
        if (this.#isAbandoned || this.#prepared !== null) return;
        this.#prepared = { pid: message.pid, version: message.version };
        this.#allow(CHARGE_LIMIT_MS);
        this.#send({ kind: 'take-charge' });
        return;
      case 'in-charge':
        if (this.#prepared === null) return;
        this.#limit?.cancel();
        this.#end.resolve({ ok: true, ...this.#prepared });
        return;
      case 'failed':
        // The refusal now; when it is gone is another matter.
        this.#limit?.cancel();
        this.#end.resolve(message.refusal);
        return;
      default:
    }
  }

  #allow(limitMs: number): void {
    this.#limit?.cancel();
    this.#limit = this.#world.after(limitMs, () => {
      this.#refuse(
        `the successor was not ready within ${limitMs / 1000} s, it is ended; the old one goes on`,
      );
      this.kill();
    });
  }

  #lost(how: string): void {
    this.#limit?.cancel();
    this.#refuse(`the successor did not get ready: ${how}; the old one goes on`);
    this.#gone.resolve();
  }

  #refuse(error: string): void {
    this.#end.resolve({ ok: false, error });
  }

  #send(message: ToSuccessor, handle?: ListeningHandle): void {
    if (this.#child?.connected !== true) return;
    // The types know servers and sockets only; the runtime passes a bare listening handle as well.
    this.#child.send(message, handle as Parameters<ChildProcess['send']>[1], { keepOpen: true }, () => {});
  }
}
