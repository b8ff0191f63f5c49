// The door of the certificate database: a folder with `<nickname>.cert.pem` and `<nickname>.key.pem`.
// Reading never changes anything. `ensureSelfSigned` makes a first certificate where there is none; it writes to
// temporary names, syncs, and renames the key first, so that after a crash there is a whole pair or no certificate.
// A key that such a crash (or somebody) left without a certificate is put aside, not lost.
// On failure: SettingsError, naming folder and nickname.

import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { SettingsError } from '../errors.ts';
import type { World } from '../world.ts';
import { makeSelfSigned } from './issue.ts';
import { readKeyPair, type KeyPair } from './pem.ts';

export interface CertificateStore {
  readonly folder: string;
  keyPair(nickname: string): KeyPair;
  /** Where a nickname's files are, whether they exist or not; for watching. */
  files(nickname: string): { cert: string; key: string };
  nicknames(): readonly string[];
}

const CERT_ENDING = '.cert.pem';
const KEY_ENDING = '.key.pem';
const SELF_SIGNED_DAYS = 90;
const MAX_NEAR_NAMES = 3;

export function openCertificates(folder: string): CertificateStore {
  return {
    folder,
    files: (nickname) => filesOf(folder, nickname),
    nicknames: () => nicknamesIn(folder),
    keyPair(nickname) {
      const { cert, key } = filesOf(folder, nickname);
      if (!existsSync(cert)) throw unknownNickname(folder, nickname);
      return readKeyPair({ cert, key, passphrase: null });
    },
  };
}

export interface SelfSignedRequest {
  readonly nickname: string;
  readonly names: readonly string[];
  readonly world: World;
}

/** Makes the pair where `nickname` has no certificate yet. */
export async function ensureSelfSigned(folder: string, request: SelfSignedRequest): Promise<'made' | 'kept'> {
  const { cert, key } = filesOf(folder, request.nickname);
  if (existsSync(cert)) return 'kept';
  const pair = await makeSelfSigned({
    names: request.names,
    days: SELF_SIGNED_DAYS,
    now: request.world.now(),
  });
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const newKey = writeTemporary(key, pair.key);
    const newCert = writeTemporary(cert, pair.cert);
    if (existsSync(key)) renameSync(key, `${key}.${request.world.now()}.old`);
    renameSync(newKey, key);
    renameSync(newCert, cert);
    syncFolder(folder);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const problem = `no self-signed certificate "${request.nickname}" could be written (${reason})`;
    throw new SettingsError([`${folder}: ${problem}`]);
  }
  return 'made';
}

function filesOf(folder: string, nickname: string): { cert: string; key: string } {
  const isFileName = /^[^./\0][^/\0]*$/.test(nickname) && Buffer.byteLength(nickname) <= 200;
  if (!isFileName) {
    throw new SettingsError([`${folder}: ${JSON.stringify(nickname)} cannot be a certificate's nickname`]);
  }
  return {
    cert: path.join(folder, `${nickname}${CERT_ENDING}`),
    key: path.join(folder, `${nickname}${KEY_ENDING}`),
  };
}

function nicknamesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith(CERT_ENDING) && !name.startsWith('.'))
      .map((name) => name.slice(0, -CERT_ENDING.length))
      .toSorted();
  } catch {
    return [];
  }
}

function unknownNickname(folder: string, nickname: string): SettingsError {
  if (!existsSync(folder)) {
    return new SettingsError([
      `${folder}: the certificate database does not exist, "${nickname}" is wanted from it`,
    ]);
  }
  const known = nicknamesIn(folder);
  const near = known
    .map((name) => ({ name, distance: distanceOf(name.toLowerCase(), nickname.toLowerCase()) }))
    .filter(({ name, distance }) => distance <= Math.max(2, Math.floor(name.length / 3)))
    .toSorted((a, b) => a.distance - b.distance)
    .slice(0, MAX_NEAR_NAMES)
    .map(({ name }) => `"${name}"`);
  const hint =
    near.length > 0
      ? `, did you mean ${near.join(' or ')}?`
      : known.length === 0
        ? ', it holds no certificate'
        : '';
  return new SettingsError([`${folder}: no certificate has the nickname "${nickname}"${hint}`]);
}

/** Levenshtein's distance, for the hint. */
function distanceOf(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 0; i < a.length; i += 1) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j += 1) {
      const change = (row[j] ?? 0) + (a[i] === b[j] ? 0 : 1);
      next.push(Math.min(change, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** Returns the temporary file's name; it is on disk when this returns. */
function writeTemporary(target: string, text: string): string {
  const name = `.${path.basename(target)}.${randomBytes(6).toString('hex')}`;
  const file = path.join(path.dirname(target), name);
  const descriptor = openSync(file, 'wx', 0o600);
  try {
    writeSync(descriptor, text);
    fsyncSync(descriptor);
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  } finally {
    closeSync(descriptor);
  }
  return file;
}

function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
