// Questions to OCSP responders and the worth of their answers; the answers are made by `openssl ocsp`.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import {
  encodeOcspRequest,
  MAX_RESPONSE_BYTES,
  ocspSubject,
  readOcspResponse,
  type OcspAnswer,
  type OcspSubject,
} from '../../src/certdb/ocsp.ts';
import { makeAuthority, type Issued } from '../support/authority.ts';
import { ocspAnswer, type AnswerOptions } from '../support/ocsp.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-ocsp-'));
after(() => rmSync(folder, { recursive: true }));
const authority = makeAuthority(folder);
const responder = 'http://ocsp.test/a';
const leaf = authority.issue({ names: ['mx.test'], responder });
const other = authority.issue({ names: ['other.test'], responder });
const subject = subjectOf(leaf);
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

function subjectOf(issued: Issued): OcspSubject {
  const found = ocspSubject(issued.cert);
  assert.ok(found !== null && found !== 'no-issuer');
  return found;
}

async function answerTo(options: AnswerOptions = {}, now = Date.now()): Promise<OcspAnswer> {
  return readOcspResponse(ocspAnswer(authority, leaf, options), subject, now);
}

function stapleOf(answer: OcspAnswer): Buffer {
  assert.ok(answer.kind === 'good', JSON.stringify(answer));
  return answer.staple;
}

function causeOf(answer: OcspAnswer): string {
  return answer.kind === 'refused' ? answer.cause : answer.kind;
}

test('a certificate is asked about only where it names an http responder and its issuer is in the chain', () => {
  assert.equal(subject.responder, responder);
  assert.equal(ocspSubject(authority.issue({ names: ['mx.test'] }).cert), null);
  assert.equal(ocspSubject(authority.issue({ names: ['x.test'], responder: 'https://x.test/' }).cert), null);
  assert.equal(ocspSubject(authority.issue({ names: ['x.test'], responder: 'http://[bad/' }).cert), null);
  assert.equal(ocspSubject(leaf.cert.slice(0, leaf.cert.indexOf('-----END') + 25)), 'no-issuer');
  const stranger = makeAuthority(folder, 'Stranger');
  assert.equal(ocspSubject(leaf.cert.replace(authority.ca, stranger.ca)), 'no-issuer');
  assert.equal(ocspSubject(''), null);
});

for (const serial of ['40', '00ff'.repeat(4), 'ff'.repeat(16), '0080']) {
  test(`a question about serial ${serial} is the one that openssl asks, octet for octet`, async () => {
    const issued = authority.issue({ names: ['mx.test'], responder, serial });
    const file = path.join(folder, 'question.der');
    const args = [
      'ocsp',
      '-issuer',
      authority.caFile,
      '-cert',
      issued.certFile,
      '-no_nonce',
      '-reqout',
      file,
    ];
    execFileSync('openssl', args, { stdio: 'ignore' });
    assert.deepEqual(await encodeOcspRequest(subjectOf(issued)), readFileSync(file));
    const bytes = ocspAnswer(authority, issued);
    assert.equal((await readOcspResponse(bytes, subjectOf(issued), Date.now())).kind, 'good');
  });
}

test('a good answer of the issuer is taken, with its life', async () => {
  for (const named of [{}, { named: 'by-key' }] as const) {
    const answer = await answerTo({ minutes: 60, ...named });
    assert.ok(answer.kind === 'good', JSON.stringify(answer));
    assert.equal(answer.nextUpdate - answer.thisUpdate, 60 * MINUTE_MS);
  }
});

test('an answer without nextUpdate is good for an hour', async () => {
  const now = Date.now();
  const answer = await answerTo({ minutes: null }, now);
  assert.ok(answer.kind === 'good');
  assert.ok(Math.abs(answer.nextUpdate - now - 60 * MINUTE_MS) < 5000);
});

test('a responder signs for the issuer if the issuer certified it for that, and only then', async () => {
  const names = ['responder.test'];
  for (const keyType of ['ec', 'rsa'] as const) {
    const signer = authority.issue({ names, purpose: 'ocsp', keyType });
    assert.equal(causeOf(await answerTo({ signer })), 'good', keyType);
    assert.equal(causeOf(await answerTo({ signer, named: 'by-key' })), 'good', keyType);
  }
  const server = authority.issue({ names });
  assert.equal(causeOf(await answerTo({ signer: server })), 'bad-signature', 'no id-kp-OCSPSigning');
  const expired = authority.issue({ names, purpose: 'ocsp', days: -1 });
  assert.equal(causeOf(await answerTo({ signer: expired })), 'bad-signature', 'expired');
  const early = authority.issue({ names, purpose: 'ocsp', startsInDays: 2 });
  assert.equal(causeOf(await answerTo({ signer: early })), 'bad-signature', 'not yet valid');
  const weak = authority.issue({ names, purpose: 'ocsp', hash: 'sha1' });
  assert.equal(causeOf(await answerTo({ signer: weak })), 'bad-signature', 'certified by SHA-1');
  const self = authority.issue({ names, purpose: 'ocsp', signer: 'self' });
  assert.equal(causeOf(await answerTo({ signer: self })), 'bad-signature', 'signed by itself');
  const stranger = makeAuthority(folder, 'Another CA').issue({ names, purpose: 'ocsp' });
  assert.equal(causeOf(await answerTo({ signer: stranger })), 'bad-signature', 'of another CA');
  const namesake = makeAuthority(mkdtempSync(path.join(folder, 'namesake-'))).issue({
    names,
    purpose: 'ocsp',
  });
  assert.equal(causeOf(await answerTo({ signer: namesake })), 'bad-signature', 'of a CA of the same name');
});

test('an answer about another certificate of the same issuer is refused', async () => {
  assert.equal(causeOf(await answerTo({ about: other })), 'other-certificate');
  const bytes = ocspAnswer(authority, other);
  assert.equal((await readOcspResponse(bytes, subjectOf(other), Date.now())).kind, 'good');
});

test('an answer is taken from thisUpdate, five minutes early at most, until nextUpdate', async () => {
  const bytes = ocspAnswer(authority, leaf, { minutes: 60 });
  const good = await readOcspResponse(bytes, subject, Date.now());
  assert.ok(good.kind === 'good');
  const at = async (now: number): Promise<string> => causeOf(await readOcspResponse(bytes, subject, now));
  assert.equal(await at(good.nextUpdate - 1), 'good');
  assert.equal(await at(good.nextUpdate), 'not-current');
  assert.equal(await at(good.nextUpdate + DAY_MS), 'not-current');
  assert.equal(await at(good.thisUpdate - 5 * MINUTE_MS), 'good');
  assert.equal(await at(good.thisUpdate - 5 * MINUTE_MS - 1), 'not-current');
});

test('revoked and unknown are not good', async () => {
  assert.deepEqual(await answerTo({ status: 'revoked' }), {
    kind: 'revoked',
    at: Date.UTC(2020, 0, 2, 3, 4, 5),
  });
  assert.equal(causeOf(await answerTo({ status: 'unknown' })), 'unknown');
});

test('a refusal of the responder is told by its name', async () => {
  const tryLater = Buffer.from('30030a0103', 'hex');
  const answer = await readOcspResponse(tryLater, subject, Date.now());
  assert.deepEqual(answer, {
    kind: 'refused',
    cause: 'not-successful',
    detail: 'the responder says tryLater',
  });
  assert.equal(causeOf(await readOcspResponse(Buffer.from('30030a0100', 'hex'), subject, 0)), 'malformed');
});

test('whatever the bytes are, the answer is a refusal, and soon', async () => {
  const hostile = [
    Buffer.alloc(0),
    Buffer.from('HTTP/1.1 200 OK'),
    Buffer.alloc(MAX_RESPONSE_BYTES, '3080', 'hex'),
    Buffer.alloc(MAX_RESPONSE_BYTES, '2480', 'hex'),
    Buffer.concat([Buffer.from('3082fffc', 'hex'), Buffer.alloc(65_532, '0500', 'hex')]),
    Buffer.alloc(MAX_RESPONSE_BYTES + 1, 0x30),
    Buffer.from('308900ffffffffffffffff', 'hex'),
  ];
  for (const bytes of hostile) {
    const start = performance.now();
    assert.equal(causeOf(await readOcspResponse(bytes, subject, Date.now())), 'malformed');
    assert.ok(performance.now() - start < 2000, bytes.subarray(0, 8).toString('hex'));
  }
});

test('an answer with a changed octet is refused, or what is stapled is as it was', async () => {
  const bytes = ocspAnswer(authority, leaf);
  const now = Date.now();
  await fc.assert(
    fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (place, change) => {
      const broken = Buffer.from(bytes);
      broken[place] = (broken[place] ?? 0) ^ change;
      const answer = await readOcspResponse(broken, subject, now);
      if (answer.kind !== 'refused') assert.deepEqual(stapleOf(answer), bytes, `octet ${place}`);
    }),
    { numRuns: 500 },
  );
});

test('what is stapled is the answer itself, with the certificate of its signer and no other', async () => {
  const names = ['responder.test'];
  for (const keyType of ['ec', 'rsa'] as const) {
    const signer = authority.issue({ names, purpose: 'ocsp', keyType });
    const alone = { ...signer, certFile: path.join(folder, 'alone.pem') };
    writeFileSync(alone.certFile, signer.cert.replace(authority.ca, ''));
    const bytes = ocspAnswer(authority, leaf, { signer: alone });
    assert.deepEqual(stapleOf(await readOcspResponse(bytes, subject, Date.now())), bytes, keyType);
  }
});

test('an answer that is cut off anywhere is malformed or worth nothing', async () => {
  const bytes = ocspAnswer(authority, leaf);
  for (let length = 0; length < bytes.length; length += 7) {
    const answer = await readOcspResponse(bytes.subarray(0, length), subject, Date.now());
    assert.equal(answer.kind, 'refused', `${length} octets`);
  }
});
