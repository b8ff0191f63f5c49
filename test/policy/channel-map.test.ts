// Which channels a service can come to, before anybody connects.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChannelSettings, ServiceSettings } from '../../src/config/settings.ts';
import { channelsOf, offersTls, waysFrom } from '../../src/policy/channel-map.ts';
import { ChannelBook } from '../../src/policy/channels.ts';
import { parseChannelMatch } from '../../src/wire/channel-match.ts';

type Channels = Readonly<Record<string, ChannelSettings>>;

function channels(
  given: Readonly<Record<string, readonly [keywords: string, ...match: string[]]>>,
): Channels {
  return Object.fromEntries(
    Object.entries(given).map(([name, [keywords, ...match]]) => [
      name,
      { name, keywords, relay: 'mta', match: match.flatMap((text) => parseChannelMatch(text) ?? []) },
    ]),
  );
}

function ways(all: Channels, start: string): string[] {
  return waysFrom(start, new ChannelBook(Object.values(all))).map(
    ({ from, to, rule }) => `${from} → ${to} (${rule})`,
  );
}

const SUN = channels({
  tcp_local: ['switchchannel maytlsserver tlsswitchchannel tcp_tls'],
  tcp_intranet: ['maytlsserver saslswitchchannel tcp_auth', '192.0.2.0/24', '.example.com'],
  tcp_tls: ['maytlsserver maysaslserver saslswitchchannel tcp_auth'],
  tcp_auth: ['mustsaslserver noswitchchannel', '198.51.100.0/24'],
  tcp_other: [''],
});

test('ways lead by source from the start only, by TLS once, by login where AUTH is, in the order of events', () => {
  assert.deepEqual(ways(SUN, 'tcp_local'), [
    'tcp_local → tcp_intranet (switchchannel 192.0.2.0/24)',
    'tcp_local → tcp_intranet (switchchannel .example.com)',
    'tcp_local → tcp_tls (tlsswitchchannel)',
    'tcp_tls → tcp_auth (saslswitchchannel)',
  ]);
  assert.deepEqual(ways(SUN, 'tcp_intranet'), []);
});

test('a circle of targets ends', () => {
  const all = channels({
    a: ['maysaslserver tlsswitchchannel b saslswitchchannel b'],
    b: ['maysaslserver tlsswitchchannel a saslswitchchannel a'],
  });
  assert.deepEqual(ways(all, 'a'), [
    'a → b (tlsswitchchannel)',
    'a → b (saslswitchchannel)',
    'b → a (saslswitchchannel)',
  ]);
});

function service(channel: string | null, tlsMode: ServiceSettings['tlsMode'] = null): ServiceSettings {
  return { protocol: channel === null ? 'imap' : 'smtp', channel, tlsMode } as ServiceSettings;
}

test('the channels of a service are its start and all that ways lead to', () => {
  const names = (start: string): string[] => channelsOf(service(start), SUN).map(({ name }) => name);
  assert.deepEqual(names('tcp_local'), ['tcp_local', 'tcp_intranet', 'tcp_tls', 'tcp_auth']);
  assert.deepEqual(names('tcp_other'), ['tcp_other']);
  assert.deepEqual(channelsOf(service(null), SUN), []);
});

test('a service needs a certificate where any channel on its way offers TLS, and nowhere else', () => {
  const all = channels({
    plain: ['notls switchchannel'],
    inside: ['maytlsserver', '192.0.2.0/24'],
    alone: ['notls'],
    login: ['notls maysaslserver saslswitchchannel inside'],
  });
  assert.equal(offersTls(service('plain'), all), true);
  assert.equal(offersTls(service('login'), all), true);
  assert.equal(offersTls(service('alone'), all), false);
  assert.equal(offersTls(service('alone', 'implicit'), all), true);
  assert.equal(offersTls(service(null, 'notls'), all), false);
  assert.equal(offersTls(service(null, 'maytls'), all), true);
});

test('grants of POP before SMTP lead on from the start, to a channel that is there', () => {
  const all = channels({ plain: ['notls'], granted: ['maytlsserver saslswitchchannel users'], users: [''] });
  const book = new ChannelBook(Object.values(all));
  const to = (granted: string | null): string[] =>
    waysFrom('plain', book, granted).map((way) => `${way.to} (${way.rule})`);
  assert.deepEqual([to(null), to('plain'), to('nowhere')], [[], [], []]);
  assert.deepEqual(to('granted'), ['granted (pop-before-smtp)']);
  assert.equal(offersTls(service('plain'), all), false);
  assert.equal(offersTls(service('plain'), all, 'granted'), true);
});
