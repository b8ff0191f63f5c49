// The file of the certificate database as the file system has it: whose it is, whether it can be written to, whether its
// folder is safe on disk. On failure: SettingsError with the command that mends it.

import { accessSync, closeSync, constants, fsyncSync, openSync, statSync } from 'node:fs';
import path from 'node:path';
import { SettingsError } from '../errors.ts';

export function checkFile(file: string): void {
  let mode: number;
  let uid: number;
  try {
    ({ mode, uid } = statSync(file));
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (code === 'ENOENT') {
      throw wrong(file, 'the certificate database does not exist, make one: sallyport cert generate-certDB');
    }
    throw wrong(file, `cannot be read (${code})`);
  }
  const us = process.getuid?.() ?? uid;
  if (uid !== 0 && uid !== us && us === 0) {
    const ways = `do this as that user (sudo -u '#${uid}' …), or give it to root: chown 0 ${file}`;
    throw wrong(file, `belongs to user ${uid}, and this is root: ${ways}`);
  }
  if (uid !== 0 && uid !== us) {
    throw wrong(file, `belongs to user ${uid}, it must belong to root or to user ${us}: chown ${us} ${file}`);
  }
  if ((mode & 0o077) !== 0) {
    const found = (mode & 0o777).toString(8).padStart(4, '0');
    throw wrong(file, `has mode ${found}, it must be its owner's only: chmod 600 ${file}`);
  }
  if (uid !== us && !isAllowed(file, constants.R_OK))
    throw wrong(file, 'cannot be read: it belongs to root, do this as root');
}

export function isWritable(file: string): boolean {
  return isAllowed(file, constants.W_OK) && isAllowed(path.dirname(file), constants.W_OK);
}

function isAllowed(file: string, mode: number): boolean {
  try {
    accessSync(file, mode);
    return true;
  } catch {
    return false;
  }
}

export function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function wrong(file: string, problem: string): SettingsError {
  return new SettingsError([`${file}: ${problem}`]);
}
