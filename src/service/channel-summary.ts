// What `sallyport check` says of channels: the way that clients of each service can take, and what is written in a
// channel and does nothing. Pure.

import type { ChannelSettings, ServiceSettings, Settings } from '../config/settings.ts';
import { channelsOf, type Way, waysFrom } from '../policy/channel-map.ts';
import { ChannelBook } from '../policy/channels.ts';
import { grantChannelOf } from '../policy/grants.ts';
import { type ChannelKeywords, parseChannelKeywords } from '../wire/channel-keywords.ts';

export interface ChannelSummary {
  readonly name: string;
  readonly tls: string;
  readonly sasl: string;
  /** Keywords that are known and do nothing here. */
  readonly inert: readonly string[];
  readonly relay: string;
}

export function summariseChannels({ channels }: Settings): ChannelSummary[] {
  return Object.values(channels).map(({ name, keywords, relay }) => {
    const { tls, sasl, inert } = parseChannelKeywords(keywords);
    return { name, tls, sasl, inert, relay };
  });
}

/** Every switch that a connection of the service can meet. */
export function channelWays(service: ServiceSettings, settings: Settings): readonly Way[] {
  if (service.channel === null) return [];
  const book = new ChannelBook(Object.values(settings.channels));
  return waysFrom(service.channel, book, grantChannelOf(service, settings));
}

export function channelWarnings(settings: Settings): string[] {
  const { services, channels } = settings;
  const all = Object.values(services);
  const reached = new Set(
    all
      .flatMap((service) => channelsOf(service, channels, grantChannelOf(service, settings)))
      .map(({ name }) => name),
  );
  const starts = new Set(all.flatMap(({ channel }) => channel ?? []));
  const switching = [...starts].filter((name) => keywordsOf(channels[name]).switching === 'switch');
  return Object.values(channels).flatMap((channel) => {
    const warn = (text: string): string => `channels.${channel.name}: ${text}`;
    if (!reached.has(channel.name)) return [warn('no service leads to it')];
    return idleParts(channel, { isStart: starts.has(channel.name), channels, switching }).map(warn);
  });
}

interface Surroundings {
  readonly isStart: boolean;
  readonly channels: Settings['channels'];
  /** The start channels that send clients elsewhere by address or name. */
  readonly switching: readonly string[];
}

/** What stands in a channel that clients come to, and has no effect. */
function idleParts(channel: ChannelSettings, { isStart, channels, switching }: Surroundings): string[] {
  const { switching: own, sasl, saslSwitch } = keywordsOf(channel);
  const parts: string[] = [];
  const targets = Object.values(channels).filter(
    ({ name, match, keywords }) =>
      name !== channel.name && match.length > 0 && parseChannelKeywords(keywords).switching !== 'no',
  );
  if (own === 'switch' && !isStart) parts.push('switchchannel has no effect, no service starts on it');
  if (own === 'switch' && isStart && targets.length === 0) {
    parts.push('switchchannel has no effect, no other channel that allows it has a match');
  }
  if (channel.match.length > 0) {
    if (own === 'no') parts.push('match has no effect, noswitchchannel keeps all clients out');
    else if (switching.length === 0) {
      parts.push('match has no effect, no service starts on a channel with switchchannel');
    }
  }
  if (sasl === 'nosasl' && saslSwitch !== null) parts.push('saslswitchchannel has no effect under nosasl');
  return parts;
}

function keywordsOf(channel: ChannelSettings | undefined): ChannelKeywords {
  return parseChannelKeywords(channel?.keywords ?? '');
}
