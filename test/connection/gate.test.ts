// What clients of a service are shown of its backend, and which settings hold for them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BackendSettings, Mechanism, ServiceSettings } from '../../src/config/settings.ts';
import type { Knowledge } from '../../src/connection/backend-knowledge.ts';
import type { Backend } from '../../src/connection/backend-leg.ts';
import { offerOf } from '../../src/connection/gate.ts';
import { GateError } from '../../src/errors.ts';
import type { Offer } from '../../src/protocol/dialect.ts';
import { DIALECTS } from '../../src/service/backends/backends.ts';
import { testClient, testGate } from '../support/gates.ts';

const ALL: readonly Mechanism[] = ['PLAIN', 'LOGIN', 'XOAUTH2', 'OAUTHBEARER'];

interface Scene {
  readonly protocol: 'imap' | 'pop3' | 'smtp';
  readonly service?: Partial<ServiceSettings>;
  readonly login?: 'replay' | 'proxy';
  readonly admin?: { readonly user: string; readonly password: string };
  readonly client?: BackendSettings['client'];
  /** By the directory. */
  readonly judged?: readonly Mechanism[];
  /** null: the backend cannot be asked. */
  readonly known: Knowledge | null;
}

function offering(scene: Scene): {
  readonly offer: () => Promise<Offer>;
  readonly know: (known: Knowledge | null) => void;
} {
  let { known } = scene;
  const { judged = [] } = scene;
  const service = {
    name: 'mail',
    protocol: scene.protocol,
    capabilities: null,
    ehloKeywords: [],
    mechanisms: ALL,
    ...scene.service,
  } as unknown as ServiceSettings;
  const backend = {
    settings: { login: scene.login ?? 'replay', client: scene.client ?? [] },
    admin: scene.admin ?? null,
    async knowledge() {
      if (known === null) throw new GateError('BACKEND_UNREACHABLE');
      return known;
    },
  } as unknown as Backend;
  const offer = offerOf(service, DIALECTS[scene.protocol], { backend, admin: backend.admin, judged });
  return { offer, know: (next) => void (known = next) };
}

test('a fixed list is what it says, and the backend is never asked', async () => {
  const service = { capabilities: ['IMAP4rev1', 'IDLE'], mechanisms: ['PLAIN'] } as const;
  const { offer } = offering({ protocol: 'imap', known: null, service });
  assert.deepEqual(await offer(), { capabilities: ['IMAP4rev1', 'IDLE'], mechanisms: ['PLAIN'] });
});

test('otherwise it is what the backend has, without what is ours', async () => {
  const capabilities = ['IMAP4REV1', 'IDLE', 'STARTTLS', 'AUTH=PLAIN', 'XCLIENT'];
  const { offer } = offering({ protocol: 'imap', known: { capabilities, mechanisms: ['PLAIN'] } });
  assert.deepEqual((await offer()).capabilities, ['IMAP4REV1', 'IDLE']);
});

for (const protocol of ['imap', 'pop3'] as const) {
  test(`${protocol}: passwords can always be carried, tokens where the backend takes them`, async () => {
    const none = offering({ protocol, known: { capabilities: [], mechanisms: [] } });
    assert.deepEqual((await none.offer()).mechanisms, ['PLAIN', 'LOGIN']);
    const tokens = offering({ protocol, known: { capabilities: [], mechanisms: ['XOAUTH2', 'GSSAPI'] } });
    assert.deepEqual((await tokens.offer()).mechanisms, ['PLAIN', 'LOGIN', 'XOAUTH2']);
  });

  test(`${protocol}: where the backend cannot be asked the client sees the least that every store has`, async () => {
    const { offer } = offering({ protocol, known: null });
    assert.deepEqual(await offer(), { capabilities: [], mechanisms: ['PLAIN', 'LOGIN'] });
  });
}

test('smtp: either password mechanism of the relay carries both, none carries none', async () => {
  for (const [mechanisms, offered] of [
    [['PLAIN'], ['PLAIN', 'LOGIN']],
    [['LOGIN'], ['PLAIN', 'LOGIN']],
    [['CRAM-MD5'], []],
    [[], []],
    [['XOAUTH2'], ['XOAUTH2']],
  ] as const) {
    const { offer } = offering({ protocol: 'smtp', known: { capabilities: [], mechanisms } });
    assert.deepEqual((await offer()).mechanisms, offered);
  }
});

test('smtp: where the relay cannot be asked there is no least, and the failure is the answer', async () => {
  await assert.rejects(offering({ protocol: 'smtp', known: null }).offer(), { code: 'BACKEND_UNREACHABLE' });
});

test('smtp: keywords that the settings name pass besides the known ones', async () => {
  const known = { capabilities: ['SIZE 10', 'XFROB', 'ETRN'], mechanisms: [] };
  const { offer } = offering({ protocol: 'smtp', known, service: { ehloKeywords: ['ETRN'] } });
  assert.deepEqual((await offer()).capabilities, ['SIZE 10', 'ETRN']);
});

test('what the service does not name as a mechanism is not offered', async () => {
  const known = { capabilities: [], mechanisms: ['PLAIN', 'XOAUTH2'] };
  const { offer } = offering({ protocol: 'smtp', known, service: { mechanisms: ['XOAUTH2'] } });
  assert.deepEqual((await offer()).mechanisms, ['XOAUTH2']);
  const blind = offering({ protocol: 'imap', known: null, service: { mechanisms: ['XOAUTH2'] } });
  assert.deepEqual((await blind.offer()).mechanisms, []);
});

test('mechanisms by challenge need nothing of a store; a relay has to take a password, an administrator or our word', async () => {
  const mechanisms = ['SCRAM-SHA-256', 'SCRAM-SHA-256-PLUS', 'CRAM-MD5', 'APOP'] as const;
  const offered = async (known: readonly string[] | null, scene: Partial<Scene>): Promise<boolean> => {
    const service = { mechanisms: [...mechanisms, 'XOAUTH2'] as const };
    const knowledge = known === null ? null : { capabilities: [], mechanisms: known };
    const { offer } = offering({ protocol: 'imap', known: knowledge, service, ...scene });
    const { mechanisms: found } = await offer();
    assert.ok(found.length === 0 || found.length === mechanisms.length);
    return found.length > 0;
  };
  const admin = { user: 'admin', password: 'secret' };
  assert.equal(await offered([], {}), true);
  assert.equal(await offered(null, {}), true);
  assert.equal(await offered(['PLAIN'], { admin, login: 'proxy' }), true);
  assert.equal(await offered(['CRAM-MD5'], { admin }), false);
  assert.equal(await offered(['LOGIN'], { protocol: 'smtp' }), true);
  assert.equal(await offered([], { protocol: 'smtp' }), false);
  assert.equal(
    await offered([], { protocol: 'smtp', client: [{ method: 'xclient', required: true }] }),
    true,
  );
  assert.equal(
    await offered([], { protocol: 'smtp', client: [{ method: 'xclient', required: false }] }),
    false,
  );
});

test('what the directory judges needs nothing of a store but a password, and then what judges it is no administrator', async () => {
  const judged = ['EXTERNAL', 'XOAUTH2'] as const;
  const service = { mechanisms: ['PLAIN', 'XOAUTH2', 'OAUTHBEARER', 'EXTERNAL'] as const };
  const known = { capabilities: [], mechanisms: ['PLAIN'] };
  const offered = async (scene: Partial<Scene>): Promise<readonly string[]> =>
    (await offering({ protocol: 'imap', known, service, ...scene }).offer()).mechanisms;
  assert.deepEqual(await offered({}), ['PLAIN']);
  assert.deepEqual(await offered({ judged }), ['PLAIN', 'XOAUTH2', 'EXTERNAL']);
  assert.deepEqual(await offered({ judged, known: null }), ['PLAIN', 'XOAUTH2', 'EXTERNAL']);
  const relay = { protocol: 'smtp', judged, known: { capabilities: [], mechanisms: [] } } as const;
  assert.deepEqual(await offered(relay), []);
});

test('the same knowledge makes the same offer, so that texts made from it are made once', async () => {
  const known = { capabilities: ['IDLE'], mechanisms: ['PLAIN'] };
  const { offer, know } = offering({ protocol: 'imap', known });
  const first = await offer();
  assert.equal(await offer(), first);
  know({ capabilities: ['IDLE', 'MOVE'], mechanisms: ['PLAIN'] });
  assert.deepEqual((await offer()).capabilities, ['IDLE', 'MOVE']);
  const blind = offering({ protocol: 'imap', known: null });
  assert.equal(await blind.offer(), await blind.offer());
});

test('a backend that comes back is shown from then on', async () => {
  const { offer, know } = offering({ protocol: 'imap', known: null });
  assert.deepEqual((await offer()).capabilities, []);
  know({ capabilities: ['IDLE'], mechanisms: [] });
  assert.deepEqual((await offer()).capabilities, ['IDLE']);
});

test('whoever has gone meanwhile still came to the address whose settings hold', () => {
  const service = testGate({ protocol: 'imap' });
  const own = { ...service };
  const gate = { ...service, domains: new Map([['198.51.100.2', own]]) };
  const { client, near } = testClient(gate, { localAddress: '198.51.100.2' });
  Object.assign(near, { localAddress: undefined });
  assert.equal(client.gate, own);
  assert.equal(client.local.address, '198.51.100.2');
});
