import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { deserialize, serialize } from 'node:v8';

import { stringify } from 'yaml';

import { SettingsError } from '../../src/errors.ts';
import { createConfigurationSource } from '../../src/service/configuration.ts';
import type { Configuration } from '../../src/service/configuration.ts';
import type { MissingCertificate } from '../../src/service/material.ts';
import { summarise } from '../../src/service/summary.ts';
import { realWorld } from '../../src/world.ts';
import { makeAuthority } from '../support/authority.ts';
import { temporaryFolder } from './stub-supervisor.ts';

type Yaml = Readonly<Record<string, unknown>>;

function source(folder: string, settings: Yaml, missing: MissingCertificate = 'refuse') {
  const file = join(folder, 'sallyport.yaml');
  writeFileSync(file, stringify({ hostname: 'mx.test', dataDir: './data', ...settings }));
  return createConfigurationSource({ file, world: realWorld, missing });
}

const backends = { stores: { servers: ['127.0.0.1:143'] }, mta: { servers: ['127.0.0.1:25'] } };
const imap = (more: Yaml = {}): Yaml => ({
  backends: { stores: backends.stores },
  services: { imap: { protocol: 'imap', listen: ['127.0.0.1:0'], tls: 'musttls', backend: 'stores' } },
  ...more,
});

async function mistakesOf(load: Promise<Configuration>): Promise<readonly string[]> {
  const error: unknown = await load.then(
    () => null,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof SettingsError, String(error));
  return error.mistakes;
}

test('certificates, keys and CAs reach the workers as plain data, and passphrases do not', async () => {
  using folder = temporaryFolder();
  const authority = makeAuthority(folder.path);
  const rsa = authority.issue({ names: ['mx.test'], keyType: 'rsa' });
  const ec = authority.issue({ names: ['mx.test'] });
  const sni = authority.issue({ names: ['*.other.test'] });
  const ref = ({ certFile, keyFile }: typeof rsa): Yaml => ({ cert: certFile, key: keyFile });
  const settings = imap({
    tls: {
      certificate: [ref(rsa), { ...ref(ec), passphrase: 'not needed, hence harmless' }],
      sni: { 'www.other.test': ref(sni) },
    },
    backends: { stores: { ...backends.stores, tls: { mode: 'musttls', ca: authority.caFile } } },
  });
  const { material, shared, certificates, warnings, fingerprints } = await source(
    folder.path,
    settings,
  ).load();
  const tls = material.services['imap'];
  assert.equal(tls?.certificates.length, 2);
  assert.equal(tls.sni[0]?.pattern, 'www.other.test');
  assert.match(material.backendCas['stores'] ?? '', /BEGIN CERTIFICATE/);
  assert.equal(material.ticketKeys.length, 48);
  assert.deepEqual(warnings, []);
  assert.deepEqual(
    certificates.map(({ keyType, names }) => [keyType, ...names]),
    [
      ['rsa', 'mx.test'],
      ['ec', 'mx.test'],
      ['ec', '*.other.test'],
    ],
  );
  // Three pairs, the CAs, and the database, which may come.
  assert.equal(fingerprints.size, 8);
  const wire = serialize({ settings: shared, material });
  assert.equal(wire.includes('hence harmless'), false);
  assert.deepEqual(deserialize(wire).settings.services.imap.listen, shared.services['imap']?.listen);
});

test('every mistake is told at once, and which service wants the file', async () => {
  using folder = temporaryFolder();
  const authority = makeAuthority(folder.path);
  const one = authority.issue({ names: ['mx.test'] });
  const two = authority.issue({ names: ['mx.test'] });
  writeFileSync(join(folder.path, 'ca.pem'), 'nothing');
  const settings = imap({
    user: 'nobody-has-this-name',
    tls: { certificate: { cert: one.certFile, key: two.keyFile } },
    services: {
      imap: { protocol: 'imap', listen: ['127.0.0.1:0'], tls: 'musttls', backend: 'stores' },
      pop3: { protocol: 'pop3', listen: ['127.0.0.1:0'], tls: 'implicit', backend: 'stores' },
    },
    backends: { stores: { ...backends.stores, tls: { mode: 'musttls', ca: 'ca.pem' } } },
  });
  const mistakes = await mistakesOf(source(folder.path, settings).load());
  assert.equal(mistakes.length, 3, mistakes.join('\n'));
  assert.match(mistakes[0] ?? '', /sallyport\.yaml:\d+: user: there is no user nobody-has-this-name/);
  assert.match(mistakes[1] ?? '', /does not match the private key.*\(for services\.imap, services\.pop3\)/);
  assert.match(
    mistakes[2] ?? '',
    /ca\.pem: expected CA certificates in PEM, found none \(for backends\.stores\)/,
  );
});

test('two certificates of one key type are a mistake, since only one would ever be shown', async () => {
  using folder = temporaryFolder();
  const authority = makeAuthority(folder.path);
  const refs = [1, 2].map(() => {
    const { certFile, keyFile } = authority.issue({ names: ['mx.test'] });
    return { cert: certFile, key: keyFile };
  });
  const mistakes = await mistakesOf(source(folder.path, imap({ tls: { certificate: refs } })).load());
  assert.match(
    mistakes.join(),
    /services\.imap\.tls\.certificate: .*different types, found \S+ \(ec\) and \S+ \(ec\)/,
  );
});

test('what serves badly is a warning: expired, too new, soon over, for another name', async () => {
  using folder = temporaryFolder();
  const authority = makeAuthority(folder.path);
  const load = async (options: { days?: number; startsInDays?: number; sni?: string }): Promise<string> => {
    const { certFile, keyFile } = authority.issue({ names: ['mx.test'], ...options });
    const ref = { cert: certFile, key: keyFile };
    const tls = { certificate: ref, sni: options.sni === undefined ? {} : { [options.sni]: ref } };
    return (await source(folder.path, imap({ tls })).load()).warnings.join();
  };
  assert.match(await load({ days: -1 }), /expired on \d{4}-/);
  assert.match(await load({ startsInDays: 3 }), /is not valid before \d{4}-/);
  assert.match(await load({ days: 5 }), /expires on \d{4}-\d\d-\d\d, in [45] days/);
  assert.match(await load({ sni: 'other.test' }), /sni\.other\.test: the certificate is not for other\.test/);
  assert.equal(await load({ sni: 'mx.test' }), '');
  const { certFile, keyFile } = authority.issue({ names: ['*.example.org'] });
  const tls = { certificate: { cert: certFile, key: keyFile } };
  const warnings = async (hostname: string): Promise<string> =>
    (await source(folder.path, imap({ hostname, tls })).load()).warnings.join();
  assert.match(
    await warnings('example.org'),
    /: is for \*\.example\.org, not for the hostname example\.org$/,
  );
  assert.equal(await warnings('mail.example.org'), '');
});

test('a first start makes the default certificate, and later loads miss it where it has gone', async () => {
  using folder = temporaryFolder();
  const certs = join(folder.path, 'certs');
  const made = source(folder.path, imap(), 'make');
  const first = await made.load();
  assert.match(first.warnings.join(), /made Server-Cert, self-signed, for mx\.test/);
  assert.deepEqual(first.certificates[0]?.names, ['mx.test']);
  assert.equal(statSync(join(certs, 'cert.db')).mode & 0o777, 0o600);
  const passwordFile = join(folder.path, 'sslpassword.conf');
  assert.match(readFileSync(passwordFile, 'utf8'), /^Internal \(Software\) Token:\S{32}\n$/);
  assert.equal(statSync(passwordFile).mode & 0o777, 0o600);
  const second = await made.load();
  assert.deepEqual(second.material.services, first.material.services);
  assert.ok(second.material.ticketKeys.equals(first.material.ticketKeys));
  assert.ok(second.material.saltKey.equals(first.material.saltKey));
  rmSync(certs, { recursive: true });
  const gone = /cert\.db: the certificate database does not exist.*\(for services\.imap\)/;
  assert.match((await mistakesOf(made.load())).join(), gone);
  assert.match((await mistakesOf(made.refresh(first.settings))).join(), gone);
  assert.equal(existsSync(certs), false);
});

test('a certificate database is made in a folder that exists; /proc is told and not waited for', async () => {
  using folder = temporaryFolder();
  for (const [database, refusal] of [
    ['./no/certs', /certificates\.database: .*\/no\/certs cannot be made: there is no folder .*\/no$/m],
    ['/proc/sallyport', /certificates\.database: \/proc\/sallyport cannot be made: ENOENT/],
  ] as const) {
    const settings = imap({ certificates: { database } });
    assert.match((await mistakesOf(source(folder.path, settings, 'make').load())).join('\n'), refusal);
  }
});

test('a nickname that is not the default one is never made', async () => {
  using folder = temporaryFolder();
  const settings = imap({ tls: { certificate: 'Servr-Cert' } });
  assert.match((await mistakesOf(source(folder.path, settings, 'make').load())).join(), /cert\.db/);
  assert.equal(existsSync(join(folder.path, 'certs')), false);
});

test('to look changes nothing: the missing default certificate is only foretold', async () => {
  using folder = temporaryFolder();
  const { warnings } = await source(folder.path, imap(), 'foresee').load();
  assert.match(warnings.join(), /Server-Cert will be made, self-signed, at the first start/);
  assert.equal(existsSync(join(folder.path, 'certs')), false);
});

const acme = (more: Yaml = {}): Yaml => ({
  certificates: { acme: { agreeTerms: true, names: { Mail: ['mail.test', 'imap.test'] }, ...more } },
  tls: { certificate: 'Mail' },
});

test('a certificate that ACME will bring holds its place, self-signed, also after a reload that adds it', async () => {
  using folder = temporaryFolder();
  const seen = await source(folder.path, imap(acme()), 'foresee').load();
  assert.match(seen.warnings.join(), /Mail will be made, self-signed, at the first start/);
  assert.equal(existsSync(join(folder.path, 'certs')), false);
  const { certificates, warnings, shared } = await source(folder.path, imap(acme()), 'refuse').load();
  assert.match(warnings.join('\n'), /made Mail, self-signed, for mail\.test, imap\.test/);
  assert.deepEqual(
    certificates.map(({ source: nickname, names }) => [nickname, ...names]),
    [['Mail', 'mail.test', 'imap.test']],
  );
  assert.equal(shared.certificates.acme, null, 'workers are told nothing of it');
});

test('check shows what is ordered by ACME and where the CA is answered, and warns of what nobody is shown', async () => {
  using folder = temporaryFolder();
  const names = { Mail: ['mail.test'], Idle: ['idle.test'] };
  const configuration = await source(folder.path, imap(acme({ names })), 'foresee').load();
  const summary = summarise(configuration, realWorld.now());
  assert.deepEqual(summary.acme[0], {
    nickname: 'Mail',
    names: ['mail.test'],
    challenge: 'http-01',
    listen: ['0.0.0.0:80', '[::]:80'],
    directory: 'https://acme-v02.api.letsencrypt.org/directory',
  });
  assert.deepEqual(
    summary.warnings.filter((warning) => warning.includes('acme')),
    ['certificates.acme.names.Idle: it would be ordered, and no service shows it'],
  );
});

test('what the ACME settings name is looked into before an order is: CAs, and the key of a binding', async () => {
  using folder = temporaryFolder();
  const settings = imap(acme({ ca: 'ca.pem', eab: { kid: 'kid', key: { file: 'eab.key' } } }));
  assert.match(
    (await mistakesOf(source(folder.path, settings).load())).join(),
    /certificates\.acme\.ca: .*ENOENT/,
  );
  writeFileSync(join(folder.path, 'ca.pem'), makeAuthority(folder.path).ca);
  assert.match(
    (await mistakesOf(source(folder.path, settings).load())).join(),
    /certificates\.acme\.eab\.key: .*eab\.key: the secret cannot be read/,
  );
});

test('a service without TLS wants no certificate', async () => {
  using folder = temporaryFolder();
  const settings = {
    backends,
    services: {
      imap: { protocol: 'imap', listen: ['127.0.0.1:0'], tls: 'notls', backend: 'stores' },
      smtp: { protocol: 'smtp', listen: ['127.0.0.1:0'], channel: 'plain' },
    },
    channels: { plain: { keywords: 'smtp notls nosasl', relay: 'mta' } },
  };
  const { material, certificates } = await source(folder.path, settings).load();
  assert.deepEqual(material.services, { imap: null, smtp: null });
  assert.deepEqual(certificates, []);
});

test('a service wants a certificate where a channel that its connections are switched to offers TLS', async () => {
  using folder = temporaryFolder();
  const authority = makeAuthority(folder.path);
  const { certFile, keyFile } = authority.issue({ names: ['mx.test'] });
  const settings = {
    backends: { mta: backends.mta },
    tls: { certificate: { cert: certFile, key: keyFile } },
    services: { smtp: { protocol: 'smtp', listen: ['127.0.0.1:0'], channel: 'plain' } },
    channels: {
      plain: { keywords: 'smtp notls switchchannel', relay: 'mta' },
      inside: { keywords: 'smtp musttlsserver', match: ['192.0.2.0/24'], relay: 'mta' },
    },
  };
  const { material } = await source(folder.path, settings).load();
  assert.equal(material.services['smtp']?.certificates.length, 1);
});

test('refresh reads the certificates anew and the settings file not at all', async () => {
  using folder = temporaryFolder();
  const authority = makeAuthority(folder.path);
  const { certFile, keyFile } = authority.issue({ names: ['mx.test'], file: 'mx' });
  const sourceOf = source(folder.path, imap({ tls: { certificate: { cert: certFile, key: keyFile } } }));
  const before = await sourceOf.load();
  authority.issue({ names: ['new.test'], file: 'mx' });
  writeFileSync(join(folder.path, 'sallyport.yaml'), 'hostname: [broken');
  const after = await sourceOf.refresh(before.settings);
  assert.deepEqual(after.certificates[0]?.names, ['new.test']);
  assert.notDeepEqual([...after.fingerprints], [...before.fingerprints]);
  assert.equal(
    after.material.services['imap']?.certificates[0]?.cert.includes(
      readFileSync(certFile, 'latin1').slice(28, 80),
    ),
    true,
  );
});

test('the summary names what is served, what does nothing and what nobody uses', async () => {
  using folder = temporaryFolder();
  const settings = {
    services: { smtp: { protocol: 'smtp', listen: ['[::]:0'], tls: 'implicit', channel: 'tcp_local' } },
    channels: {
      tcp_local: { keywords: 'smtp mx maytlsserver mustsaslserver', relay: 'mta' },
      idle: { keywords: 'smtp', relay: 'mta' },
    },
    backends: {
      mta: { servers: ['192.0.2.1:25'], tls: 'notls', client: ['xclient'] },
      unused: backends.stores,
    },
  };
  const configuration = await source(folder.path, settings, 'foresee').load();
  const summary = summarise(configuration, realWorld.now());
  assert.deepEqual(summary.services, [
    {
      name: 'smtp',
      protocol: 'smtp',
      listen: ['[::]:0'],
      tls: 'implicit',
      sasl: 'mustsasl',
      proxyProtocol: null,
      channel: 'tcp_local',
      ways: [],
      backend: 'mta',
      checker: null,
      adminPolicy: 'none',
      domains: [],
      clientCertificates: null,
    },
  ]);
  assert.deepEqual(summary.channels[0], {
    name: 'tcp_local',
    tls: 'maytls',
    sasl: 'mustsasl',
    inert: ['smtp', 'mx'],
    relay: 'mta',
  });
  assert.doesNotMatch(summary.warnings.join('\n'), /timeouts/);
  const hasty = { imap: 60, pop3: 0.5 };
  const short = await source(folder.path, { ...settings, timeouts: hasty }, 'foresee').load();
  assert.match(
    summarise(short, 0).warnings.join('\n'),
    /timeouts\.imap: 60 is less .*\n.*timeouts\.pop3: 0\.5 is/,
  );
  const warnings = summary.warnings.join('\n');
  assert.match(warnings, /channels\.idle: no service leads to it/);
  assert.match(warnings, /backends\.unused: nothing leads to it/);
  assert.match(warnings, /backends\.mta: 192\.0\.2\.1:25 has no TLS, so no password is sent/);
});

test('the summary shows the balancers, and warns where everybody is one', async () => {
  using folder = temporaryFolder();
  const warningsOf = async (from: readonly string[]): Promise<string> => {
    const imap = {
      protocol: 'imap',
      listen: ['[::]:0'],
      tls: 'notls',
      backend: 'stores',
      proxyProtocol: { from },
    };
    const settings = { services: { imap }, backends };
    const configuration = await source(folder.path, settings, 'foresee').load();
    const summary = summarise(configuration, realWorld.now());
    const shown = from.map((peer) => (peer === '192.0.2.8' ? '192.0.2.8/32' : peer));
    assert.deepEqual(summary.services[0]?.proxyProtocol, { from: shown, mode: 'require' });
    return summary.warnings.join('\n');
  };
  assert.doesNotMatch(await warningsOf(['192.0.2.8', 'unix', '10.0.0.0/8']), /proxyProtocol/);
  assert.match(
    await warningsOf(['192.0.2.8', '::/0']),
    /services\.imap\.proxyProtocol\.from: it holds every address/,
  );
});

test('the key of made-up salts stays over reloads; nodes that share tickets.secret share it, and others do not', async () => {
  using folder = temporaryFolder();
  const settings = imap({
    services: { imap: { protocol: 'imap', listen: ['127.0.0.1:0'], tls: 'notls', backend: 'stores' } },
  });
  const saltKey = async (from: ReturnType<typeof source>): Promise<Buffer> =>
    (await from.load()).material.saltKey;
  const own = source(folder.path, settings);
  const first = await saltKey(own);
  assert.deepEqual(await saltKey(own), first);
  assert.notDeepEqual(await saltKey(source(folder.path, settings)), first);
  const secret = 'a secret of thirty-two characters';
  const shared = source(folder.path, { ...settings, tickets: { secret } });
  const ofAll = await saltKey(shared);
  assert.deepEqual(await saltKey(source(folder.path, { ...settings, tickets: { secret } })), ofAll);
  assert.ok(!ofAll.includes(secret.slice(0, 8)));
});
