// PKCS#11: loads a module, finds its token, logs in, and does with objects what token-objects.ts asks. The one file that
// knows pkcs11js, which is loaded when the first module is; nothing else of the program needs it.
// Promises: a library is loaded and initialised once per process; a PIN that was wrong is not tried again by this
// process, and none when the token says that one more mistake locks it, unless that is asked for by name. No private
// key leaves a token: what we generate cannot be extracted, and nothing here asks for its value.
// On failure: SettingsError with the module, the token and the way out. No PIN is in any message.

import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Handle, PKCS11, Template } from 'pkcs11js';

import { SettingsError } from '../errors.ts';
import { factsOf, plain, resultOf, WORDS, WRONG_PIN } from './token-facts.ts';
import type { TokenFacts } from './token-facts.ts';
import { libraryOf, nearOrAll, nssParameters } from './token-values.ts';
import type { ModuleSource } from './token-values.ts';

export type { Handle, Template } from 'pkcs11js';

export interface Login {
  readonly pin: string | null;
  /** Where the PIN is from, for messages. */
  readonly source: string;
  /** Try although one more mistake locks the token. */
  readonly finalTry?: 'refuse' | 'risk';
}

/** A result of PKCS#11 that is no SettingsError yet. */
export class TokenFailure extends SettingsError {
  /** CKR_… */
  readonly result: string;

  constructor(message: string, result: string) {
    super([message]);
    this.result = result;
  }
}

const OS_LOCKING_OK = 2;
const SERIAL_SESSION = 4;
const RW_SESSION = 2;
const USER = 1;
/** Mechanisms that take no parameter. */
const NONE = Buffer.alloc(0);
const FOUND_MAX = 10_000;

interface Loaded {
  readonly pkcs11: PKCS11;
  readonly library: string;
  readonly parameters: string | null;
  isReady: boolean;
}

/** By library. A process has one instance of each, whatever the settings call it. */
const loaded = new Map<string, Loaded>();
/** Digests of the PINs that were wrong. */
const wrongPins = new Set<string>();
/** By token, the digest of the PIN that it took last. */
const rightPins = new Map<string, string>();

/** For reading, for writing, or with parameters that somebody else has found. */
export type Opening = 'read' | 'write' | { readonly parameters: string | null };

export function openModule(source: ModuleSource, opening: Opening = 'read'): TokenModule {
  const library = realpathSync(libraryOf(source));
  const parameters = typeof opening === 'string' ? nssParameters(source, opening) : opening.parameters;
  const known = loaded.get(library);
  if (known !== undefined) {
    if (known.parameters === parameters) {
      if (!known.isReady) initialize(source.name, known);
      return new TokenModule(source, known);
    }
    const words = `${library} is in use with another NSS database, a process can open one`;
    throw new SettingsError([`certificates.modules.${source.name}: ${words}`]);
  }
  const module = { pkcs11: load(source.name, library), library, parameters, isReady: false };
  initialize(source.name, module);
  loaded.set(library, module);
  return new TokenModule(source, module);
}

function load(name: string, library: string): PKCS11 {
  let binding: typeof import('pkcs11js');
  try {
    binding = createRequire(import.meta.url)('pkcs11js') as typeof import('pkcs11js');
  } catch {
    const words =
      'the package pkcs11js was not built on this machine: npm install, with g++, make and python3 there';
    throw new SettingsError([`certificates.modules.${name}: ${words}`]);
  }
  const pkcs11 = new binding.PKCS11();
  try {
    pkcs11.load(library);
    return pkcs11;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new SettingsError([
      `certificates.modules.${name}: ${library} is not a PKCS#11 library (${reason})`,
    ]);
  }
}

function initialize(name: string, module: Loaded): void {
  const { pkcs11, library, parameters } = module;
  try {
    pkcs11.C_Initialize({
      flags: OS_LOCKING_OK,
      ...(parameters === null ? {} : { libraryParameters: parameters }),
    });
    module.isReady = true;
  } catch (error) {
    const result = resultOf(error);
    module.isReady = result === 'CKR_CRYPTOKI_ALREADY_INITIALIZED';
    if (module.isReady) return;
    const database = parameters === null ? '' : ` with ${parameters}`;
    throw new TokenFailure(
      `certificates.modules.${name}: ${library} does not start${database} (${result})`,
      result,
    );
  }
}

export class TokenModule {
  readonly source: ModuleSource;
  readonly #loaded: Loaded;

  constructor(source: ModuleSource, module: Loaded) {
    this.source = source;
    this.#loaded = module;
  }

  get library(): string {
    return this.#loaded.library;
  }

  get parameters(): string | null {
    return this.#loaded.parameters;
  }

  /** What the library says of itself. */
  get description(): string {
    return this.#call(() => {
      const { libraryDescription, manufacturerID, libraryVersion } = this.#loaded.pkcs11.C_GetInfo();
      const version = `${libraryVersion.major}.${libraryVersion.minor}`;
      return `${plain(libraryDescription)}, ${plain(manufacturerID)}, ${version}`;
    });
  }

  /** Of all slots that hold one. */
  tokens(): readonly TokenFacts[] {
    return this.#slots().map(({ facts }) => facts);
  }

  /** All that this process has in the library is lost; tokens that came or went are seen. */
  restart(): void {
    try {
      this.#loaded.pkcs11.C_Finalize();
    } catch {
      // It has nothing to forget then.
    }
    this.#loaded.isReady = false;
    initialize(this.source.name, this.#loaded);
  }

  /** The module's token, logged in where it wants that. */
  open(login: Login | null, access: 'read' | 'write' = 'read'): TokenSession {
    const { handle, facts } = this.#choose();
    const session = this.#call(
      () => this.#loaded.pkcs11.C_OpenSession(handle, SERIAL_SESSION | (access === 'write' ? RW_SESSION : 0)),
      facts,
    );
    try {
      if (login !== null && facts.needsLogin) this.#login(session, facts, login);
    } catch (error) {
      this.#loaded.pkcs11.C_CloseSession(session);
      throw error;
    }
    return new TokenSession(this, { pkcs11: this.#loaded.pkcs11, session, facts });
  }

  /** The token that the settings mean; there is one, or this is a SettingsError. */
  token(): TokenFacts {
    return this.#choose().facts;
  }

  /** `what` in words that name module and token. */
  failure(what: string, facts?: TokenFacts): SettingsError {
    return new SettingsError([`${this.#place(facts)}: ${what}`]);
  }

  #choose(): { readonly handle: Handle; readonly facts: TokenFacts } {
    const { token, slot, nss } = this.source;
    const all = this.#slots().filter(({ facts }) => facts.isInitialized);
    // The first slot of libsoftokn3 computes and keeps nothing.
    const keeping = all.filter(({ facts }) => nss === null || facts.label !== 'NSS Generic Crypto Services');
    const fitting = keeping.filter(
      ({ facts }) => (token === null || facts.label === token) && (slot === null || facts.slot === slot),
    );
    const [first, second] = fitting;
    if (first !== undefined && second === undefined) return first;
    const labels = keeping.map(({ facts }) => facts.label);
    if (first !== undefined) {
      const which = labels.map((label) => `"${label}"`).join(', ');
      throw this.failure(`it has several tokens (${which}), say which one with \`token\` or \`slot\``);
    }
    if (keeping.length === 0)
      throw this.failure('the token is absent: no slot holds one that is initialised');
    if (token === null) throw this.failure(`there is no token in slot ${slot}`);
    throw this.failure(`the token is absent: there is no token "${token}"${nearOrAll(token, labels)}`);
  }

  #slots(): { readonly handle: Handle; readonly facts: TokenFacts }[] {
    const { pkcs11 } = this.#loaded;
    return this.#call(() => pkcs11.C_GetSlotList(true)).flatMap((handle) => {
      try {
        return [
          {
            handle,
            facts: factsOf(handle, { ...pkcs11.C_GetSlotInfo(handle), ...pkcs11.C_GetTokenInfo(handle) }),
          },
        ];
      } catch {
        // A token that goes in between is one that is absent.
        return [];
      }
    });
  }

  #login(session: Handle, facts: TokenFacts, { pin, source, finalTry = 'refuse' }: Login): void {
    if (pin === null)
      throw this.failure(`it wants a PIN, expected a line "${this.source.name}:PIN" in ${source}`, facts);
    if (facts.pin === 'locked') throw this.failure(WORDS['CKR_PIN_LOCKED'] ?? '', facts);
    if (facts.pin === 'final try' && finalTry === 'refuse') {
      const words =
        'one more wrong PIN locks the token, so it is not tried: log in once with --force (sallyport token keys)';
      throw this.failure(words, facts);
    }
    const place = JSON.stringify([facts.label, facts.serial]);
    const print = createHash('sha256').update(`${place}${pin}`).digest('hex');
    const wrong = `the PIN is wrong (from ${source})`;
    if (wrongPins.has(print))
      throw this.failure(`${wrong}, and is not tried again until it is another one`, facts);
    try {
      this.#loaded.pkcs11.C_Login(session, USER, pin);
      rightPins.set(place, print);
    } catch (error) {
      const result = resultOf(error);
      if (result === 'CKR_USER_ALREADY_LOGGED_IN') {
        if ((rightPins.get(place) ?? print) === print) return;
        throw this.failure(`${wrong}: it is not the one by which this process has logged in`, facts);
      }
      if (!WRONG_PIN.includes(result)) throw this.#failed(error, facts);
      wrongPins.add(print);
      throw new TokenFailure(`${this.#place(facts)}: ${wrong}; it is not tried again`, result);
    }
  }

  #call<T>(work: () => T, facts?: TokenFacts): T {
    try {
      return work();
    } catch (error) {
      throw this.#failed(error, facts);
    }
  }

  #failed(error: unknown, facts?: TokenFacts): SettingsError {
    const result = resultOf(error);
    const words = WORDS[result];
    return new TokenFailure(
      `${this.#place(facts)}: ${words === undefined ? result : `${words} (${result})`}`,
      result,
    );
  }

  #place(facts?: TokenFacts): string {
    const token = facts === undefined ? '' : `, token "${facts.label}"`;
    return `certificates.modules.${this.source.name}${token}`;
  }
}

interface OpenSession {
  readonly pkcs11: PKCS11;
  readonly session: Handle;
  readonly facts: TokenFacts;
}

/** Close it when done: with the last session of a token its login ends. */
export class TokenSession {
  readonly module: TokenModule;
  readonly facts: TokenFacts;
  readonly #pkcs11: PKCS11;
  readonly #session: Handle;

  constructor(module: TokenModule, { pkcs11, session, facts }: OpenSession) {
    this.module = module;
    this.facts = facts;
    this.#pkcs11 = pkcs11;
    this.#session = session;
  }

  close(): void {
    try {
      this.#pkcs11.C_CloseSession(this.#session);
    } catch {
      // It is gone with its token.
    }
  }

  find(template: Template): readonly Handle[] {
    return this.#call(() => {
      this.#pkcs11.C_FindObjectsInit(this.#session, template);
      try {
        return this.#pkcs11.C_FindObjects(this.#session, FOUND_MAX);
      } finally {
        this.#pkcs11.C_FindObjectsFinal(this.#session);
      }
    });
  }

  /** An attribute; null where the object has none. */
  read(object: Handle, type: number): Buffer | null {
    try {
      const [first] = this.#pkcs11.C_GetAttributeValue(this.#session, object, [{ type }]);
      return first?.value ?? null;
    } catch {
      return null;
    }
  }

  create(template: Template): void {
    this.#call(() => this.#pkcs11.C_CreateObject(this.#session, template));
  }

  change(object: Handle, template: Template): void {
    this.#call(() => this.#pkcs11.C_SetAttributeValue(this.#session, object, template));
  }

  destroy(object: Handle): void {
    this.#call(() => this.#pkcs11.C_DestroyObject(this.#session, object));
  }

  generate(mechanism: number, halves: { readonly publicKey: Template; readonly privateKey: Template }): void {
    const { publicKey, privateKey } = halves;
    this.#call(() =>
      this.#pkcs11.C_GenerateKeyPair(this.#session, { mechanism, parameter: NONE }, publicKey, privateKey),
    );
  }

  sign(mechanism: number, key: Handle, bytes: Buffer): Buffer {
    return this.#call(() => {
      this.#pkcs11.C_SignInit(this.#session, { mechanism, parameter: NONE }, key);
      return this.#pkcs11.C_Sign(this.#session, bytes, Buffer.alloc(SIGNATURE_MAX));
    });
  }

  #call<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      const result = resultOf(error);
      const words = WORDS[result] ?? 'the token refuses';
      throw new TokenFailure(this.module.failure(`${words} (${result})`, this.facts).message, result);
    }
  }
}

/** RSA of 16384 bits. */
const SIGNATURE_MAX = 2048;
