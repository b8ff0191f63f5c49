// What OCSP responders say of certificates that clients show. Asked only about one that a trusted CA has certified, at
// the responder that this CA wrote into it; its answer is verified (certdb/ocsp.ts), kept until its nextUpdate, a day at
// most, and shared by all connections of this worker. Many handshakes at once are one question.
// Promises an answer within ANSWER_LIMIT_MS: `unavailable` where nobody could say, which is believed for a minute, so
// that a responder that is down does not hold up each login. Bounded: questions under way, answers that are kept.
// One log line when a responder stops answering for a certificate; never more than one a minute for each. Never rejects.

import type { X509Certificate } from 'node:crypto';

import { nameFromLines } from '../../certdb/name-lines.ts';
import { encodeOcspRequest, ocspResponder, readOcspResponse } from '../../certdb/ocsp.ts';
import { explain, type Log } from '../../log.ts';
import type { World } from '../../world.ts';
import { askResponder } from './responder.ts';

/** `none`: the certificate names no responder. */
export type OcspWord = 'good' | 'revoked' | 'unavailable' | 'none';

export interface ClientOcspOptions {
  readonly world: World;
  readonly log: Log;
}

interface Kept {
  readonly word: OcspWord;
  readonly until: number;
}

const ANSWER_LIMIT_MS = 5000;
const QUESTIONS_MAX = 32;
const KEPT_MAX = 4096;
const UNAVAILABLE_MS = 60_000;
const REVOKED_MS = 3_600_000;
const GOOD_MAX_MS = 86_400_000;

export class ClientOcsp {
  readonly #world: World;
  readonly #log: Log;
  readonly #kept = new Map<string, Kept>();
  readonly #asked = new Map<string, Promise<OcspWord>>();

  constructor({ world, log }: ClientOcspOptions) {
    this.#world = world;
    this.#log = log;
  }

  async status(certificate: X509Certificate, issuer: X509Certificate): Promise<OcspWord> {
    const responder = ocspResponder(certificate);
    if (responder === null) return 'none';
    const key = `${certificate.fingerprint256} ${issuer.fingerprint256}`;
    const kept = this.#kept.get(key);
    if (kept !== undefined && kept.until > this.#world.now()) return kept.word;
    const known = this.#asked.get(key);
    if (known !== undefined) return known;
    if (this.#asked.size >= QUESTIONS_MAX) return 'unavailable';
    const asked = this.#ask({ certificate, issuer, responder }).then((answer) => {
      this.#asked.delete(key);
      this.#keep(key, answer);
      return answer.word;
    });
    this.#asked.set(key, asked);
    return asked;
  }

  #keep(key: string, kept: Kept): void {
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    if (this.#kept.size <= KEPT_MAX) return;
    const [oldest] = this.#kept.keys();
    if (oldest !== undefined) this.#kept.delete(oldest);
  }

  async #ask(subject: {
    readonly certificate: X509Certificate;
    readonly issuer: X509Certificate;
    readonly responder: string;
  }): Promise<Kept> {
    const world = this.#world;
    const failed = (cause: string, detail: string): Kept => {
      const { subject: name, serialNumber: serial } = subject.certificate;
      const certificate = nameFromLines(name);
      this.#log.warn('client-ocsp-failed', {
        certificate,
        serial,
        responder: subject.responder,
        cause,
        detail,
      });
      return { word: 'unavailable', until: world.now() + UNAVAILABLE_MS };
    };
    const stop = new AbortController();
    const timer = world.after(ANSWER_LIMIT_MS, () => stop.abort());
    try {
      const request = await encodeOcspRequest(subject);
      const answer = await askResponder(
        { url: subject.responder, request, prefer: 'GET', signal: stop.signal },
        world,
      );
      if (answer.kind === 'none') return failed('unreachable', answer.detail);
      const now = world.now();
      const status = await readOcspResponse(answer.bytes, subject, now);
      if (status.kind === 'refused') return failed(status.cause, status.detail);
      if (status.kind === 'revoked') return { word: 'revoked', until: now + REVOKED_MS };
      return { word: 'good', until: Math.min(status.nextUpdate, now + GOOD_MAX_MS) };
    } catch (error) {
      return failed('defect', explain(error));
    } finally {
      timer.cancel();
    }
  }
}
