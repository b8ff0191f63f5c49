// Where a grant has to be asked for: what waits for the answer and what does not, and what an answer that comes too late
// is worth.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BackendSettings, ChannelSettings, ServiceSettings } from '../../src/config/settings.ts';
import type { Backend } from '../../src/connection/backend-leg.ts';
import type { Client } from '../../src/connection/client.ts';
import { earnGrant, findGrant, type GateGrants } from '../../src/connection/grants.ts';
import { greet } from '../../src/connection/greet.ts';
import { GateError } from '../../src/errors.ts';
import { pathText } from '../../src/policy/channels.ts';
import type { Grant } from '../../src/policy/grants.ts';
import { makeChannels } from '../../src/service/channel-gates.ts';
import { parseChannelMatch } from '../../src/wire/channel-match.ts';
import { NetworkTable } from '../../src/wire/network.ts';
import { realWorld } from '../../src/world.ts';
import { defaultSettings, settle, testClient, testGate, type TestClient } from '../support/gates.ts';

const ANNA: Grant = { user: 'anna', service: 'pop3', at: 1 };
const GRANTED = 'start → granted (pop-before-smtp)';

interface Scene {
  readonly find?: GateGrants['book']['find'];
  readonly earn?: GateGrants['book']['earn'];
  readonly names?: readonly string[];
}

interface Opened extends TestClient {
  readonly path: () => string;
  readonly asked: string[];
  readonly lines: readonly Readonly<Record<string, unknown>>[];
}

function open({ find = () => null, earn = async () => undefined, names = [] }: Scene = {}): Opened {
  const channel = (name: string, keywords: string, ...match: string[]): ChannelSettings => {
    return { name, keywords, relay: 'mta', match: match.flatMap((text) => parseChannelMatch(text) ?? []) };
  };
  const channels = [
    channel('start', 'switchchannel maytlsserver'),
    channel('granted', 'noswitchchannel'),
    channel('inside', 'maytlsserver', '.inside.test', '198.51.100.0/24'),
  ];
  const settings = {
    ...defaultSettings(),
    channels: Object.fromEntries(channels.map((one) => [one.name, one])),
    backends: { mta: { name: 'mta' } } as unknown as Record<string, BackendSettings>,
  };
  const service = {
    name: 'mail',
    protocol: 'smtp',
    channel: 'start',
    tlsMode: null,
    mechanisms: [],
    ehloKeywords: [],
    capabilities: [],
  } as unknown as ServiceSettings;
  const asked: string[] = [];
  const grants: GateGrants = {
    book: {
      find: (address) => {
        asked.push(address);
        return find(address);
      },
      earn,
    },
    channel: 'granted',
    tell: [],
    earns: true,
    uses: true,
    excluded: new NetworkTable([]),
    askers: new NetworkTable([]),
  };
  const gate = {
    ...testGate({ protocol: 'smtp', world: { confirmedNames: async () => names } }),
    channels: makeChannels({
      settings,
      service,
      certified: true,
      isTierPassword: null,
      world: realWorld,
      backend: (relay) => ({ settings: relay }) as unknown as Backend,
    }),
    grants,
  };
  const made = testClient(gate, { remoteAddress: '203.0.113.1' });
  const pathOf = ({ course }: Client): string => (course === null ? '' : pathText(course.standing));
  return { ...made, asked, lines: gate.lines, path: () => pathOf(made.client) };
}

test('the greeting does not wait for the answer, and the session is on the start channel until it comes', async () => {
  const { promise, resolve } = Promise.withResolvers<Grant | null>();
  const { client, path, talk } = open({ find: () => promise });
  await greet(client);
  await settle();
  assert.match(talk.heard, /^220 /);
  assert.equal(path(), 'start');
  assert.notEqual(client.course?.settling ?? null, null);
  resolve(ANNA);
  await client.course?.settling;
  assert.equal(path(), GRANTED);
  assert.deepEqual([client.course?.settling, client.course?.grant], [null, ANNA]);
});

test('without a grant the address and the names decide as ever, one after the other', async () => {
  const none = open({ find: async () => null, names: ['host.inside.test'] });
  await greet(none.client);
  await none.client.course?.settling;
  assert.equal(none.path(), 'start → inside (switchchannel .inside.test)');
  const { client, path } = open({ find: async () => null });
  client.introduce({ address: '198.51.100.7' });
  await greet(client);
  await client.course?.settling;
  assert.equal(path(), 'start → inside (switchchannel 198.51.100.0/24)');
  assert.equal(client.course?.grant, null);
});

test('an answer about a client that was there before is not for the one that is there now', async () => {
  const first = Promise.withResolvers<Grant | null>();
  const { client, path, asked } = open({
    find: (address) => (address === '203.0.113.1' ? first.promise : null),
  });
  await greet(client);
  client.introduce({ address: '203.0.113.2' });
  await client.course?.settling;
  first.resolve(ANNA);
  await settle();
  assert.deepEqual([path(), client.course?.grant], ['start', null]);
  assert.deepEqual(asked, ['203.0.113.1', '203.0.113.2']);
});

test('an order of a trusted peer ends the question', async () => {
  const { promise, resolve } = Promise.withResolvers<Grant | null>();
  const { client, path } = open({ find: () => promise });
  await greet(client);
  assert.equal(client.askChannel('inside'), true);
  resolve(ANNA);
  await settle();
  assert.equal(path(), 'start → inside (XPEHLO)');
});

test('a client without an address is not asked about and earns nothing', async () => {
  const earned: string[] = [];
  const { client, path, asked } = open({
    find: () => ANNA,
    earn: async (address) => void earned.push(address),
  });
  client.introduce({ address: '' });
  await greet(client);
  await earnGrant(client, 'anna');
  assert.deepEqual([path(), asked, earned, findGrant(client)], ['start', [], [], null]);
});

test('a connection that fails while its grant is told does not go on', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { client } = open({ earn: () => promise });
  const earned = earnGrant(client, 'anna');
  client.leg.fail(new GateError('KICKED'));
  resolve();
  await assert.rejects(earned, (error: unknown) => error instanceof GateError && error.code === 'KICKED');
});
