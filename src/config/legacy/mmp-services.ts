// The proxies of an MMP as services, and the stores behind them as backends. Pure.

import { isIP } from 'node:net';
import { type GateRules, adminOf, adminPolicyOf, gateOf } from './mmp-gate.ts';
import { type Instance, isAny, type Migration, type Place, sourced, sourceOf } from './mmp-files.ts';
import { scopeOf } from './mmp-scope.ts';
import { hasTls, securePorts } from './mmp-tls.ts';
import type { Line } from './option-table.ts';
import { Commented, type SettingsMap, Sourced, type SettingsValue } from './yaml-text.ts';

/** What is made of one instance. */
export interface Served {
  readonly instance: Instance;
  /** Name → service. */
  readonly services: ReadonlyMap<string, SettingsMap>;
}

export interface ServingRules {
  readonly migration: Migration;
  readonly hasGrants: boolean;
  /** Whether any store has an administrator. */
  readonly hasAdmin: boolean;
  /** TLS settings of each instance where they are not those at the top. */
  readonly ownTls: (instance: Instance) => SettingsMap;
  /** What leads on: a backend, or a channel. */
  readonly leadsTo: (instance: Instance) => SettingsMap;
  /** Of its addresses. */
  readonly domains: (instance: Instance) => SettingsMap;
  readonly certmap: (instance: Instance) => Sourced | null;
}

const NAMES = { imap: ['imap', 'imaps'], pop3: ['pop3', 'pop3s'], smtp: ['smtp', 'smtps'] } as const;
const BANNER_MAX = 200;
const ALERT_MAX = 500;
const SHUT =
  'RestrictPlainPasswords is on and TLS is off, so nobody could log in: TLS is on here (tls: maytls)';

export function servicesOf(instances: readonly Instance[], rules: ServingRules): Served[] {
  const taken = new Set<string>();
  return instances.map((instance) => ({ instance, services: servedBy(instance, taken, rules) }));
}

function servedBy(instance: Instance, taken: Set<string>, rules: ServingRules): Map<string, SettingsMap> {
  const { protocol, options, suffix } = instance;
  const secure = securePorts(instance);
  const isOn = hasTls(options);
  const places = instance.places.filter((place) => isFree(instance, place, taken));
  const [clear, tls] = [places.filter((place) => !secure.isSecure(place)), places.filter(secure.isSecure)];
  if (tls.length > 0 && !isOn)
    noteOn(instance, secure.line, `SSLEnable is not on, so ${portsOf(tls)} of ServiceList is left out`);
  if (tls.length === 0 && secure.line !== null && isOn)
    options.note(secure.line, 'none of its ports is in ServiceList, so none was listened on');
  const rest = restOf(instance, rules);
  const isShut = !isOn && protocol !== 'smtp' && letsNobodyIn(rest);
  if (isShut && clear.length > 0) noteOn(instance, options.take('SSLEnable'), SHUT);
  const services = new Map<string, SettingsMap>();
  const [name, secureName] = NAMES[protocol];
  if (clear.length > 0)
    services.set(`${name}${suffix}`, {
      protocol,
      listen: listenOf(instance, clear),
      ...tlsOf(instance, rules, isOn || isShut ? 'maytls' : 'notls'),
      ...rest,
    });
  if (tls.length > 0 && isOn)
    services.set(`${secureName}${suffix}`, {
      protocol,
      listen: listenOf(instance, tls),
      ...tlsOf(instance, rules, 'implicit'),
      ...rest,
    });
  if (services.size === 0) rules.migration.note(instance.file, 'no port is left that it could be served on');
  return services;
}

/** Passwords need TLS, there or at one of its addresses, and nothing else is offered. */
function letsNobodyIn(service: SettingsMap): boolean {
  const domains = service['domains'];
  const addresses =
    typeof domains === 'object' && domains !== null && !(domains instanceof Sourced)
      ? Object.values(domains)
      : [];
  return [{}, ...addresses].some((address) => {
    const own = address instanceof Commented ? address.value : {};
    const said = (key: string): unknown => {
      const value = own[key] ?? service[key];
      return value instanceof Sourced ? value.value : value;
    };
    const mechanisms = said('mechanisms');
    const hasChallenge = Array.isArray(mechanisms) && mechanisms.includes('CRAM-MD5');
    return said('restrictPlainPasswords') === true && !hasChallenge;
  });
}

function portsOf(places: readonly Place[]): string {
  return `${places.length === 1 ? 'port' : 'ports'} ${places.map(({ port }) => port).join(', ')}`;
}

function noteOn({ options, listed }: Instance, line: Line | null, reason: string): void {
  const about = line ?? listed ?? options.take('SSLEnable');
  if (about !== null) options.note(about, reason);
}

/** Of two services on one port the first has it; a name is nothing to listen on. */
function isFree(instance: Instance, { host, port }: Place, taken: Set<string>): boolean {
  const { options, listed } = instance;
  const say = (reason: string): false => {
    if (listed !== null) options.note(listed, reason);
    return false;
  };
  if (!isAny(host) && isIP(host) === 0) return say(`${host}:${port}: expected an IP address; left out`);
  const key = `${isAny(host) ? '' : host} ${port}`;
  if (taken.has(key)) return say(`port ${port} is given twice; the first service has it`);
  taken.add(key);
  return true;
}

function listenOf({ listed }: Instance, places: readonly Place[]): SettingsValue {
  const texts = places.map(({ host, port }) =>
    host === null ? port : host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
  );
  return listed === null ? texts : sourced(listed, texts);
}

/** SMTP has STARTTLS by its channel. */
function tlsOf(instance: Instance, { ownTls }: ServingRules, mode: string): SettingsMap {
  const { protocol, options } = instance;
  const own = mode === 'notls' ? {} : ownTls(instance);
  const isSaid = protocol !== 'smtp' || mode === 'implicit';
  const lines = [options.take('SSLEnable'), mode === 'implicit' ? options.take('SSLPorts') : null];
  const source = lines.flatMap((line) => (line === null ? [] : sourceOf(line))).join('; ');
  const word = source === '' ? mode : new Sourced(mode, source);
  if (Object.keys(own).length > 0) return { tls: { ...(isSaid ? { mode: word } : {}), ...own } };
  return isSaid ? { tls: word } : {};
}

function restOf(instance: Instance, rules: ServingRules): SettingsMap {
  const { protocol, options } = instance;
  const { migration, hasGrants } = rules;
  const scope = scopeOf(options);
  const gate: GateRules = { protocol, migration, hasGrants, service: null };
  const domains = rules.domains(instance);
  const certmap = rules.certmap(instance);
  return {
    ...rules.leadsTo(instance),
    ...bannerOf(instance),
    ...gateOf(scope, gate),
    ...(protocol === 'smtp' ? ehloOf(instance) : adminPolicyOf(scope, rules)),
    ...(protocol === 'imap' ? { ...capabilitiesOf(instance), ...alertOf(instance) } : {}),
    ...(protocol === 'pop3' ? spoofOf(instance, migration) : {}),
    ...(certmap === null ? {} : { certmap }),
    ...(Object.keys(domains).length === 0 ? {} : { domains }),
  };
}

function bannerOf({ options }: Instance): SettingsMap {
  const line = options.take('Banner');
  if (line === null || line.value === '') return {};
  if (line.value.length > BANNER_MAX) options.note(line, `cut to ${BANNER_MAX} characters`);
  return { banner: sourced(line, line.value.slice(0, BANNER_MAX)) };
}

function capabilitiesOf({ options }: Instance): SettingsMap {
  const line = options.take('Capability');
  const words = line?.value.split(/\s+/).filter((word) => word !== '') ?? [];
  if (line === null || words.length === 0) return {};
  return { capabilities: sourced(line, words) };
}

function alertOf({ options }: Instance): SettingsMap {
  const line = options.take('ServerDownAlert');
  if (line === null || line.value === '') return {};
  if (line.value.length > ALERT_MAX) options.note(line, `cut to ${ALERT_MAX} characters`);
  return { serverDownAlert: sourced(line, line.value.slice(0, ALERT_MAX)) };
}

function ehloOf({ options }: Instance): SettingsMap {
  const line = options.take('EhloKeywords');
  const words = line?.value.split(/[\s,]+/).filter((word) => word !== '') ?? [];
  return line === null ? {} : { ehloKeywords: sourced(line, words) };
}

/** One mailbox stands in for both: the store is away, or fails for the moment. */
function spoofOf({ options }: Instance, migration: Migration): SettingsMap {
  const file = options.take('SpoofMessageFile');
  const tempfail = options.take('spooftempfail');
  const empty = options.take('spoofemptymailbox');
  const message = file === null || file.value === '' ? null : migration.files.read(file.value);
  if (message !== null) migration.stays.add(message.path);
  const isFailing = tempfail !== null && options.flagOf(tempfail) === true;
  const isEmpty = empty !== null && options.flagOf(empty) === true;
  if (file !== null && file.value !== '' && message === null)
    options.note(file, 'the file is not there; an empty mailbox is shown in its place');
  const when = [
    ...(file !== null && file.value !== '' ? ['unreachable'] : []),
    ...(isFailing ? ['tempfail'] : []),
  ];
  if (empty !== null) {
    const words = !isFailing
      ? 'has no effect without spooftempfail'
      : file === null
        ? null
        : isEmpty
          ? 'one mailbox stands in for both cases here: the message is shown then too'
          : null;
    options.note(empty, words ?? 'carried: without spoof.message the mailbox is empty');
  }
  if (tempfail !== null && !isFailing) options.note(tempfail, 'off, as it is without it');
  if (when.length === 0) return {};
  const about = file !== null && file.value !== '' ? file : tempfail;
  return {
    spoof: {
      ...(message === null || file === null ? {} : { message: sourced(file, message.path) }),
      when:
        about === null
          ? when
          : new Sourced(
              when,
              [file, tempfail].flatMap((line) => (line === null ? [] : sourceOf(line))).join('; '),
            ),
    },
  };
}

/** The stores of an instance. */
export function storesOf({ protocol, options }: Instance, migration: Migration): Commented {
  const port = options.take('BacksidePort');
  const secure = options.take('SSLBacksidePort');
  const range = { min: 0, max: 65_535 };
  const securePort = secure === null || secure.value === '' ? 0 : (options.numberOf(secure, range) ?? 0);
  const plainPort = port === null ? null : options.numberOf(port, { min: 1, max: 65_535 });
  const admin = adminOf(scopeOf(options), migration);
  const store: SettingsMap = { hosts: ['*'] };
  const words = [
    'The directory names the store of each user, as for the MMP any host: better say which, as in [*.example.com].',
  ];
  if (secure !== null && securePort > 0) {
    store['tls'] = sourced(secure, 'implicit');
    store['port'] = sourced(secure, securePort);
    if (port !== null) options.note(port, 'SSLBacksidePort is set, and here it is for every leg to a store');
  } else {
    words.push(
      'Passwords go to the stores without TLS, as before; where they have it: tls: musttls, and no allowClearBackend.',
    );
    store['tls'] = secure === null ? 'notls' : sourced(secure, 'notls');
    store['port'] =
      port === null || plainPort === null ? (protocol === 'imap' ? 143 : 110) : sourced(port, plainPort);
    store['allowClearBackend'] = true;
  }
  if (admin !== null) store['admin'] = admin;
  return new Commented(words, store);
}
