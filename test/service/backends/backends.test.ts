// From settings to backends: which one a service leads to, and what it is made of.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { stringify } from 'yaml';
import { loadSettings } from '../../../src/config/load.ts';
import type { Settings } from '../../../src/config/settings.ts';
import { HealthBoard } from '../../../src/connection/server-health.ts';
import { createLog } from '../../../src/log.ts';
import { NO_SECRETS } from '../../../src/service/backends/material.ts';
import { backendOf, DIALECTS, makeBackend } from '../../../src/service/backends/backends.ts';
import { makeAuthority } from '../../support/authority.ts';
import { Conversation } from '../../support/conversation.ts';
import { storeContext, testMaterial } from '../../support/gateway.ts';
import { manualWorld } from '../../support/manual-world.ts';
import { play } from '../../support/transcript.ts';
import { cable } from '../../support/wire.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-backends-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function settings(): Settings {
  const file = path.join(folder, 'sallyport.yaml');
  const document = {
    hostname: 'mail.test',
    services: {
      imap: { protocol: 'imap', listen: '127.0.0.1:0', tls: 'notls', backend: 'stores' },
      smtp: { protocol: 'smtp', listen: '127.0.0.1:0', channel: 'tcp_local' },
    },
    channels: { tcp_local: { keywords: 'smtp', relay: 'mta' } },
    backends: {
      stores: { servers: '127.0.0.1:143', tls: { mode: 'musttls', name: 'store.test' } },
      mta: { servers: '127.0.0.1:25' },
    },
  };
  writeFileSync(file, stringify(document));
  return loadSettings({ file });
}

test('a service of imap or pop3 leads to its own backend', () => {
  const all = settings();
  assert.equal(backendOf(all, all.services['imap']!)?.name, 'stores');
});

test('a service of smtp leads to the relay of its channel', () => {
  const all = settings();
  assert.equal(backendOf(all, all.services['smtp']!)?.name, 'mta');
});

test('a service that leads nowhere has no backend', () => {
  const all = settings();
  assert.equal(backendOf(all, { ...all.services['imap']!, backend: null }), null);
  assert.equal(backendOf(all, { ...all.services['smtp']!, channel: 'gone' }), null);
  assert.equal(backendOf({ ...all, backends: {} }, all.services['imap']!), null);
});

test('each protocol has its dialect', () => {
  for (const [name, dialect] of Object.entries(DIALECTS)) assert.equal(dialect.protocol, name);
});

const SECURED = `
  S: * OK [CAPABILITY IMAP4rev1 STARTTLS] ready
  C: s1 STARTTLS
  S: s1 OK go
  -- tls
  C: s2 CAPABILITY
  S: * CAPABILITY IMAP4rev1 AUTH=PLAIN
  S: s2 OK done`;

for (const [whose, code] of [
  ['the backend’s own', null],
  ['another', 'BACKEND_TLS_FAILED'],
] as const) {
  test(`a backend is verified against its CA: ${whose} CA ${code === null ? 'lets it in' : 'does not'}`, async () => {
    const all = settings();
    const [near, far] = cable();
    const world = manualWorld({
      dial() {
        setImmediate(() => near.emit('connect'));
        return near.asSocket();
      },
    });
    const log = createLog({ level: 'error', format: 'json', write: () => undefined });
    const backend = makeBackend({
      settings: all,
      backend: backendOf(all, all.services['imap']!)!,
      dialect: DIALECTS.imap,
      trust: { authorities: [], crls: [] },
      ca: code === null ? testMaterial().authority.ca : makeAuthority(folder, 'Another CA').ca,
      secrets: NO_SECRETS,
      health: new HealthBoard({ world, log }),
      world,
      log,
    });
    const script = play(SECURED, new Conversation(far), { as: 'server', serverTls: storeContext() });
    const seen = await backend.connect({ user: 'anna', address: '192.0.2.7', proxied: null }).then(
      (back) => {
        const { secured } = back.leg;
        back.leg.destroy();
        return secured;
      },
      (error: { code: unknown }) => error.code,
    );
    await script.catch(() => undefined);
    near.destroy();
    far.destroy();
    assert.equal(seen, code ?? true);
  });
}
