// What only one supervisor of a dataDir has at a time, the one in charge: the control socket, which is the lock too; the
// pid file; and the word to the service manager. Goes from one supervisor to the next without a moment at which nobody
// has it. Owns the control socket and the pid file.

import type { Log } from '../../log.ts';
import type { World } from '../../world.ts';
import { notifyManager, removePidFile, writePidFile } from './announce.ts';
import { openControl, takeOverControl } from '../control.ts';
import type { Control, ControlCommands } from '../control.ts';

export class Charge {
  readonly #commands: ControlCommands;
  readonly #world: World;
  readonly #log: Log;
  #control: Control | null = null;
  #pidFile: string | null = null;

  constructor(commands: ControlCommands, world: World, log: Log) {
    this.#commands = commands;
    this.#world = world;
    this.#log = log;
  }

  /** Throws where another supervisor has it. */
  async open(dataDir: string): Promise<void> {
    this.#hold(await openControl(dataDir, this.#commands, this.#world));
  }

  async takeOver(dataDir: string): Promise<void> {
    this.#hold(await takeOverControl(dataDir, this.#commands, this.#world));
  }

  /** Takes it back from a successor that failed, if it had come so far as to take it. */
  async regain(dataDir: string): Promise<void> {
    if (this.#control?.isInPlace() !== false) return;
    void this.#control.close();
    await this.takeOver(dataDir);
    this.#writePidFile();
  }

  /** Says to everybody outside that this process is the service now. */
  async announce(pidFile: string | null, notifySocket: string | null): Promise<void> {
    this.changePidFile(pidFile);
    const failure = notifySocket === null ? null : await notifyManager(notifySocket);
    if (failure !== null) this.#log.warn('warning', { warning: failure });
  }

  changePidFile(pidFile: string | null): void {
    if (this.#pidFile !== null && this.#pidFile !== pidFile) removePidFile(this.#pidFile);
    this.#pidFile = pidFile;
    this.#writePidFile();
  }

  /** Leaves alone what a successor has taken. Resolves when the last asker has its answer. */
  async close(): Promise<void> {
    if (this.#pidFile !== null) removePidFile(this.#pidFile);
    await this.#control?.close();
  }

  #writePidFile(): void {
    const failure = this.#pidFile === null ? null : writePidFile(this.#pidFile);
    if (failure !== null) this.#log.warn('warning', { warning: failure });
  }

  #hold(control: Control | string): void {
    if (typeof control === 'string') throw new Error(control);
    this.#control = control;
  }
}
