// The SMTP proxy of an MMP: its relays as a backend, the channels that its clients can be on, and POP before SMTP. The
// channels are those of imta.cnf where it is there, else the usual ones. Pure.

import { parseHostPort, formatHostPort } from '../../wire/address.ts';
import { parseChannelKeywords } from '../../wire/channel-keywords.ts';
import { channelSettings, type ImtaChannels } from './imta-channels.ts';
import { type Instance, type Migration, sourced, sourceOf } from './mmp-files.ts';
import { type Grant, grantsOf } from './mmp-grants.ts';
import { type Everywhere, within } from './mmp-scope.ts';
import { hasTls } from './mmp-tls.ts';
import type { Line } from './option-table.ts';
import { Commented, type SettingsMap, type SettingsValue } from './yaml-text.ts';

export const RELAY = 'mta';
const SMTP = 25;
const SUBMISSION = 587;
const FAILOVER_SECONDS = 10;
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
  /** null: nobody has grants. */
  readonly grant: Grant | null;
}

/** A text: what is missing. */
export function smtpOf(input: SmtpInput): Smtp | string {
  const relays = relaysOf(input);
  if (typeof relays === 'string') return relays;
  const { servers, port } = relays;
  const channel = port === SUBMISSION ? 'tcp_submit' : 'tcp_local';
  const backend = backendOf(input, servers);
  const grant = grantsOf(input);
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
          ttl: sourced(grant.longest, grant.seconds),
          ...(isTold ? { tell: ['channel'] } : {}),
        };
  return {
    channel,
    channels: channelsOf(input, channel, grant?.channel ?? null),
    backend,
    popBeforeSmtp,
    grant,
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
  const line = everywhere.like('SmtpRelays').take('SmtpProxyPassword');
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

function channelsOf(input: SmtpInput, start: string, kludge: Line | null): SettingsValue {
  const { imta, instances, everywhere } = input;
  const secure = instances.find(({ protocol, options }) => protocol === 'smtp' && hasTls(options));
  const switched = secure?.options.take('SSLEnable') ?? null;
  const starts = instances.some(({ protocol }) => protocol === 'smtp') ? [start] : [];
  const names = [...starts, ...(kludge === null ? [] : [kludge.value])];
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
  const missing = Object.entries(usual).filter(([name]) => names.includes(name) && !imta.channels.has(name));
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
