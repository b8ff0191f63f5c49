// Reads the certificates, keys, CAs and secrets that the settings name, into plain data for the workers, which read no
// key file themselves. Validates whole: certificates match their keys, and TLS contexts can be made of it all. All
// mistakes are thrown together as one SettingsError. What serves, though badly, is a warning: expired, not yet valid,
// not for the name it is given for.
// Nothing is written here but the self-signed certificate of a first start, and that only when asked to.

import { databaseFile } from '../certdb/database.ts';
import { readKeyPair } from '../certdb/pem.ts';
import type { KeyPair } from '../certdb/pem.ts';
import { setVariable } from '../config/environment.ts';
import { resolveSecret } from '../config/secret.ts';
import type { CertificateRef, ServiceSettings, Settings } from '../config/settings.ts';
import { facesOf } from '../config/variants.ts';
import { SettingsError } from '../errors.ts';
import { explain } from '../log.ts';
import { offersTls } from '../policy/channel-map.ts';
import { grantChannelOf } from '../policy/grants.ts';
import { buildServerContexts, shownCertificate } from '../tls/context.ts';
import type { ServerTlsMaterial } from '../tls/context.ts';
import { accelerate } from '../tls/engine.ts';
import type { World } from '../world.ts';
import { type BackendMaterial, backendFiles, readBackendMaterial } from './backends/material.ts';
import { CertificateKeeper, databaseFiles, DEFAULT_NICKNAME } from './certificates/keeper.ts';
import { readSpoofs, spoofFiles, type SpoofTexts } from './spoofs.ts';
import { type DomainAdmins, domainAdminFiles, readDomainAdmins } from './directories/domain-admins.ts';
import { certmapFiles, type Certmaps, readCertmaps } from './directories/certmaps.ts';
import { directoryFiles, type DirectoryMaterial, readDirectoryMaterial } from './directories/material.ts';
import { TokenKeeper } from './tokens/keeper.ts';
import { crlFiles } from './certificates/revocation-lists.ts';
import { readTierPasswords, type TierPasswords, tierPasswordFiles } from './passwords.ts';
import { TrustReader } from './certificates/trust-reader.ts';
import type { TrustFacts } from './certificates/trust-reader.ts';
import { validityWarning } from './certificates/validity.ts';

export interface FrontMaterial extends BackendMaterial {
  /** By service name; null: the service has no TLS. */
  readonly services: Readonly<Record<string, ServerTlsMaterial | null>>;
  readonly tierPasswords: TierPasswords;
  readonly spoofs: SpoofTexts;
  readonly domainAdmins: DomainAdmins;
  readonly directory: DirectoryMaterial;
  readonly certmaps: Certmaps;
  /** 48 bytes, made once in the life of a supervisor. */
  readonly ticketKeys: Buffer;
  /** What the salts of logins by challenge are made of: the same in all workers, over reloads too. */
  readonly saltKey: Buffer;
}

/** What may be told of a certificate. */
export interface CertificateFacts {
  /** Nickname or file. */
  readonly source: string;
  readonly services: readonly string[];
  readonly names: readonly string[];
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly keyType: string;
}

export interface Material {
  readonly front: FrontMaterial;
  readonly certificates: readonly CertificateFacts[];
  readonly trust: TrustFacts;
  readonly warnings: readonly string[];
}

/** What to do where the default certificate is not there: make it, call it a mistake, or say that it would be made. */
export type MissingCertificate = 'make' | 'refuse' | 'foresee';

export interface MaterialRequest {
  readonly settings: Settings;
  readonly ticketKeys: Buffer;
  /** Default: one for this reading alone. */
  readonly saltKey?: Buffer;
  readonly missing: MissingCertificate;
  /** Default: one for this reading alone. */
  readonly tokens?: TokenKeeper;
  readonly world: World;
}

export async function readMaterial(request: MaterialRequest): Promise<Material> {
  const keeper = new CertificateKeeper(request.settings, request.world);
  try {
    const reader = new MaterialReader(request, keeper);
    await reader.makeMissing();
    return reader.read();
  } finally {
    keeper.close();
  }
}

/** Every file whose change changes the material. */
export function materialFiles(settings: Settings): string[] {
  const backends = Object.values(settings.backends);
  const shown = tlsServices(settings).flatMap(({ tls }) => [
    ...tls.certificates,
    ...Object.values(tls.sni).flat(),
  ]);
  const certificates = [...shown, ...backends.flatMap(({ tls }) => tls.certificates)].flatMap((ref) => {
    if (ref.kind !== 'files') return databaseFiles(settings);
    return [ref.cert, ref.key, ...(ref.passphrase?.kind === 'file' ? [ref.passphrase.path] : [])];
  });
  const trusted = [
    databaseFile(settings.certificates.database),
    ...tlsServices(settings).flatMap(({ tls }) => [...tls.clientCa, ...crlFiles(tls.crl)]),
    ...backends.flatMap(({ tls }) => crlFiles(tls.crl)),
  ];
  const others = [
    ...tierPasswordFiles(settings),
    ...directoryFiles(settings),
    ...spoofFiles(settings),
    ...domainAdminFiles(settings),
    ...certmapFiles(settings),
  ];
  return [...new Set([...certificates, ...trusted, ...backends.flatMap(backendFiles), ...others])];
}

function tlsServices(settings: Settings): ServiceSettings[] {
  return Object.values(settings.services).filter((service) =>
    facesOf(service).some((face) => offersTls(face, settings.channels, grantChannelOf(face, settings))),
  );
}

const SALT_KEY_BYTES = 32;

interface Wanted {
  readonly ref: CertificateRef;
  readonly services: Set<string>;
  /** Of a nickname one per type of key. null until it is read, and where it cannot be. */
  pairs: readonly KeyPair[] | null;
}

class MaterialReader {
  readonly #request: MaterialRequest;
  readonly #keeper: CertificateKeeper;
  readonly #tokens: TokenKeeper;
  readonly #trust: TrustReader;
  readonly #services: readonly ServiceSettings[];
  readonly #wanted = new Map<string, Wanted>();
  readonly #mistakes: string[] = [];
  readonly #warnings: string[] = [];
  readonly #foreseen = new Set<string>();

  constructor(request: MaterialRequest, keeper: CertificateKeeper) {
    this.#request = request;
    this.#keeper = keeper;
    this.#tokens = request.tokens ?? new TokenKeeper();
    this.#tokens.begin();
    this.#trust = new TrustReader({
      settings: request.settings,
      keeper,
      now: request.world.now(),
      fail: (error, where) => this.#fail(error, where),
    });
    this.#services = tlsServices(request.settings);
    for (const { name, tls } of this.#services) {
      for (const ref of [...tls.certificates, ...Object.values(tls.sni).flat()]) this.#want(ref, name);
    }
  }

  /** The default certificate, and those that ACME will bring, so that the services can start. */
  async makeMissing(): Promise<void> {
    const { settings, missing } = this.#request;
    this.#takeIn();
    const ordered = settings.certificates.acme?.names ?? {};
    for (const [nickname, names] of Object.entries({ [DEFAULT_NICKNAME]: [settings.hostname], ...ordered })) {
      const isOrdered = Object.hasOwn(ordered, nickname);
      if (!this.#wanted.has(nickname) || (missing === 'refuse' && !isOrdered)) continue;
      await this.#makeOne(nickname, names);
    }
  }

  /** What a version before 0.3 left there. */
  #takeIn(): void {
    const { settings, missing } = this.#request;
    const waiting = this.#keeper.toTakeIn();
    if (waiting.length === 0 || missing === 'refuse') return;
    const { database } = settings.certificates;
    try {
      const words = `${database}: ${waiting.join(', ')} will be taken into a certificate database at the next start`;
      this.#warnings.push(...(missing === 'make' ? this.#keeper.takeIn() : [words]));
    } catch (error) {
      this.#fail(error, '');
    }
  }

  async #makeOne(nickname: string, names: readonly string[]): Promise<void> {
    const { settings, missing } = this.#request;
    try {
      if (missing !== 'foresee') {
        this.#warnings.push(...(await this.#keeper.makePlaceholder(nickname, names)));
      } else if (this.#keeper.lacks(nickname)) {
        this.#foreseen.add(nickname);
        const { database } = settings.certificates;
        this.#warnings.push(`${database}: ${nickname} will be made, self-signed, at the first start`);
      }
    } catch (error) {
      this.#fail(error, '');
    }
  }

  read(): Material {
    for (const wanted of this.#wanted.values()) wanted.pairs = this.#readPairs(wanted);
    const services: Record<string, ServerTlsMaterial | null> = {};
    for (const service of Object.values(this.#request.settings.services)) {
      services[service.name] = null;
      if (!this.#services.includes(service)) this.#trust.checkWays(service);
    }
    for (const service of this.#services) services[service.name] = this.#serviceMaterial(service);
    const backends = readBackendMaterial({
      settings: this.#request.settings,
      trust: this.#trust.backends(),
      readPairs: (ref) => this.#readFiles(ref),
      fail: (error, where) => this.#fail(error, where),
      warn: (ref, pair) => this.#warnOfValidity(ref, pair),
    });
    const { settings } = this.#request;
    const fail = (error: unknown, where: string): void => this.#fail(error, where);
    const tierPasswords = readTierPasswords(settings, fail);
    const spoofs = readSpoofs(settings, fail);
    const directory = readDirectoryMaterial(settings, fail);
    const certmaps = readCertmaps(settings, fail);
    const domainAdmins = readDomainAdmins(settings, fail);
    this.#lookAtEngines();
    const trust = this.#trust.facts();
    const aboutPassword = this.#keeper.passwordWarning();
    if (aboutPassword !== null) this.#warnings.push(aboutPassword);
    if (this.#mistakes.length > 0) throw new SettingsError([...new Set(this.#mistakes)]);
    const front = {
      services,
      ...backends,
      tierPasswords,
      spoofs,
      domainAdmins,
      directory,
      certmaps,
      ticketKeys: this.#request.ticketKeys,
      saltKey: this.#request.saltKey ?? this.#request.world.random(SALT_KEY_BYTES),
    };
    const warnings = [...this.#warnings, ...this.#trust.warnings(trust)];
    return { front, certificates: this.#facts(), trust, warnings };
  }

  #lookAtEngines(): void {
    const { engine } = this.#request.settings.certificates;
    const problems = {
      'certificates.modules': this.#tokens.problem(),
      'certificates.engine': engine === null ? null : accelerate(engine, { setVariable, use: 'try' }),
    };
    for (const [key, problem] of Object.entries(problems)) {
      if (problem !== null) this.#mistakes.push(`${key}: ${problem}`);
    }
  }

  #want(ref: CertificateRef, service: string): void {
    const source = sourceOf(ref);
    const wanted = this.#wanted.get(source) ?? { ref, services: new Set(), pairs: null };
    wanted.services.add(service);
    this.#wanted.set(source, wanted);
  }

  #readPairs({ ref, services }: Wanted): readonly KeyPair[] | null {
    if (this.#foreseen.has(sourceOf(ref))) return null;
    try {
      const pairs = this.#readFiles(ref);
      for (const pair of pairs) this.#warnOfValidity(ref, pair);
      return pairs;
    } catch (error) {
      this.#fail(error, ` (for ${[...services].map((name) => `services.${name}`).join(', ')})`);
      return null;
    }
  }

  #readFiles(ref: CertificateRef): readonly KeyPair[] {
    if (ref.kind === 'nickname') return this.#keeper.pairs(ref.nickname);
    if (ref.kind === 'token') return this.#tokens.pairs(ref, this.#request.settings, this.#request.world);
    const passphrase = ref.passphrase === null ? null : resolveSecret(ref.passphrase);
    return [readKeyPair({ cert: ref.cert, key: ref.key, passphrase })];
  }

  #warnOfValidity(ref: CertificateRef, pair: KeyPair): void {
    const warning = validityWarning(pair, this.#request.world.now());
    if (warning !== null) this.#warnings.push(`certificate ${sourceOf(ref)}: ${warning}`);
  }

  #serviceMaterial(service: ServiceSettings): ServerTlsMaterial | null {
    const { name, tls } = service;
    const pairs = this.#pairs(tls.certificates, `services.${name}.tls.certificate`);
    const clients = this.#trust.clients(service);
    const sni = Object.entries(tls.sni).map(([pattern, refs]) => {
      const key = `services.${name}.tls.sni.${pattern}`;
      const certificates = this.#pairs(refs, key);
      const covers = certificates?.every(({ names }) => names.some((shown) => isNameCovered(pattern, shown)));
      if (covers === false) this.#warnings.push(`${key}: the certificate is not for ${pattern}`);
      return { pattern, certificates };
    });
    if (pairs === null) return null;
    this.#warnOfHostname(service, pairs);
    const { minVersion, maxVersion, ciphers, groups } = tls;
    const material = {
      certificates: pairs.map(shownCertificate),
      sni: sni.map(({ pattern, certificates }) => ({
        pattern,
        certificates: (certificates ?? []).map(shownCertificate),
      })),
      minVersion,
      maxVersion,
      ciphers,
      groups,
      clients,
    };
    if (sni.some(({ certificates }) => certificates === null)) return null;
    try {
      buildServerContexts(material, { ticketKeys: this.#request.ticketKeys, sessionIdContext: 'check' });
    } catch (error) {
      this.#fail(error, ` (for services.${name})`);
    }
    return material;
  }

  /** The name that mail programs are most likely told to connect to. */
  #warnOfHostname({ tls }: ServiceSettings, pairs: readonly KeyPair[]): void {
    const { hostname } = this.#request.settings;
    if (Object.keys(tls.sni).some((pattern) => isNameCovered(hostname, pattern))) return;
    for (const pair of pairs) {
      const { names } = pair;
      const ref = tls.certificates.find((one) => this.#wanted.get(sourceOf(one))?.pairs?.includes(pair));
      if (ref === undefined || names.some((shown) => isNameCovered(hostname, shown))) continue;
      const warning = `certificate ${sourceOf(ref)}: is for ${names.join(', ') || 'no name'}, not for the hostname ${hostname}`;
      if (!this.#warnings.includes(warning)) this.#warnings.push(warning);
    }
  }

  /** null where one of them is not there; why is a mistake already. */
  #pairs(refs: readonly CertificateRef[], key: string): KeyPair[] | null {
    const found = refs.map((ref) => this.#wanted.get(sourceOf(ref))?.pairs ?? null);
    if (found.includes(null)) return null;
    const pairs = found.flatMap((some) => some ?? []);
    const types = pairs.map(({ keyType }) => keyType);
    if (new Set(types).size === types.length) return pairs;
    const named = refs.flatMap((ref) =>
      (this.#wanted.get(sourceOf(ref))?.pairs ?? []).map(({ keyType }) => `${sourceOf(ref)} (${keyType})`),
    );
    this.#mistakes.push(
      `${key}: expected certificates with keys of different types, found ${named.join(' and ')}`,
    );
    return null;
  }

  #facts(): CertificateFacts[] {
    return [...this.#wanted].flatMap(([source, { services, pairs }]) =>
      (pairs ?? []).map(({ names, notBefore, notAfter, keyType }) => ({
        source,
        services: [...services],
        names,
        notBefore,
        notAfter,
        keyType,
      })),
    );
  }

  #fail(error: unknown, where: string): void {
    const mistakes = error instanceof SettingsError ? error.mistakes : [explain(error)];
    for (const mistake of mistakes) this.#mistakes.push(`${mistake}${where}`);
  }
}

function sourceOf(ref: CertificateRef): string {
  if (ref.kind === 'token') return `${ref.module}:${ref.nickname}`;
  return ref.kind === 'nickname' ? ref.nickname : ref.cert;
}

/** RFC 6125 6.4.3: a certificate's wildcard stands for the leftmost label. */
function isNameCovered(wanted: string, shown: string): boolean {
  const [want, show] = [wanted.toLowerCase(), shown.toLowerCase()];
  return want === show || (show.startsWith('*.') && want.slice(want.indexOf('.')) === show.slice(1));
}
