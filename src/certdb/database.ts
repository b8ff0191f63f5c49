// The certificate database: certificates, their private keys and what they are trusted for, in `cert.db` of one folder.
// An SQLite file, since that is a lock, a transaction and a recovery that are proven: a change happens whole or not at
// all, whenever the process is killed, and waits for another one for a few seconds. Readers need no password but for
// keys. Each key is an encrypted PKCS#8 (AES-256) under a random secret, which is sealed under the password by scrypt.
// Promises: file 0600, folder 0700 at creation; a file that others may read is refused with the chmod to run.
// On failure: SettingsError, naming file and nickname. Passwords and keys are in no message.

import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { chmodSync, closeSync, existsSync, linkSync, mkdirSync, openSync, rmSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { SettingsError } from '../errors.ts';
import type { World } from '../world.ts';
import { checkFile, isWritable, syncFolder } from './database-file.ts';
import { nearNicknames } from './nickname.ts';
import { newSecret, openSecret, sealSecret } from './password.ts';
import type { Sealed } from './password.ts';
import { keyIdOf, keyTypeOf } from './pem.ts';
import type { KeyType } from './pem.ts';

/** A certificate as the database has it. */
export interface Entry {
  readonly nickname: string;
  readonly keyType: KeyType;
  /** PEM. */
  readonly cert: string;
  /** PEM of the certificates that came with it, issuer first; what else its chain needs is looked up by issuer. */
  readonly extra: readonly string[];
  /** `C` for servers, `T` for clients, as NSS writes them: SSL, e-mail, object signing. Without `u`, see hasKey. */
  readonly trust: string;
  readonly hasKey: boolean;
  /** SHA-256 of the public key (SPKI), hex. */
  readonly keyId: string;
  /** Milliseconds since 1970. */
  readonly addedAt: number;
}

/** What a change may do; each throws SettingsError and then nothing of the change happens. */
export interface Change {
  /** Keeps a private key, also one that has no certificate yet; returns its keyId. The same key twice is one. */
  addKey(key: KeyObject): string;
  /** The nickname must be free for this type of key. */
  addCertificate(certificate: NewCertificate): Entry;
  /** All of the nickname, or the one of a key type; a key that nothing else uses goes too. */
  removeCertificate(nickname: string, keyType?: KeyType): void;
  setTrust(nickname: string, trust: string): void;
  setPassword(password: string): void;
  hasKey(keyId: string): boolean;
  /** The key of our account at the CA with this ACME directory. */
  keepAccount(directory: string, key: KeyObject): void;
  /** Of a request that is given up; a key that a certificate uses stays. */
  removeUnusedKey(keyId: string): void;
}

/** A private key that waits for its certificate. */
export interface UnusedKey {
  readonly keyId: string;
  readonly keyType: KeyType;
  /** Milliseconds since 1970. */
  readonly addedAt: number;
}

export interface NewCertificate {
  readonly nickname: string;
  /** PEM. */
  readonly cert: string;
  readonly extra?: readonly string[];
  readonly trust?: string;
}

export const DATABASE_FILE = 'cert.db';
export const NO_TRUST = ',,';
const BUSY_MS = 5000;
const VERSION = 1;

const SCHEMA = `
  CREATE TABLE lock (version INTEGER NOT NULL, salt BLOB NOT NULL, sealed BLOB NOT NULL);
  CREATE TABLE keys (id TEXT PRIMARY KEY, type TEXT NOT NULL, pkcs8 TEXT NOT NULL, added INTEGER NOT NULL);
  CREATE TABLE certificates (
    nickname TEXT NOT NULL, type TEXT NOT NULL, key_id TEXT NOT NULL, cert TEXT NOT NULL, extra TEXT NOT NULL,
    trust TEXT NOT NULL, added INTEGER NOT NULL, PRIMARY KEY (nickname, type));
  CREATE TABLE accounts (directory TEXT PRIMARY KEY, pkcs8 TEXT NOT NULL, added INTEGER NOT NULL);
  PRAGMA user_version = ${VERSION};`;

export function databaseFile(folder: string): string {
  return path.join(folder, DATABASE_FILE);
}

export function databaseExists(folder: string): boolean {
  return existsSync(databaseFile(folder));
}

/** What a new database begins with. */
export interface FirstContents {
  readonly world: World;
  readonly fill: (change: Change) => void;
}

/** Makes a database under this password, with its first contents or not at all; refuses where there is one. */
export function createDatabase(folder: string, password: string, contents?: FirstContents): void {
  const file = databaseFile(folder);
  if (existsSync(file)) throw wrong(file, 'there is a certificate database already');
  const draft = path.join(folder, `.${DATABASE_FILE}.${process.pid}`);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    rmSync(draft, { force: true });
    closeSync(openSync(draft, 'wx', 0o600));
    chmodSync(draft, 0o600);
    writeSchema(draft, password);
    if (contents !== undefined) fillDraft(draft, password, contents);
    // A link, not a rename: it never replaces a database that somebody else made meanwhile.
    linkSync(draft, file);
    syncFolder(folder);
  } catch (error) {
    throw error instanceof SettingsError ? error : wrong(file, `cannot be made (${reasonOf(error)})`);
  } finally {
    rmSync(draft, { force: true });
  }
}

function writeSchema(draft: string, password: string): void {
  const database = new DatabaseSync(draft);
  database.exec('PRAGMA synchronous = EXTRA');
  database.exec(`BEGIN; ${SCHEMA}`);
  const { salt, sealed } = sealSecret(newSecret(), password);
  database.prepare('INSERT INTO lock VALUES (?, ?, ?)').run(VERSION, salt, sealed);
  database.exec('COMMIT');
  database.close();
}

function fillDraft(draft: string, password: string, { world, fill }: FirstContents): void {
  const database = new CertificateDatabase(draft, world);
  try {
    database.unlock(password);
    database.change(fill);
  } finally {
    database.close();
  }
}

export function openDatabase(folder: string, world: World): CertificateDatabase {
  const file = databaseFile(folder);
  checkFile(file);
  return new CertificateDatabase(file, world);
}

/** Close it when done; every method reads what the file has now. */
export class CertificateDatabase {
  readonly file: string;
  readonly #world: World;
  readonly #database: DatabaseSync;
  #secret: string | null = null;

  constructor(file: string, world: World) {
    this.file = file;
    this.#world = world;
    try {
      this.#database = new DatabaseSync(file, { timeout: BUSY_MS, readOnly: !isWritable(file) });
    } catch (error) {
      throw wrong(file, `cannot be opened (${reasonOf(error)})`);
    }
    this.#guard(() => {
      // What a killed change left behind is taken back at the first read; where nobody can write, there is nothing.
      if (isWritable(file)) this.#database.exec('PRAGMA synchronous = EXTRA; PRAGMA secure_delete = ON');
      const row = this.#database.prepare('PRAGMA user_version').get() as { user_version: number };
      if (row.user_version === 0) throw wrong(file, 'is not a certificate database');
      if (row.user_version > VERSION) throw wrong(file, 'was made by a newer version of Sallyport');
    });
  }

  close(): void {
    this.#secret = null;
    if (this.#database.isOpen) this.#database.close();
  }

  /** By nickname, then by type of key. */
  entries(): readonly Entry[] {
    return this.#guard(() =>
      (
        this.#database
          .prepare(
            `SELECT c.*, k.id IS NOT NULL AS has_key FROM certificates c LEFT JOIN keys k ON k.id = c.key_id
             ORDER BY c.nickname, c.type`,
          )
          .all() as unknown as Row[]
      ).map(entryOf),
    );
  }

  /** The certificates of a nickname, one per type of key; unknown: SettingsError with the names that are near. */
  find(nickname: string): readonly Entry[] {
    const all = this.entries();
    const found = all.filter((entry) => entry.nickname === nickname);
    if (found.length > 0) return found;
    const hint = nearNicknames(nickname, [...new Set(all.map((entry) => entry.nickname))]);
    throw wrong(this.file, `no certificate has the nickname "${nickname}"${hint}`);
  }

  /** Of requests, oldest first. */
  unusedKeys(): readonly UnusedKey[] {
    const columns = 'id AS keyId, type AS keyType, added AS addedAt';
    const query = `SELECT ${columns} FROM keys WHERE id NOT IN (SELECT key_id FROM certificates) ORDER BY added`;
    return this.#guard(() => this.#database.prepare(query).all() as unknown as UnusedKey[]);
  }

  /** Keys can be read from now on. Wrong password: SettingsError. */
  unlock(password: string): void {
    const row = this.#guard(() => this.#database.prepare('SELECT * FROM lock').get()) as Sealed | undefined;
    const secret = row === undefined ? null : openSecret(row, password);
    if (secret === null) throw wrong(this.file, 'the certificate database password is wrong');
    this.#secret = secret;
  }

  /** null: there is none. */
  privateKey(keyId: string): KeyObject | null {
    const row = this.#guard(() => this.#database.prepare('SELECT pkcs8 FROM keys WHERE id = ?').get(keyId));
    return row === undefined ? null : this.#openKey(String(row['pkcs8']), keyId.slice(0, 16));
  }

  /** Of our account at the CA with this ACME directory; null: there is none. */
  accountKey(directory: string): KeyObject | null {
    const query = 'SELECT pkcs8 FROM accounts WHERE directory = ?';
    const row = this.#guard(() => this.#database.prepare(query).get(directory));
    return row === undefined ? null : this.#openKey(String(row['pkcs8']), `of the account at ${directory}`);
  }

  /** Everything that `work` does, or nothing. Waits for another change; after five seconds: SettingsError, busy. */
  change<T>(work: (change: Change) => T): T {
    return this.#guard(() => {
      this.#database.exec('BEGIN IMMEDIATE');
      try {
        const result = work(this.#changes());
        this.#database.exec('COMMIT');
        return result;
      } catch (error) {
        if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
        throw error;
      }
    });
  }

  /** Fails as this change would, a disk that is full aside, and changes nothing. */
  rehearse(work: (change: Change) => void): void {
    this.#guard(() => {
      this.#database.exec('BEGIN IMMEDIATE');
      try {
        work(this.#changes());
      } finally {
        if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      }
    });
  }

  #changes(): Change {
    const database = this.#database;
    const hasKey = (keyId: string): boolean =>
      database.prepare('SELECT 1 FROM keys WHERE id = ?').get(keyId) !== undefined;
    const removeUnusedKey = (keyId: string): void => {
      const unused = 'id = ? AND id NOT IN (SELECT key_id FROM certificates)';
      database.prepare(`DELETE FROM keys WHERE ${unused}`).run(keyId);
    };
    return {
      hasKey,
      keepAccount: (directory, key) =>
        void database
          .prepare('INSERT OR REPLACE INTO accounts VALUES (?, ?, ?)')
          .run(directory, this.#sealKey(key), this.#world.now()),
      removeUnusedKey,
      addKey: (key) => this.#addKey(key),
      addCertificate: (certificate) => this.#addCertificate(certificate),
      removeCertificate: (nickname, keyType) => {
        for (const entry of this.find(nickname)) {
          if (keyType !== undefined && entry.keyType !== keyType) continue;
          database
            .prepare('DELETE FROM certificates WHERE nickname = ? AND type = ?')
            .run(nickname, entry.keyType);
          removeUnusedKey(entry.keyId);
        }
      },
      setTrust: (nickname, trust) => {
        this.find(nickname);
        database.prepare('UPDATE certificates SET trust = ? WHERE nickname = ?').run(trust, nickname);
      },
      setPassword: (password) => {
        const { salt, sealed } = sealSecret(this.#unlocked(), password);
        database.prepare('UPDATE lock SET salt = ?, sealed = ?').run(salt, sealed);
      },
    };
  }

  #addKey(key: KeyObject): string {
    const id = keyIdOf(key);
    this.#database
      .prepare('INSERT OR IGNORE INTO keys VALUES (?, ?, ?, ?)')
      .run(id, keyTypeOf(key), this.#sealKey(key), this.#world.now());
    return id;
  }

  #sealKey(key: KeyObject): string {
    const lock = { cipher: 'aes-256-cbc', passphrase: this.#unlocked() } as const;
    return key.export({ type: 'pkcs8', format: 'pem', ...lock }).toString();
  }

  #openKey(pkcs8: string, name: string): KeyObject {
    const passphrase = this.#unlocked();
    try {
      return createPrivateKey({ key: pkcs8, passphrase });
    } catch {
      throw wrong(this.file, `the private key ${name} is damaged`);
    }
  }

  #addCertificate({ nickname, cert, extra = [], trust = NO_TRUST }: NewCertificate): Entry {
    const { publicKey } = new X509Certificate(cert);
    const type = keyTypeOf(publicKey);
    const taken = this.entries().filter((entry) => entry.nickname === nickname);
    if (taken.some((entry) => entry.keyType === type)) {
      throw wrong(this.file, `the nickname "${nickname}" is taken, by a certificate with a key of this type`);
    }
    this.#database
      .prepare('INSERT INTO certificates VALUES (?, ?, ?, ?, ?, ?, ?)')
      .run(nickname, type, keyIdOf(publicKey), cert, JSON.stringify(extra), trust, this.#world.now());
    const added = this.find(nickname).find((entry) => entry.keyType === type);
    if (added === undefined) throw wrong(this.file, `"${nickname}" was not kept`);
    return added;
  }

  #unlocked(): string {
    if (this.#secret === null) throw wrong(this.file, 'the certificate database password is needed');
    return this.#secret;
  }

  /** SQLite's errors as ours. */
  #guard<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof Error && 'errcode' in error)) throw error;
      const code = Number(error.errcode) & 0xff;
      if (code === 5 || code === 6) throw wrong(this.file, 'is busy: another change is going on, try again');
      if (code === 8) throw wrong(this.file, 'cannot be changed: the file or its folder is read-only for us');
      if (code === 11 || code === 26) throw wrong(this.file, 'is damaged or not a certificate database');
      throw wrong(this.file, `cannot be used (${reasonOf(error)})`);
    }
  }
}

interface Row {
  readonly nickname: string;
  readonly type: KeyType;
  readonly key_id: string;
  readonly cert: string;
  readonly extra: string;
  readonly trust: string;
  readonly added: number;
  readonly has_key: number;
}

function entryOf(row: Row): Entry {
  return {
    nickname: row.nickname,
    keyType: row.type,
    cert: row.cert,
    extra: JSON.parse(row.extra) as string[],
    trust: row.trust,
    hasKey: row.has_key === 1,
    keyId: row.key_id,
    addedAt: row.added,
  };
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function wrong(file: string, problem: string): SettingsError {
  return new SettingsError([`${file}: ${problem}`]);
}
