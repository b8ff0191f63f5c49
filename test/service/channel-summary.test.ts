// What `sallyport check` says of channels: the ways of each service, and what is written and does nothing.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChannelSettings, ServiceSettings, Settings } from '../../src/config/settings.ts';
import { channelWarnings, channelWays, summariseChannels } from '../../src/service/channel-summary.ts';
import { parseChannelMatch } from '../../src/wire/channel-match.ts';

type Given = Readonly<Record<string, readonly [keywords: string, ...match: string[]]>>;

function settings(channels: Given, starts: readonly string[] = ['tcp_local']): Settings {
  const made = Object.entries(channels).map(([name, [keywords, ...match]]): [string, ChannelSettings] => [
    name,
    { name, keywords, relay: 'mta', match: match.flatMap((text) => parseChannelMatch(text) ?? []) },
  ]);
  const services = starts.map((channel): [string, ServiceSettings] => [
    channel,
    { name: channel, protocol: 'smtp', channel, tlsMode: null } as ServiceSettings,
  ]);
  return {
    channels: Object.fromEntries(made),
    services: Object.fromEntries(services),
  } as unknown as Settings;
}

test('a set of channels in which everything acts is shown without a warning', () => {
  const all = settings({
    tcp_local: ['smtp mx maytlsserver switchchannel tlsswitchchannel tcp_tls'],
    tcp_intranet: ['smtp maytlsserver', '192.0.2.0/24'],
    tcp_tls: ['maytlsserver maysaslserver saslswitchchannel tcp_auth'],
    tcp_auth: ['mustsaslserver noswitchchannel'],
  });
  assert.deepEqual(channelWarnings(all), []);
  const service = all.services['tcp_local'];
  assert.ok(service !== undefined);
  assert.deepEqual(channelWays(service, all), [
    { from: 'tcp_local', to: 'tcp_intranet', rule: 'switchchannel 192.0.2.0/24' },
    { from: 'tcp_local', to: 'tcp_tls', rule: 'tlsswitchchannel' },
    { from: 'tcp_tls', to: 'tcp_auth', rule: 'saslswitchchannel' },
  ]);
  assert.deepEqual(summariseChannels(all)[0]?.inert, ['smtp', 'mx']);
});

const WARNINGS: readonly (readonly [Given, string])[] = [
  [{ tcp_local: [''], idle: [''] }, 'channels.idle: no service leads to it'],
  [
    { tcp_local: ['switchchannel'], tcp_intranet: ['switchchannel', '192.0.2.0/24'] },
    'channels.tcp_intranet: switchchannel has no effect, no service starts on it',
  ],
  [
    { tcp_local: ['switchchannel'] },
    'channels.tcp_local: switchchannel has no effect, no other channel that allows it has a match',
  ],
  [
    { tcp_local: ['', '192.0.2.0/24'] },
    'channels.tcp_local: match has no effect, no service starts on a channel with switchchannel',
  ],
  [
    {
      tcp_local: ['switchchannel maysaslserver saslswitchchannel tcp_auth'],
      tcp_auth: ['noswitchchannel', '192.0.2.0/24'],
      tcp_in: ['', '.a.test'],
    },
    'channels.tcp_auth: match has no effect, noswitchchannel keeps all clients out',
  ],
  [
    { tcp_local: ['saslswitchchannel tcp_local'] },
    'channels.tcp_local: saslswitchchannel has no effect under nosasl',
  ],
];

for (const [channels, warning] of WARNINGS) {
  test(`one warning: ${warning}`, () => assert.deepEqual(channelWarnings(settings(channels)), [warning]));
}

test('keywords of the client half are named as inert', () => {
  const [channel] = summariseChannels(settings({ tcp_local: ['maytls musttlsclient maysaslclient'] }));
  assert.deepEqual(channel?.inert, ['musttlsclient', 'maysaslclient']);
});
