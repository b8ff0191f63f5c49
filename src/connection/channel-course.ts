// An SMTP connection's way through the channels (policy/channels.ts decides, here it is carried out): the rules of the
// channel that it is on govern its front session, that channel's relay gets its mail. Promises: what decides is counted
// and the path is kept for the closing line; no login goes over to a relay that has not taken it; a channel that
// insists on TLS is not entered where no TLS can be had.

import type { ChannelBook, Decision, SourceDecision, Standing } from '../policy/channels.ts';
import type { Course, FrontRules } from '../protocol/dialect.ts';
import { SmtpFront } from '../protocol/smtp-front.ts';
import type { Backend } from './backend-leg.ts';
import type { Client } from './client.ts';
import { lookUpNames } from './names.ts';

/** A channel made ready for the clients of one service. */
export interface ChannelGate {
  readonly rules: FrontRules;
  readonly backend: Backend;
}

/** All channels, as they are for the clients of one service. */
export interface GateChannels {
  readonly book: ChannelBook;
  /** Where every connection of the service starts. */
  readonly start: Standing;
  readonly gates: ReadonlyMap<string, ChannelGate>;
}

export class ChannelCourse implements Course {
  readonly #client: Client;
  readonly #channels: GateChannels;
  #standing: Standing;
  #settling: Promise<void> | null = null;
  #arrived = false;
  #vouchedFor: string | null = null;
  #login: string | null = null;

  constructor(client: Client, channels: GateChannels) {
    this.#client = client;
    this.#channels = channels;
    this.#standing = channels.start;
  }

  get standing(): Standing {
    return this.#standing;
  }

  get gate(): ChannelGate {
    return this.gateAt(this.#standing);
  }

  get settling(): Promise<void> | null {
    return this.#settling;
  }

  get login(): string | null {
    return this.#login;
  }

  gateAt({ channel }: Standing): ChannelGate {
    const gate = this.#channels.gates.get(channel);
    if (gate === undefined) throw new Error(`there is no channel ${channel}`);
    return gate;
  }

  /** The connection is there, and secured if it is on an implicit-TLS port. */
  arrive(): void {
    this.#arrived = true;
    this.#decideBySource();
  }

  /**
   * A trusted peer has said who the client is, and vouches for its login if it has one. Everything is decided anew: on
   * a connection that stays, it may be another client than the one before.
   */
  introduced(login: string | null): void {
    this.#vouchedFor = login;
    this.#login = null;
    if (this.#arrived) this.#decideBySource();
  }

  secured(): void {
    this.follow(this.#channels.book.afterTls(this.#standing));
  }

  /** Where an accepted login leads; follow() goes there. */
  afterLogin(): Decision {
    return this.#channels.book.afterLogin(this.#standing);
  }

  switchChannel(name: string, rule: string): boolean {
    const decision = this.#channels.book.byOrder(this.#standing, name, rule);
    if (decision === null) return false;
    const { rules, backend } = this.gateAt(decision.standing);
    // The relay that took the login keeps it; nobody has the password any more.
    if (this.#hasReplayed && backend !== this.gate.backend) return false;
    const { leg, gate } = this.#client;
    if (rules.tls === 'musttls' && !leg.secured && gate.upgrader === null) return false;
    this.#settling = null;
    this.follow(decision);
    this.#login = this.#loginHere;
    return true;
  }

  refused(rule: string): void {
    this.#client.onDecision(this.#standing.channel, rule);
  }

  follow({ standing, rule }: Decision): void {
    const before = this.#standing;
    this.#standing = standing;
    if (rule !== null) this.#client.onDecision(standing.channel, rule);
    if (standing.channel === before.channel) return;
    const { session } = this.#client;
    if (session instanceof SmtpFront) session.govern(this.gate.rules);
  }

  /** A channel without AUTH takes no login from a tier either. */
  get #loginHere(): string | null {
    return this.gate.rules.sasl === 'nosasl' ? null : this.#vouchedFor;
  }

  get #hasReplayed(): boolean {
    const { session } = this.#client;
    return session instanceof SmtpFront && session.authenticated && !session.isVouchedFor;
  }

  #decideBySource(): void {
    const { book, start } = this.#channels;
    const decision = book.byAddress(start.channel, this.#client.remote.address);
    this.#settling = null;
    if (!decision.open || this.#client.remote.address === '') return this.#enter(decision);
    // Where another client had come to is nothing to go on from meanwhile.
    this.follow({ standing: start, rule: null });
    const settling = this.#decideByName(decision, () => this.#settling === settling);
    this.#settling = settling;
  }

  async #decideByName(byAddress: SourceDecision, isAwaited: () => boolean): Promise<void> {
    const { gate, remote } = this.#client;
    const names = await lookUpNames(gate, remote.address);
    // Another address, or an order, may have come meanwhile.
    if (!isAwaited()) return;
    this.#settling = null;
    this.#enter(this.#channels.book.byNames(byAddress, names));
  }

  #enter(decision: Decision): void {
    this.follow(decision);
    if (this.#client.leg.secured) this.secured();
    this.#login = this.#loginHere;
    if (this.#login !== null) this.follow(this.afterLogin());
  }
}
