// The SMTP proxy of an MMP: its relays as a backend, the channels that its clients can be on, and POP before SMTP. The
// channels are those of imta.cnf where it is there, else the usual ones. Pure.

import { parseHostPort, formatHostPort } from '../../wire/address.ts';
import { parseChannelKeywords } from '../../wire/channel-keywords.ts';
import { channelSettings, type ImtaChannels } from './imta-channels.ts';
import { type Instance, type Migration, NO_GRANTS, sourced, sourceOf } from './mmp-files.ts';
import { type Everywhere, within } from './mmp-scope.ts';
import { hasTls } from './mmp-tls.ts';
import type { Line } from './option-table.ts';
import { Commented, type SettingsMap, Sourced, type SettingsValue } from './yaml-text.ts';

export const RELAY = 'mta';
const SMTP = 25;
const SUBMISSION = 587;
const FAILOVER_SECONDS = 10;
const TTL_MAX = 86_400;
const FILL_IN =
  'the relays: SmtpRelays of SmtpProxyAService.cfg does not say; run again with --relay HOST:PORT';

export interface SmtpInput {
  readonly everywhere: Everywhere;
  readonly instances: readonly Instance[];
  readonly migration: Migration;
  readonly imta: ImtaChannels | null;
  /** As the operator says. */
  readonly relay: string | null;
  /** AuthServiceTTL of virtual domains. */
  readonly ttlsOfDomains: readonly Line[];
}

export interface Smtp {
  /** The channel that connections start on. */
  readonly channel: string;
  readonly channels: SettingsValue;
  readonly backend: Commented;
  readonly popBeforeSmtp: SettingsMap | null;
  /** Whether a service takes part in it; null: nothing is to be said. */
  readonly grants: (instance: Instance) => Sourced | null;
}

/** A text: what is missing. */
export function smtpOf(input: SmtpInput): Smtp | string {
  const relays = relaysOf(input);
  if (typeof relays === 'string') return relays;
  const { servers, port } = relays;
  const channel = port === SUBMISSION ? 'tcp_submit' : 'tcp_local';
  const backend = backendOf(input, servers);
  const grant = grantsOf(input);
  noteTtls(input, grant);
  const isTold = 'client' in backend.value;
  if (grant !== null && !isTold)
    input.migration.note(
      'popBeforeSmtp.tell',
      'without SmtpProxyPassword its relay is told nothing: lead the channel to a port that trusts us',
    );
  const popBeforeSmtp: SettingsMap | null =
    grant === null
      ? null
      : {
          channel: sourced(grant.channel, grant.channel.value),
          ttl: sourced(grant.ttl, grant.seconds),
          ...(isTold ? { tell: ['channel'] } : {}),
        };
  return {
    channel,
    channels: channelsOf(input, channel, grant?.channel ?? null),
    backend,
    popBeforeSmtp,
    grants: (instance) => (grant === null ? null : takesPart(instance, grant)),
  };
}

interface Relays {
  readonly servers: SettingsValue;
  /** Of the first. */
  readonly port: number;
}

function relaysOf({ everywhere, relay }: SmtpInput): Relays | string {
  const line = everywhere.take('SmtpRelays');
  if (relay !== null) {
    if (line !== null) everywhere.table.note(line, 'in its place --relay counts');
    return relaysIn(relay) ?? `--relay: expected HOST:PORT, found ${JSON.stringify(relay)}`;
  }
  if (line === null || line.value === '') return FILL_IN;
  const relays = relaysIn(line.value);
  return relays === null
    ? `${line.file}:${line.line}: SmtpRelays: expected host[:port], with blanks between`
    : { ...relays, servers: sourced(line, relays.servers as string[]) };
}

export function relaysIn(text: string): Relays | null {
  const places = text
    .split(/[\s,]+/)
    .filter((word) => word !== '')
    .map((word) => parseHostPort(/:\d+$/.test(word) ? word : `${word}:${SMTP}`));
  const [first] = places;
  if (first === undefined || first === null || places.includes(null)) return null;
  const servers = places.flatMap((place) => (place === null ? [] : [formatHostPort(place.host, place.port)]));
  return { servers, port: first.port };
}

function backendOf(input: SmtpInput, servers: SettingsValue): Commented {
  const { everywhere, migration, imta } = input;
  const line = everywhere.take('SmtpProxyPassword');
  const other = imta?.proxyPassword ?? null;
  const password = line === null || line.value === '' ? other : line;
  if (line !== null && other !== null && line.value !== '' && line.value !== other.value)
    migration.notes.push({
      file: other.file,
      line: other.line,
      option: other.name,
      reason: `it is not what ${sourceOf(line)} says, so that relay would refuse`,
    });
  const timeout = everywhere.take('FailoverTimeout');
  const seconds = timeout === null ? null : within(everywhere, timeout, { min: 1, max: 1440 });
  if (line !== null && password === null)
    everywhere.table.note(line, 'it is empty, so relays are told nothing of clients');
  return new Commented(
    [
      'In turn, without TLS, as before; where the relays have it: tls: musttls, and no allowClearBackend.',
      ...(password === null ? [] : toldWords(everywhere, migration, password)),
    ],
    {
      servers,
      failoverTimeout: timeout === null || seconds === null ? FAILOVER_SECONDS : sourced(timeout, seconds),
      tls: 'notls',
      allowClearBackend: true,
      ...(password === null
        ? {}
        : {
            client: ['xpehlo'],
            xpehloPassword: { file: sourced(password, migration.secret(password, 'smtpproxy')) },
          }),
    },
  );
}

/** What is known of XPEHLO, and what is not. */
export function toldWords(everywhere: Everywhere | null, { notes }: Migration, password: Line): string[] {
  const { file, line, name: option } = password;
  const reason =
    'carried as XPEHLO to another Sallyport; how the XPEHLO of a Sun MTA is written was never published, so try it, and with Postfix set client: [xclient]';
  if (everywhere !== null) everywhere.table.note(password, reason);
  else notes.push({ file, line, option, reason });
  return [
    'XPEHLO is for a Sallyport behind (frontTier there); for Postfix: client: [xclient], and no xpehloPassword.',
  ];
}

interface Grant {
  readonly channel: Line;
  readonly ttl: Line;
  readonly seconds: number;
  readonly isOfDomain: boolean;
}

/** POP before SMTP is on where a channel is named and POP logins are remembered. */
function grantsOf({ everywhere, instances, ttlsOfDomains, imta }: SmtpInput): Grant | null {
  const channel = everywhere.take('PopBeforeSmtpKludgeChannel');
  const own = instances.some(({ protocol }) => protocol === 'pop3') ? ttlOf(everywhere) : null;
  const [ofDomain] = ttlsOfDomains.filter(({ value }) => Number(value) > 0);
  const ttl = own ?? ofDomain ?? null;
  if (channel === null || channel.value === '') return null;
  if (ttl === null) {
    everywhere.table.note(channel, 'left out: no POP proxy has an AuthServiceTTL, so it was off');
    return null;
  }
  const known = imta?.channels.get(channel.value);
  if (known !== undefined && parseChannelKeywords(known.keywords).sasl === 'mustsasl') {
    everywhere.table.note(
      channel,
      'left out: that channel has mustsaslserver, so nobody sends by it without a login',
    );
    return null;
  }
  if (!/^\w[\w.@-]{0,63}$/.test(channel.value)) {
    everywhere.table.note(channel, 'expected the name of a channel; left out');
    return null;
  }
  const seconds = within(everywhere, ttl, { min: 1, max: TTL_MAX });
  if (seconds === null) return null;
  if (own === null)
    everywhere.table.note(ttl, 'carried as popBeforeSmtp.ttl, which is one for all addresses');
  return { channel, ttl, seconds, isOfDomain: own === null };
}

function ttlOf(everywhere: Everywhere): Line | null {
  const line = everywhere.only('pop3').take('AuthServiceTTL');
  return line !== null && Number(line.value) > 0 ? line : null;
}

/** Every time that is not the one carried. */
function noteTtls({ instances, ttlsOfDomains, everywhere }: SmtpInput, grant: Grant | null): void {
  const own = instances.flatMap(({ protocol, options }) =>
    protocol === 'pop3' ? (options.take('AuthServiceTTL') ?? []) : [],
  );
  for (const line of [...own, ...ttlsOfDomains]) {
    if (grant === null) everywhere.table.note(line, NO_GRANTS);
    else if (line !== grant.ttl && line.value !== grant.ttl.value && !OFF.test(line.value))
      everywhere.table.note(
        line,
        `popBeforeSmtp.ttl is one for all, and carried as in ${sourceOf(grant.ttl)}`,
      );
    else if (OFF.test(line.value) && ttlsOfDomains.includes(line))
      everywhere.table.note(line, 'logins at this address earn grants as at the others');
  }
}

const OFF = /^(0*|)$/;

function takesPart({ protocol, options }: Instance, grant: Grant): Sourced | null {
  if (protocol === 'imap') return null;
  const line = options.take(protocol === 'smtp' ? 'PopBeforeSmtpKludgeChannel' : 'AuthServiceTTL');
  if (protocol === 'pop3' && grant.isOfDomain) return null;
  if (line !== null && !OFF.test(line.value)) return null;
  const name = protocol === 'smtp' ? 'PopBeforeSmtpKludgeChannel' : 'AuthServiceTTL';
  return new Sourced(false, line === null ? `no ${name}` : sourceOf(line));
}

function channelsOf(input: SmtpInput, start: string, kludge: Line | null): SettingsValue {
  const { imta, instances, everywhere } = input;
  const secure = instances.find(({ protocol, options }) => protocol === 'smtp' && hasTls(options));
  const switched = secure?.options.take('SSLEnable') ?? null;
  const names = [start, ...(kludge === null ? [] : [kludge.value])];
  if (imta === null) return usualChannels(input, { start, kludge, switched });
  const more = new Map<string, string>();
  for (const name of names) {
    const own = imta.channels.get(name);
    if (own === undefined) {
      const words = `it is not in imta.cnf: made with the usual keywords`;
      if (name === kludge?.value) everywhere.table.note(kludge, words);
      else input.migration.note(`channels.${name}`, words);
    } else if (switched !== null && parseChannelKeywords(own.keywords).tls === 'notls') {
      more.set(name, 'maytlsserver');
      everywhere.table.note(
        switched,
        `carried as maytlsserver of channels.${name} too, for the proxy offered STARTTLS there`,
      );
    }
  }
  const usual = usualChannels(input, { start, kludge, switched }).value;
  const missing = Object.entries(usual).filter(([name]) => !imta.channels.has(name));
  return { ...channelSettings(imta, RELAY, more), ...Object.fromEntries(missing) };
}

interface Usual {
  readonly start: string;
  readonly kludge: Line | null;
  readonly switched: Line | null;
}

function usualChannels({ instances }: SmtpInput, { start, kludge, switched }: Usual): Commented {
  const line =
    switched ?? instances.find(({ protocol }) => protocol === 'smtp')?.options.take('SSLEnable') ?? null;
  const keywords = `smtp mx ${switched === null ? '' : 'maytlsserver '}maysaslserver`;
  const words = (text: string): SettingsValue => (line === null ? text : sourced(line, text));
  return new Commented(['The usual keywords; with --imta FILE they come from imta.cnf.'], {
    [start]: { keywords: words(keywords), relay: RELAY },
    ...(kludge === null || kludge.value === start
      ? {}
      : { [kludge.value]: { keywords: words(`${keywords} noswitchchannel`), relay: RELAY } }),
  });
}
