// The certificate database as a running server uses it: opened unattended by the password in sslpassword.conf, read and
// closed again; and made at a first start, with a random password and a self-signed certificate. Certificates of
// versions before 0.3, PEM files in the same folder, are taken in when the database is made; the files are left alone.
// One of them that cannot be read stops that where the settings name it, else it is told of and left out.
// On failure: SettingsError that names file and nickname.

import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { servedChain } from '../../certdb/chain.ts';
import { createDatabase, databaseExists, databaseFile, openDatabase } from '../../certdb/database.ts';
import type { CertificateDatabase, Change, Entry } from '../../certdb/database.ts';
import { pairOf, readKeyPair } from '../../certdb/pem.ts';
import type { KeyPair } from '../../certdb/pem.ts';
import { isClientAuthority, isServerAuthority } from '../../certdb/trust.ts';
import {
  databasePassword,
  DOCUMENTED_PASSWORD,
  INTERNAL_MODULE,
  keepPassword,
  randomPassword,
  readPasswordFile,
} from '../../config/password-file.ts';
import type { Settings } from '../../config/settings.ts';
import { SettingsError } from '../../errors.ts';
import type { World } from '../../world.ts';
import { makeFolder } from '../machine.ts';

/** The nickname that a first start makes a certificate for; any other one that is missing is a mistake. */
export const DEFAULT_NICKNAME = 'Server-Cert';
const SELF_SIGNED_DAYS = 90;
const CERT_ENDING = '.cert.pem';
const KEY_ENDING = '.key.pem';

/** The files whose change may change what a nickname means. */
export function databaseFiles({ certificates }: Settings): string[] {
  return [databaseFile(certificates.database), certificates.passwordFile];
}

export class CertificateKeeper {
  readonly #folder: string;
  readonly #passwordFile: string;
  readonly #world: World;
  readonly #named: ReadonlySet<string>;
  #database: CertificateDatabase | null = null;
  #isUnlocked = false;
  #hasDocumentedPassword = false;

  constructor(settings: Settings, world: World) {
    const { certificates } = settings;
    this.#named = nicknamesIn(settings);
    this.#folder = certificates.database;
    this.#passwordFile = certificates.passwordFile;
    this.#world = world;
  }

  close(): void {
    this.#database?.close();
    this.#database = null;
    this.#isUnlocked = false;
  }

  /** Whether a first start has a certificate to make. */
  lacksDefault(): boolean {
    return this.lacks(DEFAULT_NICKNAME);
  }

  lacks(nickname: string): boolean {
    if (!databaseExists(this.#folder)) return !this.#looseNames().includes(nickname);
    return !this.#open()
      .entries()
      .some((entry) => entry.nickname === nickname);
  }

  /** What the settings name and a database that is still to be made will take in. */
  toTakeIn(): readonly string[] {
    if (databaseExists(this.#folder)) return [];
    return this.#looseNames().filter((nickname) => this.#named.has(nickname));
  }

  /** Does it; what was done, in words for the log. */
  takeIn(): readonly string[] {
    return this.toTakeIn().length === 0 ? [] : this.#makeDatabase();
  }

  /** What is in the database; nothing where there is none. No password is needed. */
  entries(): readonly Entry[] {
    return databaseExists(this.#folder) ? this.#open().entries() : [];
  }

  /** The database with its keys, made where there is none. It is closed with the keeper. */
  database(): CertificateDatabase {
    if (!databaseExists(this.#folder)) this.#makeDatabase();
    return this.#unlocked();
  }

  /** The database and its default certificate, where they are not there yet; what was done, in words for the log. */
  makeFirst(hostname: string): Promise<readonly string[]> {
    return this.makePlaceholder(DEFAULT_NICKNAME, [hostname]);
  }

  /** The same for any nickname whose certificate is still to come. */
  async makePlaceholder(nickname: string, names: readonly string[]): Promise<readonly string[]> {
    const done: string[] = [];
    if (!databaseExists(this.#folder)) done.push(...this.#makeDatabase());
    if (!this.lacks(nickname)) return done;
    // Loaded when needed: the packages that write DER are big.
    const { makeSelfSigned } = await import('../../certdb/issue.ts');
    const { cert, key } = await makeSelfSigned({
      names,
      days: SELF_SIGNED_DAYS,
      now: this.#world.now(),
    });
    this.#unlocked().change((change) => {
      change.addKey(key);
      change.addCertificate({ nickname, cert });
    });
    const what = `made ${nickname}, self-signed, for ${names.join(', ')}; clients will not trust it`;
    return [...done, `${databaseFile(this.#folder)}: ${what}`];
  }

  /** The certificates of a nickname with their keys, one per type of key. */
  pairs(nickname: string): readonly KeyPair[] {
    if (this.toTakeIn().includes(nickname)) return [this.#loosePair(nickname)];
    const database = this.#unlocked();
    const known = database.entries();
    return database.find(nickname).map((entry) => {
      const key = database.privateKey(entry.keyId);
      const source = `${database.file}: certificate "${nickname}"`;
      if (key === null)
        throw new SettingsError([`${source}: there is no private key for it in the database`]);
      return pairOf(source, chainOf(entry, known), key);
    });
  }

  /** What is to be said of the password that opened it; null: nothing, or it was not needed. */
  passwordWarning(): string | null {
    return this.#hasDocumentedPassword
      ? `${this.#passwordFile}: the password of the certificate database is the one that Sun's documentation prints: ` +
          `sallyport cert change-password`
      : null;
  }

  /** The CAs that the database trusts for one side; without a database there are none. No password is needed. */
  authorities(side: 'clients' | 'servers'): readonly { readonly source: string; readonly cert: string }[] {
    return this.#entries()
      .filter(({ trust }) => (side === 'clients' ? isClientAuthority(trust) : isServerAuthority(trust)))
      .map(({ nickname, cert }) => ({ source: `"${nickname}"`, cert }));
  }

  /** Every certificate that the database has, trusted or not. */
  known(): readonly X509Certificate[] {
    return this.#entries().flatMap(({ cert, extra }) =>
      [cert, ...extra].map((pem) => new X509Certificate(pem)),
    );
  }

  #entries(): readonly Entry[] {
    return databaseExists(this.#folder) ? this.#open().entries() : [];
  }

  #open(): CertificateDatabase {
    this.#database ??= openDatabase(this.#folder, this.#world);
    return this.#database;
  }

  #unlocked(): CertificateDatabase {
    if (this.#database !== null && this.#isUnlocked) return this.#database;
    const database = this.#open();
    const password = databasePassword(readPasswordFile(this.#passwordFile));
    if (password === null) {
      const wanted = `expected a line "${INTERNAL_MODULE}:password", which opens ${database.file}`;
      throw new SettingsError([`${this.#passwordFile}: ${wanted}`]);
    }
    try {
      database.unlock(password);
    } catch (error) {
      if (!(error instanceof SettingsError)) throw error;
      throw new SettingsError(error.mistakes.map((mistake) => `${mistake} (from ${this.#passwordFile})`));
    }
    this.#isUnlocked = true;
    this.#hasDocumentedPassword = password === DOCUMENTED_PASSWORD;
    return database;
  }

  #makeDatabase(): string[] {
    for (const folder of [this.#folder, dirname(this.#passwordFile)]) {
      const refusal = makeFolder(folder);
      if (refusal !== null) throw new SettingsError([`certificates.database: ${folder} ${refusal}`]);
    }
    const { loose, leftOut } = this.#readLoose();
    let password = databasePassword(readPasswordFile(this.#passwordFile));
    if (password === null) {
      password = randomPassword();
      keepPassword(this.#passwordFile, INTERNAL_MODULE, password);
    }
    const fill = (change: Change): void => {
      for (const { nickname, pair } of loose) {
        const [cert = '', ...extra] = pair.cert.split(/(?<=-----END CERTIFICATE-----\n)/);
        change.addKey(createPrivateKey(pair.key));
        change.addCertificate({ nickname, cert, extra });
      }
    };
    createDatabase(this.#folder, password, { world: this.#world, fill });
    const file = databaseFile(this.#folder);
    const made = `${file}: made the certificate database; its password is in ${this.#passwordFile}`;
    const taken = loose.map(
      ({ nickname }) =>
        `${file}: took in ${nickname} from ${nickname}${CERT_ENDING} and ${nickname}${KEY_ENDING} beside it, ` +
        `which nothing reads any more: remove them`,
    );
    return [made, ...taken, ...leftOut];
  }

  #readLoose(): { loose: { nickname: string; pair: KeyPair }[]; leftOut: string[] } {
    const loose: { nickname: string; pair: KeyPair }[] = [];
    const leftOut: string[] = [];
    for (const nickname of this.#looseNames()) {
      try {
        loose.push({ nickname, pair: this.#loosePair(nickname) });
      } catch (error) {
        if (!(error instanceof SettingsError) || this.#named.has(nickname)) throw error;
        leftOut.push(
          `${error.mistakes.join('; ')}; ${nickname} is not taken in, nothing in the settings names it`,
        );
      }
    }
    return { loose, leftOut };
  }

  #loosePair(nickname: string): KeyPair {
    return readKeyPair({
      cert: join(this.#folder, `${nickname}${CERT_ENDING}`),
      key: join(this.#folder, `${nickname}${KEY_ENDING}`),
      passphrase: null,
    });
  }

  /** Pairs of PEM files, as versions before 0.3 had them. */
  #looseNames(): readonly string[] {
    try {
      const files = readdirSync(this.#folder);
      return files
        .filter((name) => name.endsWith(CERT_ENDING) && !name.startsWith('.'))
        .map((name) => name.slice(0, -CERT_ENDING.length))
        .filter((name) => files.includes(`${name}${KEY_ENDING}`));
    } catch {
      return [];
    }
  }
}

function nicknamesIn({ services, backends, certificates }: Settings): Set<string> {
  const refs = [
    ...Object.values(services).flatMap(({ tls }) => [...tls.certificates, ...Object.values(tls.sni).flat()]),
    ...Object.values(backends).flatMap(({ tls }) => tls.certificates),
  ];
  const named = refs.flatMap((ref) => (ref.kind === 'nickname' ? [ref.nickname] : []));
  return new Set([...named, ...Object.keys(certificates.acme?.names ?? {})]);
}

/** Those that came with it first, then what else the database knows. */
function chainOf(entry: Entry, known: readonly Entry[]): readonly X509Certificate[] {
  const others = [...entry.extra, ...known.map(({ cert }) => cert)].map((pem) => new X509Certificate(pem));
  return servedChain(new X509Certificate(entry.cert), others);
}
