// A connection: the client leg, who it is, where it stands on the path, and what the closing line will say. Its waits
// are limited here: check() is called for every connection a few times a second, so that no connection needs a timer
// of its own and the byte relay pays nothing per chunk.

import type net from 'node:net';
import { GateError } from '../errors.ts';
import type { FrontSession } from '../protocol/dialect.ts';
import { ipOf } from '../wire/address.ts';
import type { BackLeg } from './backend-leg.ts';
import type { ByteRelay } from './byte-relay.ts';
import type { Gate } from './gate.ts';
import { CLIENT_ROLE, Leg } from './leg.ts';

/** The step a connection is in; SMTP's relay tells apart whom it waits for. */
export type Phase = 'login' | 'backend' | 'client' | 'relay' | 'end of data' | 'bytes' | 'closing';

export interface Peer {
  readonly address: string;
  readonly port: number;
}

/** In a drain, a byte relay is quiet when nothing has passed for this long. */
const QUIET_MS = 200;

export class Client {
  readonly id: string;
  readonly gate: Gate;
  readonly leg: Leg;
  readonly session: FrontSession;
  readonly remote: Peer;
  readonly startedAt: number;
  readonly onClose: (client: Client) => void;
  /** Forward-confirmed host name, where the service looks it up. */
  readonly name: Promise<string | null>;

  user: string | null = null;
  mechanism: string | null = null;
  back: BackLeg | null = null;
  /** Of the last backend leg, for the closing line. */
  server: string | null = null;
  serverTls: string | null = null;
  loginsFailed = 0;
  messages = 0;
  relayed: ByteRelay | null = null;
  draining = false;
  /** A backend has taken it once: from then on silence is limited, no longer the way to the login. */
  welcomed = false;
  /** The client has had its last words already, from the relay. */
  dismissed = false;
  /** How it ended, where no error says it. */
  ending = 'quit';

  #phase: Phase = 'login';
  #since: number;
  #progress = 0;

  constructor(gate: Gate, socket: net.Socket, options: { id: string; onClose: (client: Client) => void }) {
    this.gate = gate;
    this.id = options.id;
    this.onClose = options.onClose;
    this.leg = new Leg(socket, {
      role: CLIENT_ROLE,
      upgrader: gate.upgrader,
      lineBytesMax: gate.limits.commandBytes,
    });
    this.session = gate.dialect.front(this.leg, gate.rules);
    this.remote = peer(socket.remoteAddress, socket.remotePort);
    this.startedAt = gate.world.monotonic();
    this.#since = this.startedAt;
    this.name = gate.settings.clientLookup ? lookUp(gate, this.remote.address) : NO_NAME;
  }

  /** The address that the client connected to; asked for only where a backend is told. */
  get local(): Peer {
    const { socket } = this.leg;
    return peer(socket.localAddress, socket.localPort);
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
    this.#progress = this.#passed();
  }

  /** Looks whether the current wait is over; `now` on the monotonic clock. */
  check(now: number): void {
    const passed = this.#passed();
    // Before login there is one budget for everything; later each sign of life starts the wait anew.
    if (passed !== this.#progress && this.#phase !== 'login') {
      this.#progress = passed;
      this.#since = now;
      return;
    }
    const since = this.#phase === 'login' ? this.startedAt : this.#since;
    if (this.draining && this.relayed?.farewellFits === true && now - this.#since >= QUIET_MS) {
      this.relayed.finish(new GateError('DRAINING'));
    } else if (now - since >= this.#limitMs()) this.#expire();
  }

  /** Asks the connection to end at its next idle point. */
  drain(): void {
    this.draining = true;
    this.leg.dismiss(new GateError('DRAINING'));
  }

  /** Called at each point where a new command is about to be waited for. */
  idle(): void {
    if (this.draining && this.leg.pendingBytes === 0) throw new GateError('DRAINING');
  }

  /** Leaves the backend, if there is one: quietly, without waiting. */
  leaveBackend(): void {
    const { back, gate } = this;
    this.back = null;
    back?.leg.finish('');
    back?.leg.destroySoon(gate.world, gate.timeouts.closeMs);
  }

  /** Ends it now, without words. */
  cut(): void {
    this.leg.destroy();
    this.back?.leg.destroy();
  }

  #limitMs(): number {
    const { timeouts, dialect } = this.gate;
    switch (this.#phase) {
      case 'login':
        return timeouts.loginMs;
      case 'client':
        return timeouts.smtpMs;
      case 'relay':
      case 'backend':
        return timeouts.replyMs;
      case 'end of data':
        return timeouts.dataMs;
      case 'closing':
        return timeouts.closeMs;
      case 'bytes':
        if (dialect.protocol === 'pop3') return timeouts.pop3Ms;
        return this.relayed?.inIdle === true ? timeouts.imapIdleMs : timeouts.imapMs;
    }
  }

  #expire(): void {
    switch (this.#phase) {
      case 'login':
        return this.leg.fail(new GateError('LOGIN_TIMEOUT'));
      case 'client':
        return this.leg.fail(new GateError('IDLE_TIMEOUT'));
      case 'bytes':
        return this.relayed?.finish(new GateError('IDLE_TIMEOUT'));
      case 'closing':
        return this.cut();
      case 'backend':
      case 'relay':
      case 'end of data':
        return this.back?.leg.fail(
          new GateError('BACKEND_TIMEOUT', { backend: this.back.server, phase: this.#phase }),
        );
    }
  }

  #passed(): number {
    if (this.#phase === 'closing') return this.leg.socket.writableLength;
    const relay = this.relayed;
    return relay === null
      ? this.leg.bytesIn + this.leg.bytesOut + (this.back?.leg.bytesIn ?? 0)
      : relay.up + relay.down;
  }
}

const NO_NAME = Promise.resolve(null);

function peer(address: string | undefined, port: number | undefined): Peer {
  return { address: address === undefined ? '' : (ipOf(address)?.address ?? address), port: port ?? 0 };
}

async function lookUp(gate: Gate, address: string): Promise<string | null> {
  if (address === '') return null;
  const names = gate.world.confirmedNames(address).catch(() => []);
  const late = new Promise<readonly string[]>((resolve) => {
    gate.world.after(gate.timeouts.connectMs, () => resolve([]));
  });
  return (await Promise.race([names, late]))[0] ?? null;
}
