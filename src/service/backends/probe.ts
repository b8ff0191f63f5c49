// `sallyport check --probe`: asks every server of every backend what a client would meet there. Nothing is logged in;
// each leg is closed again. Never rejects: what is wrong is in the answer.

import type { BackendSettings, Protocol, ServiceSettings, Settings } from '../../config/settings.ts';
import type { UserMap } from '../../config/user-map.ts';
import { asGateError } from '../../errors.ts';
import { createLog, explain } from '../../log.ts';
import { type Backend, serverName } from '../../connection/backend-leg.ts';
import { HealthBoard } from '../../connection/server-health.ts';
import type { World } from '../../world.ts';
import { type BackendMaterial, NO_SECRETS } from './material.ts';
import { backendsOf, DIALECTS, makeBackend } from './backends.ts';
import { backendsOfUsers } from '../directories/material.ts';
import { certificateExpiry } from '../../tls/facts.ts';

export interface ProbeResult {
  readonly backend: string;
  readonly protocol: string;
  readonly server: string;
  /** Null: reached, greeted, secured as its rule says. */
  readonly error: string | null;
  readonly tls: string | null;
  /** When the server's certificate ends, ISO 8601; null without TLS. */
  readonly certificateNotAfter: string | null;
  readonly capabilities: readonly string[];
  readonly mechanisms: readonly string[];
  /** What is required of it and missing. */
  readonly warnings: readonly string[];
}

export interface ProbeOptions {
  readonly settings: Settings;
  readonly material: BackendMaterial;
  /** The file of users, which may name backends too. */
  readonly users: UserMap;
  readonly world: World;
}

export async function probeBackends(options: ProbeOptions): Promise<readonly ProbeResult[]> {
  const { settings, material, world } = options;
  const silent = createLog({ level: 'error', format: 'json', write: () => undefined });
  const seen = new Map<string, Promise<readonly ProbeResult[]>>();
  const uses = Object.values(settings.services).flatMap((service) => [
    ...backendsOf(settings, service).map((backend) => ({ protocol: service.protocol, backend })),
    ...namedFor(service, options),
    ...storeOf(service, settings),
  ]);
  for (const { protocol, backend } of uses) {
    const key = `${protocol} ${backend.name}`;
    if (seen.has(key)) continue;
    const made = makeBackend({
      settings,
      backend,
      dialect: DIALECTS[protocol],
      ca: material.backendCas[backend.name] ?? null,
      trust: material.backendTrust,
      secrets: material.backendSecrets[backend.name] ?? NO_SECRETS,
      health: new HealthBoard({ world, log: silent }),
      world,
      log: silent,
    });
    const { closeMs } = settings.timeouts;
    seen.set(
      key,
      Promise.all(backend.servers.map((s) => probe(made, { server: s, protocol, world, closeMs }))),
    );
  }
  return (await Promise.all(seen.values())).flat();
}

/** Where users of a service are led to by name. Which protocol a database means is known where there is one only. */
function namedFor(
  { protocol }: ServiceSettings,
  { settings, users }: ProbeOptions,
): { protocol: Protocol; backend: BackendSettings }[] {
  if (protocol === 'smtp') return [];
  const { directory, services } = settings;
  const isOnly = Object.values(services).every(
    (other) => other.protocol === protocol || other.protocol === 'smtp',
  );
  const ofRows = directory.type === 'sql' && isOnly ? directory.sql.backends : [];
  return [...ofRows, ...backendsOfUsers(users, protocol)]
    .flatMap((name) => settings.backends[name] ?? [])
    .map((backend) => ({ protocol, backend }));
}

/** Where a service asks for passwords. */
function storeOf(
  { verify }: ServiceSettings,
  settings: Settings,
): { protocol: 'imap'; backend: BackendSettings }[] {
  const store = verify.kind === 'store' ? settings.backends[verify.store] : undefined;
  return store === undefined ? [] : [{ protocol: 'imap', backend: store }];
}

async function probe(
  backend: Backend,
  target: {
    readonly server: Parameters<Backend['open']>[0];
    readonly protocol: string;
    readonly world: World;
    readonly closeMs: number;
  },
): Promise<ProbeResult> {
  const base = {
    backend: backend.settings.name,
    protocol: target.protocol,
    server: serverName(target.server),
  };
  try {
    const { leg, session } = await backend.open(target.server);
    const { capabilities, mechanisms } = session;
    const tls = leg.facts === null ? null : `${leg.facts.version} ${leg.facts.cipher}`;
    const expiry = certificateExpiry(leg.socket);
    const certificateNotAfter = expiry === null ? null : new Date(expiry).toISOString();
    session.quit();
    leg.finish('');
    leg.destroySoon(target.world, target.closeMs);
    const warnings = backend.settings.client.flatMap(({ method, required }) =>
      // A server that has greeted has taken its PROXY header.
      required && (method === 'id' || method === 'xclient') && !offers(capabilities, method)
        ? [`${method} is required by \`client\` and not offered`]
        : [],
    );
    return { ...base, error: null, tls, certificateNotAfter, capabilities, mechanisms, warnings };
  } catch (cause) {
    const error = asGateError(cause);
    return {
      ...base,
      error: `${error.code}: ${explain(error)}`,
      tls: null,
      certificateNotAfter: null,
      capabilities: [],
      mechanisms: [],
      warnings: [],
    };
  }
}

function offers(capabilities: readonly string[], method: string): boolean {
  return capabilities.some((capability) => capability.toUpperCase().split(' ')[0] === method.toUpperCase());
}
