// Settings and everything they name, read and validated as one: what a supervisor runs on, and what `check` looks at.
// Promises a whole Configuration or one SettingsError; a half-read one never comes out.
// Fingerprints of the files are taken before the files are read, so a change in between is noticed later, not lost.
// Passphrases are used here and go no further: the settings inside have none, nor the passwords of other tiers.

import { createHmac } from 'node:crypto';

import { loadSettings, placeOf } from '../config/load.ts';
import { resolveRedisUrl, resolveSecret } from '../config/secret.ts';
import type { BackendSettings, CertificateRef, ServerTlsSettings, Settings } from '../config/settings.ts';
import { SettingsError } from '../errors.ts';
import { makeTicketKeys } from '../tls/tickets.ts';
import type { World } from '../world.ts';
import { wrongAcmeFiles } from './acme/files.ts';
import { bareDirectory } from './directories/material.ts';
import { bareDomains } from './directories/ldap-material.ts';
import { findUser } from './machine.ts';
import { materialFiles, readMaterial } from './material.ts';
import type { CertificateFacts, FrontMaterial, MissingCertificate } from './material.ts';
import { TokenKeeper } from './tokens/keeper.ts';
import { withoutTierPasswords } from './passwords.ts';
import type { TrustFacts } from './certificates/trust-reader.ts';
import { unprovenMistakes } from './directories/unproven.ts';
import { takeFingerprints } from './watch.ts';
import type { Fingerprints } from './watch.ts';

export interface Configuration {
  /** As the file gives them. Stays in the supervisor. */
  readonly settings: Settings;
  /** Without secrets, for workers. */
  readonly shared: Settings;
  /** With the first ticket keys of this process; which ones serve is TicketRotation's affair. */
  readonly material: FrontMaterial;
  /** Seals ticket keys for other nodes. */
  readonly ticketSecret: string | null;
  readonly certificates: readonly CertificateFacts[];
  readonly trust: TrustFacts;
  readonly fingerprints: Fingerprints;
  readonly warnings: readonly string[];
}

export interface ConfigurationSource {
  /** Reads the settings file and all that it names. */
  load(): Promise<Configuration>;
  /** Reads anew what the given settings name, and not the settings file. */
  refresh(settings: Settings): Promise<Configuration>;
  /** The tokens whose keys are in use. */
  readonly tokens?: TokenKeeper;
}

export interface SourceOptions {
  readonly file: string | null;
  readonly world: World;
  /** What the first load does without a certificate; a later one refuses. */
  readonly missing: MissingCertificate;
}

const TICKET_SECRET_MIN = 16;

export function createConfigurationSource({
  file,
  world,
  missing: first,
}: SourceOptions): ConfigurationSource {
  const ticketKeys = makeTicketKeys(world);
  const ownSaltKey = world.random(SALT_KEY_BYTES);
  const tokens = new TokenKeeper();
  let missing = first;
  const complete = async (settings: Settings): Promise<Configuration> => {
    const fingerprints = await takeFingerprints(materialFiles(settings));
    const mistakes: string[] = settings.user === null ? [] : noSuchUser(settings.user, file);
    mistakes.push(...wrongRedis(settings), ...wrongAcmeFiles(settings));
    const ticketSecret = readTicketSecret(settings, mistakes);
    const saltKey = ticketSecret === null ? ownSaltKey : sharedSaltKey(ticketSecret);
    const request = { settings, ticketKeys, saltKey, missing, tokens, world };
    const material = await readMaterial(request).catch((error: unknown) => {
      throw error instanceof SettingsError ? new SettingsError([...mistakes, ...error.mistakes]) : error;
    });
    const place = file === null ? '' : `${placeOf(file, 'services')}: `;
    const open = unprovenMistakes(settings, material.front.directory.users);
    mistakes.push(...open.map((mistake) => `${place}${mistake}`));
    if (mistakes.length > 0) throw new SettingsError(mistakes);
    // A certificate that was there once is missed, not replaced by one that nobody trusts.
    missing = 'refuse';
    return {
      settings,
      shared: withoutSecrets(settings),
      material: material.front,
      ticketSecret,
      certificates: material.certificates,
      trust: material.trust,
      fingerprints,
      warnings: material.warnings,
    };
  };
  return {
    load: () => Promise.try(() => complete(loadSettings({ file }))),
    refresh: complete,
    tokens,
  };
}

const SALT_KEY_BYTES = 32;

/** What several nodes have in common, and a restart does not change. */
function sharedSaltKey(ticketSecret: string): Buffer {
  return createHmac('sha256', ticketSecret).update('salts of logins by challenge').digest();
}

function readTicketSecret({ tickets: { secret } }: Settings, mistakes: string[]): string | null {
  if (secret === null) return null;
  try {
    const value = resolveSecret(secret);
    if (value.length >= TICKET_SECRET_MIN) return value;
    mistakes.push(`tickets.secret: expected ${TICKET_SECRET_MIN} characters or more, found fewer`);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    mistakes.push(...error.mistakes.map((mistake) => `tickets.secret: ${mistake}`));
  }
  return null;
}

function noSuchUser(user: string, file: string | null): string[] {
  if (findUser(user) !== null) return [];
  const place = file === null ? '' : `${placeOf(file, 'user')}: `;
  return [`${place}user: there is no user ${user} on this machine`];
}

/** A file or credential with the URL is looked into now, so that `check` and a reload find what is wrong with it. */
function wrongRedis({ redis }: Settings): readonly string[] {
  if (redis === null) return [];
  try {
    resolveRedisUrl(redis);
    return [];
  } catch (error) {
    if (error instanceof SettingsError) return error.mistakes;
    throw error;
  }
}

function bare(ref: CertificateRef): CertificateRef {
  return ref.kind === 'files' ? { ...ref, passphrase: null } : ref;
}

function bareBackend(backend: BackendSettings): BackendSettings {
  const { tls, admin, check } = backend;
  return {
    ...backend,
    tls: { ...tls, certificates: tls.certificates.map(bare) },
    admin: admin === null ? null : { ...admin, password: null },
    check: { ...check, password: null },
  };
}

/** The same settings with every passphrase and password left out; workers get them, and keys, in the material. */
export function withoutSecrets(settings: Settings): Settings {
  const bareTls = (tls: ServerTlsSettings): ServerTlsSettings => ({
    ...tls,
    certificates: tls.certificates.map(bare),
    sni: Object.fromEntries(Object.entries(tls.sni).map(([name, refs]) => [name, refs.map(bare)])),
  });
  const services = Object.values(settings.services).map((service) => [
    service.name,
    { ...service, tls: bareTls(service.tls), domains: bareDomains(service.domains) },
  ]);
  const backends = Object.values(settings.backends).map((backend) => [backend.name, bareBackend(backend)]);
  return withoutTierPasswords({
    ...settings,
    redis: null,
    certificates: { ...settings.certificates, acme: null },
    tickets: { ...settings.tickets, secret: null },
    directory: bareDirectory(settings.directory),
    services: Object.fromEntries(services) as Settings['services'],
    backends: Object.fromEntries(backends) as Settings['backends'],
  });
}
