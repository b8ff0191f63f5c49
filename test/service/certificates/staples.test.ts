// What is kept of the responders' answers, for how long, when they are asked again, and what the log says.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { X509Certificate } from 'node:crypto';
import { after, test, type TestContext } from 'node:test';
import { createLog } from '../../../src/log.ts';
import { refreshWait, StapleKeeper } from '../../../src/service/certificates/staples.ts';
import { stapleKey } from '../../../src/tls/stapling.ts';
import { makeAuthority, type Issued } from '../../support/authority.ts';
import type { Timer } from '../../../src/world.ts';
import { manualWorld, type ManualWorld } from '../../support/manual-world.ts';
import { ocspAnswer, Responder } from '../../support/ocsp.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-staples-'));
after(() => rmSync(folder, { recursive: true }));
const authority = makeAuthority(folder);
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const REQUEST_LIMIT_MS = 10_000;

type Line = Readonly<Record<string, unknown>>;

class Desk {
  readonly world: ManualWorld;
  readonly lines: Line[] = [];
  readonly keeper: StapleKeeper;
  readonly responder: Responder;
  readonly leaf: Issued;
  readonly #inner: ManualWorld;
  #waits = 0;
  readonly #after = (ms: number, fire: () => void): Timer => {
    if (ms !== REQUEST_LIMIT_MS) this.#waits++;
    return this.#inner.after(ms, fire);
  };

  constructor(responder: Responder) {
    // No jitter, and the time of the answers that openssl makes.
    const world = manualWorld({ random: (bytes) => Buffer.alloc(bytes) }, Date.now());
    this.world = Object.create(world, { after: { value: this.#after } }) as ManualWorld;
    this.#inner = world;
    this.responder = responder;
    this.leaf = this.issue();
    const write = (line: string): void => void this.lines.push(JSON.parse(line) as Line);
    const log = createLog({ level: 'debug', format: 'json', write });
    this.keeper = new StapleKeeper({ world: this.world, log });
  }

  issue(): Issued {
    return authority.issue({ names: ['mx.test'], responder: this.responder.url });
  }

  staple(issued = this.leaf): Buffer | null {
    return this.keeper.response(stapleKey(new X509Certificate(issued.cert).raw));
  }

  /** What the log said, in short. */
  get told(): string[] {
    return this.lines.map(({ event, cause }) => [event, cause].filter(Boolean).join(' '));
  }

  /** Until the `count`th answer is dealt with, and the next question waits for its time. */
  async answered(count: number): Promise<void> {
    await turnsUntil(() => this.#waits >= count);
  }
}

async function turnsUntil(done: () => boolean): Promise<void> {
  const end = performance.now() + 5000;
  while (!done()) {
    assert.ok(performance.now() < end, 'it did not happen');
    await new Promise(setImmediate);
  }
}

async function openDesk(t: TestContext): Promise<Desk> {
  const responder = await Responder.start();
  const desk = new Desk(responder);
  t.after(async () => {
    desk.keeper.close();
    await turnsUntil(() => desk.world.pending === 0);
    await responder.close();
  });
  return desk;
}

test('a good answer is kept until its nextUpdate, and asked for anew at half of its life', async (t) => {
  const desk = await openDesk(t);
  const first = ocspAnswer(authority, desk.leaf, { minutes: 120 });
  desk.responder.answer = first;
  desk.keeper.update([desk.leaf.cert]);
  assert.equal(desk.keeper.hasAny, false);
  await desk.answered(1);
  assert.deepEqual(desk.staple(), first);
  assert.equal(desk.keeper.hasAny, true);
  desk.world.advance(59 * MINUTE_MS);
  assert.equal(desk.responder.asked.length, 1);
  desk.responder.answer = ocspAnswer(authority, desk.leaf, { minutes: 180 });
  desk.world.advance(1 * MINUTE_MS);
  await desk.answered(2);
  assert.deepEqual(desk.staple(), desk.responder.answer);
  assert.deepEqual(desk.told, ['ocsp-stapled'], 'a refresh is no change');
});

test('while the responder fails, the staple stays until it expires; retries back off and take turns', async (t) => {
  const desk = await openDesk(t);
  desk.responder.answer = ocspAnswer(authority, desk.leaf, { minutes: 120 });
  desk.keeper.update([desk.leaf.cert]);
  await desk.answered(1);
  desk.responder.answer = Buffer.from('garbage');
  desk.world.advance(60 * MINUTE_MS);
  await desk.answered(2);
  assert.notEqual(desk.staple(), null);
  for (const [index, minutes] of [1, 2, 4, 8, 16, 32].entries()) {
    desk.world.advance(minutes * MINUTE_MS - 1);
    assert.equal(desk.responder.asked.length, 2 + index, `not before ${minutes} minutes`);
    desk.world.advance(1);
    await desk.answered(3 + index);
  }
  assert.equal(desk.staple(), null, 'expired');
  const methods = desk.responder.asked.map(({ method }) => method);
  assert.deepEqual(methods, ['GET', 'GET', 'POST', 'GET', 'POST', 'GET', 'POST', 'GET']);
  desk.world.advance(HOUR_MS);
  await desk.answered(9);
  assert.deepEqual(desk.told, ['ocsp-stapled', 'ocsp-failed malformed', 'ocsp-failed malformed']);
  assert.deepEqual(
    desk.lines.slice(1).map(({ stapledUntil }) => typeof stapledUntil),
    ['string', 'object'],
    'once while it is still stapled, once when it is not',
  );
});

test('a responder that comes back is told once', async (t) => {
  const desk = await openDesk(t);
  desk.responder.answer = (response) => response.writeHead(503).end();
  desk.keeper.update([desk.leaf.cert]);
  await desk.answered(1);
  desk.world.advance(MINUTE_MS);
  await desk.answered(2);
  desk.responder.answer = ocspAnswer(authority, desk.leaf);
  desk.world.advance(2 * MINUTE_MS);
  await desk.answered(3);
  assert.deepEqual(desk.told, ['ocsp-failed unreachable', 'ocsp-stapled']);
  assert.equal(desk.lines[0]?.['detail'], 'HTTP status 503');
  assert.equal(desk.lines[0]['responder'], desk.responder.url);
  assert.equal(desk.lines[0]['serial'], desk.leaf.serial.toUpperCase());
});

test('a revoked certificate gets no staple any more, and an error in the log', async (t) => {
  const desk = await openDesk(t);
  desk.responder.answer = ocspAnswer(authority, desk.leaf, { minutes: 120 });
  desk.keeper.update([desk.leaf.cert]);
  await desk.answered(1);
  desk.responder.answer = ocspAnswer(authority, desk.leaf, { status: 'revoked' });
  desk.world.advance(60 * MINUTE_MS);
  await desk.answered(2);
  assert.equal(desk.staple(), null);
  assert.equal(desk.keeper.hasAny, false);
  assert.deepEqual(desk.told, ['ocsp-stapled', 'ocsp-revoked']);
  assert.equal(desk.lines[1]?.['level'], 'error');
  assert.equal(desk.lines[1]['revokedAt'], '2020-01-02T03:04:05.000Z');
});

for (const [what, cause] of [
  ['unknown', 'unknown'],
  ['of another certificate', 'other-certificate'],
  ['signed by a stranger', 'bad-signature'],
] as const) {
  test(`an answer that is ${what} is not kept`, async (t) => {
    const desk = await openDesk(t);
    const stranger = makeAuthority(mkdtempSync(path.join(folder, 'stranger-')));
    desk.responder.answer =
      cause === 'unknown'
        ? ocspAnswer(authority, desk.leaf, { status: 'unknown' })
        : cause === 'other-certificate'
          ? ocspAnswer(authority, desk.issue())
          : ocspAnswer(authority, desk.leaf, { signer: stranger.issue({ names: ['x'], purpose: 'ocsp' }) });
    desk.keeper.update([desk.leaf.cert]);
    await desk.answered(1);
    assert.equal(desk.staple(), null);
    assert.deepEqual(desk.told, [`ocsp-failed ${cause}`]);
  });
}

test('over a reload a certificate that stays keeps its staple, one that goes is not asked about any more', async (t) => {
  const desk = await openDesk(t);
  desk.responder.answer = ocspAnswer(authority, desk.leaf);
  desk.keeper.update([desk.leaf.cert]);
  await desk.answered(1);
  desk.keeper.update([desk.leaf.cert, authority.issue({ names: ['plain.test'] }).cert]);
  assert.notEqual(desk.staple(), null);
  assert.equal(desk.world.pending, 1);
  // Another order of the chain is still the same certificate.
  desk.keeper.update([desk.leaf.cert + authority.ca]);
  assert.notEqual(desk.staple(), null);
  assert.equal(desk.responder.asked.length, 1);
  const next = desk.issue();
  desk.responder.answer = ocspAnswer(authority, next);
  desk.keeper.update([next.cert]);
  assert.equal(desk.staple(), null);
  await desk.answered(2);
  assert.deepEqual(desk.staple(next), desk.responder.answer);
});

test('a certificate that goes while it is asked about leaves nothing behind', async (t) => {
  const desk = await openDesk(t);
  desk.responder.answer = () => {};
  desk.keeper.update([desk.leaf.cert]);
  await desk.responder.question(1);
  assert.equal(desk.world.pending, 1);
  desk.keeper.update([]);
  await turnsUntil(() => desk.world.pending === 0);
  assert.deepEqual(desk.told, []);
});

test('of many certificates only four are asked about at once, and all in the end', async (t) => {
  const desk = await openDesk(t);
  const many = Array.from({ length: 12 }, () => desk.issue());
  let open = 0;
  let most = 0;
  desk.responder.answer = (response) => {
    most = Math.max(most, ++open);
    setImmediate(() => {
      open--;
      response.writeHead(500).end();
    });
  };
  desk.keeper.update(many.map(({ cert }) => cert));
  await desk.responder.question(12);
  assert.equal(desk.responder.asked.length, 12);
  assert.ok(most <= 4, `${most} at once`);
});

test('a certificate without a responder is not asked about, one without its issuer neither, with a warning', async (t) => {
  const desk = await openDesk(t);
  const plain = authority.issue({ names: ['plain.test'] }).cert;
  const alone = desk.leaf.cert.replace(authority.ca, '');
  for (let reload = 0; reload < 3; reload++) desk.keeper.update([plain, alone]);
  assert.equal(desk.keeper.isWatched(plain), false);
  assert.equal(desk.keeper.isWatched(alone), false);
  assert.equal(desk.world.pending, 0);
  assert.deepEqual(desk.told, ['ocsp-failed no-issuer']);
});

test('the wait is half of the life, half of the rest where that is over, and never too short or too long', () => {
  const life = { thisUpdate: 0, nextUpdate: 10 * HOUR_MS };
  assert.equal(refreshWait(life, 0, 0), 5 * HOUR_MS);
  assert.equal(refreshWait(life, HOUR_MS, 0), 4 * HOUR_MS);
  assert.equal(refreshWait(life, 0, 1), 5.5 * HOUR_MS);
  assert.equal(refreshWait(life, 8 * HOUR_MS, 0), HOUR_MS);
  assert.equal(refreshWait(life, 10 * HOUR_MS - 1, 0), 30_000);
  assert.equal(refreshWait({ thisUpdate: 0, nextUpdate: 9e15 }, 0, 1), 7 * 24 * HOUR_MS);
});
