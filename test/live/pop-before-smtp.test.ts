// POP before SMTP through real servers: a login at Dovecot, then mail to another domain through Postfix, which relays for
// strangers to nobody. The MTA learns of the grant by each of the three ways: a port that trusts us, XCLIENT LOGIN, and
// XPEHLO CHANNEL (its taker is a Sallyport). Two workers. Without the login, after ttl and once revoked it is refused.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { Dialogue } from '../support/dialogue.ts';
import { startFront } from '../support/front.ts';
import { askToRelay, OUTSIDE, readMail } from '../support/pop-then-smtp.ts';
import { freePort } from '../support/ports.ts';
import { run, until, type Run } from '../support/program.ts';
import { anna, startSite } from '../support/site.ts';

const main = join(import.meta.dirname, '../../src/main.ts');
const REFUSED = 554;
const trusting = await freePort();
// As config/guide/pop-before-smtp.md has it.
const TRUSTING_PORT = `127.0.0.1:${trusting} inet n - n - - smtpd
  -o smtpd_relay_restrictions=permit_mynetworks,reject
  -o mynetworks=127.0.0.1/32
  -o smtpd_authorized_xclient_hosts=`;
const PASSWORD = 'shown to the next';
let tls: unknown;

const site = await startSite({
  postfix: { services: [TRUSTING_PORT] },
  adjust: (settings) => {
    const backends = settings['backends'] as Record<string, Record<string, unknown>>;
    tls = backends['mta']?.['tls'];
    return {
      ...settings,
      workers: 2,
      channels: {
        ...(settings['channels'] as object),
        tcp_intranet: { keywords: 'smtp mx maytlsserver maysaslserver noswitchchannel', relay: 'trusting' },
      },
      backends: { ...backends, trusting: { servers: [`127.0.0.1:${trusting}`], tls } },
      popBeforeSmtp: { channel: 'tcp_intranet', ttl: 600 },
    };
  },
});
const inner = await startFront({
  folder: join(site.folder, 'inner'),
  settings: {
    ...site.settings,
    popBeforeSmtp: null,
    services: {
      smtp: {
        protocol: 'smtp',
        listen: ['127.0.0.1:0'],
        channel: 'tcp_local',
        frontTier: { from: ['127.0.0.1'], password: PASSWORD },
      },
    },
  },
});
after(async () => {
  await inner.stop();
  await site.stop();
});
const { front, ports } = site;

function sallyport(...args: string[]): Promise<Run> {
  return run(process.execPath, [main, ...args, '--config', front.settingsFile]);
}

/** New settings for connections from now on. */
async function reload(popBeforeSmtp: object, relay: Readonly<Record<string, unknown>>): Promise<void> {
  const { settings } = site;
  const backends = { ...(settings['backends'] as object), trusting: { tls, ...relay } };
  front.writeSettings({ ...settings, backends, popBeforeSmtp });
  assert.equal((await front.reload())['event'], 'reloaded');
}

function curl(from: string, args: readonly string[], input?: string): Promise<Run> {
  const common = ['--silent', '--show-error', '--interface', from, '--cacert', site.authority.caFile];
  return run('curl', [...common, '--max-time', '20', ...args], input === undefined ? {} : { input });
}

/** Sends one message without a login. */
function mail(from: string, to = OUTSIDE): Promise<Run> {
  const envelope = ['--mail-from', anna.user, '--mail-rcpt', to, '--upload-file', '-'];
  const url = `smtp://localhost:${ports.smtp}/laptop.example.com`;
  return curl(from, [...envelope, url], 'Subject: from the road\r\n\r\nhello\r\n');
}

test('curl reads by POP3 and then sends to another domain without a login; before, and from elsewhere, it may not', async () => {
  const from = '127.0.0.31';
  const before = await mail(from);
  assert.notEqual(before.code, 0);
  assert.match(before.text, /554/);
  const login = `${anna.user}:${anna.password}`;
  const read = await curl(from, ['--user', login, `pop3s://localhost:${ports.pop3s}/`]);
  assert.equal(read.code, 0, read.text);
  const sent = await mail(from);
  assert.equal(sent.code, 0, sent.text);
  const [delivered] = await site.arrived(OUTSIDE, 1);
  assert.match(delivered?.message.toString() ?? '', /from the road/);
  const stranger = await mail('127.0.0.32');
  assert.notEqual(stranger.code, 0);
  const used = await front.waitForLog((line) => line['event'] === 'grant-used');
  assert.deepEqual(
    [used['client'], used['user'], used['channel'], used['rule'], used['earnedAt']],
    [from, anna.user, 'tcp_intranet', 'pop-before-smtp', 'pop3s'],
  );
  const closed = await front.waitForLog(
    (line) => line['event'] === 'closed' && line['grant'] === anna.user && line['messages'] === 1,
  );
  assert.equal(closed['rule'], 'tcp_local → tcp_intranet (pop-before-smtp)');
  const { text } = await sallyport('status');
  assert.match(text, /^channel tcp_intranet: pop-before-smtp 1 time$/m);
  assert.match(text, /penalised, 1 with a grant$/m);
});

test('the next connection after +OK finds the grant, whichever worker has it', async () => {
  const addresses = Array.from({ length: 40 }, (_, index) => `127.0.40.${index + 1}`);
  for (const from of addresses) {
    await readMail(site, ports.pop3s, from);
    assert.equal(await askToRelay(ports.smtp, from), 250, from);
  }
  const workerOf = (event: string, service: string, from: string): unknown =>
    front
      .log()
      .find((line) => line['event'] === event && line['client'] === from && line['service'] === service)?.[
      'worker'
    ];
  const crossed = await until(
    () => {
      const pairs = addresses.map((from) => [
        workerOf('closed', 'pop3s', from),
        workerOf('closed', 'smtp', from),
      ]);
      return pairs.every(([a, b]) => a !== undefined && b !== undefined) && pairs;
    },
    10_000,
    () => 'not every connection has its line',
  );
  assert.ok(
    crossed.some(([a, b]) => a !== b),
    'some came to the other worker',
  );
});

test('a grant is listed, revoked by address or by user, and the next session is refused; a login earns it anew', async () => {
  const from = '127.0.0.34';
  await readMail(site, ports.pop3s, from);
  const { text } = await sallyport('grants', '--address', from);
  assert.match(text, new RegExp(`^${from}  ${anna.user}  by pop3s  .* s left$`, 'm'));
  assert.equal(await askToRelay(ports.smtp, from), 250);
  assert.match((await sallyport('grants', 'revoke', from)).text, /revoked 1 grant/);
  for (let i = 0; i < 4; i++) assert.equal(await askToRelay(ports.smtp, from), REFUSED);
  await readMail(site, ports.pop3s, from);
  assert.equal(await askToRelay(ports.smtp, from), 250);
  const { text: revoked } = await sallyport('grants', 'revoke', '--user', anna.user.toUpperCase());
  assert.match(revoked, /revoked \d+ grants/);
  for (let i = 0; i < 4; i++) assert.equal(await askToRelay(ports.smtp, from), REFUSED);
  const { code, text: bare } = await sallyport('grants', 'revoke');
  assert.deepEqual([code, bare], [1, 'expected what to revoke: an address, a user, or all\n']);
});

test('IMAP earns nothing unless the setting says so', async () => {
  const from = '127.0.0.35';
  const read = (): Promise<Run> =>
    curl(from, ['--user', `${anna.user}:${anna.password}`, `imaps://localhost:${ports.imaps}/`]);
  assert.equal((await read()).code, 0);
  assert.equal(await askToRelay(ports.smtp, from), REFUSED);
  const relay = { servers: [`127.0.0.1:${trusting}`] };
  await reload({ channel: 'tcp_intranet', ttl: 600, protocols: ['pop3', 'imap'] }, relay);
  assert.equal((await read()).code, 0);
  assert.equal(await askToRelay(ports.smtp, from), 250);
});

test('a grant outlives a restart of Sallyport', async () => {
  const from = '127.0.0.36';
  await readMail(site, ports.pop3s, from);
  const late = '127.0.0.41';
  await using session = await Dialogue.connectTls({
    port: ports.pop3s,
    ca: site.authority.ca,
    localAddress: late,
  });
  await session.expect(/^\+OK /);
  assert.equal((await front.restart())['event'], 'handed-over');
  assert.equal(await askToRelay(ports.smtp, from), 250);
  // A login at the old process, which drains, is good for the new one a moment later.
  await session.ask(`USER ${anna.user}`, /^\+OK/);
  await session.ask(`PASS ${anna.password}`, /^\+OK/);
  await until(
    async () => (await askToRelay(ports.smtp, late)) === 250,
    10_000,
    () => 'the new process did not hear of it',
  );
});

test('XCLIENT LOGIN: Postfix takes the session for one of the user who read, and says so', async () => {
  const from = '127.0.0.37';
  const relay = { servers: [`127.0.0.1:${site.postfix.port}`], client: ['xclient'] };
  await reload({ channel: 'tcp_intranet', ttl: 600 }, relay);
  await readMail(site, ports.pop3s, from);
  assert.equal(await askToRelay(ports.smtp, from), REFUSED, 'it is told nothing unless the settings say so');
  await reload({ channel: 'tcp_intranet', ttl: 600, tell: ['login'] }, relay);
  const to = 'by-login@elsewhere.example';
  const sent = await mail(from, to);
  assert.equal(sent.code, 0, sent.text);
  await site.arrived(to, 1);
  const said = `client=unknown[${from}], sasl_method=XCLIENT, sasl_username=${anna.user}`;
  assert.ok(site.postfix.logText().includes(said), site.postfix.logText().slice(-2000));
  assert.equal(await askToRelay(ports.smtp, '127.0.0.38'), REFUSED);
});

test('XPEHLO CHANNEL: the next proxy takes the session to that channel of its own', async () => {
  const from = '127.0.0.39';
  const relay = {
    servers: [`127.0.0.1:${inner.port('smtp')}`],
    client: ['xpehlo'],
    xpehloPassword: PASSWORD,
  };
  await reload({ channel: 'tcp_intranet', ttl: 600, tell: ['channel'] }, relay);
  await readMail(site, ports.pop3s, from);
  assert.equal(await askToRelay(ports.smtp, from), 250);
  const line = await inner.waitForLog((entry) => entry['event'] === 'closed' && entry['client'] === from);
  assert.equal(line['rule'], 'tcp_local → tcp_intranet (XPEHLO)');
  assert.equal(await askToRelay(ports.smtp, '127.0.0.38'), REFUSED);
});

test('after ttl the relay is refused', async () => {
  const from = '127.0.0.40';
  await reload({ channel: 'tcp_intranet', ttl: 3 }, { servers: [`127.0.0.1:${trusting}`] });
  await readMail(site, ports.pop3s, from);
  assert.equal(await askToRelay(ports.smtp, from), 250);
  const end = performance.now() + 15_000;
  while ((await askToRelay(ports.smtp, from)) === 250) assert.ok(performance.now() < end, 'it never ended');
  assert.equal(await askToRelay(ports.smtp, from), REFUSED);
});
