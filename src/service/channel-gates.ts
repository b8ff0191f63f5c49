// The channels of the settings made ready for the clients of one SMTP service: each with the rules that it has there and
// the relay that gets its mail. Made for every channel, since a trusted peer may name any; a relay is not asked anything
// by that. Channels with the same relay share what is known of it.

import type { BackendSettings, ChannelSettings, ServiceSettings, Settings } from '../config/settings.ts';
import type { AdminLogin, Backend } from '../connection/backend-leg.ts';
import type { ChannelGate, GateChannels } from '../connection/channel-course.ts';
import { type Gate, offerOf } from '../connection/gate.ts';
import { channelsOf } from '../policy/channel-map.ts';
import { ChannelBook, serverRules } from '../policy/channels.ts';
import { grantChannelOf } from '../policy/grants.ts';
import type { Fresh, FrontRules, Offer } from '../protocol/dialect.ts';
import { judgedMechanisms } from './directories/certificate-logins.ts';
import { parseChannelKeywords } from '../wire/channel-keywords.ts';
import type { World } from '../world.ts';
import { DIALECTS } from './backends/backends.ts';

const BANNER = 'Sallyport ready';

export interface RulesParts {
  readonly settings: Settings;
  readonly service: ServiceSettings;
  readonly channel: ChannelSettings | null;
  /** The service has a certificate. */
  readonly certified: boolean;
  /** Of the service's front tiers; null: there is none. */
  readonly isTierPassword: FrontRules['isTierPassword'];
  readonly offer: () => Promise<Offer>;
  readonly world: Pick<World, 'now' | 'random'>;
}

export function frontRules(parts: RulesParts): FrontRules {
  const { settings, service, channel, certified, isTierPassword, offer, world } = parts;
  const rules = serverRules(service, channel);
  const { badAuthLimit, badCommandLimit } = parseChannelKeywords(channel?.keywords ?? '');
  const { limits } = settings;
  // No keyword leads there, or there would be a certificate: who is ordered there is not let off.
  const insists = service.protocol === 'smtp' && rules.tls === 'musttls';
  return {
    hostname: settings.hostname,
    banner: service.banner ?? BANNER,
    serverDownAlert: service.serverDownAlert,
    tls: certified || insists ? rules.tls : 'notls',
    sasl: rules.sasl,
    limits: {
      ...limits,
      authAttempts: badAuthLimit ?? limits.authAttempts,
      badCommands: badCommandLimit ?? limits.badCommands,
    },
    lineEndings: service.lineEndings,
    restricted: service.restrictPlainPasswords,
    apop: service.protocol === 'pop3' && service.mechanisms.includes('APOP'),
    fresh: freshOf(settings.hostname, world),
    isTierPassword,
    offer,
  };
}

const NONCE_BYTES = 18;

function freshOf(hostname: string, world: RulesParts['world']): Fresh {
  const nonce = (): string => world.random(NONCE_BYTES).toString('base64url');
  return { nonce, stamp: () => `<${nonce()}.${world.now()}@${hostname}>` };
}

export interface ChannelParts extends Omit<RulesParts, 'channel' | 'offer'> {
  readonly backend: (settings: BackendSettings) => Backend;
  /** In place of the relays' own. */
  readonly admin?: AdminLogin | null | undefined;
}

/** Null: the service has no channel. */
export function makeChannels(parts: ChannelParts): GateChannels | null {
  const { settings, service, certified, isTierPassword, world } = parts;
  if (service.channel === null) return null;
  const book = new ChannelBook(Object.values(settings.channels));
  const judged = judgedMechanisms(service, settings);
  const offers = new Map<Backend, () => Promise<Offer>>();
  const gates = new Map<string, ChannelGate>();
  for (const channel of Object.values(settings.channels)) {
    const relay = settings.backends[channel.relay];
    if (relay === undefined) continue;
    const backend = parts.backend(relay);
    const offer =
      offers.get(backend) ??
      offerOf(service, DIALECTS.smtp, { backend, admin: parts.admin ?? backend.admin, judged });
    offers.set(backend, offer);
    gates.set(channel.name, {
      rules: frontRules({ settings, service, channel, certified, isTierPassword, offer, world }),
      backend,
    });
  }
  return { book, start: book.start(service.channel), gates };
}

/** The rules that clients of a gate can come under. */
export function rulesAhead(gate: Gate, settings: Settings): ReadonlySet<FrontRules> {
  const granted = grantChannelOf(gate.settings, settings);
  const channels = channelsOf(gate.settings, settings.channels, granted);
  const ahead = channels.flatMap(({ name }) => gate.channels?.gates.get(name) ?? []);
  return new Set([gate.rules, ...ahead.map(({ rules }) => rules)]);
}
