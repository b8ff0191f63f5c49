// Channels: what the channel of an SMTP service, or the TLS mode of an IMAP or POP3 service, asks of its clients, and
// which channel a connection is on. Pure: a standing and an event go in, a standing and the rule that decided come out.
// The order of events is Sun's: source (address, else name; a grant comes before both) → TLS → login; an order of a
// trusted peer at any time.
// Promises: one event is at most one switch, so targets in a circle end; only a source is held back by noswitchchannel.

import type { ChannelSettings, ServiceSettings } from '../config/settings.ts';
import { type ChannelKeywords, parseChannelKeywords } from '../wire/channel-keywords.ts';
import { type ChannelMatch, formatChannelMatch, isNamedBy } from '../wire/channel-match.ts';
import { NetworkTable } from '../wire/network.ts';
import { POP_BEFORE_SMTP } from './grants.ts';

export interface ServerRules {
  readonly tls: 'notls' | 'maytls' | 'musttls';
  readonly sasl: 'nosasl' | 'maysasl' | 'mustsasl';
}

/** The server half of the rules. On an implicit-TLS port TLS is there before the first word, so it is required. */
export function serverRules(service: ServiceSettings, channel: ChannelSettings | null): ServerRules {
  const keywords = parseChannelKeywords(channel?.keywords ?? '');
  const mode = service.tlsMode ?? keywords.tls;
  return {
    tls: mode === 'implicit' ? 'musttls' : mode,
    sasl: service.protocol === 'smtp' ? keywords.sasl : 'maysasl',
  };
}

export interface Channel {
  readonly name: string;
  readonly keywords: ChannelKeywords;
  readonly match: readonly ChannelMatch[];
}

/** One switch: what brought it about, where it led, and the keyword that decided, with what it went by. */
export interface Move {
  readonly by: 'source' | 'grant' | 'tls' | 'login' | 'order';
  readonly to: string;
  readonly rule: string;
}

/** Where a connection is, and how it got there. */
export interface Standing {
  readonly channel: string;
  readonly start: string;
  readonly moves: readonly Move[];
}

export interface Decision {
  readonly standing: Standing;
  /** Also where it kept the connection where it was; null: no rule had a say. */
  readonly rule: string | null;
}

/** What the client's address decides; `open`: its name may still decide otherwise. */
export interface SourceDecision extends Decision {
  readonly open: boolean;
}

interface Finding {
  readonly channel: Channel;
  readonly text: string;
}

/** All channels of the settings, with what each is found by. */
export class ChannelBook {
  readonly channels: ReadonlyMap<string, Channel>;
  readonly #networks: NetworkTable<Finding>;
  /** Longest first, so that the most specific is found first. */
  readonly #names: readonly (Finding & { readonly pattern: string })[];

  constructor(settings: Iterable<ChannelSettings>) {
    const channels = [...settings].map(({ name, keywords, match }): Channel => {
      return { name, keywords: parseChannelKeywords(keywords), match };
    });
    this.channels = new Map(channels.map((channel) => [channel.name, channel]));
    const all = channels.flatMap((channel) =>
      channel.match.map((match) => ({ match, channel, text: formatChannelMatch(match) })),
    );
    this.#networks = new NetworkTable(
      all.flatMap(({ match, ...found }) =>
        match.kind === 'network' ? [[match.network, found] as const] : [],
      ),
    );
    this.#names = all
      .flatMap(({ match, ...found }) => (match.kind === 'name' ? [{ ...found, pattern: match.pattern }] : []))
      .toSorted((a, b) => specificity(b.pattern) - specificity(a.pattern));
  }

  start(name: string): Standing {
    return { channel: name, start: name, moves: [] };
  }

  /** switchchannel on the initial channel: the client's address, looked up in the match lists of all channels. */
  byAddress(start: string, address: string): SourceDecision {
    if (this.channels.get(start)?.keywords.switching !== 'switch') return this.#stay(start, null);
    const found = this.#networks.find(address);
    if (found === undefined) return { ...this.#stay(start, NO_MATCH), open: this.#names.length > 0 };
    const decision = this.#bySource(start, found);
    return { ...decision, open: found.channel.name === start && this.#names.length > 0 };
  }

  /** The same by the client's forward-confirmed names, where the address left it open. */
  byNames(byAddress: Decision, names: readonly string[]): Decision {
    const found = this.#names.find(({ pattern }) => names.some((name) => isNamedBy(pattern, name)));
    return found === undefined ? byAddress : this.#bySource(byAddress.standing.start, found);
  }

  /** The client's address has a grant: the proxy itself orders it there, so nothing holds it back. */
  byGrant(start: string, to: string): Decision {
    const decision = follow(this.start(start), { by: 'grant', to, rule: POP_BEFORE_SMTP });
    return { ...decision, rule: POP_BEFORE_SMTP };
  }

  /**
   * TLS is established. RFC 3207 4.2: what was known from before is forgotten, a login and an order with it; the source
   * and its grant, which the client did not say, hold. Then tlsswitchchannel of the channel that it is on.
   */
  afterTls({ start, moves }: Standing): Decision {
    const known = moves.filter(({ by }) => by === 'source' || by === 'grant');
    const channel = known.at(-1)?.to ?? start;
    const standing: Standing = { channel, start, moves: known };
    return follow(standing, {
      by: 'tls',
      to: this.channels.get(channel)?.keywords.tlsSwitch ?? channel,
      rule: 'tlsswitchchannel',
    });
  }

  /** A login was accepted: the channel that the directory names for the user, else saslswitchchannel of the current one. */
  afterLogin(standing: Standing, named: string | null = null): Decision {
    const { channel } = standing;
    if (named !== null) return follow(standing, { by: 'login', to: named, rule: SUBMIT_CHANNEL });
    return follow(standing, {
      by: 'login',
      to: this.channels.get(channel)?.keywords.saslSwitch ?? channel,
      rule: 'saslswitchchannel',
    });
  }

  /** A trusted peer names the channel, and the rule in whose name it does; null: there is no such channel. */
  byOrder(standing: Standing, to: string, rule: string): Decision | null {
    return this.channels.has(to) ? follow(standing, { by: 'order', to, rule }) : null;
  }

  #bySource(start: string, { channel, text }: Finding): Decision {
    const standing = this.start(start);
    if (channel.name !== start && channel.keywords.switching === 'no') {
      return { standing, rule: `noswitchchannel of ${channel.name}` };
    }
    const rule = `switchchannel ${text}`;
    const decision = follow(standing, { by: 'source', to: channel.name, rule });
    return { ...decision, rule };
  }

  #stay(start: string, rule: string | null): SourceDecision {
    return { standing: this.start(start), rule, open: false };
  }
}

const NO_MATCH = 'switchchannel, no match';
const SUBMIT_CHANNEL = 'mailSMTPSubmitChannel';

/** `tcp_local → tcp_intranet (switchchannel 192.0.2.0/24) → tcp_auth (saslswitchchannel)` */
export function pathText({ start, moves }: Standing): string {
  return [start, ...moves.map(({ to, rule }) => `${to} (${rule})`)].join(' → ');
}

function follow(standing: Standing, move: Move): Decision {
  if (move.to === standing.channel) return { standing, rule: null };
  const { start, moves } = standing;
  return { standing: { channel: move.to, start, moves: [...moves, move] }, rule: move.rule };
}

/** A whole name before every domain, then the longer one. */
function specificity(pattern: string): number {
  return pattern.startsWith('.') ? pattern.length : 1000 + pattern.length;
}
