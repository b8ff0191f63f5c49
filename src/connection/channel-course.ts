// An SMTP connection's way through the channels (policy/channels.ts decides, here it is carried out): the rules of the
// channel that it is on govern its front session, that channel's relay gets its mail. Promises: what decides is counted
// and the path is kept for the closing line; no login goes over to a relay that has not taken it; a channel that
// insists on TLS is not entered where no TLS can be had.

import type { ChannelBook, Decision, SourceDecision, Standing } from '../policy/channels.ts';
import type { Grant } from '../policy/grants.ts';
import type { Course, FrontRules } from '../protocol/dialect.ts';
import { SmtpFront } from '../protocol/smtp-front.ts';
import type { Backend } from './backend-leg.ts';
import type { Client } from './client.ts';
import { findGrant } from './grants.ts';
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
  /** Where every connection of the service starts. */
  readonly #start: Standing;
  #standing: Standing;
  #settling: Promise<void> | null = null;
  #arrived = false;
  #vouchedFor: string | null = null;
  #login: string | null = null;
  /** By which it came to the channel of grants. */
  #grant: Grant | null = null;

  constructor(client: Client, start: Standing) {
    this.#client = client;
    this.#start = start;
    this.#standing = start;
  }

  /** Those of the client's gate, which is another one for clients of another address of ours. */
  get #channels(): GateChannels {
    const { channels } = this.#client.gate;
    if (channels === null) throw new Error('a service with channels has them at every address');
    return channels;
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

  /** The grant by which it is where it is; null once anything else has led it away. */
  get grant(): Grant | null {
    return this.#standing.channel === this.#client.gate.grants?.channel ? this.#grant : null;
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

  /** Where an accepted login leads, `named` by the directory or not; follow() goes there. */
  afterLogin(named: string | null = null): Decision {
    return this.#channels.book.afterLogin(this.#standing, named);
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
    session.govern(this.gate.rules);
  }

  /** A channel without AUTH takes no login from a tier either. */
  get #loginHere(): string | null {
    return this.gate.rules.sasl === 'nosasl' ? null : this.#vouchedFor;
  }

  get #hasReplayed(): boolean {
    const { session } = this.#client;
    return session instanceof SmtpFront && session.authenticated && !session.isVouchedFor;
  }

  /** A grant of the address comes first, then the address itself, then its names. */
  #decideBySource(): void {
    const { book } = this.#channels;
    const start = this.#start;
    const { address } = this.#client.remote;
    this.#settling = null;
    this.#grant = null;
    const grant = findGrant(this.#client);
    const bySource = book.byAddress(start.channel, address);
    const open = bySource.open && address !== '';
    if (!(grant instanceof Promise)) {
      if (grant !== null) return this.#enterGranted(grant);
      if (!open) return this.#enter(bySource);
    }
    // Where another client had come to is nothing to go on from meanwhile.
    this.follow({ standing: start, rule: null });
    const settling = this.#decideLater(grant, { ...bySource, open }, () => this.#settling === settling);
    this.#settling = settling;
  }

  async #decideLater(
    asked: Grant | null | Promise<Grant | null>,
    bySource: SourceDecision,
    isAwaited: () => boolean,
  ): Promise<void> {
    const { gate, remote } = this.#client;
    const grant = await asked;
    const names =
      grant === null && bySource.open && isAwaited() ? await lookUpNames(gate, remote.address) : null;
    // Another address, or an order, may have come meanwhile.
    if (!isAwaited()) return;
    this.#settling = null;
    if (grant !== null) this.#enterGranted(grant);
    else this.#enter(names === null ? bySource : this.#channels.book.byNames(bySource, names));
  }

  #enterGranted(grant: Grant): void {
    const { id, gate, remote } = this.#client;
    if (gate.grants === null) return;
    const decision = this.#channels.book.byGrant(this.#start.channel, gate.grants.channel);
    this.#grant = grant;
    gate.log.info('grant-used', {
      service: gate.name,
      session: id,
      client: remote.address,
      channel: decision.standing.channel,
      rule: decision.rule,
      user: grant.user,
      earnedAt: grant.service,
      since: new Date(grant.at).toISOString(),
    });
    this.#enter(decision);
  }

  #enter(decision: Decision): void {
    this.follow(decision);
    if (this.#client.leg.secured) this.secured();
    this.#login = this.#loginHere;
    if (this.#login !== null) this.follow(this.afterLogin());
  }
}
