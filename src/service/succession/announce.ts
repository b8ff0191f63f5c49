// Tells the outside which process is in charge: the pid file, and the service manager (sd_notify(3)).
// The pid file is written beside and renamed into place, so that it is whole whenever it is read; at the end it is
// removed only if it still names us. What cannot be written is a sentence for the log, and no reason to stop.
// The manager listens on a datagram socket, which this runtime has not; systemd's own systemd-notify speaks for us.

import { execFile } from 'node:child_process';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

import { explain } from '../../log.ts';

const NOTIFY_LIMIT_MS = 10_000;

/** null, or why it could not be written. */
export function writePidFile(path: string): string | null {
  const beside = `${path}.${process.pid}`;
  try {
    writeFileSync(beside, `${process.pid}\n`, { mode: 0o644 });
    renameSync(beside, path);
    return null;
  } catch (error) {
    rmSync(beside, { force: true });
    return `pidFile ${path} cannot be written: ${explain(error)}`;
  }
}

export function removePidFile(path: string): void {
  try {
    if (readFileSync(path, 'utf8').trim() === String(process.pid)) rmSync(path);
  } catch {
    // It is not there, or not ours to remove.
  }
}

/** Says to the manager that this process is the service, and ready. null, or why that did not work. */
export function notifyManager(socket: string): Promise<string | null> {
  const { promise, resolve } = Promise.withResolvers<string | null>();
  execFile(
    'systemd-notify',
    ['--ready', `--pid=${process.pid}`],
    { env: { PATH: '/usr/local/bin:/usr/bin:/bin', NOTIFY_SOCKET: socket }, timeout: NOTIFY_LIMIT_MS },
    (error) =>
      resolve(
        error === null
          ? null
          : `the service manager waits on ${socket} and cannot be told: systemd-notify: ${explain(error)}`,
      ),
  );
  return promise;
}
