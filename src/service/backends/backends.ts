// From settings to the objects that a path is made of: the dialect of a protocol, the Backend of a backend's settings.

import type { BackendSettings, Protocol, ServiceSettings, Settings } from '../../config/settings.ts';
import { facesOf } from '../../config/variants.ts';
import { type AdminLogin, Backend } from '../../connection/backend-leg.ts';
import type { Placements } from '../../connection/placements.ts';
import type { HealthBoard } from '../../connection/server-health.ts';
import type { Log } from '../../log.ts';
import { channelsOf } from '../../policy/channel-map.ts';
import { grantChannelOf } from '../../policy/grants.ts';
import type { Dialect } from '../../protocol/dialect.ts';
import { imap } from '../../protocol/imap.ts';
import { pop3 } from '../../protocol/pop3.ts';
import { smtp } from '../../protocol/smtp.ts';
import { BackendTls } from '../../tls/client.ts';
import type { TokenKeys } from '../../tls/engine.ts';
import type { World } from '../../world.ts';
import type { BackendSecrets, BackendTrust } from './material.ts';

export const DIALECTS: Readonly<Record<Protocol, Dialect>> = { imap, pop3, smtp };

export interface BackendParts {
  readonly settings: Settings;
  readonly backend: BackendSettings;
  readonly dialect: Dialect;
  /** PEM of the CAs trusted for it, null for the system's and the database's. */
  readonly ca: string | null;
  readonly trust: BackendTrust;
  readonly secrets: BackendSecrets;
  readonly health: HealthBoard;
  readonly placements?: Placements;
  /** What XPEHLO shows to it, where that is used. */
  readonly xpehloPassword?: string | null;
  readonly tokenKeys?: TokenKeys | undefined;
  readonly world: World;
  readonly log: Log;
}

export function makeBackend(parts: BackendParts): Backend {
  const {
    settings,
    backend,
    dialect,
    secrets,
    health,
    placements,
    xpehloPassword = null,
    world,
    log,
  } = parts;
  return new Backend({
    settings: backend,
    dialect,
    admin: adminOf(backend, secrets),
    tls: makeBackendTls(parts),
    hostname: settings.hostname,
    xpehloPassword,
    limits: settings.limits,
    timeouts: settings.timeouts,
    probeMs: settings.probeMs,
    health,
    ...(placements === undefined ? {} : { placements }),
    world,
    log,
  });
}

function makeBackendTls({
  backend,
  ca,
  trust,
  secrets: { certificates },
  tokenKeys,
  world,
}: BackendParts): BackendTls {
  const { mode, verify, name, pin, minVersion, ciphers } = backend.tls;
  const { authorities, crls } = trust;
  const revocation = crls.length === 0 ? null : { crls, now: () => world.now() };
  return new BackendTls({
    mode,
    verify,
    ca,
    authorities,
    revocation,
    name,
    pin,
    certificates,
    tokenKeys,
    minVersion,
    ciphers,
  });
}

function adminOf({ admin }: BackendSettings, { adminPassword }: BackendSecrets): AdminLogin | null {
  return admin === null || adminPassword === null ? null : { user: admin.user, password: adminPassword };
}

/** The backend that a service leads to: its own, or its channel's relay. */
export function backendOf(settings: Settings, service: ServiceSettings): BackendSettings | null {
  const channel = service.channel === null ? null : settings.channels[service.channel];
  return settings.backends[channel?.relay ?? service.backend ?? ''] ?? null;
}

/** All that a connection of a service can come to: smtp may switch to channels with other relays. */
export function backendsOf(settings: Settings, service: ServiceSettings): readonly BackendSettings[] {
  const channels = facesOf(service).flatMap((face) =>
    channelsOf(face, settings.channels, grantChannelOf(face, settings)),
  );
  const names = new Set([...channels.map(({ relay }) => relay), service.backend ?? '']);
  return [...names].flatMap((name) => settings.backends[name] ?? []);
}
