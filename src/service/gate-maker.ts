// Builds the gates of one set of settings: what each service leads its connections to. What has not changed since the
// settings before is kept, with what it has learnt: backends with their capabilities and TLS sessions.

import { createHash } from 'node:crypto';

import type {
  BackendSettings,
  PopBeforeSmtpSettings,
  ServiceSettings,
  Settings,
} from '../config/settings.ts';
import { variantsOf } from '../config/variants.ts';
import type { AdminLogin, Backend } from '../connection/backend-leg.ts';
import type { GateGrants, Grants } from '../connection/grants.ts';
import type { Guard } from '../connection/guard.ts';
import { type Gate, offerOf } from '../connection/gate.ts';
import type { Upgrader } from '../connection/upgrader.ts';
import { balancersOf } from '../connection/proxy-header.ts';
import type { Refusals } from '../connection/refusals.ts';
import type { Placements } from '../connection/placements.ts';
import type { HealthBoard } from '../connection/server-health.ts';
import type { PasswordCheck } from '../connection/verify.ts';
import { StorePasswords } from '../identity/store-passwords.ts';
import { placeKey } from '../identity/login-id.ts';
import type { Log } from '../log.ts';
import { passwordCheck } from '../policy/front-tier.ts';
import { earns } from '../policy/grants.ts';
import type { Dialect } from '../protocol/dialect.ts';
import { clientTrustDigest } from '../tls/client-certificate.ts';
import type { ServerTlsMaterial } from '../tls/context.ts';
import type { TokenKeys } from '../tls/engine.ts';
import { createStapling, stapledChains } from '../tls/stapling.ts';
import { sessionContextName } from '../tls/tickets.ts';
import { type AccessRules, parseAccessRules } from '../wire/access-rules.ts';
import { type Network, NetworkTable } from '../wire/network.ts';
import type { World } from '../world.ts';
import { spoofOf } from './spoofs.ts';
import { type BackendTrust, NO_SECRETS } from './backends/material.ts';
import { backendOf, DIALECTS, makeBackend } from './backends/backends.ts';
import { frontRules, makeChannels } from './channel-gates.ts';
import { judgedMechanisms, withoutVainMechanisms } from './directories/certificate-logins.ts';
import { certmapOf } from './directories/certmaps.ts';
import type { CheckTarget } from './backends/checks.ts';
import type { Receptions } from './directories/directories.ts';
import { domainAdmin } from './directories/domain-admins.ts';
import { clientUpgrader } from './certificates/client-judge.ts';
import type { ClientOcsp } from './certificates/client-ocsp.ts';
import { namedBackends } from './directories/material.ts';
import type { FrontMaterial } from './material.ts';
import type { StapleKeeper } from './certificates/staples.ts';

interface MakerOptions {
  readonly settings: Settings;
  readonly material: FrontMaterial;
  readonly world: World;
  readonly log: Log;
  readonly old: ReadonlyMap<string, Backend>;
  readonly guard: Guard;
  readonly grants: Grants;
  readonly placements: Placements;
  readonly refusals: Refusals;
  readonly health: HealthBoard;
  readonly staples: StapleKeeper;
  /** null: there is no directory, and every name is what it is. */
  readonly receptions: Receptions | null;
  readonly tokenKeys?: TokenKeys;
  readonly onTokenFailed?: () => void;
  readonly clientOcsp: ClientOcsp;
}

export class GateMaker {
  readonly backends = new Map<string, Backend>();
  readonly #passwordChecks = new Map<string, PasswordCheck>();
  readonly #options: MakerOptions;

  readonly #trustKey: string;

  constructor(options: MakerOptions) {
    this.#options = options;
    this.#trustKey = trustKey(options.material.backendTrust);
  }

  gate(service: ServiceSettings): Gate {
    const { material, receptions } = this.#options;
    const common = this.#gate(service, null);
    const domains = [...variantsOf(service)].map(([address, variant]): [string, Gate] => [
      address,
      {
        ...this.#gate(variant, domainAdmin(service, address, material.domainAdmins)),
        upgrader: common.upgrader,
        reception: receptions?.places.get(placeKey(service.name, address)) ?? common.reception,
      },
    ]);
    return domains.length === 0 ? common : { ...common, domains: new Map(domains) };
  }

  /** `admin`: who logs in for others in place of the backend's. */
  #gate(service: ServiceSettings, admin: AdminLogin | null): Gate {
    const { settings, material, world, log, guard, placements, refusals } = this.#options;
    const dialect = DIALECTS[service.protocol];
    const backendSettings = backendOf(settings, service);
    if (backendSettings === null) throw new Error(`service ${service.name} has no backend`);
    const backend = this.#backend(backendSettings, dialect);
    const tls = material.services[service.name] ?? null;
    const certified = tls !== null;
    const isTierPassword = passwordCheck(material.tierPasswords.services[service.name] ?? null);
    const offered = withoutVainMechanisms(service, settings);
    const channels = makeChannels({
      settings,
      service: offered,
      certified,
      isTierPassword,
      admin,
      world,
      backend: (relay) => this.#backend(relay, dialect),
    });
    const judged = judgedMechanisms(service, settings);
    const offer = offerOf(offered, dialect, { backend, admin: admin ?? backend.admin, judged });
    return {
      name: service.name,
      dialect,
      settings: service,
      domains: null,
      admin,
      rules:
        channels?.gates.get(channels.start.channel)?.rules ??
        frontRules({ settings, service, channel: null, certified, offer, isTierPassword, world }),
      upgrader: tls === null ? null : this.#upgrader(service, tls, dialect.alpn),
      implicitTls: service.tlsMode === 'implicit',
      balancers: balancersOf(service.proxyProtocol),
      backend,
      access: accessOf(service),
      guard,
      grants: this.#grants(service),
      placements,
      spoof: spoofOf(service, material.spoofs),
      refusals,
      passwordCheck: this.#passwordCheck(service),
      certmap: certmapOf(service, material.certmaps),
      reception: this.#options.receptions?.common ?? null,
      backendNamed: this.#named(service, dialect),
      refusalTime: { ms: 0 },
      frontTier: new NetworkTable(service.frontTier.from.map((network) => [network, true])),
      channels,
      limits: settings.limits,
      timeouts: settings.timeouts,
      world,
      log,
    };
  }

  /** The backends that the directory names for a protocol, made ahead, so that they are looked at by the prober. */
  #named({ protocol }: ServiceSettings, dialect: Dialect): (name: string) => Backend | null {
    const { settings, material } = this.#options;
    const names = namedBackends(settings, material.directory.users, protocol);
    const made = new Map<string, Backend>();
    for (const name of names) {
      const backend = settings.backends[name];
      if (backend !== undefined) made.set(name, this.#backend(backend, dialect));
    }
    return (name) => made.get(name) ?? null;
  }

  /** Each backend once, whatever the protocols it serves. */
  checkTargets(): CheckTarget[] {
    const first = new Map(
      [...this.backends.values()].toReversed().map((backend) => [backend.settings.name, backend]),
    );
    return [...first.values()].map((backend) => {
      const { name, check } = backend.settings;
      const { checkPassword: password } = this.#options.material.backendSecrets[name] ?? NO_SECRETS;
      const account = check.user === null || password === null ? null : { user: check.user, password };
      return { backend, tls: backend.tls, account };
    });
  }

  #grants(service: ServiceSettings): GateGrants | null {
    const { settings, grants: book } = this.#options;
    const { popBeforeSmtp: rules } = settings;
    if (rules === null) return null;
    return {
      book,
      channel: rules.channel,
      tell: rules.tell,
      earns: service.grants && earns(service.protocol, rules),
      uses: service.grants && service.protocol === 'smtp',
      excluded: new NetworkTable(excludedFrom(settings, rules).map((network) => [network, true])),
      askers: new NetworkTable(service.authService.from.map((network) => [network, true])),
    };
  }

  /** One for all services that ask the same store, so that what it is asked at once is limited once. */
  #passwordCheck({ verify }: ServiceSettings): PasswordCheck | null {
    if (verify.kind !== 'store') return null;
    const { settings, world } = this.#options;
    const known = this.#passwordChecks.get(verify.store);
    if (known !== undefined) return known;
    const store = settings.backends[verify.store];
    if (store === undefined) throw new Error(`there is no backend ${verify.store}`);
    const backend = this.#backend(store, DIALECTS.imap);
    const made = new StorePasswords({
      backend: store.name,
      target: { mode: store.tls.mode, tls: backend.tls, allowClear: store.allowClearBackend },
      stores: ({ whose, address }) => backend.approaches({ user: whose, address }),
      storeMs: store.failoverTimeoutMs,
      budgetMs: settings.timeouts.replyMs,
      remember: { size: settings.directory.cache.size, ttlMs: settings.directory.cache.passwordTtlMs },
      world,
    });
    this.#passwordChecks.set(verify.store, made);
    return made;
  }

  #upgrader(service: ServiceSettings, tls: ServerTlsMaterial, alpn: readonly string[]): Upgrader {
    const { settings, material, world, staples, clientOcsp, tokenKeys, onTokenFailed } = this.#options;
    const chains = stapledChains(tls).filter((chain) => service.tls.stapling && staples.isWatched(chain));
    const stapling = chains.length === 0 ? null : createStapling(tls, chains, staples);
    return clientUpgrader({
      material: tls,
      tickets: {
        ticketKeys: Buffer.from(material.ticketKeys),
        sessionIdContext: sessionContextName(service.name, clientTrustDigest(tls.clients ?? null)),
        ...(tokenKeys === undefined ? {} : { tokenKeys }),
      },
      accept: { alpn, timeoutMs: settings.timeouts.handshakeMs, world, stapling },
      ocsp: clientOcsp,
      onTokenFailed,
    });
  }

  /** One backend may serve services of several protocols; it is one Backend for each. */
  #backend(backend: BackendSettings, dialect: Dialect): Backend {
    const { settings, material, world, log, old, health, placements, tokenKeys } = this.#options;
    const secrets = material.backendSecrets[backend.name] ?? NO_SECRETS;
    const ca = material.backendCas[backend.name] ?? null;
    const trust = material.backendTrust;
    const xpehloPassword = material.tierPasswords.backends[backend.name] ?? null;
    const key = JSON.stringify([
      dialect.protocol,
      backend,
      ca,
      this.#trustKey,
      secrets,
      xpehloPassword,
      settings.hostname,
      settings.limits.replyBytes,
      settings.timeouts,
      settings.probeMs,
    ]);
    const made = this.backends.get(key);
    if (made !== undefined) return made;
    const kept = old.get(key);
    // What was found out with other settings, a certificate that did not fit say, may be mended by these.
    if (kept === undefined) health.startAnew(backend.name);
    const used =
      kept ??
      makeBackend({
        settings,
        backend,
        dialect,
        ca,
        trust,
        secrets,
        health,
        placements,
        xpehloPassword,
        tokenKeys,
        world,
        log,
      });
    this.backends.set(key, used);
    return used;
  }
}

/** Who stands for others at any service, besides those that the settings name. */
function excludedFrom({ services }: Settings, { excluded }: PopBeforeSmtpSettings): readonly Network[] {
  const speakers = Object.values(services).flatMap(({ proxyProtocol, frontTier }) => [
    ...(proxyProtocol?.from ?? []),
    ...frontTier.from,
  ]);
  return [...excluded, ...speakers.filter((peer) => peer !== 'unix')];
}

/** The settings were checked, so what does not parse is a defect; nobody is let in by it. */
function accessOf({ access }: ServiceSettings): AccessRules | null {
  if (access === null) return null;
  const rules = parseAccessRules(access);
  if (rules.kind === 'malformed') throw new Error(rules.reason);
  return rules;
}

/** Sessions with backends, and what is known of them, are not kept over a change of whom we believe. */
function trustKey({ authorities, crls }: BackendTrust): string {
  const hash = createHash('sha256').update(JSON.stringify(authorities));
  for (const crl of crls) hash.update(createHash('sha256').update(crl).digest());
  return hash.digest('hex');
}
