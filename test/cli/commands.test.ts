import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { statusText } from '../../src/cli/status.ts';
import { counted } from '../../src/cli/usage.ts';
import { temporaryFolder } from '../service/stub-supervisor.ts';
import { run } from '../support/program.ts';
import type { Run } from '../support/program.ts';

const main = join(import.meta.dirname, '../../src/main.ts');

function sallyport(args: readonly string[], cwd?: string): Promise<Run> {
  return run(process.execPath, [main, ...args], cwd === undefined ? {} : { cwd });
}

const good = `
hostname: mx.test
dataDir: ./data
services:
  imap: { protocol: imap, listen: ["127.0.0.1:0"], tls: musttls, backend: stores }
backends:
  stores: { servers: ["127.0.0.1:1"] }
`;

test('help goes to standard output with 0, and lists every command that there is', async () => {
  const { code, stdout, stderr } = await sallyport(['--help']);
  assert.deepEqual([code, stderr.length], [0, 0]);
  for (const name of ['serve', 'check', 'reload', 'drain', 'status', 'sessions', 'kick', 'cert']) {
    assert.match(stdout.toString(), new RegExp(`^  ${name} `, 'm'));
    const page = await sallyport([name, '--help']);
    assert.equal(page.code, 0);
    assert.match(page.stdout.toString(), new RegExp(`^usage: sallyport ${name} `, 'i'));
  }
  assert.doesNotMatch(stdout.toString(), /^  (worker|successor) /m);
});

test('the version is that of the package', async () => {
  const { code, stdout } = await sallyport(['--version']);
  assert.equal(code, 0);
  assert.match(stdout.toString(), /^sallyport \d+\.\d+\.\d+\n$/);
});

test('wrong usage is 64, and a command that was nearly right is named', async () => {
  for (const args of [
    [],
    ['chek'],
    ['check', '--nonsense'],
    ['check', 'extra'],
    ['serve', '--config'],
    ['worker', '1'],
  ]) {
    const { code, stdout, text } = await sallyport(args);
    assert.equal(code, 64, `${args.join(' ')}: ${text}`);
    assert.equal(stdout.length, 0);
  }
  assert.match((await sallyport(['relod'])).text, /no command "relod", did you mean reload\?/);
  assert.doesNotMatch((await sallyport(['frobnicate'])).text, /did you mean/);
});

test('one thing is counted as one, and the last changes are told with their mistakes', () => {
  assert.deepEqual(
    [0, 1, 2].map((count) => counted(count, 'address', 'addresses')),
    ['0 addresses', '1 address', '2 addresses'],
  );
  const at = '2030-01-01T00:00:00.000Z';
  const text = statusText({
    version: '1.0.0',
    pid: 7,
    state: 'running',
    predecessor: null,
    uptimeSeconds: 90_061,
    file: null,
    workers: [{ index: 1, pid: 8, state: 'ready', restarts: 1, open: 1 }],
    services: [],
    certificates: [],
    crls: [
      { source: 'a.crl', issuer: 'CN=x', thisUpdate: at, nextUpdate: at, stale: true, revoked: 3 },
      { source: 'b.crl', issuer: null, thisUpdate: at, nextUpdate: null, stale: false, revoked: 0 },
    ],
    backends: [],
    acme: [],
    changes: [
      { what: 'certificates', at, ok: true, mistakes: [] },
      { what: 'reload', at, ok: false, mistakes: ['x.yaml:1: a: wrong', 'x.yaml:2: b: wrong'] },
    ],
    channels: { tcp_auth: { saslswitchchannel: 1, 'switchchannel 192.0.2.0/24': 3 } },
    totals: {},
    refused: { ADDRESS_LIMIT: 3, ACCESS_DENIED: 1 },
    shared: { store: 'redis://r:6379/0', storeState: 'down', penalised: 1 },
  });
  assert.deepEqual(text.trim().split('\n').slice(1), [
    'worker 1: ready, pid 8, 1 connection, 1 restart',
    'CRL a.crl: of CN=x; 3 revoked; until 2030-01-01 00:00 (stale)',
    'CRL b.crl: of an unknown CA; 0 revoked; no next one announced',
    `last change of certificate files: done, ${at}`,
    `last reload: REFUSED, the old settings go on, ${at}`,
    '  x.yaml:1: a: wrong',
    '  x.yaml:2: b: wrong',
    'state: redis://r:6379/0 (NOT REACHED, this machine counts alone); 1 address penalised',
    'refused: ADDRESS_LIMIT 3, ACCESS_DENIED 1',
    'channel tcp_auth: saslswitchchannel 1 time, switchchannel 192.0.2.0/24 3 times',
  ]);
});

test('check says what would be served, and makes nothing', async () => {
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, 'sallyport.yaml'), good);
  const { code, stdout } = await sallyport(['check'], folder.path);
  assert.equal(code, 0);
  assert.match(stdout.toString(), /^service imap: imap on 127\.0\.0\.1:0; musttls; to stores$/m);
  assert.match(stdout.toString(), /^warning: .*Server-Cert will be made/m);
  assert.equal(existsSync(join(folder.path, 'certs')), false);
  assert.equal(existsSync(join(folder.path, 'data')), false);
  const json = JSON.parse((await sallyport(['check', '--json'], folder.path)).stdout.toString());
  assert.equal(json.ok, true);
  assert.equal(json.services[0].backend, 'stores');
});

test('check shows where the connections of an SMTP service can be switched to, and what has no effect', async () => {
  using folder = temporaryFolder();
  const settings = `
hostname: mx.test
services:
  smtp: { protocol: smtp, listen: ["127.0.0.1:0"], channel: tcp_local }
channels:
  tcp_local: { keywords: switchchannel maytlsserver tlsswitchchannel tcp_tls, relay: mta }
  tcp_tls: { keywords: maysaslserver saslswitchchannel tcp_auth, relay: mta }
  tcp_auth: { keywords: mustsaslserver noswitchchannel musttlsclient, relay: mta }
  tcp_intranet: { keywords: switchchannel, match: [192.0.2.0/24, .example.com], relay: mta }
backends:
  mta: { servers: ["127.0.0.1:1"] }
`;
  writeFileSync(join(folder.path, 'sallyport.yaml'), settings);
  const { code, stdout } = await sallyport(['check'], folder.path);
  assert.equal(code, 0);
  const text = stdout.toString();
  const ways = [
    'service smtp: smtp on 127.0.0.1:0; maytls, nosasl by channel tcp_local; to mta',
    '  tcp_local → tcp_intranet (switchchannel 192.0.2.0/24)',
    '  tcp_local → tcp_intranet (switchchannel .example.com)',
    '  tcp_local → tcp_tls (tlsswitchchannel)',
    '  tcp_tls → tcp_auth (saslswitchchannel)',
  ];
  assert.ok(text.includes(`${ways.join('\n')}\n`), text);
  assert.match(text, /^channel tcp_auth: .*; without effect here: musttlsclient$/m);
  assert.match(text, /^warning: channels\.tcp_intranet: switchchannel has no effect/m);
});

test('check names five mistakes with their five lines and ends with 78', async () => {
  using folder = temporaryFolder();
  const wrong = [
    'hostname: "not a name"',
    'workers: many',
    'services:',
    '  imap:',
    '    protocol: imap',
    '    listen: ["127.0.0.1:0"]',
    '    backend: stoers',
    '    tls: sometimes',
    'backends:',
    '  stores: { servers: ["127.0.0.1:1"] }',
    'nonsense: 1',
  ];
  writeFileSync(join(folder.path, 'sallyport.yaml'), wrong.join('\n'));
  const { code, stdout, stderr } = await sallyport(['check'], folder.path);
  assert.deepEqual([code, stdout.length], [78, 0]);
  const lines = stderr.toString().trim().split('\n');
  assert.equal(lines.length, 5, stderr.toString());
  for (const [at, line] of [1, 2, 7, 8, 11].entries())
    assert.match(lines[at] ?? '', new RegExp(`yaml:${line}: `));
  const json = await sallyport(['check', '--json'], folder.path);
  assert.equal(json.code, 78);
  assert.equal(JSON.parse(json.stdout.toString()).mistakes.length, 5);
});

test('check --probe fails with 1 where a backend does not answer', async () => {
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, 'sallyport.yaml'), good);
  const { code, stdout } = await sallyport(['check', '--probe'], folder.path);
  assert.equal(code, 1);
  assert.match(stdout.toString(), /^probe stores 127\.0\.0\.1:1 \(imap\): FAILED, BACKEND_UNREACHABLE/m);
});

test('serve without settings, and with wrong ones, ends with 78', async () => {
  using folder = temporaryFolder();
  const missing = await sallyport(['serve', '--config', 'nothing.yaml'], folder.path);
  assert.equal(missing.code, 78);
  assert.match(missing.text, /nothing\.yaml: there is no such file/);
  writeFileSync(join(folder.path, 'sallyport.yaml'), 'workers: many\n');
  const wrong = await sallyport(['serve'], folder.path);
  assert.equal(wrong.code, 78);
  assert.match(wrong.text, /sallyport\.yaml:1: workers: /);
});

test('serve that cannot bind ends with 1 and says why', async () => {
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, 'sallyport.yaml'), good.replace('127.0.0.1:0', '192.0.2.1:1430'));
  const { code, text } = await sallyport(['serve'], folder.path);
  assert.equal(code, 1);
  assert.match(text, /service imap: cannot listen on 192\.0\.2\.1:1430: EADDRNOTAVAIL/);
});

test('status, reload and drain without a supervisor end with 1 and name the socket', async () => {
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, 'sallyport.yaml'), good);
  for (const command of ['status', 'reload', 'drain']) {
    const { code, text } = await sallyport([command], folder.path);
    assert.equal(code, 1, text);
    assert.match(
      text,
      /no supervisor runs on .*data\/sallyport\.sock \(was dataDir changed since the start\?\)/,
    );
  }
});
