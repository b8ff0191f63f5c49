// Clients that show certificates, in path tests: a site whose CA is trusted for clients, and visits to it.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import type { ClientTrust } from '../../src/tls/client-certificate.ts';
import { realWorld } from '../../src/world.ts';
import { makeAuthority, type Authority, type Issued } from './authority.ts';
import type { ClientTls } from './conversation.ts';
import { IMAP, type Errands } from './dialects.ts';
import { clientTls, type Gateway, type GatewayOptions, type LogLine, openGateway } from './gateway.ts';

export interface Site {
  readonly gateway: Gateway;
  readonly errands: Errands;
  readonly mode: 'implicit' | 'musttls';
}

export interface SiteOptions {
  readonly errands?: Errands;
  readonly mode?: 'implicit' | 'musttls';
  readonly clients: ClientTrust;
  readonly gateway?: Partial<GatewayOptions>;
  /** The front's clock, in front of that of the certificates. */
  readonly aheadMs?: () => number;
}

/** An authority for clients in a folder that goes with the test. */
export function clientAuthority(t: TestContext, name = 'Client CA'): Authority {
  const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-clients-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return makeAuthority(folder, name);
}

export function trustIn(authorities: readonly Authority[], more: Partial<ClientTrust> = {}): ClientTrust {
  return { required: false, authorities: authorities.map(({ ca }) => ca), crls: [], ocsp: 'off', ...more };
}

export function openSite(t: TestContext, options: SiteOptions): Site {
  const { errands = IMAP, mode = 'implicit', clients, aheadMs = () => 0, gateway = {} } = options;
  const store = errands.store();
  const opened = openGateway(t, {
    protocol: errands.protocol,
    backend: store.script,
    tls: mode,
    clients,
    world: { now: () => Date.now() + aheadMs() },
    // A responder of the test, on a free port; backends have their protocol's.
    outside: (target) => (target.kind === 'tcp' && target.port > 10_000 ? realWorld.dial(target) : null),
    ...gateway,
  });
  return { gateway: opened, errands, mode };
}

/** TLS with what the client shows, then a login with the password, then goodbye; gives the closing line. */
export async function visit(site: Site, shown?: Issued, more: Partial<ClientTls> = {}): Promise<LogLine> {
  const { gateway, errands, mode } = site;
  const client = gateway.connect();
  const tls = clientTls({ ...(shown === undefined ? {} : { shown }), ...more });
  const hello = errands.protocol === 'smtp' ? 'C: EHLO client.test\nS> 250 *\n' : '';
  if (mode === 'musttls') {
    await gateway.resume(client, `${errands.greeting}\n${hello}${errands.starttls.replace('-- tls', '')}`);
  }
  await client.startTls(tls);
  const start = mode === 'implicit' ? errands.greeting : hello;
  await gateway.resume(client, `${start}\n${errands.login}\n${errands.logout}`);
  return gateway.closed();
}

/** TLS with what the client shows, at a service that then turns it away; gives what was said in TLS. */
export async function turnedAway(
  site: Site,
  shown?: Issued,
  more: Partial<ClientTls> = {},
): Promise<{ said: string; line: LogLine }> {
  const { gateway, errands, mode } = site;
  const client = gateway.connect();
  if (mode === 'musttls') {
    const hello = errands.protocol === 'smtp' ? 'C: EHLO client.test\nS> 250 *\n' : '';
    await gateway.resume(client, `${errands.greeting}\n${hello}${errands.starttls.replace('-- tls', '')}`);
  }
  await client.startTls(clientTls({ ...(shown === undefined ? {} : { shown }), ...more }));
  await client.end();
  return { said: client.heardSecured, line: await gateway.closed() };
}
