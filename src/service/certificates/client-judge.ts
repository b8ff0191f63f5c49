// What a service makes of the certificates of its clients, once the handshake is done: what OpenSSL and the CRLs say,
// then a responder where one is to be asked, then whether the client may stay. Made once per gate.

import type tls from 'node:tls';

import type { Secured, Upgrader } from '../../connection/upgrader.ts';
import { GateError } from '../../errors.ts';
import { ClientCertificates, withFault } from '../../tls/client-certificate.ts';
import type {
  ClientCertificate,
  ClientTrust,
  JudgedCertificate,
  StrengthJudge,
} from '../../tls/client-certificate.ts';
import { buildServerContexts, strengthJudge } from '../../tls/context.ts';
import type { ServerTlsMaterial } from '../../tls/context.ts';
import { serverFacts } from '../../tls/facts.ts';
import { acceptTls } from '../../tls/server.ts';
import type { AcceptTlsOptions } from '../../tls/server.ts';
import type { TicketOptions } from '../../tls/context.ts';
import type { ClientOcsp } from './client-ocsp.ts';

export interface ServiceTls {
  readonly material: ServerTlsMaterial;
  readonly tickets: TicketOptions;
  readonly accept: AcceptTlsOptions;
  readonly ocsp: ClientOcsp;
  /** The key of our certificate is in a token that did not sign. */
  readonly onTokenFailed?: (() => void) | undefined;
}

/** The way to TLS for the clients of one service. */
export function clientUpgrader({ material, tickets, accept, ocsp, onTokenFailed }: ServiceTls): Upgrader {
  const contexts = buildServerContexts(material, tickets);
  const trust = material.clients ?? null;
  const judge = trust === null ? null : new ClientJudge({ trust, ocsp, strength: strengthJudge(material) });
  return {
    requiresCertificate: trust?.required === true,
    asksForCertificate: trust !== null,
    async upgrade(raw) {
      const socket = await acceptTls(raw, contexts, accept).catch((error: unknown) => {
        if (error instanceof GateError && error.code === 'TOKEN_FAILED') onTokenFailed?.();
        throw error;
      });
      const facts = serverFacts(socket);
      if (judge === null) return { socket, facts };
      return { socket, facts, ...(await judge.judge(socket, accept.world.now())) };
    },
  };
}

type Verdict = Pick<Secured, 'clientCertificate' | 'refusal'>;

const NOTHING_SHOWN: Verdict = {};

interface JudgeOptions {
  readonly trust: ClientTrust;
  readonly ocsp: ClientOcsp;
  readonly strength: StrengthJudge;
}

class ClientJudge {
  readonly #trust: ClientTrust;
  readonly #certificates: ClientCertificates;
  readonly #ocsp: ClientOcsp;

  constructor({ trust, ocsp, strength }: JudgeOptions) {
    this.#trust = trust;
    this.#certificates = new ClientCertificates(trust, strength);
    this.#ocsp = ocsp;
  }

  async judge(socket: tls.TLSSocket, now: number): Promise<Verdict> {
    const { required, ocsp } = this.#trust;
    const judged = this.#certificates.judge(socket, now);
    if (judged === null) {
      return required ? { refusal: new GateError('CLIENT_CERTIFICATE', { found: 'none' }) } : NOTHING_SHOWN;
    }
    const clientCertificate =
      judged.facts.verified && ocsp !== 'off' ? await this.#asked(judged) : judged.facts;
    if (!required || clientCertificate.verified) return { clientCertificate };
    const { fault, detail } = clientCertificate;
    const context = { found: fault ?? 'invalid', detail: detail ?? undefined };
    return { clientCertificate, refusal: new GateError('CLIENT_CERTIFICATE', context) };
  }

  async #asked({ facts, leaf, path }: JudgedCertificate): Promise<ClientCertificate> {
    // A certificate that is trusted by itself has nobody above who could say something of it.
    const issuer = path?.[1];
    const word = issuer === undefined ? 'none' : await this.#ocsp.status(leaf, issuer);
    if (word === 'revoked') return withFault(facts, 'revoked');
    return word === 'good' || this.#trust.ocsp === 'try' ? facts : withFault(facts, 'ocsp-unavailable');
  }
}
