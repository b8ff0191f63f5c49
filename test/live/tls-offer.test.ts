// What `sallyport check` says that clients are offered, held against what `openssl s_client` gets of a real front, suite
// by suite; and the properties of the default settings that a scanner looks for.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { makeAuthority } from '../support/authority.ts';
import { startFront } from '../support/front.ts';
import { run } from '../support/program.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-offer-'));
const authority = makeAuthority(folder);
const names = ['localhost', 'mail.example.com'];
const rsa = authority.issue({ names, keyType: 'rsa' });
const ec = authority.issue({ names });
const files = ({ certFile, keyFile }: typeof rsa): object => ({ cert: certFile, key: keyFile });

const listen = ['127.0.0.1:0'];
const service = (tls: Record<string, unknown>): Record<string, unknown> => ({
  protocol: 'imap',
  listen,
  tls: { mode: 'implicit', ...tls },
  backend: 'stores',
  capabilities: ['IMAP4rev1'],
});
const settings = {
  hostname: 'mail.example.com',
  workers: 1,
  tls: { certificate: [files(rsa), files(ec)] },
  services: {
    imaps: service({}),
    ecdsa: service({ certificate: files(ec) }),
    modern: service({ ciphers: 'modern' }),
    old: service({ ciphers: 'old' }),
    sun: service({ ciphers: '+rsa_rc4_128_md5,+rsa_3des_sha' }),
    pop3: { protocol: 'pop3', listen, tls: 'musttls', backend: 'stores', capabilities: ['UIDL'] },
    smtp: { protocol: 'smtp', listen, channel: 'tcp_local', capabilities: ['8BITMIME'] },
  },
  channels: { tcp_local: { keywords: 'smtp maytlsserver', relay: 'stores' } },
  backends: { stores: { servers: ['127.0.0.1:1'] } },
  limits: { perAddress: 0 },
};
const front = await startFront({ folder: join(folder, 'front'), settings });
after(async () => {
  await front.stop();
  rmSync(folder, { recursive: true, force: true });
});

const VERSIONS = {
  TLSv1: '-tls1',
  'TLSv1.1': '-tls1_1',
  'TLSv1.2': '-tls1_2',
  'TLSv1.3': '-tls1_3',
} as const;
type Version = keyof typeof VERSIONS;
type Offer = Readonly<Record<string, readonly string[]>>;

interface Got {
  readonly cipher: string | null;
  readonly text: string;
}

async function connect(name: string, args: readonly string[], input = ''): Promise<Got> {
  const starttls = name === 'pop3' || name === 'smtp' ? ['-starttls', name] : [];
  const place = ['-connect', `127.0.0.1:${front.port(name)}`, '-servername', 'localhost'];
  const { text } = await run('openssl', ['s_client', ...place, ...starttls, ...args], { input });
  const cipher = /^(?:Ciphersuite: |New, .*Cipher is )([\w-]+)$/m.exec(text)?.[1] ?? null;
  return { cipher: cipher === 'NONE' ? null : cipher, text };
}

function ask(name: string, version: Version, suites: readonly string[]): Promise<Got> {
  const list = suites.join(':');
  const wanted = version === 'TLSv1.3' ? ['-ciphersuites', list] : ['-cipher', `${list}:@SECLEVEL=0`];
  return connect(name, [VERSIONS[version], ...wanted, '-brief']);
}

async function offers(): Promise<Readonly<Record<string, Offer>>> {
  const main = join(import.meta.dirname, '../../src/main.ts');
  const { code, stdout, text } = await run(process.execPath, [
    main,
    'check',
    '--json',
    '--config',
    front.settingsFile,
  ]);
  assert.equal(code, 0, text);
  const { services } = JSON.parse(stdout.toString()) as {
    services: { name: string; offer: { versions: { version: string; suites: string[] }[] } }[];
  };
  return Object.fromEntries(
    services.map(({ name, offer }) => [
      name,
      Object.fromEntries(offer.versions.map(({ version, suites }) => [version, suites])),
    ]),
  );
}

const offered = await offers();
/** Every suite that this openssl can ask for, but those with shared secrets. */
const known = (await run('openssl', ['ciphers', '-s', '-tls1_2', 'ALL:eNULL:!PSK:!SRP:@SECLEVEL=0'])).stdout
  .toString()
  .trim()
  .split(':')
  .filter((suite) => !suite.startsWith('TLS_'));
const NEWEST = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_CCM_SHA256',
];

for (const [name, versions] of [
  ['imaps', ['TLSv1.2', 'TLSv1.3']],
  ['ecdsa', ['TLSv1.2', 'TLSv1.3']],
  ['modern', ['TLSv1.2', 'TLSv1.3']],
  ['sun', ['TLSv1.2']],
  ['old', ['TLSv1', 'TLSv1.2']],
] as const) {
  for (const version of versions) {
    test(`openssl s_client gets of ${name} under ${version} the suites that check prints, and no other`, async () => {
      const printed = offered[name]?.[version] ?? [];
      for (const suite of printed) assert.equal((await ask(name, version, [suite])).cipher, suite);
      const others = (version === 'TLSv1.3' ? NEWEST : known).filter((suite) => !printed.includes(suite));
      assert.ok(others.length > 0);
      assert.equal((await ask(name, version, others)).cipher, null);
    });
  }
}

test('the order that check prints is the server’s: the first of those that are left wins', async () => {
  const suites = offered['old']?.['TLSv1.2'] ?? [];
  assert.equal(suites.length, 20);
  for (const first of suites.keys()) {
    const rest = suites.slice(first);
    // A client that puts ChaCha20 first gets it.
    const turned = rest
      .toReversed()
      .toSorted((a, b) => Number(a.includes('CHACHA')) - Number(b.includes('CHACHA')));
    assert.equal((await ask('old', 'TLSv1.2', turned)).cipher, suites[first], turned.join(' '));
  }
});

for (const name of ['imaps', 'smtp', 'pop3']) {
  test(`${name}: TLS 1.0 and 1.1 are turned away with an alert, 1.2 is not`, async () => {
    for (const version of ['TLSv1', 'TLSv1.1'] as const) {
      const { cipher, text } = await ask(name, version, ['ALL']);
      assert.equal(cipher, null);
      assert.match(text, /alert protocol version/);
    }
    assert.notEqual((await ask(name, 'TLSv1.2', ['ALL'])).cipher, null);
  });

  test(`${name}: forward secrecy and authenticated encryption only, no compression`, async () => {
    for (const suite of ['kRSA', 'kDHE', 'aNULL:eNULL', 'ALL:!AESGCM:!CHACHA20']) {
      const { cipher, text } = await ask(name, 'TLSv1.2', [suite]);
      assert.equal(cipher, null, `${suite}: ${cipher}`);
      assert.match(text, /handshake failure/);
    }
    assert.match((await connect(name, ['-tls1_2', '-comp'])).text, /^Compression: NONE$/m);
  });

  test(`${name}: a client cannot renegotiate`, async () => {
    const { text } = await connect(name, ['-tls1_2'], 'R\n');
    assert.match(text, /RENEGOTIATING[\s\S]*no renegotiation/);
  });
}
