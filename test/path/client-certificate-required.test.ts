// A service that serves nobody without a certificate. Who has none is told so in the protocol, inside of TLS, since an
// alert would not say why.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BALANCER, believed, V2_TLS } from '../support/balancer.ts';
import { clientAuthority, openSite, trustIn, turnedAway, visit } from '../support/certified.ts';
import { ALL } from '../support/dialects.ts';
import { assertLine, clientTls } from '../support/gateway.ts';

const WORDS = {
  imap: /^\* BYE .*A certificate that this server trusts is required\r\n$/,
  pop3: /^-ERR .*A certificate that this server trusts is required\r\n$/,
  smtp: /^521 5\.7\.1 .*A certificate that this server trusts is required\r\n$/,
} as const;

const IN_CLEAR = {
  imap: 'C: a1 LOGIN anna secret\nS: a1 NO [PRIVACYREQUIRED] *',
  pop3: 'C: USER anna\nS: -ERR *',
  smtp: 'C: EHLO client.test\nS> 250 *\nC: MAIL FROM:<a@example.org>\nS: 530 *',
} as const;

for (const errands of ALL) {
  for (const mode of ['implicit', 'musttls'] as const) {
    test(`${errands.protocol}, ${mode}: without one a client is turned away in words`, async (t) => {
      const authority = clientAuthority(t);
      const site = openSite(t, { errands, mode, clients: trustIn([authority], { required: true }) });
      const { said, line } = await turnedAway(site);
      assert.match(said, WORDS[errands.protocol]);
      assertLine(line, { code: 'CLIENT_CERTIFICATE', level: 'warn', user: null });
      assert.match(String(line['cause']), /found: none/);
    });

    test(`${errands.protocol}, ${mode}: with one that does not verify likewise, and the log says why`, async (t) => {
      const [authority, other] = [clientAuthority(t), clientAuthority(t, 'Other CA')];
      const site = openSite(t, { errands, mode, clients: trustIn([authority], { required: true }) });
      const { said, line } = await turnedAway(site, other.issue({ names: ['anna.example'] }));
      assert.match(said, WORDS[errands.protocol]);
      assertLine(line, { code: 'CLIENT_CERTIFICATE' });
      assertLine(line['clientCertificate'] as never, { verified: false, fault: 'unknown-issuer' });
    });

    test(`${errands.protocol}, ${mode}: with one that verifies a client is served`, async (t) => {
      const authority = clientAuthority(t);
      const site = openSite(t, { errands, mode, clients: trustIn([authority], { required: true }) });
      const line = await visit(site, authority.issue({ names: ['anna.example'], purpose: 'client' }));
      assertLine(line, { code: null, user: 'anna' });
    });
  }
  test(`${errands.protocol}: TLS that a balancer has ended, and a name that it tells, are no certificate`, async (t) => {
    const authority = clientAuthority(t);
    const { gateway } = openSite(t, {
      errands,
      mode: 'musttls',
      clients: trustIn([authority], { required: true }),
      gateway: { service: believed('require') },
    });
    const client = gateway.connect({ from: BALANCER });
    client.send(V2_TLS);
    await gateway.resume(client, `${errands.greeting}\n${IN_CLEAR[errands.protocol]}`);
    await gateway.resume(client, errands.starttls.replace('-- tls', ''));
    await client.startTls(
      clientTls({ shown: authority.issue({ names: ['anna.example'], purpose: 'client' }) }),
    );
    const hello = errands.protocol === 'smtp' ? 'C: EHLO client.test\nS> 250 *\n' : '';
    await gateway.resume(client, `${hello}${errands.login}\n${errands.logout}`);
    const line = await gateway.closed();
    assertLine(line, { code: null, user: 'anna' });
    assertLine(line['clientCertificate'] as never, { subject: 'CN=anna.example', verified: true });
  });
}
