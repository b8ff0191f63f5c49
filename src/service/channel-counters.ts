// What the rules of channels decided, as flat counters among a worker's others, and as the map that status shows. Pure.

import type { Counters } from './messages.ts';

/** Channel → rule → how often it decided. */
export type ChannelDecisions = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** A name of a channel has no blank in it. */
const NAME = /^channel (\S+) by (.+)$/;

export function decisionCounter(channel: string, rule: string): string {
  return `channel ${channel} by ${rule}`;
}

/** Takes the decisions out of the counters. */
export function splitDecisions(counters: Counters): { totals: Counters; channels: ChannelDecisions } {
  const totals: Record<string, number> = {};
  const channels: Record<string, Record<string, number>> = {};
  for (const [name, value] of Object.entries(counters)) {
    const [, channel, rule] = NAME.exec(name) ?? [];
    if (channel === undefined || rule === undefined) totals[name] = value;
    else (channels[channel] ??= {})[rule] = value;
  }
  return { totals, channels };
}
