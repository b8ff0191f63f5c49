// A mail program of the old sort against real servers: it reads by POP3, then sends without a login, both from one
// address of loopback.

import { Dialogue } from './dialogue.ts';
import type { Site } from './site.ts';
import { anna } from './site.ts';

export const OUTSIDE = 'someone@elsewhere.example';

/** Logs in by POP3 over TLS and leaves. */
export async function readMail(site: Pick<Site, 'authority'>, port: number, from: string): Promise<void> {
  await using session = await Dialogue.connectTls({ port, ca: site.authority.ca, localAddress: from });
  await session.expect(/^\+OK /);
  await session.ask(`USER ${anna.user}`, /^\+OK/);
  await session.ask(`PASS ${anna.password}`, /^\+OK/);
  await session.ask('QUIT', /^\+OK/);
}

/** What the relay says of a recipient elsewhere: 250, or 554 Relay access denied. */
export async function askToRelay(port: number, from: string, to = OUTSIDE): Promise<number> {
  await using session = await Dialogue.connect({ port, localAddress: from });
  await session.expect(/^220 /);
  await session.ask('EHLO laptop.example.com', /^250 /);
  await session.ask(`MAIL FROM:<${anna.user}>`, /^250 /);
  const lines = await session.ask(`RCPT TO:<${to}>`, /^\d{3} /);
  await session.ask('QUIT', /^221 /);
  return Number(lines.at(-1)?.slice(0, 3));
}
