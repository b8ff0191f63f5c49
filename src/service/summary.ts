// What a configuration would serve, in plain data: the answer of `sallyport check`. Holds no secret and no key. Pure.

import { isIP } from 'node:net';

import type { BackendSettings, Endpoint, ServiceSettings, Settings } from '../config/settings.ts';
import type { UserMap } from '../config/user-map.ts';
import { facesOf } from '../config/variants.ts';
import { serverRules } from '../policy/channels.ts';
import type { Way } from '../policy/channel-map.ts';
import type { TlsOffer } from '../tls/offer.ts';
import { challengeLoginWarnings } from './directories/challenge-logins.ts';
import { certificateLoginWarnings } from './directories/certificate-logins.ts';
import { type ChannelSummary, channelWarnings, channelWays, summariseChannels } from './channel-summary.ts';
import { acmeEndpoints } from './acme/process.ts';
import type { Configuration } from './configuration.ts';
import { backendsOfUsers, namedBackends } from './directories/material.ts';
import { grantWarnings } from './grants/summary.ts';
import { endpointText } from './handles.ts';
import { certificateStatus, crlStatus } from './status.ts';
import type { CertificateStatus, CrlStatus } from './status.ts';
import type { ClientTrustFacts } from './certificates/trust-reader.ts';

export interface ServiceSummary {
  readonly name: string;
  readonly protocol: string;
  readonly listen: readonly string[];
  /** `implicit`, or what STARTTLS is: `notls`, `maytls`, `musttls`. */
  readonly tls: string;
  readonly sasl: string;
  /** Whose PROXY header is believed, and whether it must come; null: nobody's. */
  readonly proxyProtocol: { readonly from: readonly string[]; readonly mode: string } | null;
  readonly channel: string | null;
  /** smtp: where its connections can be switched to. */
  readonly ways: readonly Way[];
  readonly backend: string;
  /** Who checks passwords before the backend does; null: nobody. */
  readonly checker: string | null;
  readonly adminPolicy: string;
  /** Addresses with settings of their own, and which. */
  readonly domains: readonly { readonly address: string; readonly own: readonly string[] }[];
  /** Whether clients are asked for certificates, and the CAs whose ones count; null: they are not. */
  readonly clientCertificates: ClientTrustFacts | null;
  /** What TLS clients get; null: no TLS; only where it was asked for (tls-offers.ts). */
  readonly offer?: TlsOffer | null;
}

export interface BackendSummary {
  readonly name: string;
  readonly servers: readonly string[];
  /** What the directory may name besides. */
  readonly hosts: readonly string[];
  readonly tls: string;
  readonly verify: boolean;
  /** File of CAs, or `database`, or null for the system's. */
  readonly ca: string | null;
  /** How many CAs of the certificate database are trusted for it. */
  readonly databaseCas: number;
  readonly client: readonly string[];
  readonly balance: string;
  /** Certificates or keys that are known by their digest; where there are any, nothing else is verified. */
  readonly pins: number;
  /** Who logs in for the users; null: they do. */
  readonly admin: string | null;
}

export interface AcmeSummary {
  readonly nickname: string;
  readonly names: readonly string[];
  readonly challenge: string;
  /** Where the CA is answered while it looks. */
  readonly listen: readonly string[];
  readonly directory: string;
}

export interface Summary {
  readonly file: string | null;
  readonly hostname: string;
  readonly services: readonly ServiceSummary[];
  /** Type, and how many users a file has. */
  readonly directory: { readonly type: string; readonly users: number | null };
  readonly certificates: readonly CertificateStatus[];
  readonly acme: readonly AcmeSummary[];
  readonly crls: readonly CrlStatus[];
  readonly channels: readonly ChannelSummary[];
  readonly backends: readonly BackendSummary[];
  readonly warnings: readonly string[];
}

export function summarise(configuration: Configuration, now: number): Summary {
  const { settings, certificates, trust, warnings, material } = configuration;
  const { users } = material.directory;
  const named = new Set([
    ...namedBackends(settings, users, 'imap'),
    ...namedBackends(settings, users, 'pop3'),
  ]);
  const databaseCas = material.backendTrust.authorities.length;
  return {
    file: settings.file,
    hostname: settings.hostname,
    services: Object.values(settings.services).map((service) => summariseService(service, configuration)),
    directory: {
      type: settings.directory.type,
      users: settings.directory.type === 'file' ? material.directory.users.length : null,
    },
    certificates: certificates.map((certificate) => certificateStatus(certificate, now)),
    acme: summariseAcme(settings),
    crls: trust.crls.map((crl) => crlStatus(crl, now)),
    channels: summariseChannels(settings),
    backends: Object.values(settings.backends).map(
      ({ name, servers, hosts, balance, tls, admin, client }) => ({
        name,
        servers: servers.map(endpointText),
        hosts: hosts.map((host) => ('name' in host ? host.name : `${host.address}/${host.prefix}`)),
        tls: tls.mode,
        verify: tls.verify,
        ca: tls.ca,
        databaseCas: tls.ca === null || tls.ca === 'database' ? databaseCas : 0,
        balance,
        pins: tls.pin.length,
        admin: admin?.user ?? null,
        client: client.map(({ method, required }) => (required ? method : `${method}?`)),
      }),
    ),
    warnings: [
      ...warnings,
      ...unusedWarnings(settings, named),
      ...unshownWarnings(settings),
      ...twoProtocolWarnings(settings, users),
      ...channelWarnings(settings),
      ...grantWarnings(settings),
      ...clearWarnings(settings),
      ...timeoutWarnings(settings),
      ...balancerWarnings(settings),
      ...certificateLoginWarnings(configuration),
      ...challengeLoginWarnings(configuration),
    ],
  };
}

function summariseService(service: ServiceSettings, { settings, trust }: Configuration): ServiceSummary {
  const channel = service.channel === null ? null : (settings.channels[service.channel] ?? null);
  const rules = serverRules(service, channel);
  return {
    name: service.name,
    protocol: service.protocol,
    listen: service.listen.map(endpointText),
    tls: service.tlsMode === 'implicit' ? 'implicit' : rules.tls,
    sasl: rules.sasl,
    proxyProtocol: summariseBalancers(service),
    channel: service.channel,
    ways: channelWays(service, settings),
    backend: channel?.relay ?? service.backend ?? '',
    checker: checkerText(service),
    adminPolicy: service.adminPolicy,
    domains: Object.entries(service.domains).map(([address, { overrides, ...own }]) => ({
      address,
      own: [
        ...Object.entries(own).flatMap(([key, value]) => (value === null ? [] : [key])),
        ...Object.keys(overrides),
      ],
    })),
    clientCertificates: trust.clients[service.name] ?? null,
  };
}

function checkerText({ verify }: ServiceSettings): string | null {
  if (verify.kind === 'store') return `an IMAP login at ${verify.store}`;
  return verify.kind === 'directory' ? 'the directory' : null;
}

function summariseBalancers({ proxyProtocol }: ServiceSettings): ServiceSummary['proxyProtocol'] {
  if (proxyProtocol === null) return null;
  const from = proxyProtocol.from.map((peer) => (peer === 'unix' ? peer : `${peer.address}/${peer.prefix}`));
  return { from, mode: proxyProtocol.mode };
}

function balancerWarnings({ services }: Settings): string[] {
  return Object.values(services)
    .filter(({ proxyProtocol }) => proxyProtocol?.from.some((peer) => peer !== 'unix' && peer.prefix === 0))
    .map(
      ({ name }) =>
        `services.${name}.proxyProtocol.from: it holds every address, so anybody can pass for anybody else`,
    );
}

function unusedWarnings({ services, channels, backends }: Settings, named: ReadonlySet<string>): string[] {
  const used = Object.values(services).flatMap(facesOf);
  const relays = new Set([
    ...used.flatMap(({ backend, verify }) => [backend, verify.kind === 'store' ? verify.store : null]),
    ...Object.values(channels).map(({ relay }) => relay),
  ]);
  return [
    ...(used.length === 0 ? ['services: there is none, so nothing would be served'] : []),
    ...Object.keys(backends)
      .filter((name) => !relays.has(name) && !named.has(name))
      .map((name) => `backends.${name}: nothing leads to it`),
  ];
}

/** A port speaks one protocol, so whoever comes by the other fails there. */
function twoProtocolWarnings({ services, backends }: Settings, users: UserMap): string[] {
  const ledTo = (protocol: 'imap' | 'pop3'): string[] => {
    const own = Object.values(services).filter((service) => service.protocol === protocol);
    if (own.length === 0) return [];
    return [...own.flatMap(({ backend }) => backend ?? []), ...backendsOfUsers(users, protocol)];
  };
  const byPop3 = new Set(ledTo('pop3'));
  return [...new Set(ledTo('imap'))]
    .filter((name) => byPop3.has(name) && (backends[name]?.servers ?? []).length > 0)
    .map(
      (name) =>
        `backends.${name}: users of imap and of pop3 are led to it, and a port speaks one of them; make a backend ` +
        'for each (in a file of users: backend: { imap: …, pop3: … })',
    );
}

function summariseAcme({ certificates: { acme } }: Settings): AcmeSummary[] {
  if (acme === null) return [];
  const { challenge, directory } = acme;
  const listen = acmeEndpoints(acme).map(endpointText);
  return Object.entries(acme.names).map(([nickname, names]) => ({
    nickname,
    names,
    challenge,
    listen,
    directory,
  }));
}

function unshownWarnings({ certificates: { acme }, services }: Settings): string[] {
  const shown = Object.values(services)
    .flatMap(({ tls }) => [...tls.certificates, ...Object.values(tls.sni).flat()])
    .map((ref) => (ref.kind === 'nickname' ? ref.nickname : null));
  return Object.keys(acme?.names ?? {})
    .filter((nickname) => !shown.includes(nickname))
    .map((nickname) => `certificates.acme.names.${nickname}: it would be ordered, and no service shows it`);
}

function clearWarnings({ backends }: Settings): string[] {
  return Object.values(backends)
    .filter(({ tls, allowClearBackend }) => tls.mode === 'notls' && !allowClearBackend)
    .flatMap((backend) => farServers(backend))
    .map(
      ({ backend, server }) =>
        `backends.${backend}: ${server} has no TLS, so no password is sent to it and logins fail ` +
        `(tls: maytls or musttls, or allowClearBackend: true)`,
    );
}

/** What the protocols promise to a client that is silent. */
function timeoutWarnings({ timeouts: { imapMs, imapIdleMs, pop3Ms } }: Settings): string[] {
  const least = [
    { key: 'imap', ms: imapMs, seconds: 1800, rfc: 'RFC 3501 5.4' },
    { key: 'imapIdle', ms: imapIdleMs, seconds: 1800, rfc: 'RFC 2177' },
    { key: 'pop3', ms: pop3Ms, seconds: 600, rfc: 'RFC 1939 3' },
  ];
  return least
    .filter(({ ms, seconds }) => ms < seconds * 1000)
    .map(
      ({ key, ms, seconds, rfc }) =>
        `timeouts.${key}: ${ms / 1000} is less than the ${seconds} seconds of ${rfc}; clients are cut off while they are idle`,
    );
}

function farServers({ name, servers }: BackendSettings): { backend: string; server: string }[] {
  return servers
    .filter((server) => !isNear(server))
    .map((server) => ({ backend: name, server: endpointText(server) }));
}

function isNear(endpoint: Endpoint): boolean {
  if (endpoint.kind === 'unix' || endpoint.host === 'localhost' || endpoint.host === '::1') return true;
  return isIP(endpoint.host) === 4 && endpoint.host.startsWith('127.');
}
