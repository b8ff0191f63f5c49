// POP before SMTP as an MMP has it: a channel that the SMTP proxy asks for, and the time for which each POP proxy and each
// virtual domain remembers who has read mail (AuthServiceTTL). Pure.

import { parseChannelKeywords } from '../../wire/channel-keywords.ts';
import { type ImtaChannels, isChannelName } from './imta-channels.ts';
import { type Instance, NO_GRANTS, sourced, sourceOf } from './mmp-files.ts';
import { type Everywhere, scopeOf, within } from './mmp-scope.ts';
import type { Line } from './option-table.ts';
import { type SettingsMap, Sourced } from './yaml-text.ts';

const TTL = { min: 0, max: 86_400 };

export interface Grant {
  /** The line with its name. */
  readonly channel: Line;
  /** The longest time, which is the one at the top. */
  readonly longest: Line;
  readonly seconds: number;
}

export interface GrantInput {
  readonly everywhere: Everywhere;
  readonly instances: readonly Instance[];
  readonly imta: ImtaChannels | null;
  /** AuthServiceTTL of virtual domains. */
  readonly ttlsOfDomains: readonly Line[];
}

/** null: it is off. */
export function grantsOf(input: GrantInput): Grant | null {
  const { everywhere, instances, ttlsOfDomains } = input;
  const own = instances.flatMap(({ protocol, options }) =>
    protocol === 'pop3' ? (options.take('AuthServiceTTL') ?? []) : [],
  );
  const lines = [...own, ...ttlsOfDomains];
  const grant = longestOf(input, lines);
  if (grant === null) for (const line of lines) everywhere.table.note(line, NO_GRANTS);
  return grant;
}

function longestOf({ everywhere, imta }: GrantInput, lines: readonly Line[]): Grant | null {
  const channel = everywhere.take('PopBeforeSmtpKludgeChannel');
  if (channel === null || channel.value === '') return null;
  const known = imta?.channels.get(channel.value);
  const leftOut = (reason: string): null => {
    everywhere.table.note(channel, `${reason}; left out`);
    return null;
  };
  if (!isChannelName(channel.value)) return leftOut('expected the name of a channel');
  if (known !== undefined && parseChannelKeywords(known.keywords).sasl === 'mustsasl')
    return leftOut('that channel has mustsaslserver, so nobody sends by it without a login');
  let grant: Grant | null = null;
  for (const line of lines) {
    const seconds = within(everywhere, line, TTL) ?? 0;
    if (seconds > (grant?.seconds ?? 0)) grant = { channel, longest: line, seconds };
  }
  return grant ?? leftOut('no POP proxy has an AuthServiceTTL, so it was off');
}

/** How a service takes part in it. */
export function grantsOfService({ protocol, options }: Instance, grant: Grant | null): SettingsMap {
  if (grant === null || protocol === 'imap') return {};
  const name = protocol === 'smtp' ? 'PopBeforeSmtpKludgeChannel' : 'AuthServiceTTL';
  const line = options.take(name);
  if (line === null) return { grants: new Sourced(false, `no ${name}`) };
  if (protocol === 'pop3') return timeOf(line, { options, grant });
  return line.value === '' ? { grants: new Sourced(false, sourceOf(line)) } : {};
}

/** The same at one address of a POP service. */
export function grantsOfDomain(options: Instance['options'], grant: Grant | null): SettingsMap {
  const line = options.take('AuthServiceTTL');
  if (line === null || grant === null) return {};
  const time = timeOf(line, { options, grant });
  return time['grants'] === undefined ? { grants: true, ...time } : time;
}

function timeOf(
  line: Line,
  { options, grant }: Pick<Instance, 'options'> & { readonly grant: Grant },
): SettingsMap {
  const seconds = within(scopeOf(options), line, TTL);
  if (seconds === null) return {};
  if (seconds === 0) return { grants: sourced(line, false) };
  return { grantTtl: sourced(line, Math.min(seconds, grant.seconds)) };
}
