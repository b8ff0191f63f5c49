import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fixture, importFolder, listen, load, section, told } from './mmp-folder.ts';

const SMTP = section({ SmtpRelays: 'mta1 mta2:2525', SmtpProxyPassword: 'x' });

test('the SMTP proxy becomes services on a channel, its relays a backend, POP before SMTP grants', (t) => {
  const { settings, secrets } = load(t, fixture('smtp'));
  const { smtp, smtps, pop3 } = settings.services;
  assert.deepEqual([smtp?.listen, smtps?.listen], [[listen(25), listen(587)], [listen(465)]]);
  assert.deepEqual([smtp?.channel, smtp?.clientLookup, smtp?.banner], ['tcp_local', true, 'siroe.com ESMTP']);
  assert.deepEqual(smtp?.ehloKeywords, ['XLOOP', 'DSN']);
  assert.equal(smtp?.domains['192.0.2.11']?.overrides.clientLookup, false);
  const { mta } = settings.backends;
  assert.deepEqual(
    mta?.servers.map((server) => (server.kind === 'tcp' ? `${server.host}:${server.port}` : '')),
    ['manatee:485', 'gonzo:25', 'mothra:25'],
  );
  assert.deepEqual([mta?.failoverTimeoutMs, mta?.failoverMs, mta?.balance], [10_000, 600_000, 'roundRobin']);
  assert.deepEqual(mta?.client, [{ method: 'xpehlo', required: true }]);
  assert.deepEqual(settings.popBeforeSmtp?.channel, 'tcp_intranet');
  assert.deepEqual(settings.popBeforeSmtp?.tell, ['channel']);
  assert.equal(settings.popBeforeSmtp?.ttlMs, 900_000);
  assert.equal(pop3?.grants, true);
  assert.match(settings.channels['tcp_local']?.keywords ?? '', /maytlsserver/);
  assert.equal(secrets['smtpproxy.secret'], 'relay-secret\n');
});

test('POP before SMTP needs its channel and a time, and each service and address has its own', (t) => {
  const folder = {
    'AService.cfg': section({
      ServiceList:
        'PopProxyAService@110 PopProxyAService|Long@111 PopProxyAService|None@112 SmtpProxyAService@25 SmtpProxyAService|Plain@26',
    }),
    'PopProxyAService.cfg': section({ AuthServiceTTL: '300', VirtualDomainFile: 'vdmap.cfg' }),
    'Long.cfg': section({ AuthServiceTTL: '900' }),
    'None.cfg': [],
    'SmtpProxyAService.cfg': [...SMTP, 'default:PopBeforeSmtpKludgeChannel tcp_intranet'],
    'Plain.cfg': [],
    'vdmap.cfg': ['vdmap a 192.0.2.1', 'a:AuthServiceTTL 0', 'vdmap b 192.0.2.2', 'b:AuthServiceTTL 600'],
  };
  const { settings } = load(t, folder);
  assert.equal(settings.popBeforeSmtp?.ttlMs, 900_000);
  const { pop3, smtp } = settings.services;
  assert.deepEqual([pop3?.grants, settings.services['pop3-Long']?.grants], [true, true]);
  assert.equal(settings.services['pop3-None']?.grants, false);
  assert.deepEqual([smtp?.grants, settings.services['smtp-Plain']?.grants], [true, false]);
  assert.equal(pop3?.domains['192.0.2.1']?.overrides.grants, false);
  assert.equal(pop3?.domains['192.0.2.2']?.overrides.grantTtlMs, 600_000);
  const off = load(t, { ...folder, 'PopProxyAService.cfg': [], 'Long.cfg': [] });
  assert.equal(off.settings.popBeforeSmtp, null);
  assert.match(told(off, 'SmtpProxyAService.cfg:3'), /no POP proxy has an AuthServiceTTL/);
});

test('relays that no file names are asked for, and --relay names them', (t) => {
  const folder = {
    'AService.cfg': section({ ServiceList: 'SmtpProxyAService@25' }),
    'SmtpProxyAService.cfg': [],
  };
  const { yaml, problems } = importFolder(folder);
  assert.equal(yaml, null);
  assert.match(problems.join('\n'), /SmtpRelays .*--relay HOST:PORT/);
  const { settings } = load(t, folder, { relay: 'mta.example.com:587' });
  assert.deepEqual(settings.backends['mta']?.servers, [listen(587, 'mta.example.com')]);
  assert.equal(settings.services['smtp']?.channel, 'tcp_submit');
  assert.equal(settings.directory.type, 'none');
  assert.match(importFolder(folder, { relay: 'mta:99999' }).problems.join('\n'), /^--relay: /);
});

test('with imta.cnf the services run on its channels, which get STARTTLS where the proxy offered it', (t) => {
  const result = load(t, fixture('smtp'), { imta: 'imta.cnf' });
  const { channels } = result.settings;
  assert.deepEqual(Object.keys(channels), ['tcp_local', 'tcp_intranet', 'tcp_submit', 'tcp_auth']);
  assert.match(channels['tcp_local']?.keywords ?? '', /saslswitchchannel tcp_auth .*maytlsserver$/);
  assert.match(told(result, 'SmtpProxyAService.cfg:9'), /maytlsserver of channels\.tcp_local/);
  assert.match(told(result, 'tcp_local_option:2'), /only PROXY_PASSWORD/);
});

test('an MMP without an SMTP proxy takes the channels of imta.cnf too, and then their relay is asked for', (t) => {
  const folder = { ...fixture('smtp'), 'AService.cfg': section({ ServiceList: 'ImapProxyAService@143' }) };
  assert.match(importFolder(folder, { imta: 'imta.cnf' }).problems.join('\n'), /--relay/);
  const { settings } = load(t, folder, { imta: 'imta.cnf', relay: 'mta:25' });
  assert.deepEqual(Object.keys(settings.services), ['imap', 'smtp', 'submission']);
});
