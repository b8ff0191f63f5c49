// A connection: the client leg, who it is, where it stands on the path, and what the closing line will say. Its waits
// are limited here: check() is called for every connection a few times a second, so that no connection needs a timer
// of its own and the byte relay pays nothing per chunk.

import type net from 'node:net';
import type { Limits } from '../config/settings.ts';
import { GateError } from '../errors.ts';
import type { AuthService, FrontSession, Introduction, OuterTls, Visitor } from '../protocol/dialect.ts';
import type { Backend, BackLeg } from './backend-leg.ts';
import type { ByteRelay } from './byte-relay.ts';
import type { Proxied } from '../wire/proxy-header.ts';
import { ownCertificate } from './certificate.ts';
import { type Gate, gateAt } from './gate.ts';
import { authServiceOf } from './grants.ts';
import { noPlaces, type Places } from './guard.ts';
import { ChannelCourse } from './channel-course.ts';
import { CLIENT_ROLE, Leg } from './leg.ts';
import { metered } from './metered-tls.ts';
import { lookUpNames } from './names.ts';
import { type Peer, peer } from './peer.ts';
import type { Stay } from './placements.ts';
import { limitMs, type Phase, signsOfLife } from './waits.ts';

export interface ClientOptions {
  readonly id: string;
  readonly onClose: (client: Client) => void;
  readonly onLogin: () => void;
  /** A rule of a channel has decided something. */
  readonly onDecision: (channel: string, rule: string) => void;
}

/** As Dovecot's: so many proxies in a row, then it is taken for a loop. */
const PROXY_TTL = 5;
/** In a drain, a byte relay is quiet when nothing has passed for this long. */
const QUIET_MS = 200;

export class Client implements Visitor {
  readonly id: string;
  readonly leg: Leg;
  /** Null where the service has no channels. */
  readonly course: ChannelCourse | null;
  readonly session: FrontSession;
  /** The client itself, as the socket or a trusted peer says. */
  remote: Peer;
  /** The trusted peer that brought it; null: it came by itself. */
  via: Peer | null = null;
  /** TLS that a trusted peer has ended for us. */
  outerTls: OuterTls | null = null;
  /** Further proxies that the connection may pass. */
  ttl = PROXY_TTL;
  /** The session's name at the tier in front. */
  outerId: string | null = null;
  /** The address that the limits and the access rules have taken in. */
  admitted: string | null = null;
  /** What it counts under, to be given back. */
  readonly places: Places = noPlaces();
  /** The front tier that introduced the client in its protocol, as a balancer or the socket knows it. */
  tier: Peer | null = null;
  /** SMTP: how the client greeted that tier, where it said so. */
  outerHelo: string | null = null;
  outerEsmtp: boolean | null = null;
  /** As a balancer's header had it. */
  proxied: Pick<Proxied, 'source' | 'destination'> | null = null;
  #isFrontTier: boolean | null = null;
  #local: Peer | null = null;
  /** The service, and what it is for clients of the address that this one has connected to. */
  readonly #service: Gate;
  #gate: Gate;
  readonly startedAt: number;
  readonly onClose: (client: Client) => void;
  readonly onDecision: (channel: string, rule: string) => void;
  readonly #onLogin: () => void;
  #name: Promise<string | null> | null = null;
  /** The name, or that there is none, is a trusted peer's word, whatever the settings of an address say of look-ups. */
  #isNameTold = false;

  /** Whom a backend has let in. */
  user: string | null = null;
  /** Who was last tried; unproven. */
  claimed: string | null = null;
  mechanism: string | null = null;
  /** Who was last to log in for somebody else; unproven like the claim. */
  actor: string | null = null;
  back: BackLeg | null = null;
  /** Of the last backend leg, for the closing line. */
  server: string | null = null;
  /** The backend that the server is one of. */
  backendName: string | null = null;
  serverTls: string | null = null;
  /** At the mailbox of whoever logs in, from before the login until the leg is closed. */
  stay: Stay | null = null;
  loginsFailed = 0;
  /** The error code of the last login that could not be decided. */
  failure: string | null = null;
  /** SMTP: the relay's answer to the last message. */
  said: string | undefined;
  messages = 0;
  relayed: ByteRelay | null = null;
  draining = false;
  /** A backend has taken it once: from then on silence is limited, no longer the way to the login. */
  welcomed = false;
  /** The client has had its last words already. */
  dismissed = false;
  /** How it ended, where no error says it. */
  ending = 'quit';

  #heldUntil = 0;
  #release: (() => void) | null = null;
  /** Waits that count towards no time-out. */
  #pardonedMs = 0;
  #phase: Phase = 'login';
  #since: number;
  #progress = 0;

  constructor(gate: Gate, socket: net.Socket, options: ClientOptions) {
    this.#service = gate;
    // A socket that is gone has no address, and whoever logs in on it would be looked for by the settings of another one.
    if (gate.domains !== null) this.#local = peer(socket.localAddress, socket.localPort);
    this.#gate = gateAt(gate, () => this.#local?.address);
    this.id = options.id;
    this.onClose = options.onClose;
    this.#onLogin = options.onLogin;
    this.leg = new Leg(socket, {
      role: CLIENT_ROLE,
      upgrader: gate.limits.newTlsSessions === 0 ? gate.upgrader : metered(this),
      lineBytesMax: gate.limits.commandBytes,
    });
    this.onDecision = options.onDecision;
    this.course = gate.channels === null ? null : new ChannelCourse(this, gate.channels.start);
    this.session = gate.dialect.front(this.leg, this.#gate.rules, this);
    this.remote = peer(socket.remoteAddress, socket.remotePort);
    this.startedAt = gate.world.monotonic();
    this.#since = this.startedAt;
  }

  /** As the service is for clients of the address that this one has connected to, as far as that is known. */
  get gate(): Gate {
    return this.#gate;
  }

  /** The address that the client connected to; asked for only where a backend is told. */
  get local(): Peer {
    const { socket } = this.leg;
    return this.#local ?? peer(socket.localAddress, socket.localPort);
  }

  /** Forward-confirmed host name, where the service looks it up: asked for once, for the address that is known then. */
  get name(): Promise<string | null> {
    this.#name ??= this.gate.settings.clientLookup ? lookUp(this.gate, this.remote.address) : NO_NAME;
    return this.#name;
  }

  /**
   * Asked by the dialect before each introduction, so what counts is the peer before the first of them: the socket's,
   * or the one that a balancer brought, since a tier may stand behind a balancer.
   */
  get isFrontTier(): boolean {
    return (this.#isFrontTier ??= this.gate.frontTier.find(this.remote.address) === true);
  }

  /** RFC 9266 3: with TLS 1.3. A tier or balancer that has ended the client's TLS has its own with us, or none. */
  get bindable(): boolean {
    return this.leg.facts?.version === 'TLSv1.3' && this.tier === null && this.outerTls === null;
  }

  introduce(introduction: Introduction): void {
    const { address, port, localAddress, localPort, tls, ttl, sessionId, name } = introduction;
    if (this.#isFrontTier === true) this.#comeByTier();
    if (address !== undefined) {
      this.via = this.tier ?? this.via ?? this.remote;
      this.remote = peer(address, port);
      this.#isNameTold = name !== undefined;
      this.#name = name === undefined ? null : Promise.resolve(name);
    }
    if (localAddress !== undefined) this.#cameTo(peer(localAddress, localPort));
    if (tls !== undefined) this.outerTls = tls;
    if (sessionId !== undefined) this.outerId = sessionId;
    this.outerHelo = introduction.helo ?? null;
    this.outerEsmtp = introduction.esmtp ?? null;
    this.course?.introduced(introduction.login ?? null);
    if (ttl === undefined) return;
    if (ttl <= 1) throw new GateError('PROXY_LOOP', { tier: this.via?.address, ttl });
    this.ttl = ttl - 1;
  }

  /** Whatever is still to be decided goes by the rules for that address. */
  #cameTo(local: Peer): void {
    this.#local = local;
    const gate = gateAt(this.#service, () => local.address);
    if (gate === this.#gate) return;
    this.#gate = gate;
    if (!this.#isNameTold) this.#name = null;
    this.admitted = null;
    this.session.govern(this.course?.gate.rules ?? gate.rules);
  }

  /** The peer was a tier and not the client: neither its TLS nor a login of the client before is this client's. */
  #comeByTier(): void {
    if (this.tier === null) this.outerTls = null;
    this.tier ??= this.remote;
    this.user = this.claimed = this.mechanism = this.actor = null;
    this.leave('user');
  }

  get certified(): boolean {
    return ownCertificate(this) !== null;
  }

  /** Where its logins and its mail go. */
  get backend(): Backend {
    return this.course?.gate.backend ?? this.gate.backend;
  }

  /** What it may do wrong, by the rules that hold for it now. */
  get limits(): Limits {
    return this.course?.gate.rules.limits ?? this.gate.limits;
  }

  /** Who has logged in at the tier in front, where a login counts. */
  get outerLogin(): string | null {
    return this.course?.login ?? null;
  }

  /** XPEHLO: changes to another channel; false: it cannot be, or there is none of that name. */
  askChannel(name: string): boolean {
    return this.course?.switchChannel(name, 'XPEHLO') ?? false;
  }

  get authService(): AuthService | null {
    return authServiceOf(this);
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** The phase in which the client is waited for, before the relay. */
  get ownTurn(): 'login' | 'client' {
    return this.welcomed ? 'client' : 'login';
  }

  get bytesIn(): number {
    return this.leg.bytesIn + (this.relayed?.up ?? 0);
  }

  get bytesOut(): number {
    return this.leg.bytesOut + (this.relayed?.down ?? 0);
  }

  /** Enters a step; its time starts now. */
  enter(phase: Phase): void {
    this.#phase = phase;
    this.#since = this.gate.world.monotonic();
    this.#progress = signsOfLife(this);
  }

  /** Waits; ends early where the connection is to end. */
  async holdBack(ms: number): Promise<void> {
    this.enter('penalty');
    this.#heldUntil = this.#since + ms;
    await new Promise<void>((resolve) => {
      this.#release = resolve;
    });
    this.#release = null;
    this.#pardonedMs += this.gate.world.monotonic() - this.#since;
  }

  /** Gives a place back, where it holds one. */
  leave(place: keyof Places): void {
    const key = this.places[place];
    if (key === null) return;
    this.places[place] = null;
    this.gate.guard.give(key);
  }

  /** Looks whether the current wait is over; `now` on the monotonic clock. */
  check(now: number): void {
    if (this.#phase === 'penalty') {
      const over = this.draining || this.leg.failure !== null || this.leg.socket.destroyed;
      if (over || now >= this.#heldUntil) this.#release?.();
      return;
    }
    // A relay that hung up between two commands is not kept half-closed until the client speaks again.
    if (this.#phase === 'client' && this.back?.leg.ended === true) this.leaveBackend();
    const passed = signsOfLife(this);
    // Before login there is one budget for everything; later each sign of life starts the wait anew.
    if (passed !== this.#progress && this.#phase !== 'login') {
      this.#progress = passed;
      this.#since = now;
      return;
    }
    const since = this.#phase === 'login' ? this.startedAt + this.#pardonedMs : this.#since;
    const quiet = this.#phase === 'bytes' && now - this.#since >= QUIET_MS;
    if (this.draining && quiet && this.relayed?.farewellFits === true) {
      this.relayed.finish(new GateError('DRAINING'));
    } else if (now - since >= limitMs(this)) this.#expire();
  }

  /** Asks the connection to end at its next idle point. */
  drain(): void {
    this.draining = true;
    this.leg.dismiss(new GateError('DRAINING'));
  }

  /** A backend has taken it: logged in as the one it claimed to be, or (SMTP) as the tier says, mostly nobody. */
  welcome(as: 'claimed' | 'nobody'): void {
    this.welcomed = true;
    this.user = as === 'claimed' ? this.claimed : this.outerLogin;
    if (as === 'claimed') this.#onLogin();
  }

  /** Leaves the backend, if there is one: quietly, without waiting. */
  leaveBackend(): void {
    const { back, gate } = this;
    this.back = null;
    this.leave('backend');
    back?.leg.finish('');
    back?.leg.destroySoon(gate.world, gate.timeouts.closeMs);
    const { stay } = this;
    this.stay = null;
    if (stay === null) return;
    const socket = back?.leg.socket;
    if (socket === undefined || socket.closed) stay.end();
    else socket.once('close', () => stay.end());
  }

  /** Ends it now, with the words of `failure` where they fit. */
  dismiss(failure: GateError): void {
    if (this.#phase === 'bytes') return this.relayed?.finish(failure);
    this.back?.leg.fail(failure);
    this.leg.fail(failure);
    if (this.#phase !== 'backend' || this.back !== null) return;
    // A backend is being dialled: the client is not kept until it answers.
    this.dismissed = true;
    this.leg.finish(this.session.wordsFor(failure));
    this.leg.destroySoon(this.gate.world, this.gate.timeouts.closeMs);
  }

  /** Ends it now, without words. */
  cut(): void {
    this.leg.destroy();
    this.back?.leg.destroy();
  }

  #expire(): void {
    switch (this.#phase) {
      case 'login':
        return this.leg.fail(new GateError('LOGIN_TIMEOUT'));
      case 'client':
        return this.leg.fail(new GateError('IDLE_TIMEOUT'));
      case 'bytes':
        if (this.relayed?.backendEnded === true) return this.relayed.leave();
        return this.relayed?.finish(new GateError('IDLE_TIMEOUT'));
      case 'closing':
        return this.cut();
      case 'penalty':
        return;
      case 'backend':
      case 'relay':
      case 'end of data': {
        const failure = new GateError('BACKEND_TIMEOUT', { backend: this.server ?? '', phase: this.#phase });
        this.back?.leg.fail(failure);
        // Once relaying, nothing goes on without the relay, whichever leg is being waited on.
        if (this.#phase !== 'backend') this.leg.fail(failure);
      }
    }
  }
}

const NO_NAME = Promise.resolve(null);

async function lookUp(gate: Gate, address: string): Promise<string | null> {
  return (await lookUpNames(gate, address))[0] ?? null;
}
