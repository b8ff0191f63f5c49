// A maildir that a mail server writes and a test reads, or the other way round. Files keep CRLF as they came.

import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** An unprivileged owner without a system user behind it: mail never needs more. */
export const mailOwner = { uid: 65_534, gid: 65_534 };

let count = 0;

export function makeMaildir(folder: string): void {
  for (const part of ['', 'tmp', 'new', 'cur']) makeFolder(join(folder, part), mailOwner, 0o700);
}

export function makeFolder(folder: string, owner: { uid: number; gid: number }, mode: number): void {
  mkdirSync(folder, { recursive: true, mode });
  if (process.getuid?.() === 0) chownSync(folder, owner.uid, owner.gid);
}

/** Lets the servers' unprivileged processes walk to `folder`: only for folders of ours under the temporary one. */
export function makePassable(folder: string): void {
  const top = realpathSync(tmpdir());
  for (let at = realpathSync(folder); at !== dirname(at) && at !== top; at = dirname(at)) {
    const mode = statSync(at).mode & 0o777;
    if ((mode & 0o001) !== 0) continue;
    if (!at.startsWith(top))
      throw new Error(`${at} is closed to other users; the servers need a passable folder`);
    chmodSync(at, mode | 0o011);
  }
}

/** Puts a message there as a delivery agent does: written aside, then renamed. */
export function putMessage(folder: string, message: Buffer): void {
  count += 1;
  const now = Date.now();
  // Dovecot numbers new mail by the seconds and the M(icroseconds) of the name.
  const micros = (now % 1000) * 1000 + (count % 1000);
  const name = `${Math.floor(now / 1000)}.M${String(micros).padStart(6, '0')}P${process.pid}Q${count}.rig`;
  const aside = join(folder, 'tmp', name);
  writeFileSync(aside, message, { mode: 0o600 });
  if (process.getuid?.() === 0) chownSync(aside, mailOwner.uid, mailOwner.gid);
  renameSync(aside, join(folder, 'new', name));
}

/** All messages, oldest first. */
export function readMessages(folder: string): Buffer[] {
  return ['new', 'cur']
    .flatMap((part) => readdirSync(join(folder, part)).map((name) => join(folder, part, name)))
    .map((file) => ({ file, time: statSync(file, { bigint: true }).mtimeNs }))
    .sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : a.file < b.file ? -1 : 1))
    .map(({ file }) => readFileSync(file));
}
