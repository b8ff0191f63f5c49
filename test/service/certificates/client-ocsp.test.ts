// Responders asked about clients: few questions for many handshakes, answers kept as long as they hold, silence borne.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { createLog } from '../../../src/log.ts';
import { ClientOcsp } from '../../../src/service/certificates/client-ocsp.ts';
import { realWorld } from '../../../src/world.ts';
import { makeAuthority } from '../../support/authority.ts';
import { manualWorld, type ManualWorld } from '../../support/manual-world.ts';
import { ocspAnswer, Responder } from '../../support/ocsp.ts';

interface Scene {
  readonly responder: Responder;
  readonly ocsp: ClientOcsp;
  readonly world: ManualWorld;
  readonly lines: string[];
  readonly leaf: X509Certificate;
  readonly issuer: X509Certificate;
  answer(status: 'good' | 'revoked' | 'unknown', minutes?: number): Buffer;
  ahead(ms: number): void;
  ask(): ReturnType<ClientOcsp['status']>;
}

async function openScene(t: TestContext): Promise<Scene> {
  const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-client-ocsp-'));
  const responder = await Responder.start();
  t.after(async () => {
    rmSync(folder, { recursive: true });
    await responder.close();
  });
  const authority = makeAuthority(folder);
  const issued = authority.issue({ names: ['anna.example'], responder: responder.url });
  let aheadMs = 0;
  const world = manualWorld({ now: () => Date.now() + aheadMs, dial: (target) => realWorld.dial(target) });
  const lines: string[] = [];
  const log = createLog({ level: 'debug', format: 'json', write: (line) => lines.push(line) });
  const ocsp = new ClientOcsp({ world, log });
  const [leaf, issuer] = [new X509Certificate(issued.cert), new X509Certificate(authority.ca)];
  return {
    responder,
    ocsp,
    world,
    lines,
    leaf,
    issuer,
    answer: (status, minutes = 60) => ocspAnswer(authority, issued, { status, minutes }),
    ahead: (ms) => void (aheadMs += ms),
    ask: () => ocsp.status(leaf, issuer),
  };
}

test('many handshakes at once are one question, and the answer is kept until its end', async (t) => {
  const scene = await openScene(t);
  scene.responder.answer = scene.answer('good', 60);
  assert.deepEqual(await Promise.all([scene.ask(), scene.ask(), scene.ask()]), ['good', 'good', 'good']);
  scene.ahead(59 * 60_000);
  assert.equal(await scene.ask(), 'good');
  assert.equal(scene.responder.asked.length, 1);
  scene.ahead(2 * 60_000);
  await scene.ask();
  assert.equal(scene.responder.asked.length, 2);
});

test('silence is believed for a minute, so that not every login waits for it; then it is asked again', async (t) => {
  const scene = await openScene(t);
  scene.responder.answer = (response) => response.writeHead(500).end();
  assert.equal(await scene.ask(), 'unavailable');
  assert.equal(await scene.ask(), 'unavailable');
  assert.equal(scene.responder.asked.length, 1);
  assert.match(scene.lines.join(''), /client-ocsp-failed.*CN=anna\.example.*HTTP status 500/);
  scene.ahead(61_000);
  scene.responder.answer = scene.answer('good');
  assert.equal(await scene.ask(), 'good');
});

test('a responder that never answers is waited for five seconds', async (t) => {
  const scene = await openScene(t);
  scene.responder.answer = () => undefined;
  const answer = scene.ask();
  await scene.responder.question(1);
  scene.world.advance(5000);
  assert.equal(await answer, 'unavailable');
});

test('revoked and unknown are what they are', async (t) => {
  const scene = await openScene(t);
  scene.responder.answer = scene.answer('unknown');
  assert.equal(await scene.ask(), 'unavailable');
  scene.ahead(61_000);
  scene.responder.answer = scene.answer('revoked');
  assert.equal(await scene.ask(), 'revoked');
  assert.equal(await scene.ask(), 'revoked');
  assert.equal(scene.responder.asked.length, 2);
});
