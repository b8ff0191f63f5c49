// Which channels a connection of a service can come to, and by which rule: for `check`, and for what must be there
// (certificates, relays) before anybody comes. Pure.

import type { ChannelSettings, ServiceSettings } from '../config/settings.ts';
import { formatChannelMatch } from '../wire/channel-match.ts';
import { ChannelBook, serverRules } from './channels.ts';
import { POP_BEFORE_SMTP } from './grants.ts';

export interface Way {
  readonly from: string;
  readonly to: string;
  /** The keyword, with what it goes by. */
  readonly rule: string;
}

type Channels = Readonly<Record<string, ChannelSettings>>;

/** How far a connection is: each event comes once, and after a login only STARTTLS, which begins anew. */
type Stage = 'source' | 'tls' | 'login';

/** Every switch that can happen to a connection that starts on a channel, nearest first; `granted`: where grants lead. */
export function waysFrom(start: string, book: ChannelBook, granted: string | null = null): readonly Way[] {
  const ways = new Map<string, Way>();
  const seen = new Set<string>();
  const queue: { readonly at: string; readonly stage: Stage }[] = [];
  const go = (way: Way, stage: Stage): void => {
    ways.set(`${way.from} ${way.to} ${way.rule}`, way);
    queue.push({ at: way.to, stage });
  };
  queue.push({ at: start, stage: 'source' });
  for (const way of sourceWays(start, book)) go(way, 'source');
  if (granted !== null && granted !== start && book.channels.has(granted)) {
    go({ from: start, to: granted, rule: POP_BEFORE_SMTP }, 'source');
  }
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const { at, stage } = next;
    const channel = book.channels.get(at);
    if (channel === undefined || stage === 'login' || seen.has(`${at} ${stage}`)) continue;
    seen.add(`${at} ${stage}`);
    const { tlsSwitch, saslSwitch, sasl } = channel.keywords;
    if (stage === 'source' && tlsSwitch !== null && tlsSwitch !== at) {
      go({ from: at, to: tlsSwitch, rule: 'tlsswitchchannel' }, 'tls');
    }
    if (sasl !== 'nosasl' && saslSwitch !== null && saslSwitch !== at) {
      go({ from: at, to: saslSwitch, rule: 'saslswitchchannel' }, 'login');
    }
  }
  return [...ways.values()];
}

function sourceWays(start: string, book: ChannelBook): Way[] {
  if (book.channels.get(start)?.keywords.switching !== 'switch') return [];
  return [...book.channels.values()]
    .filter(({ name, keywords }) => name !== start && keywords.switching !== 'no')
    .flatMap(({ name, match }) =>
      match.map((one) => ({ from: start, to: name, rule: `switchchannel ${formatChannelMatch(one)}` })),
    );
}

/** The channels that a connection of a service can be on, its first one first. */
export function channelsOf(
  service: ServiceSettings,
  channels: Channels,
  granted: string | null = null,
): readonly ChannelSettings[] {
  if (service.channel === null) return [];
  const ways = waysFrom(service.channel, new ChannelBook(Object.values(channels)), granted);
  return [...new Set([service.channel, ...ways.map(({ to }) => to)])].flatMap((name) => channels[name] ?? []);
}

/** Whether clients of a service can be offered TLS by it anywhere on their way, so that it needs a certificate. */
export function offersTls(
  service: ServiceSettings,
  channels: Channels,
  granted: string | null = null,
): boolean {
  if (service.channel === null) return serverRules(service, null).tls !== 'notls';
  return channelsOf(service, channels, granted).some(
    (channel) => serverRules(service, channel).tls !== 'notls',
  );
}
