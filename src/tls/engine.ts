// Keys in tokens for TLS, by libp11's OpenSSL engine: the one file that knows how Node hands a key of an engine to a
// context, and where engines are. Node's documented way (privateKeyEngine, privateKeyIdentifier) takes one key a context
// and none beside it; the call under it takes as many as a certificate list has types, so that is the one used here.
// libp11 0.4 takes one module a process, at its first use, from PKCS11_MODULE_PATH; engines by name, which spares the
// complaint that a file name causes, are looked for in OPENSSL_ENGINES. The login is ours (token.ts): libp11 finds it
// done, so no PIN is in an identifier, and none in what OpenSSL or libp11 say of one.
// The signature is synchronous: as long as the token computes, the worker waits.
// On failure: SettingsError in words.

import { constants, setEngine } from 'node:crypto';
import { existsSync, globSync } from 'node:fs';
import path from 'node:path';
import tls from 'node:tls';
import { holdsKey, unlockTokenKey } from '../certdb/token-objects.ts';
import { openModule, type TokenModule, type TokenSession } from '../certdb/token.ts';
import type { TokenKey } from '../certdb/token-values.ts';
import { SettingsError } from '../errors.ts';
import { explain } from '../log.ts';

/** Brings keys of tokens into contexts, or throws. */
export interface TokenKeys {
  add(context: tls.SecureContext, key: TokenKey): void;
  /** The certificate then has no key, and others go on. */
  failed(key: TokenKey, cause: string): void;
}

/** What only a new process can serve. */
export class OtherLibrary extends Error {}

const ENGINE = 'pkcs11';
const LOOKS_MAX = 5;
const FOLDERS = [
  '/usr/lib/*/engines-3',
  '/usr/lib64/engines-3',
  '/usr/lib/engines-3',
  '/usr/local/lib*/engines-3',
];
const MISSING =
  `the OpenSSL engine for tokens is missing, expected ${ENGINE}.so in ${FOLDERS.join(', ')}: ` +
  `apt install libengine-pkcs11-openssl`;

/** Folder of the engine; null: there is none. */
export function findEngineFolder(engine = ENGINE, folders: readonly string[] = FOLDERS): string | null {
  const found = globSync([...folders])
    .toSorted()
    .find((folder) => existsSync(path.join(folder, `${engine}.so`)));
  return found ?? null;
}

/** Why keys of tokens cannot be used together here; null: they can. */
export function tokenKeysProblem(keys: readonly TokenKey[], folder = findEngineFolder()): string | null {
  const [first] = keys;
  if (first === undefined) return null;
  if (folder === null) return MISSING;
  if (engineCall(tls.createSecureContext()) === null)
    return `this Node (${process.version}) has no way to use keys of OpenSSL engines`;
  const other = keys.find((key) => key.library !== first.library || key.parameters !== first.parameters);
  if (other === undefined) return null;
  return (
    `keys of the modules ${first.module} and ${other.module} cannot be used at once, OpenSSL's engine takes one library: ` +
    `name both libraries to p11-kit (/etc/pkcs11/modules) and give p11-kit-proxy.so as library of both, with their tokens`
  );
}

/** What is the same for all workers of one round: of another one, new workers are wanted. */
export function engineIdentity(keys: readonly TokenKey[]): string {
  const [first] = keys;
  return first === undefined ? '' : JSON.stringify([first.library, first.parameters]);
}

/** RFC 7512 2.3 */
export function keyUri({ label, serial, id }: TokenKey): string {
  const bytes = id.replaceAll(/../g, '%$&');
  return `pkcs11:token=${escape(label)};serial=${escape(serial)};id=${bytes};type=private`;
}

function escape(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16)}`);
}

export interface EngineOptions {
  /** Sets a variable of this process. */
  readonly setVariable: (name: string, value: string) => void;
  readonly failed: (key: TokenKey, cause: string) => void;
  readonly random: (bytes: number) => Buffer;
}

/** Of one process. Its sessions stay open as long as that lives: the logins hang on them. */
export class EngineKeys implements TokenKeys {
  readonly #options: EngineOptions;
  readonly #sessions = new Map<string, TokenSession>();
  #identity: string | null = null;

  constructor(options: EngineOptions) {
    this.#options = options;
  }

  add(context: tls.SecureContext, key: TokenKey): void {
    const call = engineCall(context);
    const problem = tokenKeysProblem([key]);
    if (problem !== null || call === null) throw new SettingsError([problem ?? MISSING]);
    this.#prepare(key);
    this.#unlock(key);
    call(keyUri(key), ENGINE);
  }

  failed(key: TokenKey, cause: string): void {
    this.#options.failed(key, cause);
  }

  #prepare(key: TokenKey): void {
    const identity = engineIdentity([key]);
    if (this.#identity !== null) {
      if (this.#identity === identity) return;
      throw new OtherLibrary('this process uses keys of another PKCS#11 library, a new one is needed');
    }
    this.#options.setVariable('OPENSSL_ENGINES', findEngineFolder() ?? '');
    this.#options.setVariable('PKCS11_MODULE_PATH', key.library);
    this.#identity = identity;
  }

  #unlock(key: TokenKey): void {
    const { module: name, library, label } = key;
    const place = JSON.stringify([label, key.serial]);
    const nss = key.parameters;
    const known = this.#sessions.get(place);
    if (known !== undefined && holdsKey(known, key.id)) return;
    const module = openModule({ name, library, nss: null, token: label, slot: null }, { parameters: nss });
    const session = this.#unlockAgain(module, key);
    known?.close();
    this.#sessions.set(place, session);
  }

  /**
   * As long as nobody in this process has anything of the library, it may be told to look with fresh eyes: SoftHSM 2.6
   * loses sight of a token while other processes log in, as all workers do at a start. It waits for a moment before, and
   * everything with it, which at that time is nobody. A PIN that was wrong is not tried again by that.
   */
  #unlockAgain(module: TokenModule, key: TokenKey): TokenSession {
    for (let looks = 1; ; looks++) {
      try {
        return unlockTokenKey(module, key);
      } catch (error) {
        if (looks === LOOKS_MAX || this.#sessions.size > 0) throw error;
        pause(this.#options.random(1).readUInt8());
        module.restart();
      }
    }
  }
}

/** Nothing happens in this process meanwhile. */
function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)), 0, 0, ms);
}

/** Gives a context the keys that are in tokens; one that cannot be had is told to `keys`. Throws OtherLibrary. */
export function addTokenKeys(
  context: tls.SecureContext,
  certificates: readonly (object | { readonly token: TokenKey })[],
  keys: TokenKeys | undefined,
): void {
  if (keys === undefined) return;
  for (const certificate of certificates) {
    if (!('token' in certificate)) continue;
    try {
      keys.add(context, certificate.token);
    } catch (error) {
      if (error instanceof OtherLibrary) throw error;
      keys.failed(certificate.token, withoutPins(explain(error)));
    }
  }
}

/** Words of OpenSSL and its engines may quote an identifier. */
export function withoutPins(words: string): string {
  return words.replaceAll(/pin-(value|source)=[^;&?\s"']*/gi, 'pin-$1=[secret]');
}

/** Whether an error of a handshake comes from a token. */
export function isTokenError(error: object): boolean {
  return 'library' in error && /pkcs.?11/i.test(String(error.library));
}

type EngineCall = (identifier: string, engine: string) => void;

function engineCall({ context }: tls.SecureContext): EngineCall | null {
  const native = context as { readonly setEngineKey?: unknown };
  if (typeof native.setEngineKey !== 'function') return null;
  return (identifier, engine) => (native.setEngineKey as EngineCall).call(native, identifier, engine);
}

/** Why an engine that computes in place of the processor cannot be used; null: it can. Loads it. */
export function accelerate(
  engine: string,
  { setVariable, use }: { readonly setVariable: EngineOptions['setVariable']; readonly use: 'try' | 'all' },
): string | null {
  const folder = engine.includes('/') ? null : findEngineFolder(engine);
  if (engine.includes('/') && !existsSync(engine))
    return `there is no file ${engine}, expected an OpenSSL engine`;
  if (folder !== null) setVariable('OPENSSL_ENGINES', folder);
  try {
    setEngine(engine, use === 'try' ? constants.ENGINE_METHOD_NONE : constants.ENGINE_METHOD_ALL);
    return null;
  } catch (error) {
    const where = engine.includes('/') ? '' : ` (engines are looked for in ${FOLDERS.join(', ')})`;
    return `the OpenSSL of this Node cannot load the engine ${engine}: ${explain(error)}${where}`;
  }
}
