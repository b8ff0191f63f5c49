// Clients with certificates as programs bring them: curl and `openssl s_client` before a real front and Dovecot. Their CA
// is openssl's (`openssl ca`), trusted by the certificate database; it revokes while the front runs.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createDatabase, openDatabase } from '../../src/certdb/database.ts';
import { realWorld } from '../../src/world.ts';
import type { LogLine } from '../support/front.ts';
import { run, type Run } from '../support/program.ts';
import { anna, startSite } from '../support/site.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-clients-'));
const at = (name: string): string => join(folder, name);

async function openssl(...args: string[]): Promise<string> {
  const { code, text } = await run('openssl', args);
  assert.equal(code, 0, text);
  return text;
}

const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];

/** An authority of openssl's own making. */
async function makeClientCa(): Promise<void> {
  mkdirSync(at('new'));
  writeFileSync(at('index.txt'), '');
  writeFileSync(at('serial'), '1000\n');
  writeFileSync(at('crlnumber'), '01\n');
  writeFileSync(
    at('ca.cnf'),
    `[ca]\ndefault_ca = here\n[here]\ndatabase = ${at('index.txt')}\nserial = ${at('serial')}\n` +
      `crlnumber = ${at('crlnumber')}\nnew_certs_dir = ${at('new')}\ncertificate = ${at('ca.pem')}\n` +
      `private_key = ${at('ca.key')}\ndefault_md = sha256\ndefault_days = 10\ndefault_crl_days = 1\n` +
      `policy = any\nx509_extensions = client\n[any]\norganizationName = optional\ncommonName = supplied\n` +
      `[client]\nbasicConstraints = CA:FALSE\nextendedKeyUsage = clientAuth\n`,
  );
  const files = ['-keyout', at('ca.key'), '-out', at('ca.pem')];
  await openssl('req', '-x509', ...ec, '-nodes', '-days', '20', '-subj', '/O=Example/CN=People CA', ...files);
}

async function issue(name: string, keyType: readonly string[]): Promise<void> {
  const subject = ['-subj', `/O=Example/CN=${name}`];
  const files = ['-keyout', at(`${name}.key`), '-out', at(`${name}.csr`)];
  await openssl('req', '-new', '-nodes', ...keyType, ...subject, ...files);
  const out = ['-in', at(`${name}.csr`), '-out', at(`${name}.pem`)];
  await openssl('ca', '-config', at('ca.cnf'), '-batch', '-notext', ...out);
}

/** Written aside and renamed, as a careful job does it. */
async function writeCrl(form: 'PEM' | 'DER'): Promise<void> {
  await openssl('ca', '-config', at('ca.cnf'), '-gencrl', '-out', at('new.pem'));
  await openssl('crl', '-in', at('new.pem'), '-outform', form, '-out', at('new.crl'));
  renameSync(at('new.crl'), at('crls/people.crl'));
}

await makeClientCa();
await issue('carol', ec);
await issue('dave', ['-newkey', 'rsa:2048']);
mkdirSync(at('crls'));
createDatabase(at('certs'), 'secret');
writeFileSync(at('sslpassword.conf'), 'Internal (Software) Token:secret\n', { mode: 0o600 });

const site = await startSite({
  adjust(settings) {
    const services = settings['services'] as Record<string, Record<string, unknown>>;
    return {
      ...settings,
      certificates: { database: at('certs'), passwordFile: at('sslpassword.conf'), watch: 0.1 },
      services: {
        ...services,
        imaps: { ...services['imaps'], tls: { mode: 'implicit', crl: at('crls') } },
      },
    };
  },
});
after(async () => {
  await site.stop();
  rmSync(folder, { recursive: true, force: true });
});

function trustCa(trust: string): void {
  const database = openDatabase(at('certs'), realWorld);
  database.change((change) => {
    if (database.entries().length === 0) {
      change.addCertificate({ nickname: 'People', cert: readFileSync(at('ca.pem'), 'utf8'), trust });
    } else change.setTrust('People', trust);
  });
  database.close();
}

/** Does it, and waits until the workers have what came of it. */
async function andReloaded(change: () => unknown): Promise<void> {
  const count = (): number =>
    site.front.log().filter(({ event }) => event === 'certificates-reloaded').length;
  const before = count();
  await change();
  await site.front.waitForLog(() => count() > before);
}

const shownBy = (name: string): string[] => ['--cert', at(`${name}.pem`), '--key', at(`${name}.key`)];

/** The closing line of what a program does. */
async function closedBy(visit: () => Promise<Run>): Promise<LogLine> {
  const closed = (): LogLine[] => site.front.log().filter(({ event }) => event === 'closed');
  const before = closed().length;
  const { code, text } = await visit();
  assert.equal(code, 0, text);
  await site.front.waitForLog(() => closed().length > before);
  return closed()[before] ?? {};
}

const curlCommon = ['--silent', '--show-error', '--ssl-reqd', '--max-time', '30'];
curlCommon.push('--cacert', site.authority.caFile, '--user', `${anna.user}:${anna.password}`);

const curl = (url: string, ...more: string[]): Promise<LogLine> =>
  closedBy(() => run('curl', [...curlCommon, ...more, url]));

/** What openssl tells of a handshake with IMAPS. */
async function handshakeText(): Promise<string> {
  const args = ['s_client', '-connect', `127.0.0.1:${site.ports.imaps}`];
  let told = '';
  await closedBy(async () => {
    const result = await run('openssl', args, { input: '' });
    told = result.text;
    return result;
  });
  return told;
}

const certificateIn = (line: LogLine): Record<string, unknown> =>
  (line['clientCertificate'] ?? {}) as Record<string, unknown>;

const imaps = `imaps://localhost:${site.ports.imaps}/`;

test('before a CA is trusted for clients, nobody is asked', async () => {
  const line = await curl(imaps, ...shownBy('carol'));
  assert.equal(line['user'], anna.user);
  assert.equal('clientCertificate' in line, false);
  assert.match(await handshakeText(), /No client certificate CA names sent/);
});

test('a CA that becomes trusted for servers changes nothing for clients', async () => {
  await andReloaded(() => trustCa('C,,'));
  assert.equal('clientCertificate' in (await curl(imaps, ...shownBy('carol'))), false);
});

test('once it is trusted for clients, it is named to them, and no other CA is', async () => {
  await andReloaded(() => trustCa('CT,,'));
  assert.match(
    await handshakeText(),
    /Acceptable client certificate CA names\n.*CN ?= ?People CA\n(Requested|Client)/,
  );
});

for (const name of ['carol', 'dave']) {
  for (const version of ['1.2', '1.3']) {
    test(`curl shows ${name}'s certificate by TLS ${version}, in each protocol, and it verifies`, async () => {
      const versions = [`--tlsv${version}`, '--tls-max', version];
      const urls = [imaps, `imap://localhost:${site.ports.imap}/`, `pop3://localhost:${site.ports.pop3}/`];
      for (const url of urls) {
        const line = await curl(url, ...shownBy(name), ...versions);
        assert.equal(line['user'], anna.user);
        const { subject, verified } = certificateIn(line);
        assert.deepEqual([subject, verified], [`CN=${name},O=Example`, true], url);
      }
    });
  }
}

test('curl without a certificate logs in with the password alone', async () => {
  assert.equal('clientCertificate' in (await curl(imaps)), false);
});

test('openssl s_client comes back with its session, by which it is known again, where there are no CRLs', async () => {
  const to = ['-starttls', 'pop3', '-connect', `127.0.0.1:${site.ports.pop3}`, '-servername', 'localhost'];
  const common = ['s_client', '-quiet', ...to, '-CAfile', site.authority.caFile];
  const s = (...more: string[]): Promise<LogLine> =>
    closedBy(() => run('openssl', [...common, ...more], { input: 'QUIT\r\n' }));
  const shown = ['-cert', at('carol.pem'), '-key', at('carol.key')];
  for (const version of ['-tls1_2', '-tls1_3']) {
    const first = await s(...shown, version, '-sess_out', at('session'));
    const again = await s(...shown, version, '-sess_in', at('session'));
    const resumed = [first, again].map(({ tls }) => (tls as { resumed: boolean }).resumed);
    assert.deepEqual(resumed, [false, true], version);
    assert.equal(certificateIn(again)['verified'], true);
    assert.equal(certificateIn(again)['subject'], 'CN=carol,O=Example');
  }
});

for (const form of ['PEM', 'DER'] as const) {
  const [name, other] = form === 'PEM' ? ['carol', 'dave'] : ['dave', 'carol'];
  test(`a CRL of openssl (${form}) that comes into the folder holds at once, without a signal: ${name} is revoked`, async () => {
    if (form === 'PEM') {
      await andReloaded(() => writeCrl(form));
      assert.equal(certificateIn(await curl(imaps, ...shownBy(name)))['verified'], true);
    }
    await openssl('ca', '-config', at('ca.cnf'), '-revoke', at(`${name}.pem`));
    await andReloaded(() => writeCrl(form));
    const line = await curl(imaps, ...shownBy(name));
    assert.equal(line['user'], anna.user, 'the password still does');
    assert.equal(certificateIn(line)['fault'], 'revoked');
    const neighbour = certificateIn(await curl(imaps, ...shownBy(other)));
    assert.equal(neighbour['verified'], form === 'PEM', 'the first of them is revoked for good');
  });
}

test('a CRL that is cut off is refused, and what was revoked stays so', async () => {
  writeFileSync(at('crls/people.crl'), readFileSync(at('crls/people.crl')).subarray(0, 99));
  const refusal = await site.front.waitForLog(({ event }) => event === 'certificates-refused');
  assert.match(JSON.stringify(refusal['mistakes']), /people\.crl: is cut off \(for services\.imaps\)/);
  assert.equal(certificateIn(await curl(imaps, ...shownBy('carol')))['fault'], 'revoked');
  await andReloaded(() => writeCrl('PEM'));
});

test('a service that begins to require certificates turns away who has none, in words', async () => {
  const services = site.settings['services'] as Record<string, Record<string, unknown>>;
  const tls = { mode: 'implicit', clientCertificates: 'require' };
  const pop3s = { ...services['pop3s'], tls };
  site.front.writeSettings({ ...site.settings, services: { ...services, pop3s } });
  assert.equal((await site.front.reload())['event'], 'reloaded');
  const args = ['s_client', '-quiet', '-connect', `127.0.0.1:${site.front.port('pop3s')}`];
  let said = '';
  const line = await closedBy(async () => {
    const result = await run('openssl', args, { input: '' });
    said = result.text;
    return result;
  });
  assert.match(said, /-ERR .*A certificate that this server trusts is required/);
  assert.equal(line['code'], 'CLIENT_CERTIFICATE');
  assert.match(String(line['cause']), /found: none/);
  const served = await curl(`pop3s://localhost:${site.front.port('pop3s')}/`, ...shownBy('dave'));
  assert.deepEqual([served['user'], certificateIn(served)['verified']], [anna.user, true]);
});

test('once it is trusted no more, its certificates are not asked for', async () => {
  const services = site.settings['services'] as Record<string, Record<string, unknown>>;
  site.front.writeSettings({ ...site.settings, services });
  await site.front.reload();
  await andReloaded(() => trustCa('C,,'));
  assert.equal('clientCertificate' in (await curl(imaps, ...shownBy('carol'))), false);
});
