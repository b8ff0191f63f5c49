// Whom the settings and the certificate database make us believe: clients and backends apart, and what is revoked.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { stringify } from 'yaml';
import { summaryText } from '../../../src/cli/check.ts';
import { createDatabase, openDatabase } from '../../../src/certdb/database.ts';
import { SettingsError } from '../../../src/errors.ts';
import { createConfigurationSource } from '../../../src/service/configuration.ts';
import type { Configuration } from '../../../src/service/configuration.ts';
import { summarise } from '../../../src/service/summary.ts';
import { createStatus, crlText } from '../../../src/service/status.ts';
import { realWorld } from '../../../src/world.ts';
import { makeAuthority, type Authority } from '../../support/authority.ts';
import { temporaryFolder } from '../stub-supervisor.ts';

type Yaml = Readonly<Record<string, unknown>>;

interface Place {
  readonly path: string;
  readonly authority: Authority;
}

/** A database with these CAs, by nickname and trust. */
function keep(folder: string, authorities: Readonly<Record<string, readonly [string, string]>>): void {
  const database = join(folder, 'certs');
  createDatabase(database, 'secret');
  writeFileSync(join(folder, 'sslpassword.conf'), 'Internal (Software) Token:secret\n', { mode: 0o600 });
  const opened = openDatabase(database, realWorld);
  opened.change((change) => {
    for (const [nickname, [cert, trust]] of Object.entries(authorities)) {
      change.addCertificate({ nickname, cert, trust });
    }
  });
  opened.close();
}

function load({ path, authority }: Place, tls: Yaml = {}, more: Yaml = {}): Promise<Configuration> {
  const file = join(path, 'sallyport.yaml');
  const { certFile, keyFile } = authority.issue({ names: ['mx.test'] });
  const settings = {
    hostname: 'mx.test',
    dataDir: './data',
    certificates: { database: './certs', passwordFile: './sslpassword.conf' },
    tls: { certificate: { cert: certFile, key: keyFile }, ...tls },
    services: { imap: { protocol: 'imap', listen: ['127.0.0.1:0'], tls: 'musttls', backend: 'stores' } },
    backends: { stores: { servers: ['127.0.0.1:143'] } },
    ...more,
  };
  writeFileSync(file, stringify(settings));
  return createConfigurationSource({ file, world: realWorld, missing: 'refuse' }).load();
}

async function mistakesOf(loading: Promise<Configuration>): Promise<string> {
  const error: unknown = await loading.then(
    () => null,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof SettingsError, String(error));
  return error.mistakes.join('\n');
}

test('a CA with trust T is for clients, one with C for servers, one with neither for nobody', async () => {
  using folder = temporaryFolder();
  const [clients, servers, both, neither] = ['clients', 'servers', 'both', 'neither'].map((name) =>
    makeAuthority(folder.path, name),
  ) as [Authority, Authority, Authority, Authority];
  keep(folder.path, {
    a: [clients.ca, 'T,,'],
    b: [servers.ca, 'C,,'],
    c: [both.ca, 'CT,,'],
    d: [neither.ca, ',T,C'],
  });
  const configuration = await load({ path: folder.path, authority: neither });
  const { material, trust } = configuration;
  assert.deepEqual(material.services['imap']?.clients?.authorities, [clients.ca, both.ca]);
  assert.deepEqual(material.backendTrust.authorities, [servers.ca, both.ca]);
  assert.equal(material.backendCas['stores'], null);
  assert.deepEqual(trust.clients, {
    imap: { required: false, authorities: ['clients', 'both'], crl: false, ocsp: 'off' },
  });
  const shown = summaryText(summarise(configuration, realWorld.now()));
  assert.match(shown, /service imap: .*\n {2}client certificates asked for, of clients, both\n/);
  assert.match(shown, /backend stores: .*verified by the system's CAs and 2 of the certificate database/);
});

test('no CA of the system is trusted for clients, and without any none is asked for', async () => {
  using folder = temporaryFolder();
  const authority = makeAuthority(folder.path);
  const place = { path: folder.path, authority };
  const configuration = await load(place);
  assert.equal(configuration.material.services['imap']?.clients, null);
  assert.doesNotMatch(summaryText(summarise(configuration, 0)), /client certificates/);
});

test('a PEM file names CAs for clients besides the database, each CA once', async () => {
  using folder = temporaryFolder();
  const [authority, other] = [makeAuthority(folder.path), makeAuthority(folder.path, 'Other')];
  keep(folder.path, { a: [authority.ca, 'T,,'] });
  writeFileSync(join(folder.path, 'cas.pem'), `${other.ca}${authority.ca}`);
  const place = { path: folder.path, authority };
  const { material, fingerprints } = await load(place, { clientCa: 'cas.pem' });
  assert.deepEqual(material.services['imap']?.clients?.authorities, [authority.ca, other.ca]);
  assert.ok(fingerprints.has(join(folder.path, 'cas.pem')));
  assert.ok(fingerprints.has(join(folder.path, 'certs/cert.db')));
  assert.match(
    await mistakesOf(load(place, { clientCa: 'none.pem' })),
    /none\.pem: the CA file cannot be read .*\(for services\.imap\)/,
  );
  writeFileSync(join(folder.path, 'cut.pem'), `${other.ca}${authority.ca.slice(0, -40)}`);
  assert.match(
    await mistakesOf(load(place, { clientCa: 'cut.pem' })),
    /cut\.pem: certificate 2 in it is damaged \(for services\.imap\)/,
  );
});

test('a service may ask for none while others do', async () => {
  using folder = temporaryFolder();
  const authority = makeAuthority(folder.path);
  keep(folder.path, { a: [authority.ca, 'T,,'] });
  const service = { protocol: 'imap', listen: ['127.0.0.1:0'], backend: 'stores' };
  const services = {
    asks: { ...service, tls: { mode: 'implicit', clientCertificates: 'require' } },
    quiet: { ...service, tls: { mode: 'implicit', clientCertificates: 'off' } },
  };
  const configuration = await load({ path: folder.path, authority }, {}, { services });
  assert.equal(configuration.material.services['asks']?.clients?.required, true);
  assert.equal(configuration.material.services['quiet']?.clients, null);
  assert.match(
    summaryText(summarise(configuration, 0)),
    /client certificates required, of Sallyport Test CA\n/,
  );
});

test('require needs a CA, and TLS that clients cannot do without', async () => {
  using folder = temporaryFolder();
  const authority = makeAuthority(folder.path);
  const place = { path: folder.path, authority };
  const required = { clientCertificates: 'require' };
  assert.match(await mistakesOf(load(place, required)), /services\.imap\..*: require, and no CA is trusted/);
  const trusted = { ...required, clientCa: authority.caFile };
  const imap = { protocol: 'imap', listen: ['127.0.0.1:0'], backend: 'stores' };
  const maytls = { services: { imap: { ...imap, tls: 'maytls' } } };
  assert.match(await mistakesOf(load(place, trusted, maytls)), /a client can do without TLS/);
  const notls = { services: { imap: { ...imap, tls: 'notls' } } };
  assert.match(
    await mistakesOf(load(place, trusted, notls)),
    /services\.imap\..* a client can do without TLS/,
  );
  const off = { services: { imap: { ...imap, tls: { mode: 'notls', clientCertificates: 'off' } } } };
  await load(place, trusted, off);
  assert.equal((await load(place, trusted)).material.services['imap']?.clients?.required, true);
  const smtp = (keywords: string, tls?: string): Yaml => ({
    services: {
      smtp: {
        protocol: 'smtp',
        listen: ['127.0.0.1:0'],
        channel: 'tcp',
        ...(tls === undefined ? {} : { tls }),
      },
    },
    channels: { tcp: { keywords, relay: 'stores' } },
  });
  assert.match(
    await mistakesOf(load(place, trusted, smtp('smtp maytlsserver'))),
    /channels with musttlsserver/,
  );
  await load(place, trusted, smtp('smtp musttlsserver'));
  await load(place, trusted, smtp('smtp maytlsserver', 'implicit'));
});

test('a backend may be told to believe the CAs of the database alone, where there is one', async () => {
  using folder = temporaryFolder();
  const authority = makeAuthority(folder.path);
  const place = { path: folder.path, authority };
  const backends = { stores: { servers: ['127.0.0.1:143'], tls: { ca: 'database' } } };
  assert.match(
    await mistakesOf(load(place, {}, { backends })),
    /tls\.ca: database, and no CA in it is trusted for servers \(trust C\) \(for backends\.stores\)/,
  );
  keep(folder.path, { a: [authority.ca, 'C,,'] });
  const configuration = await load(place, {}, { backends });
  assert.equal(configuration.material.backendCas['stores'], authority.ca);
  assert.match(
    summaryText(summarise(configuration, 0)),
    /backend stores: .*verified by CAs: 1 of the certificate database/,
  );
});

test('CAs that have expired or soon will are warned of, with what they are trusted for', async () => {
  using folder = temporaryFolder();
  const authority = makeAuthority(folder.path);
  const expired =
    authority.issue({ names: ['old'], days: -2 }).cert.split(/(?<=END CERTIFICATE-----\n)/)[0] ?? '';
  keep(folder.path, { old: [expired, 'T,,'], good: [authority.ca, 'C,,'] });
  const { warnings } = await load({ path: folder.path, authority });
  assert.equal(warnings.length, 1, warnings.join('\n'));
  assert.match(warnings[0] ?? '', /^CA "old", trusted for clients: expired on /);
});

test('CRLs reach services and backends as the same bytes, and are shown by check and status', async () => {
  using folder = temporaryFolder();
  const [authority, other] = [makeAuthority(folder.path), makeAuthority(folder.path, 'Other')];
  keep(folder.path, { a: [authority.ca, 'T,,'] });
  mkdirSync(join(folder.path, 'crls'));
  const file = join(folder.path, 'crls/a.crl');
  writeFileSync(file, authority.crl(['01', '02'], { nextInDays: -1 }));
  writeFileSync(join(folder.path, 'crls/b.crl'), other.crl([]));
  const configuration = await load({ path: folder.path, authority }, { crl: ['crls'] });
  const { material, trust, warnings, fingerprints } = configuration;
  const crls = material.services['imap']?.clients?.crls ?? [];
  assert.equal(crls.length, 2);
  assert.equal(crls[0], material.backendTrust.crls[0]);
  assert.ok(fingerprints.has(join(folder.path, 'crls')) && fingerprints.has(file));
  assert.match(
    warnings.join('\n'),
    /CRL .*a\.crl: is stale, the next one was due at .*\n.*CRL .*b\.crl: no CA that/,
  );
  const shown = summaryText(summarise(configuration, realWorld.now()));
  assert.match(shown, /client certificates asked for, of Sallyport Test CA; revocation by CRL\n/);
  assert.match(shown, /CRL .*a\.crl: of CN=Sallyport Test CA; 2 revoked; until .* \(stale\)\n/);
  const status = createStatus({
    version: '0',
    state: 'running',
    uptimeMs: 0,
    predecessor: null,
    now: realWorld.now(),
    configuration,
    listeners: [],
    workers: [],
    changes: [],
    shared: { store: 'embedded', storeState: 'up', penalised: 0 } as never,
    backends: [],
    acme: [],
  });
  assert.deepEqual(status.crls.map(crlText), shown.match(/^CRL .*$/gm));
  assert.deepEqual(
    trust.crls.map(({ revoked }) => revoked),
    [2, 0],
  );
});

test('a CRL that cannot be read is a mistake, and which service wants it is said', async () => {
  using folder = temporaryFolder();
  const authority = makeAuthority(folder.path);
  const place = { path: folder.path, authority };
  const file = join(folder.path, 'x.crl');
  writeFileSync(file, authority.crl([]).subarray(0, 60));
  assert.match(await mistakesOf(load(place, { crl: 'x.crl' })), /x\.crl: is cut off \(for services\.imap\)/);
  assert.match(await mistakesOf(load(place, { crl: 'y' })), /y: does not exist, a CRL or a folder/);
});
