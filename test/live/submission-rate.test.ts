// limits.messagesPerUser before a real Postfix, on two Sallyports of two workers each that share a Redis: Python's smtplib
// sends as a user from many connections at both; in all so many messages go through, the rest is 450; another user and
// mail without a login are not touched, and the status tells.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { startFront } from '../support/front.ts';
import { run } from '../support/program.ts';
import { startRedis } from '../support/redis.ts';
import { anna, bob, startSite } from '../support/site.ts';

const COUNT = 5;
const main = join(import.meta.dirname, '../../src/main.ts');
const redis = await startRedis();
const site = await startSite({
  adjust: (settings) => ({
    ...settings,
    redis: redis.url,
    workers: 2,
    limits: { messagesPerUser: { count: COUNT, seconds: 3600 } },
  }),
});
const other = await startFront({ folder: join(site.folder, 'other'), settings: site.settings });
const nodes = [site.front, other] as const;
after(async () => {
  await other.stop();
  await site.stop();
  await redis.stop();
});

const authority = join(site.folder, 'sender-ca.pem');
writeFileSync(authority, site.authority.ca);
const CLIENT = `
import smtplib, ssl, sys
ports, authority, user, password, times = sys.argv[1].split(','), *sys.argv[2:5], int(sys.argv[5])
context = ssl.create_default_context(cafile=authority)
codes = []
for turn in range(times):
    box = smtplib.SMTP_SSL('localhost', int(ports[turn % len(ports)]), context=context)
    box.login(user, password)
    try:
        box.sendmail(user, ['someone@example.com'], 'Subject: x\\r\\n\\r\\nx\\r\\n')
        codes.append(250)
    except smtplib.SMTPSenderRefused as refused:
        codes.append(refused.smtp_code)
    box.quit()
print(codes)
`;

async function send({ user, password }: typeof anna, times: number): Promise<number[]> {
  const ports = nodes.map((node) => node.port('submissions')).join(',');
  const { text } = await run('python3', ['-c', CLIENT, ports, authority, user, password, String(times)]);
  return JSON.parse(text) as number[];
}

test('a user sends so many messages over both nodes, another one too, and the status counts the rest', async () => {
  const codes = await send(anna, COUNT + 4);
  assert.deepEqual(codes, [...Array.from({ length: COUNT }, () => 250), 450, 450, 450, 450]);
  assert.deepEqual(await send(bob, 2), [250, 250]);
  assert.deepEqual(await send(anna, 1), [450]);
  let refused = 0;
  for (const node of nodes) {
    const { text } = await run(process.execPath, [main, 'status', '--json', '--config', node.settingsFile]);
    refused += (JSON.parse(text) as { refused: Record<string, number> }).refused['MESSAGE_LIMIT'] ?? 0;
  }
  assert.equal(refused, 5);
  const lines = nodes.flatMap((node) => node.log()).filter(({ code }) => code === 'MESSAGE_LIMIT');
  assert.ok(lines.length > 0 && lines.every(({ user }) => user === anna.user));
});
