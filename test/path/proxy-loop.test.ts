// Two Sallyports that take each other for the server behind: every connection would go round for ever.

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { ALL, type Errands, SEND, SMTP } from '../support/dialects.ts';
import { assertLine, type Gateway, type LogLine, openGateway } from '../support/gateway.ts';
import { openStory } from '../support/stack.ts';

const WORDS = {
  imap: 'S: a1 NO [CANNOT] The proxies lead to each other, this will never succeed',
  pop3: 'S: -ERR [SYS/PERM] The proxies lead to each other, this will never succeed',
  smtp: 'S: 554 5.4.6 mail.test The proxies lead to each other, this will never succeed',
};

const WAYS = { imap: ['id'], pop3: ['xclient'], smtp: ['xclient', 'xpehlo'] } as const;
type Way = (typeof WAYS)[keyof typeof WAYS][number];

/** A front that believes everybody on 10.0.0.0/8 and tells its backend by `way`. */
function tierOptions({ protocol }: Errands, way: Way): Omit<Parameters<typeof openStory>[1], 'address'> {
  const secret = 'tier secret';
  const xpehlo = way === 'xpehlo';
  return {
    protocol,
    backend: 'silent',
    service: { frontTier: { from: ['10.0.0.0/8'], ...(xpehlo ? { password: secret } : {}) } },
    to: { client: [way], tls: { name: 'mail.test' }, ...(xpehlo ? { xpehloPassword: secret } : {}) },
  };
}

function isClosed(line: LogLine): boolean {
  return line['event'] === 'closed';
}

for (const errands of ALL) {
  const { protocol } = errands;
  for (const way of WAYS[protocol]) {
    test(`${protocol}: two fronts that lead to each other by ${way} notice it after five, and say so`, async (t) => {
      const options = tierOptions(errands, way);
      const one: Gateway = openStory(t, { ...options, address: '10.0.0.1' }, () => other);
      const other: Gateway = openStory(t, { ...options, address: '10.0.0.2' }, () => one);
      await one.play(`${errands.greeting}\n${errands.tries}\n${WORDS[protocol]}\n${errands.logout}`);

      await one.logged(isClosed, 3);
      await other.logged(isClosed, 3);
      const lines = [...one.lines, ...other.lines].filter(isClosed);
      assert.equal(lines.length, 6, 'the client, and five of ours');
      for (const line of lines) assert.equal(line['client'], '192.0.2.7');
      const last = lines.find((line) => line['backend'] === null);
      assertLine(last ?? {}, { code: 'PROXY_LOOP', level: 'error', via: '10.0.0.1' });
      assert.match(String(last?.['cause']), /ttl: 1/);
    });
  }

  test(`${protocol}: five fronts in a row are no loop, a sixth is one too many`, async (t) => {
    const [way] = WAYS[protocol];
    const row = (t2: TestContext, count: number): readonly Gateway[] => {
      const fronts: Gateway[] = [];
      for (let i = count - 2; i >= 0; i--) {
        const behind = (): Gateway => fronts.at(i + 1) ?? last;
        fronts[i] = openStory(t2, { ...tierOptions(errands, way), address: `10.0.0.${i}` }, behind);
      }
      return fronts;
    };
    const store = errands.store({ client: true, xclient: 'ADDR PORT TTL' });
    const last = openGateway(t, {
      protocol,
      backend: store.script,
      service: { frontTier: { from: ['10.0.0.0/8'] } },
      to: { client: [way] },
    });
    const [five] = row(t, 5);
    await five?.play(`${errands.greeting}\n${errands.login}\n${errands.logout}`);
    assertLine((await last.logged(isClosed)) ?? {}, { client: '192.0.2.7', via: '10.0.0.3', user: 'anna' });
    const [six] = row(t, 6);
    await six?.play(`${errands.greeting}\n${errands.tries}\n${WORDS[protocol]}`);
    assertLine(await last.logged(isClosed, 2), { code: 'PROXY_LOOP', client: '192.0.2.7', via: '10.0.0.4' });
    assert.equal(store.logins.length, 1);
  });
}

test('smtp: mail without a login goes round as often, and is refused for good', async (t) => {
  const options = tierOptions(SMTP, 'xclient');
  const one: Gateway = openStory(t, { ...options, address: '10.0.0.1' }, () => other);
  const other: Gateway = openStory(t, { ...options, address: '10.0.0.2' }, () => one);
  const [hello = ''] = SEND.split('C: RCPT');
  await one.play(`${SMTP.greeting}\n${hello.replace('S: 250 2.1.0 *', WORDS.smtp)}\n${SMTP.logout}`);
  await one.logged(isClosed, 3);
  await other.logged(isClosed, 3);
  assert.equal([...one.lines, ...other.lines].filter(isClosed).length, 6);
});

for (const errands of ALL) {
  const { protocol } = errands;
  test(`${protocol}: two fronts that would learn from each other what to offer wait no longer than for any backend`, async (t) => {
    const options = tierOptions(errands, WAYS[protocol][0]);
    const service = { ...options.service, capabilities: 'probe' };
    const one: Gateway = openStory(t, { ...options, service, address: '10.0.0.1' }, () => other);
    const other: Gateway = openStory(t, { ...options, service, address: '10.0.0.2' }, () => one);
    const client = one.connect();
    await one.settle();
    if (protocol === 'smtp') client.say('EHLO client.test');
    await one.advance(one.settings.timeouts.connectMs);
    await other.advance(other.settings.timeouts.connectMs);
    await one.settle();
    assert.match(client.heard, /^(\* OK|\+OK|220) /);
    assert.equal(client.heard.includes('421 4.4.1 '), protocol === 'smtp', client.heard);
  });
}
