// What channels demand of each other: the channels that their keywords name must exist, and a client can be sent to
// one place only. A setting that is wrong by itself is not judged a second time.

import { parseChannelKeywords } from '../wire/channel-keywords.ts';
import { formatChannelMatch } from '../wire/channel-match.ts';
import type { Report } from './check.ts';
import type { GivenSettings } from './entries.ts';
import { found } from './misfit.ts';
import { suggest } from './suggest.ts';

export function checkChannels({ channels }: GivenSettings, report: Report): void {
  const owners = new Map<string, string>();
  for (const [name, { path, values }] of channels) {
    const { tlsSwitch, saslSwitch } = parseChannelKeywords(values.keywords ?? '');
    for (const [keyword, target] of Object.entries({
      tlsswitchchannel: tlsSwitch,
      saslswitchchannel: saslSwitch,
    })) {
      if (target === null || channels.has(target)) continue;
      report.add(
        [...path, 'keywords'],
        `${keyword}: there is no channel ${found(target)}${suggest(target, [...channels.keys()])}`,
      );
    }
    for (const [index, match] of values.match.entries()) {
      const text = formatChannelMatch(match);
      const owner = owners.get(text);
      if (owner === undefined) owners.set(text, name);
      else {
        report.add(
          [...path, 'match', ...(values.match.length > 1 ? [index] : [])],
          owner === name ? `${text} is listed twice` : `${text} leads to channels.${owner} already`,
        );
      }
    }
  }
}
