// What one setting demands of another: names that must exist, protocols that need a backend or a channel, addresses
// that only one service can have, ways to name the client that a protocol knows. A setting that is wrong by itself is not judged a second time.

import { formatHostPort, ipOf } from '../wire/address.ts';
import { formatPath } from './check.ts';
import type { Report, Reporter } from './check.ts';
import { found } from './misfit.ts';
import type { GivenService, GivenSettings } from './entries.ts';
import type { Path } from './lines.ts';
import { serviceSchema } from './schema-service.ts';
import { checkAcme } from './references-acme.ts';
import { checkChannels } from './references-channels.ts';
import { checkCertmaps } from './references-certmap.ts';
import { checkBackends } from './references-backend.ts';
import { checkMechanisms } from './references-mechanisms.ts';
import { checkDirectory } from './references-directory.ts';
import { checkDomains } from './references-domains.ts';
import type { Endpoint, Protocol } from './settings.ts';
import { checkGrants } from './references-grants.ts';
import { suggest } from './suggest.ts';
import { checkTiers } from './tier-references.ts';
import { checkVersions } from './tls-versions.ts';
import { everyVariant } from './variants.ts';
import { checkTokens } from './token-references.ts';

export function checkReferences(given: GivenSettings, report: Report): void {
  for (const service of given.services.values()) {
    checkLegs(service, given, report);
    checkMode(service, report);
    checkBalancers(service, report);
    checkSpoof(service, report);
    checkImapOnly(service, report);
  }
  for (const [service, told] of everyVariant(given, report)) checkSmtpOnly(service, told);
  for (const { path, values } of given.channels.values()) {
    checkName(
      { path: [...path, 'relay'], name: values.relay, what: 'backend', known: given.backends },
      report,
    );
  }
  checkChannels(given, report);
  checkClients(given, report);
  checkBackends(given, report);
  checkDirectory(given, report);
  checkMechanisms(given, report);
  checkDomains(given, report);
  checkCertmaps(given, report);
  checkTiers(given, report);
  checkGrants(given, report);
  checkTokens(given, report);
  checkAcme(given, report);
  checkAddresses(given, report);
  checkWildcards(given, report);
  checkVersions(given, report);
}

interface Reference {
  readonly path: Path;
  readonly name: string | null;
  readonly what: 'backend' | 'channel';
  readonly known: ReadonlyMap<string, unknown>;
}

function checkName({ path, name, what, known }: Reference, report: Report): void {
  if (name === null || known.has(name)) return;
  report.add(path, `there is no ${what} ${found(name)}${suggest(name, [...known.keys()])}`);
}

/** A mailbox that stands in for another is a matter of POP3, and of knowing when. */
function checkSpoof({ path, values: { protocol, spoof } }: GivenService, report: Report): void {
  if (protocol === null || (spoof.message === null && spoof.when.length === 0)) return;
  const place = [...path, 'spoof'];
  if (protocol !== 'pop3') report.add(place, `only for pop3, this is ${protocol}`);
  else if (spoof.when.length === 0) {
    report.add([...place, 'when'], 'missing, expected [unreachable], [tempfail] or both');
  }
}

/** imap and pop3 lead to a backend, smtp runs on a channel. */
function checkLegs(service: GivenService, given: GivenSettings, report: Report): void {
  const { path, values } = service;
  checkName(
    { path: [...path, 'backend'], name: values.backend, what: 'backend', known: given.backends },
    report,
  );
  checkName(
    { path: [...path, 'channel'], name: values.channel, what: 'channel', known: given.channels },
    report,
  );
  if (values.protocol === null) return;
  const [needed, other] =
    values.protocol === 'smtp' ? (['channel', 'backend'] as const) : (['backend', 'channel'] as const);
  if (values[needed] === null && !service.isWrong(needed)) {
    report.add([...path, needed], `missing, ${values.protocol} needs the name of a ${needed}`);
  }
  if (values[other] !== null) {
    report.add([...path, other], `${values.protocol} takes a ${needed} and no ${other}`);
  }
}

function checkMode(service: GivenService, report: Report): void {
  const { mode } = service.values.tls;
  if (service.values.protocol !== 'smtp' || mode === null || mode === 'implicit') return;
  report.add(
    [...service.path, 'tls'],
    `expected implicit or nothing for smtp, whose channel decides about STARTTLS, found "${mode}"`,
  );
}

function checkSmtpOnly(service: GivenService, report: Reporter): void {
  const { path, values } = service;
  if (values.protocol === null || values.protocol === 'smtp') return;
  const given = {
    ehloKeywords: values.ehloKeywords.length > 0,
    lineEndings: values.lineEndings !== serviceSchema.lineEndings.default,
    clientLookup: values.clientLookup !== serviceSchema.clientLookup.default,
  };
  for (const [key, isGiven] of Object.entries(given)) {
    if (isGiven) report.add([...path, key], `only for smtp, this is ${values.protocol}`);
  }
}

function checkImapOnly({ path, values: { protocol, serverDownAlert } }: GivenService, report: Report): void {
  if (protocol === null || protocol === 'imap' || serverDownAlert === null) return;
  report.add([...path, 'serverDownAlert'], `only for imap, this is ${protocol}`);
}

/** Believing nobody is not what a map that says how to believe can mean. */
function checkBalancers(service: GivenService, report: Report): void {
  const { from, mode } = service.values.proxyProtocol;
  if (from !== null || mode === null || service.isWrong('proxyProtocol.from')) return;
  report.add([...service.path, 'proxyProtocol', 'from'], 'missing, expected the addresses of the balancers');
}

/** How each protocol can tell a server who the client is, besides the header before it. */
const CLIENT_METHODS: Readonly<Record<Protocol, readonly string[]>> = {
  imap: ['id'],
  pop3: ['xclient'],
  smtp: ['xclient', 'xpehlo'],
};

/** A way that is required and that the protocol does not have would refuse every connection. */
function checkClients(given: GivenSettings, report: Report): void {
  const told = new Set<string>();
  for (const { protocol, name, user } of backendUses(given)) {
    const backend = given.backends.get(name ?? '');
    const client = backend?.values.client ?? [];
    for (const [index, { method, required }] of client.entries()) {
      const known = CLIENT_METHODS[protocol];
      const isKnown = known.includes(method) || method.startsWith('proxy-');
      if (backend === undefined || !required || isKnown) continue;
      const once = `${formatPath(backend.path)} ${method} ${protocol}`;
      if (told.has(once)) continue;
      told.add(once);
      report.add(
        [...backend.path, 'client', ...(client.length > 1 ? [index] : [])],
        `expected ${known.join(' or ')} for ${protocol} (${user}), which has no ${method.toUpperCase()}, found ${method}`,
      );
    }
  }
}

interface BackendUse {
  readonly protocol: Protocol;
  readonly name: string | null;
  readonly user: string;
}

/** Channels behind those of the services: a connection may be switched to them. */
function backendUses({ services, channels }: GivenSettings): BackendUse[] {
  const ofServices = [...services].flatMap(([service, { values }]): BackendUse[] => {
    const { protocol, backend, channel } = values;
    if (protocol === null) return [];
    const name = protocol === 'smtp' ? channels.get(channel ?? '')?.values.relay : backend;
    return [{ protocol, name: name ?? null, user: `services.${service}` }];
  });
  const ofChannels = [...channels].map(([channel, { values }]): BackendUse => {
    return { protocol: 'smtp', name: values.relay, user: `channels.${channel}` };
  });
  return [...ofServices, ...ofChannels];
}

/** Port 0 is any free port, so it is never the same twice. */
function checkAddresses(given: GivenSettings, report: Report): void {
  const taken = new Map<string, string>();
  for (const [name, service] of given.services) {
    const listen = service.values.listen ?? [];
    for (const [index, endpoint] of listen.entries()) {
      if (endpoint.kind === 'tcp' && endpoint.port === 0) continue;
      const address = formatAddress(endpoint);
      const owner = taken.get(address);
      const path = [...service.path, 'listen', ...(listen.length > 1 ? [index] : [])];
      if (owner === undefined) taken.set(address, name);
      else if (owner === name) report.add(path, `${address} is listed twice`);
      else report.add(path, `${address} is taken by services.${owner} already`);
    }
  }
}

const EVERY_IPV4 = '0.0.0.0';
const EVERY_IPV6 = '::';

/** An address of its own beside one that stands for every address, with the same port. */
function checkWildcards(given: GivenSettings, report: Report): void {
  const everywhere = new Map<string, string>();
  const listeners = [...given.services].flatMap(([name, { path, values }]) =>
    (values.listen ?? []).flatMap((endpoint, index, listen) => {
      if (endpoint.kind === 'unix' || endpoint.port === 0) return [];
      const host = ipOf(endpoint.host)?.address ?? endpoint.host;
      const address = formatHostPort(host, endpoint.port);
      const isWildcard = host === EVERY_IPV4 || host === EVERY_IPV6;
      if (isWildcard && !everywhere.has(address)) everywhere.set(address, name);
      const place = [...path, 'listen', ...(listen.length > 1 ? [index] : [])];
      return isWildcard ? [] : [{ host, port: endpoint.port, address, place }];
    }),
  );
  for (const { host, port, address, place } of listeners) {
    // [::] takes IPv4 too where 0.0.0.0 is not listed beside it.
    const family = host.includes(':') ? [EVERY_IPV6] : [EVERY_IPV4, EVERY_IPV6];
    const wildcard = family
      .map((every) => formatHostPort(every, port))
      .find((every) => everywhere.has(every));
    if (wildcard === undefined) continue;
    report.add(
      place,
      `${address} is taken already by ${wildcard} of services.${everywhere.get(wildcard)}, which is every address`,
    );
  }
}

function formatAddress(endpoint: Endpoint): string {
  if (endpoint.kind === 'unix') return `unix:${endpoint.path}`;
  return formatHostPort(ipOf(endpoint.host)?.address ?? endpoint.host, endpoint.port);
}
