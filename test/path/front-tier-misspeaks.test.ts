// A front tier says who its client is in words that nobody understands, or without the password: nobody is served under
// a wrong name, the tier is told so in dialect, and the log names the word.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IMAP, POP3, SMTP } from '../support/dialects.ts';
import { assertLine, openGateway } from '../support/gateway.ts';

const from = '192.0.2.8';
const frontTier = { from: [from] };
const XPEHLO = 'XPEHLO laptop PASSWORD=tier+20secret ADDR=203.0.113.9';

for (const [protocol, what, said, answer] of [
  ['imap', 'x-originating-ip', 'a ID ("x-originating-ip" "nonsense-1")', '* BYE [CLIENTBUG] What was said *'],
  ['imap', 'x-proxy-ttl', 'a ID ("x-proxy-ttl" "nonsense-1")', '* BYE [CLIENTBUG] *'],
  ['pop3', 'ADDR', 'XCLIENT ADDR=nonsense-1', '-ERR What was said of the client *'],
  ['pop3', 'PORT', 'XCLIENT ADDR=203.0.113.9 PORT=nonsense-1', '-ERR *'],
  ['smtp', 'LOGIN', 'XCLIENT ADDR=203.0.113.9 LOGIN=nonsense-1+0', '501 5.5.4 mail.test What was said *'],
  ['smtp', 'ADDR', `${XPEHLO.replace('203.0.113.9', 'nonsense-1')}`, '501 5.5.4 *'],
  ['smtp', 'CHANNEL', `${XPEHLO} CHANNEL=tcp_nowhere`, '501 5.5.4 *'],
] as const) {
  test(`${protocol}: "${said}" ends the connection, and the log names ${what} but not what it held`, async (t) => {
    const { greeting } = { imap: IMAP, pop3: { greeting: 'S: +OK *' }, smtp: SMTP }[protocol];
    const service = {
      frontTier: protocol === 'smtp' ? { ...frontTier, password: 'tier secret' } : frontTier,
    };
    const gateway = openGateway(t, { protocol, backend: 'silent', service });
    await gateway.play(`${greeting}\nC: ${said}\nS: ${answer}\n-- eof\n-- end`, { from });
    const line = await gateway.closed();
    assertLine(line, { code: 'BAD_INTRODUCTION', level: 'warn', backend: null });
    assert.match(String(line['cause']), new RegExp(`what: ${what}\\b`));
    assert.doesNotMatch(JSON.stringify(gateway.lines), /nonsense-1|tier.{0,3}secret/);
  });
}

for (const [what, line] of [
  ['a wrong password', XPEHLO.replace('tier', 'Tier')],
  ['no password', XPEHLO.replace(' PASSWORD=tier+20secret', '')],
] as const) {
  test(`smtp: XPEHLO with ${what} is refused and the connection ended, and no password is logged`, async (t) => {
    const service = { frontTier: { ...frontTier, password: 'tier secret' } };
    const gateway = openGateway(t, { protocol: 'smtp', backend: 'silent', service });
    const script = `${SMTP.greeting}\nC: ${line}\nS: 550 5.7.1 mail.test Not with this password\n-- eof\n-- end`;
    await gateway.play(script, { from });
    const closed = { code: 'INTRODUCTION_DENIED', level: 'warn', client: from, via: null };
    assertLine(await gateway.closed(), closed);
    assert.doesNotMatch(JSON.stringify(gateway.lines), /tier.{0,3}secret/i);
  });
}

test('pop3: what is too old for XCLIENT is only passed over, the login goes on', async (t) => {
  const store = POP3.store({ client: true });
  const gateway = openGateway(t, { protocol: 'pop3', backend: store.script, service: { frontTier } });
  const script = `S: +OK *\nC: XCLIENT ADDR=203.0.113.9 FORWARD=eA==\nS: +OK Updated\n${POP3.login}\n${POP3.logout}`;
  await gateway.play(script, { from });
  assertLine(await gateway.closed(), { client: '203.0.113.9', user: 'anna', code: null });
});
