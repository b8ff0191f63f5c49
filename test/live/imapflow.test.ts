// imapflow: ID, COMPRESS and ENABLE at login, IDLE, literals both ways.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, test } from 'node:test';

import { ImapFlow } from 'imapflow';

import { assertSameOctets, message, samples } from '../support/messages.ts';
import { anna, bob, startSite, ways } from '../support/site.ts';

const site = await startSite();
after(() => site.stop());
for (const { octets } of samples) site.dovecot.deliver(anna.user, octets);

async function connect(
  service: 'imap' | 'imaps',
  auth: { user: string; pass?: string; accessToken?: string },
): Promise<ImapFlow> {
  const client = new ImapFlow({
    host: 'localhost',
    port: site.ports[service],
    secure: service === 'imaps',
    doSTARTTLS: service === 'imap',
    auth,
    tls: { ca: site.authority.ca },
    logger: false,
  });
  try {
    await client.connect();
  } catch (error) {
    client.close();
    throw error;
  }
  return client;
}

for (const [how, service] of ways.imap) {
  test(`imapflow reads every sample over ${how}, octet for octet`, async () => {
    const client = await connect(service, { user: anna.user, pass: anna.password });
    await client.mailboxOpen('INBOX');
    for (const [index, { name, octets }] of samples.entries()) {
      const fetched = await client.fetchOne(String(index + 1), { source: true });
      assert.ok(fetched);
      assertSameOctets(fetched.source, octets, name);
    }
    await client.logout();
  });

  test(`imapflow appends over ${how} what Dovecot then holds, octet for octet`, async () => {
    const client = await connect(service, { user: bob.user, pass: bob.password });
    for (const { name, octets } of samples) {
      await client.append('INBOX', octets);
      assertSameOctets(site.dovecot.messages(bob.user).at(-1), octets, name);
    }
    await client.logout();
  });

  test(`imapflow that idles over ${how} hears of new mail at once`, async () => {
    const client = await connect(service, { user: anna.user, accessToken: site.dovecot.token(anna.user) });
    await client.mailboxOpen('INBOX');
    const news = once(client, 'exists') as Promise<[{ count: number; prevCount: number }]>;
    const idling = client.idle();
    site.dovecot.deliver(anna.user, message(`news-${service}`, 'it rings\r\n'));
    const [{ count, prevCount }] = await news;
    assert.equal(count, prevCount + 1);
    await client.noop();
    await idling;
    await client.logout();
  });

  test(`imapflow learns over ${how} that a password is wrong from Dovecot itself`, async () => {
    await assert.rejects(connect(service, { user: anna.user, pass: 'wrong' }), (error: Error) => {
      assert.equal((error as { serverResponseCode?: string }).serverResponseCode, 'AUTHENTICATIONFAILED');
      return true;
    });
  });
}
