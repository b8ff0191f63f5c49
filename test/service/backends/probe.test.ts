// `check --probe`: every server is asked once for each protocol, and whatever is wrong is in the answer.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { stringify } from 'yaml';
import type { UserMap } from '../../../src/config/user-map.ts';
import { loadSettings } from '../../../src/config/load.ts';
import { NO_TRUST } from '../../../src/service/backends/material.ts';
import { type ProbeResult, probeBackends } from '../../../src/service/backends/probe.ts';
import { Conversation } from '../../support/conversation.ts';
import { settle } from '../../support/gates.ts';
import { storeContext, testMaterial } from '../../support/gateway.ts';
import { manualWorld, type ManualWorld } from '../../support/manual-world.ts';
import { play } from '../../support/transcript.ts';
import { cable, type CableEnd } from '../../support/wire.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-probe-'));
after(() => rmSync(folder, { recursive: true, force: true }));

interface Probed {
  readonly results: readonly ProbeResult[];
  /** host:port of each dial. */
  readonly dialled: readonly string[];
  readonly ends: readonly CableEnd[];
  readonly world: ManualWorld;
}

interface Plan {
  readonly services?: Readonly<Record<string, unknown>>;
  readonly channels?: Readonly<Record<string, unknown>>;
  readonly backends: Readonly<Record<string, unknown>>;
  readonly users?: UserMap;
  /** By host:port; what is not there refuses. */
  readonly scripts: Readonly<Record<string, string>>;
}

const IMAP = { imap: { protocol: 'imap', listen: '127.0.0.1:0', tls: 'notls', backend: 'stores' } };
const POP3 = { pop3: { protocol: 'pop3', listen: '127.0.0.1:0', tls: 'notls', backend: 'stores' } };

async function probed(plan: Plan): Promise<Probed> {
  const file = path.join(folder, 'sallyport.yaml');
  const { services = IMAP, channels = {}, backends, users = [], scripts } = plan;
  writeFileSync(file, stringify({ hostname: 'mail.test', services, channels, backends }));
  const dialled: string[] = [];
  const ends: CableEnd[] = [];
  const world = manualWorld({
    dial(target) {
      const server = target.kind === 'tcp' ? `${target.host}:${target.port}` : target.path;
      const [near, far] = cable();
      dialled.push(server);
      ends.push(near);
      setImmediate(() => {
        const script = scripts[server];
        if (script === undefined) return void near.destroy(new Error('connect ECONNREFUSED'));
        near.emit('connect');
        play(script, new Conversation(far), { as: 'server', serverTls: storeContext() }).catch(
          () => undefined,
        );
      });
      return near.asSocket();
    },
  });
  const settings = loadSettings({ file });
  const ca = testMaterial().authority.ca;
  const backendCas = Object.fromEntries(Object.keys(settings.backends).map((name) => [name, ca]));
  const results = await probeBackends({
    settings,
    material: { backendTrust: NO_TRUST, backendCas, backendSecrets: {} },
    users,
    world,
  });
  return { results, dialled, ends, world };
}

const STORE = 'S: * OK [CAPABILITY IMAP4rev1 IDLE AUTH=PLAIN] ready\nC: s LOGOUT\n-- eof\n-- end';

test('a server that is well is told with what it can do, and left again', async () => {
  const { results, ends } = await probed({
    backends: { stores: { servers: '127.0.0.1:143' } },
    scripts: { '127.0.0.1:143': STORE },
  });
  assert.deepEqual(results, [
    {
      backend: 'stores',
      protocol: 'imap',
      server: '127.0.0.1:143',
      error: null,
      tls: null,
      certificateNotAfter: null,
      capabilities: ['IMAP4REV1', 'IDLE', 'AUTH=PLAIN'],
      mechanisms: ['PLAIN'],
      warnings: [],
    },
  ]);
  await settle();
  assert.equal(ends[0]?.destroyed, true);
});

test('a server with TLS is told with its version and the end of its certificate', async () => {
  const { results, ends } = await probed({
    backends: { stores: { servers: '127.0.0.1:993', tls: { mode: 'implicit', name: 'store.test' } } },
    scripts: { '127.0.0.1:993': `-- tls\n${STORE}` },
  });
  const [result] = results;
  assert.equal(result?.error, null);
  assert.match(result?.tls ?? '', /^TLSv1\.3 TLS_/);
  const days = (Date.parse(result?.certificateNotAfter ?? '') - Date.now()) / 86_400_000;
  assert.ok(days > 28 && days < 31, `${days}`);
  for (const end of ends) end.destroy();
});

test('a server that refuses, and one that is wrong, are told with code and cause; the others are not touched', async () => {
  const { results } = await probed({
    backends: { stores: { servers: ['127.0.0.1:1', '127.0.0.1:2', '127.0.0.1:143'] } },
    scripts: { '127.0.0.1:2': 'S: 220 mta.test ESMTP', '127.0.0.1:143': STORE },
  });
  assert.deepEqual(
    results.map(({ server, error }) => [server, error?.split(':')[0] ?? null]),
    [
      ['127.0.0.1:1', 'BACKEND_UNREACHABLE'],
      ['127.0.0.1:2', 'BACKEND_PROTOCOL'],
      ['127.0.0.1:143', null],
    ],
  );
  assert.match(results[0]?.error ?? '', /ECONNREFUSED/);
});

test('what `client` requires and the server does not offer is a warning', async () => {
  for (const [client, script, count] of [
    ['id', STORE, 1],
    ['id?', STORE, 0],
    ['id', STORE.replace('IDLE', 'ID'), 0],
  ] as const) {
    const { results } = await probed({
      backends: { stores: { servers: '127.0.0.1:143', client: [client] } },
      scripts: { '127.0.0.1:143': script },
    });
    assert.equal(results[0]?.warnings.length, count, `${client} ${script}`);
  }
});

test('XCLIENT in a greeting of POP3 counts as offered', async () => {
  for (const [greeting, count] of [
    ['+OK [XCLIENT] ready', 0],
    ['+OK ready', 1],
  ] as const) {
    const { results } = await probed({
      services: POP3,
      backends: { stores: { servers: '127.0.0.1:110', client: ['xclient'] } },
      scripts: { '127.0.0.1:110': `S: ${greeting}\nC: CAPA\nS: +OK\nS: .\nC: QUIT\n-- eof\n-- end` },
    });
    assert.equal(results[0]?.warnings.length, count, greeting);
  }
});

test('a backend of two services is asked once for each protocol', async () => {
  const { dialled } = await probed({
    services: { ...IMAP, second: { ...IMAP.imap }, ...POP3 },
    backends: { stores: { servers: '127.0.0.1:143' } },
    scripts: {},
  });
  assert.deepEqual(dialled, ['127.0.0.1:143', '127.0.0.1:143']);
});

test('a backend that the file of users names is asked too, for the protocols it is named for', async () => {
  const entry = {
    channel: null,
    servers: [],
    login: null,
    passwords: [],
    mail: [],
    status: 'active',
    access: null,
  } as const;
  const { results } = await probed({
    services: { ...IMAP, ...POP3 },
    backends: {
      stores: { servers: '127.0.0.1:1' },
      old: { servers: '127.0.0.1:2' },
      both: { servers: '127.0.0.1:3' },
    },
    users: [
      { ...entry, who: 'anna', backend: { imap: 'old' } },
      { ...entry, who: 'bob', backend: 'both' },
    ],
    scripts: {},
  });
  assert.deepEqual(
    results.map(({ backend, protocol }) => `${backend} ${protocol}`),
    ['stores imap', 'old imap', 'both imap', 'stores pop3', 'both pop3'],
  );
});

test('a relay is asked in SMTP', async () => {
  const { results } = await probed({
    services: { smtp: { protocol: 'smtp', listen: '127.0.0.1:0', channel: 'tcp_local' } },
    channels: { tcp_local: { keywords: 'smtp', relay: 'mta' } },
    backends: { mta: { servers: '127.0.0.1:25', client: ['xclient'] } },
    scripts: {
      '127.0.0.1:25': `
        S: 220 mta.test ESMTP
        C: EHLO mail.test
        S: 250-mta.test
        S: 250-XCLIENT NAME ADDR
        S: 250 AUTH PLAIN LOGIN
        C: QUIT
        -- eof
        -- end`,
    },
  });
  assert.deepEqual(
    results.map(({ protocol, error, mechanisms, warnings }) => [protocol, error, mechanisms, warnings]),
    [['smtp', null, ['PLAIN', 'LOGIN'], []]],
  );
});

test('the relays of channels that connections are switched to are asked too, the others not', async () => {
  const { dialled } = await probed({
    services: { smtp: { protocol: 'smtp', listen: '127.0.0.1:0', channel: 'tcp_local' } },
    channels: {
      tcp_local: { keywords: 'maysaslserver saslswitchchannel tcp_auth', relay: 'mta' },
      tcp_auth: { keywords: 'mustsaslserver', relay: 'users' },
      idle: { keywords: 'smtp', relay: 'other' },
    },
    backends: {
      mta: { servers: '127.0.0.1:25' },
      users: { servers: '127.0.0.1:587' },
      other: { servers: '127.0.0.1:26' },
    },
    scripts: {},
  });
  assert.deepEqual(dialled, ['127.0.0.1:25', '127.0.0.1:587']);
});
