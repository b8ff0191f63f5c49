// What `sallyport check` says of POP before SMTP: what of it cannot happen, and what clients with a grant would miss.
// Pure.

import type { ChannelSettings, Settings } from '../../config/settings.ts';
import { facesOf } from '../../config/variants.ts';
import { earns, grantChannelOf } from '../../policy/grants.ts';
import { type ChannelKeywords, parseChannelKeywords } from '../../wire/channel-keywords.ts';

export function grantWarnings(settings: Settings): string[] {
  const rules = settings.popBeforeSmtp;
  const channel = settings.channels[rules?.channel ?? ''];
  if (rules === null || channel === undefined) return [];
  return [
    ...idleWarnings(settings),
    ...lossWarnings(channel, settings),
    ...(rules.tell.length === 0 ? relayWarnings(channel, settings) : []),
  ];
}

/** With Redis the other half may be on another machine. */
function idleWarnings(settings: Settings): string[] {
  const { popBeforeSmtp: rules, redis, services } = settings;
  if (rules === null || redis !== null) return [];
  const all = Object.values(services).flatMap(facesOf);
  const earning = all.some(({ protocol, grants }) => grants && earns(protocol, rules));
  const using = all.some(
    (service) => grantChannelOf(service, settings) !== null || service.authService.from.length > 0,
  );
  const protocols = rules.protocols.join(' or ');
  return [
    ...(earning ? [] : [`popBeforeSmtp: no service earns a grant, none of ${protocols} takes part`]),
    ...(using ? [] : ['popBeforeSmtp: no service uses a grant, none of smtp takes part']),
  ];
}

/** What the channel lacks and the one where sessions start has: programs that are set to use it would fail. */
function lossWarnings(channel: ChannelSettings, settings: Settings): string[] {
  const own = keywordsOf(channel);
  const starts = startsOf(settings).map(({ keywords }) => keywords);
  const lost = [
    ...(own.sasl === 'nosasl' && starts.some(({ sasl }) => sasl !== 'nosasl')
      ? ['AUTH (maysaslserver)']
      : []),
    ...(own.tls === 'notls' && starts.some(({ tls, isImplicit }) => tls !== 'notls' && !isImplicit)
      ? ['STARTTLS (maytlsserver)']
      : []),
  ];
  return [
    ...lost.map(
      (what) =>
        `popBeforeSmtp: channels.${channel.name} has no ${what}, so programs that insist on it fail ` +
        `while their address has a grant`,
    ),
    ...(own.tlsSwitch === null
      ? []
      : [`popBeforeSmtp: tlsswitchchannel leads clients with a grant away from channels.${channel.name}`]),
  ];
}

/** The same relay, told nothing, cannot know who has a grant; unless a login is what was missing. */
function relayWarnings(channel: ChannelSettings, settings: Settings): string[] {
  const same = startsOf(settings).filter(
    ({ keywords, relay, name }) =>
      relay === channel.relay && name !== channel.name && keywords.sasl !== 'mustsasl',
  );
  return [...new Set(same.map(({ name }) => name))].map(
    (name) =>
      `popBeforeSmtp: channels.${channel.name} has the relay of channels.${name} and nothing is told to it ` +
      `(tell), so a grant makes no difference there`,
  );
}

interface Start {
  readonly name: string;
  readonly relay: string;
  readonly keywords: ChannelKeywords & { readonly isImplicit: boolean };
}

/** Where sessions start that a grant may lead away. */
function startsOf(settings: Settings): Start[] {
  return Object.values(settings.services)
    .flatMap(facesOf)
    .flatMap((service) => {
      const channel = settings.channels[service.channel ?? ''];
      if (channel === undefined || grantChannelOf(service, settings) === null) return [];
      const keywords = { ...keywordsOf(channel), isImplicit: service.tlsMode === 'implicit' };
      return [{ name: channel.name, relay: channel.relay, keywords }];
    });
}

function keywordsOf({ keywords }: ChannelSettings): ChannelKeywords {
  return parseChannelKeywords(keywords);
}
