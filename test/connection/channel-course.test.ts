// The way of one connection through the channels: what a trusted peer says of it, and when that is too late.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BackendSettings, ChannelSettings, ServiceSettings } from '../../src/config/settings.ts';
import type { Backend } from '../../src/connection/backend-leg.ts';
import type { Client } from '../../src/connection/client.ts';
import type { Upgrader } from '../../src/connection/upgrader.ts';
import { greet } from '../../src/connection/greet.ts';
import { pathText } from '../../src/policy/channels.ts';
import { SmtpFront } from '../../src/protocol/smtp-front.ts';
import { makeChannels } from '../../src/service/channel-gates.ts';
import { parseChannelMatch } from '../../src/wire/channel-match.ts';
import { realWorld } from '../../src/world.ts';
import { defaultSettings, settle, testClient, testGate } from '../support/gates.ts';
import { ACCEPTED } from '../support/scripted-talk.ts';

interface Scene {
  readonly names?: Readonly<Record<string, readonly string[]>>;
  readonly certified?: boolean;
}

interface Opened {
  readonly client: Client;
  /** `channel by rule`, as they were decided. */
  readonly decided: readonly string[];
  /** Where it is, and the TLS rule that governs its session. */
  readonly at: () => [path: string, tls: string];
}

function open({ names = {}, certified = true }: Scene = {}): Opened {
  const channel = (name: string, keywords: string, more: Partial<ChannelSettings> = {}): ChannelSettings => {
    return { name, keywords, match: [], relay: 'mta', ...more };
  };
  const by = (...texts: string[]): Pick<ChannelSettings, 'match'> => ({
    match: texts.flatMap((text) => parseChannelMatch(text) ?? []),
  });
  const all = [
    channel(
      'start',
      'switchchannel maytlsserver maysaslserver tlsswitchchannel safe saslswitchchannel users',
    ),
    channel('inside', 'notls tlsswitchchannel safer', by('192.0.2.0/24', '.inside.test')),
    channel('users', 'mustsaslserver'),
    channel('safe', 'maytlsserver'),
    channel('safer', 'musttlsserver'),
    channel('shut', 'noswitchchannel', { relay: 'users' }),
  ];
  const settings = {
    ...defaultSettings(),
    channels: Object.fromEntries(all.map((one) => [one.name, one])),
    backends: { mta: { name: 'mta' }, users: { name: 'users' } } as unknown as Record<
      string,
      BackendSettings
    >,
  };
  const service = {
    name: 'mail',
    protocol: 'smtp',
    channel: 'start',
    tlsMode: null,
    mechanisms: ['PLAIN'],
    ehloKeywords: [],
    capabilities: [],
  } as unknown as ServiceSettings;
  const backends = new Map<BackendSettings, Backend>();
  const backend = (relay: BackendSettings): Backend => {
    const made = backends.get(relay) ?? ({ settings: relay } as unknown as Backend);
    backends.set(relay, made);
    return made;
  };
  const channels = makeChannels({
    settings,
    service,
    certified,
    isTierPassword: null,
    backend,
    world: realWorld,
  });
  const upgrader = certified ? ({} as Upgrader) : null;
  const world = { confirmedNames: async (address: string) => names[address] ?? [] };
  const gate = { ...testGate({ protocol: 'smtp', world }), channels, upgrader };
  const decided: string[] = [];
  const { client } = testClient(gate, { remoteAddress: '203.0.113.1' }, (name, rule) =>
    decided.push(`${name} by ${rule}`),
  );
  const { session } = client;
  assert.ok(session instanceof SmtpFront);
  return {
    client,
    decided,
    at: () => [pathText(client.course?.standing ?? assert.fail('no course')), session.rules.tls],
  };
}

const INSIDE = 'start → inside (switchchannel 192.0.2.0/24)';

test('an address that is told before the greeting decides, and the peer that told it does not', async () => {
  const { client, at, decided } = open();
  client.introduce({ address: '192.0.2.9' });
  assert.deepEqual(decided, []);
  await greet(client);
  assert.deepEqual(at(), [INSIDE, 'notls']);
  assert.deepEqual(decided, ['inside by switchchannel 192.0.2.0/24']);
});

test('one that is told later decides anew, TLS that is there included, and a name is waited for', async () => {
  const { client, at } = open({ names: { '203.0.113.2': ['a.inside.test'], '203.0.113.1': [] } });
  await greet(client);
  await client.course?.settling;
  assert.deepEqual(at(), ['start', 'maytls']);
  Object.defineProperty(client.leg, 'secured', { value: true });
  client.introduce({ address: '192.0.2.9' });
  assert.deepEqual(at(), [`${INSIDE} → safer (tlsswitchchannel)`, 'musttls']);
  client.introduce({ address: '203.0.113.2' });
  await client.course?.settling;
  assert.deepEqual(at(), [
    'start → inside (switchchannel .inside.test) → safer (tlsswitchchannel)',
    'musttls',
  ]);
  client.introduce({ address: '203.0.113.3' });
  await client.course?.settling;
  assert.deepEqual(at(), ['start → safe (tlsswitchchannel)', 'maytls']);
});

test('of two look-ups that are under way only the later counts', async () => {
  const { client, at } = open({ names: { '203.0.113.1': ['a.inside.test'] } });
  await greet(client);
  client.introduce({ address: '203.0.113.3' });
  await settle();
  assert.equal(client.course?.settling, null);
  assert.deepEqual(at(), ['start', 'maytls']);
});

test('another client on a connection that stays is decided anew: nothing of the one before is left', async () => {
  const { client, at } = open();
  await greet(client);
  await client.course?.settling;
  client.course?.follow(client.course.afterLogin());
  assert.deepEqual(at(), ['start → users (saslswitchchannel)', 'notls']);
  client.welcome('claimed');
  client.introduce({ address: '192.0.2.9' });
  assert.deepEqual(at(), [INSIDE, 'notls']);
  client.introduce({ address: '203.0.113.1' });
  await client.course?.settling;
  assert.deepEqual(at(), ['start', 'maytls']);
});

test('a login that a trusted peer vouches for leads where a login leads, behind the look-up of the name', async () => {
  const { client, at } = open();
  await greet(client);
  await client.course?.settling;
  client.course?.introduced('anna');
  await client.course?.settling;
  assert.deepEqual(at(), ['start → users (saslswitchchannel)', 'notls']);
  client.course?.introduced(null);
  await client.course?.settling;
  assert.deepEqual(at(), ['start', 'maytls']);
});

test('where the channel has no AUTH, a login that a trusted peer vouches for is not taken', async () => {
  const { client, at } = open();
  await greet(client);
  client.introduce({ address: '192.0.2.9', login: 'anna' });
  assert.deepEqual([...at(), client.course?.login, client.outerLogin], [INSIDE, 'notls', null, null]);
  client.introduce({ address: '203.0.113.1', login: 'anna' });
  await client.course?.settling;
  assert.deepEqual([client.course?.login, client.outerLogin], ['anna', 'anna']);
});

test('an order that comes while a name is looked up loses no login', async () => {
  const { client, at } = open();
  await greet(client);
  client.introduce({ address: '203.0.113.1', login: 'anna' });
  assert.equal(client.askChannel('users'), true);
  await settle();
  assert.deepEqual([at()[0], client.outerLogin], ['start → users (XPEHLO)', 'anna']);
});

for (const [when, settled] of [
  ['while a name is looked up', false],
  ['when no name decides', true],
] as const) {
  test(`an order to a channel without AUTH, ${when}, takes no login there`, async () => {
    const { client, at } = open();
    await greet(client);
    client.introduce({ address: settled ? '' : '203.0.113.1', login: 'anna' });
    assert.equal(client.outerLogin, settled ? 'anna' : null);
    assert.equal(client.askChannel('inside'), true);
    assert.deepEqual([at()[1], client.outerLogin], ['notls', null]);
    await settle();
    assert.equal(client.outerLogin, null);
  });
}

test('an order that comes while a name is looked up does not go on from where the tier itself was', async () => {
  const { client, at } = open();
  client.introduce({ address: '192.0.2.9' });
  await greet(client);
  assert.deepEqual(at(), [INSIDE, 'notls']);
  client.introduce({ address: '203.0.113.1' });
  assert.deepEqual(at(), ['start', 'maytls']);
  assert.equal(client.askChannel('safe'), true);
  assert.deepEqual(at(), ['start → safe (XPEHLO)', 'maytls']);
});

test('an order leads to any channel, also a noswitchchannel one, and changes the relay', async () => {
  const { client, at, decided } = open();
  await greet(client);
  await client.course?.settling;
  assert.equal(client.backend.settings.name, 'mta');
  assert.equal(client.course?.switchChannel('shut', 'XPEHLO'), true);
  assert.deepEqual(at(), ['start → shut (XPEHLO)', 'notls']);
  assert.equal(client.backend.settings.name, 'users');
  assert.deepEqual(decided.slice(1), ['shut by XPEHLO']);
  assert.equal(client.course?.switchChannel('nowhere', 'XPEHLO'), false);
  assert.deepEqual(at(), ['start → shut (XPEHLO)', 'notls']);
});

test('an order ends the look-up of a name that is under way', async () => {
  const { client, at } = open({ names: { '203.0.113.1': ['a.inside.test'] } });
  await greet(client);
  assert.equal(client.course?.switchChannel('safe', 'XPEHLO'), true);
  await settle();
  assert.deepEqual(at(), ['start → safe (XPEHLO)', 'maytls']);
});

test('a login stays with the relay that took it; an order to a channel with the same relay is followed', async () => {
  const { client, at } = open();
  await greet(client);
  await client.course?.settling;
  client.session.admit({ ...ACCEPTED, words: '' });
  assert.equal(client.course?.switchChannel('shut', 'XPEHLO'), false);
  assert.deepEqual(at(), ['start', 'maytls']);
  assert.equal(client.course?.switchChannel('safe', 'XPEHLO'), true);
});

test('without a certificate nobody is ordered to a channel that insists on TLS, unless TLS is there', async () => {
  const { client, at } = open({ certified: false });
  await greet(client);
  await client.course?.settling;
  assert.equal(client.course?.switchChannel('safer', 'XPEHLO'), false);
  assert.deepEqual(at(), ['start', 'maytls']);
  assert.equal(client.course?.switchChannel('safe', 'XPEHLO'), true);
  assert.deepEqual(at(), ['start → safe (XPEHLO)', 'notls']);
  Object.defineProperty(client.leg, 'secured', { value: true });
  assert.equal(client.course?.switchChannel('safer', 'XPEHLO'), true);
});
