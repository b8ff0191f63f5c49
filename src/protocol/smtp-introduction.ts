// XCLIENT (Postfix's) and XPEHLO (ours) as a front tier of ours sends them: what it may still say, and what it has said
// so far. Promises: nothing is taken from anybody else, nor XPEHLO without its password; what several XCLIENT commands
// say is one introduction. On failure: GateError, which ends the connection, so that nobody is served under a wrong name.

import { GateError } from '../errors.ts';
import { parseXclient, parseXpehlo, type Told, XCLIENT_NAMES } from '../wire/introduction.ts';
import type { FrontRules, Visitor } from './dialect.ts';

export class SmtpIntroduction {
  readonly #rules: FrontRules;
  readonly #visitor: Visitor;
  #way: 'xclient' | 'xpehlo' | null = null;
  #told: Told = {};

  constructor(rules: FrontRules, visitor: Visitor) {
    this.#rules = rules;
    this.#visitor = visitor;
  }

  /** The peer has said who the client is: from here on the session is the client's, and TLS is the tier's affair. */
  get made(): boolean {
    return this.#way !== null;
  }

  /** Whether a command is one of these, for this peer. */
  knows(verb: string): boolean {
    if (verb === 'XCLIENT') return this.#visitor.isFrontTier;
    return verb === 'XPEHLO' && this.#rules.isTierPassword !== null && this.#visitor.isFrontTier;
  }

  /** EHLO keywords for this peer. */
  get keywords(): readonly string[] {
    if (!this.#visitor.isFrontTier || this.#way === 'xpehlo') return [];
    const xpehlo = this.#way === null && this.#rules.isTierPassword !== null;
    return [`XCLIENT ${XCLIENT_NAMES}`, ...(xpehlo ? ['XPEHLO'] : [])];
  }

  /** Whether the command comes too late: XPEHLO is said once, and not beside XCLIENT. */
  isLate(verb: string): boolean {
    return verb === 'XPEHLO' ? this.#way !== null : this.#way === 'xpehlo';
  }

  takeXclient(argument: string): void {
    const xclient = parseXclient(argument);
    if (xclient.kind === 'malformed') {
      throw new GateError('BAD_INTRODUCTION', { by: 'XCLIENT', what: xclient.what });
    }
    this.#take('xclient', { ...this.#told, ...xclient.told });
  }

  /** The name that the client gave in EHLO. */
  takeXpehlo(argument: string): string {
    const xpehlo = parseXpehlo(argument);
    if (xpehlo.kind === 'malformed') {
      throw new GateError('BAD_INTRODUCTION', { by: 'XPEHLO', what: xpehlo.what });
    }
    const { helo, password, channel, told } = xpehlo;
    if (password === null || this.#rules.isTierPassword?.(password) !== true) {
      throw new GateError('INTRODUCTION_DENIED', { by: 'XPEHLO' });
    }
    this.#take('xpehlo', told);
    if (channel !== null && !this.#visitor.askChannel(channel)) {
      throw new GateError('BAD_INTRODUCTION', { by: 'XPEHLO', what: 'CHANNEL', channel });
    }
    return helo;
  }

  #take(way: 'xclient' | 'xpehlo', told: Told): void {
    this.#way = way;
    this.#told = told;
    this.#visitor.introduce(told);
  }
}
