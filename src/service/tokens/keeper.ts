// Certificates whose keys are in tokens, as a running server uses them: the supervisor logs in, with the PIN that is in
// sslpassword.conf, proves that the key signs for the certificate, and keeps that session, by which it sees later
// whether the token is still there. Workers get nothing before that.
// A PIN that was wrong is tried once by this process (certdb/token.ts) and by no other.
// On failure: SettingsError with module, token and nickname.

import { X509Certificate } from 'node:crypto';

import { servedChain } from '../../certdb/chain.ts';
import { databaseExists, openDatabase } from '../../certdb/database.ts';
import type { KeyPair } from '../../certdb/pem.ts';
import { tokenPairOf } from '../../certdb/pem.ts';
import { holdsKey, namedCertificates, proveKey, tokenCertificates } from '../../certdb/token-objects.ts';
import type { TokenCertificate } from '../../certdb/token-objects.ts';
import { openModule } from '../../certdb/token.ts';
import type { TokenFacts } from '../../certdb/token-facts.ts';
import type { TokenModule, TokenSession } from '../../certdb/token.ts';
import { pinOf } from '../../certdb/token-values.ts';
import type { TokenKey } from '../../certdb/token-values.ts';
import { readPasswordFile } from '../../config/password-file.ts';
import type { CertificateRef, Settings } from '../../config/settings.ts';
import { SettingsError } from '../../errors.ts';
import { engineIdentity, tokenKeysProblem } from '../../tls/engine.ts';
import type { ServerCertificate } from '../../tls/context.ts';
import type { World } from '../../world.ts';
import type { FrontMaterial } from '../material.ts';

export type TokenRef = Extract<CertificateRef, { kind: 'token' }>;

interface Watched {
  readonly module: TokenModule;
  readonly session: TokenSession;
  readonly pin: string | null;
  readonly ids: Set<string>;
}

/** One for the life of a configuration source. */
export class TokenKeeper {
  #watched = new Map<string, Watched>();
  #keys: TokenKey[] = [];
  /** All that were ever opened. */
  readonly #modules = new Map<string, TokenModule>();

  /** Forgets what the settings before wanted; each token that is wanted again is proven again. */
  begin(): void {
    for (const { session } of this.#watched.values()) session.close();
    this.#watched = new Map();
    this.#keys = [];
  }

  /** The certificates of a nickname, one per type of key, each proven. */
  pairs(ref: TokenRef, settings: Settings, world: World): readonly KeyPair[] {
    const watched = this.#open(ref, settings);
    const { session, module, pin } = watched;
    const others = [...tokenCertificates(session).map(({ cert }) => cert), ...knownTo(settings, world)];
    const known = others.map((cert) => new X509Certificate(cert));
    return namedCertificates(session, ref.nickname).map((entry) => {
      proveKey(session, entry);
      watched.ids.add(entry.id);
      const key = keyOf(entry, { name: ref.module, module, session, pin });
      this.#keys.push(key);
      return tokenPairOf(servedChain(new X509Certificate(entry.cert), known), key);
    });
  }

  /** Why all that was asked for cannot be used together; null: it can. */
  problem(): string | null {
    return tokenKeysProblem(this.#keys);
  }

  /** Modules whose token is not what it was: gone, or gone and back, which are the same to those who hold sessions. */
  lost(): readonly string[] {
    return [...this.#watched]
      .filter(([, { session, ids }]) => [...ids].some((id) => !holdsKey(session, id)))
      .map(([name]) => name);
  }

  /**
   * Whether the tokens of these modules are in their slots; looks with fresh eyes, and logs in nowhere. Sessions with the
   * same library end by that, so its tokens are not watched until they are proven again.
   */
  arePresent(names: readonly string[]): boolean {
    const modules = names.flatMap((name) => this.#modules.get(name) ?? []);
    const libraries = new Map(modules.map((module) => [module.library, module]));
    for (const [name, { module }] of this.#watched)
      if (libraries.has(module.library)) this.#watched.delete(name);
    try {
      for (const module of libraries.values()) module.restart();
      return modules.every((module) => module.token().isInitialized);
    } catch {
      return false;
    }
  }

  #open({ module: name }: TokenRef, { certificates }: Settings): Watched {
    const known = this.#watched.get(name);
    if (known !== undefined) return known;
    const source = certificates.modules[name];
    if (source === undefined) throw new SettingsError([`certificates.modules: there is no module "${name}"`]);
    const module = openModule(source);
    this.#modules.set(name, module);
    const { label } = this.#lookTwice(module);
    const pin = pinOf(readPasswordFile(certificates.passwordFile), { module: name, label });
    const session = module.open({ pin, source: certificates.passwordFile });
    const watched = { module, session, pin: session.facts.needsLogin ? pin : null, ids: new Set<string>() };
    this.#watched.set(name, watched);
    return watched;
  }

  /** A library may lose sight of a token while others log in to it (SoftHSM 2.6); then it looks with fresh eyes. */
  #lookTwice(module: TokenModule): TokenFacts {
    try {
      return module.token();
    } catch (error) {
      const isUsed = [...this.#watched.values()].some((one) => one.module.library === module.library);
      if (isUsed) throw error;
      module.restart();
      return module.token();
    }
  }
}

/** What OpenSSL has in a worker, once used, for the worker's life. */
export interface Loaded {
  /** As engineIdentity() names it; '': none. */
  readonly library: string;
  readonly engine: string | null;
}

export const NOTHING_LOADED: Loaded = { library: '', engine: null };

/** A library stays when nothing names a token for a while. */
export function loadedWith(before: Loaded, { settings, material }: Holding): Loaded {
  const library = engineIdentity(keysOf(material));
  return { library: library === '' ? before.library : library, engine: settings.certificates.engine };
}

/** Whether workers that have the one cannot use the other. */
export function needsNewWorkers(before: Loaded, after: Loaded): boolean {
  if (before.library !== '' && before.library !== after.library) return true;
  return before.engine !== null && before.engine !== after.engine;
}

interface Holding {
  readonly settings: Settings;
  readonly material: Pick<FrontMaterial, 'services' | 'backendSecrets'>;
}

function keysOf({ services, backendSecrets }: Holding['material']): readonly TokenKey[] {
  const shown: readonly ServerCertificate[] = [
    ...Object.values(services).flatMap((service) => [
      ...(service?.certificates ?? []),
      ...(service?.sni ?? []).flatMap(({ certificates }) => certificates),
    ]),
    ...Object.values(backendSecrets).flatMap(({ certificates }) => certificates),
  ];
  return shown.flatMap((certificate) => ('token' in certificate ? [certificate.token] : []));
}

interface KeyPlace {
  readonly name: string;
  readonly module: TokenModule;
  readonly session: TokenSession;
  readonly pin: string | null;
}

function keyOf({ id, keyType }: TokenCertificate, { name, module, session, pin }: KeyPlace): TokenKey {
  const { library, parameters } = module;
  const { label, serial } = session.facts;
  return { module: name, library, parameters, label, serial, id, keyType, pin };
}

/** Issuers may be in the certificate database, if there is one. */
function knownTo({ certificates }: Settings, world: World): readonly string[] {
  if (!databaseExists(certificates.database)) return [];
  const database = openDatabase(certificates.database, world);
  try {
    return database.entries().flatMap(({ cert, extra }) => [cert, ...extra]);
  } finally {
    database.close();
  }
}
