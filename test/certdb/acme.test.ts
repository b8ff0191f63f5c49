// One order with CAs that do not do what they should: each is a failed order with a reason, soon, and nothing is thrown.
// How it goes with one that does is in test/live/acme.test.ts.

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import https from 'node:https';
import type net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { askRenewal, orderCertificate, type AcmeResult, type AcmeTask } from '../../src/certdb/acme.ts';
import { makeAuthority } from '../support/authority.ts';
import { freePort } from '../support/ports.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-acme-ca-'));
const authority = makeAuthority(folder);
const shown = authority.issue({ names: ['127.0.0.1'] });
let answer: (path: string, response: ServerResponse) => void = () => {};
const asked: string[] = [];
const agents: string[] = [];
const server = https.createServer({ cert: shown.cert, key: shown.key }, (request, response) => {
  asked.push(`${request.method} ${request.url}`);
  agents.push(request.headers['user-agent'] ?? '');
  request.resume();
  request.on('end', () => answer(request.url ?? '', response));
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const base = `https://127.0.0.1:${(server.address() as net.AddressInfo).port}`;
after(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

const task: AcmeTask = {
  directory: `${base}/directory`,
  ca: authority.ca,
  accountKey: generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  }).privateKey,
  contact: [],
  agreeTerms: true,
  eab: null,
  challenge: 'http-01',
  names: ['mail.example.com'],
  request: '',
};

const directory = { newNonce: `${base}/nonce`, newAccount: `${base}/account`, newOrder: `${base}/order` };

interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

function say(response: ServerResponse, { status, body, headers = {} }: Answer): void {
  response.writeHead(status, { 'replay-nonce': 'bm9uY2U', 'content-type': 'application/json', ...headers });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

/** A directory and nonces as they should be; the account is refused. */
function refuse(status: number, problem: unknown): typeof answer {
  return (path, response) => {
    if (path === '/directory') return say(response, { status: 200, body: directory });
    if (path === '/nonce') return say(response, { status: 200, body: '' });
    say(response, { status, body: problem, headers: { 'retry-after': '3600' } });
  };
}

async function order(more: Partial<AcmeTask> = {}): Promise<Extract<AcmeResult, { kind: 'failed' }>> {
  asked.length = 0;
  const result = await orderCertificate({ ...task, ...more }, () => assert.fail('nothing is to be answered'));
  assert.ok(result.kind === 'failed', 'it cannot succeed');
  return result;
}

test('a CA that has had enough says for how long, and is not asked a second time', async () => {
  answer = refuse(429, {
    type: 'urn:ietf:params:acme:error:rateLimited',
    detail: 'too many accounts from here',
  });
  assert.deepEqual(await order(), {
    kind: 'failed',
    cause: 'too many accounts from here',
    retryAfterMs: 3_600_000,
  });
  assert.deepEqual(asked, ['GET /directory', 'HEAD /nonce', 'POST /account']);
  assert.match(agents.at(-1) ?? '', /^sallyport /);
});

test('a nonce that is refused is tried with another, not for ever', async () => {
  answer = refuse(400, { type: 'urn:ietf:params:acme:error:badNonce', detail: 'bad nonce' });
  assert.equal((await order()).cause, 'bad nonce');
  assert.equal(asked.filter((line) => line === 'POST /account').length, 6);
});

for (const [what, status, body, words] of [
  ['is out of order', 503, 'down', /error 503/],
  ['moved away', 302, '', /no data/],
  ['speaks HTML', 200, '<html></html>', /newAccount/],
  ['is no ACME CA', 200, {}, /newAccount/],
  ['talks without end', 200, 'x'.repeat(2_000_000), /maxContentLength/],
] as const) {
  test(`a directory that ${what} fails the order with one request`, async () => {
    answer = (_path, response) => say(response, { status, body, headers: { location: `${base}/elsewhere` } });
    assert.match((await order()).cause, words);
    assert.deepEqual(asked, ['GET /directory']);
  });
}

test('a CA that hangs up, one that is not there and one whose certificate nobody trusts are told apart', async () => {
  answer = (_path, response) => response.destroy();
  assert.match((await order()).cause, /socket hang up|ECONNRESET/);
  assert.match((await order({ directory: `https://127.0.0.1:${await freePort()}/` })).cause, /ECONNREFUSED/);
  assert.match((await order({ ca: null })).cause, /certificate/);
});

const question = { directory: task.directory, ca: authority.ca, certificate: 'aki.serial' };
const window = { start: '2030-01-02T04:00:00Z', end: '2030-01-03T04:00:00.5Z' };

/** A directory with this place for renewal information, and this information. */
function inform(renewalInfo: unknown, body: unknown): typeof answer {
  return (path, response) => {
    if (path === '/directory') return say(response, { status: 200, body: { ...directory, renewalInfo } });
    say(response, { status: path === '/renewal/aki.serial' ? 200 : 404, body });
  };
}

test('a CA that knows when to renew is believed', async () => {
  for (const place of [`${base}/renewal`, `${base}/renewal/`]) {
    answer = inform(place, { suggestedWindow: window, explanationURL: 'https://ca.test/' });
    const { start, end } = window;
    assert.deepEqual(await askRenewal(question), {
      kind: 'window',
      start: Date.parse(start),
      end: Date.parse(end),
    });
  }
});

for (const [what, place, body] of [
  ['knows nothing of it', undefined, {}],
  ['has it somewhere without TLS', base.replace('https', 'http'), { suggestedWindow: window }],
  ['has no window', `${base}/renewal`, {}],
  [
    'has a window that ends before it begins',
    `${base}/renewal`,
    { suggestedWindow: { start: window.end, end: window.start } },
  ],
  ['has a window without times', `${base}/renewal`, { suggestedWindow: { start: 'soon', end: 'later' } }],
  ['says something else', `${base}/renewal`, '<html></html>'],
] as const) {
  test(`a CA that ${what} is not asked further when to renew`, async () => {
    answer = inform(place, body);
    assert.deepEqual(await askRenewal(question), { kind: 'none' });
  });
}

test('a CA that is not there says nothing of renewal, and nothing is thrown', async () => {
  const nowhere = `https://127.0.0.1:${await freePort()}/`;
  assert.deepEqual(await askRenewal({ ...question, directory: nowhere }), { kind: 'none' });
});
