// New connections at a steady rate, whatever becomes of the ones before, while something happens to the front: IMAP over
// TLS with and without login, and whole SMTP transactions. Keeps book of how each ended. An open loop, as the Internet is
// one, but bounded: `openMax` connections at once (what would be more is not opened, and counted) and `connectionsMax`
// in all.

import net from 'node:net';
import tls from 'node:tls';

export interface SteadyLoadOptions {
  readonly perSecond: number;
  readonly imapsPort: number;
  readonly smtpPort: number;
  /** PEM. */
  readonly ca: string;
  readonly user: string;
  readonly password: string;
  readonly recipient: string;
  /** Of this many connections one logs in and one sends a message. */
  readonly oneIn?: number;
  readonly openMax?: number;
  readonly connectionsMax?: number;
}

export interface SteadyBook {
  readonly seconds: number;
  readonly connections: number;
  /** By kind: those that ended as they should. */
  readonly done: Readonly<Record<Errand, number>>;
  /** Identifiers of messages that were answered 250. */
  readonly accepted: readonly string[];
  /** Not connected, or broken before the greeting, with the cause. */
  readonly refused: readonly string[];
  /** Greeted, and told at an idle point to come again (BYE, 421). */
  readonly turnedAway: number;
  /** Broken in the middle: without a goodbye after LOGIN, or between MAIL and the answer to the end of data. */
  readonly cut: readonly string[];
  /** TLS sessions that were resumed, and those that were not. */
  readonly resumed: number;
  readonly full: number;
  /** Not opened, because openMax were open. */
  readonly skipped: number;
  readonly openMost: number;
}

export type Errand = 'visit' | 'login' | 'mail';

export interface SteadyLoad {
  /** Resolves after so many more connections have ended. */
  ended(count: number): Promise<void>;
  stop(): Promise<SteadyBook>;
}

const TICK_MS = 10;
const WAIT_MS = 30_000;

type Outcome =
  | { readonly kind: 'done'; readonly message?: string }
  | { readonly kind: 'turned away' }
  | { readonly kind: 'refused' | 'cut'; readonly why: string };

interface Step {
  readonly send: string | null;
  /** What ends the answer; 421 and BYE are told apart from it. */
  readonly until: RegExp;
  /** Whether a broken connection here breaks something that was under way. */
  readonly underWay: boolean;
}

export function startSteadyLoad(options: SteadyLoadOptions): SteadyLoad {
  return new Load(options);
}

class Load implements SteadyLoad {
  readonly #options: Required<SteadyLoadOptions>;
  readonly #startedAt = performance.now();
  readonly #timer: NodeJS.Timeout;
  readonly #waiting: { count: number; resolve: () => void }[] = [];
  readonly #drained = Promise.withResolvers<void>();
  readonly #done: Record<Errand, number> = { visit: 0, login: 0, mail: 0 };
  readonly #accepted: string[] = [];
  readonly #refused: string[] = [];
  readonly #cut: string[] = [];
  #turnedAway = 0;
  #connections = 0;
  #skipped = 0;
  #open = 0;
  #openMost = 0;
  #finished = 0;
  #resumed = 0;
  #full = 0;
  #session: Buffer | undefined;
  #stopped = false;

  constructor(options: SteadyLoadOptions) {
    this.#options = { oneIn: 10, openMax: 400, connectionsMax: 200_000, ...options };
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  ended(count: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ count: this.#finished + count, resolve });
    return promise;
  }

  async stop(): Promise<SteadyBook> {
    clearInterval(this.#timer);
    const seconds = (performance.now() - this.#startedAt) / 1000;
    this.#stopped = true;
    if (this.#open === 0) this.#drained.resolve();
    await this.#drained.promise;
    return {
      seconds,
      connections: this.#connections,
      done: this.#done,
      accepted: this.#accepted,
      refused: this.#refused,
      turnedAway: this.#turnedAway,
      cut: this.#cut,
      resumed: this.#resumed,
      full: this.#full,
      skipped: this.#skipped,
      openMost: this.#openMost,
    };
  }

  #tick(): void {
    const { perSecond, openMax, connectionsMax } = this.#options;
    const due = Math.floor(((performance.now() - this.#startedAt) / 1000) * perSecond);
    while (this.#connections + this.#skipped < Math.min(due, connectionsMax)) {
      if (this.#open >= openMax) this.#skipped++;
      else void this.#one(++this.#connections);
    }
  }

  async #one(number: number): Promise<void> {
    this.#openMost = Math.max(this.#openMost, ++this.#open);
    const place = number % this.#options.oneIn;
    const errand = place === 1 ? 'login' : place === 2 ? 'mail' : 'visit';
    const outcome = await (errand === 'mail' ? this.#mail(number) : this.#imap(errand, number));
    this.#open--;
    this.#finished++;
    switch (outcome.kind) {
      case 'done':
        this.#done[errand]++;
        if (outcome.message !== undefined) this.#accepted.push(outcome.message);
        break;
      case 'turned away':
        this.#turnedAway++;
        break;
      case 'refused':
        this.#refused.push(outcome.why);
        break;
      case 'cut':
        this.#cut.push(outcome.why);
    }
    for (const waiter of this.#waiting) if (this.#finished >= waiter.count) waiter.resolve();
    if (this.#stopped && this.#open === 0) this.#drained.resolve();
  }

  async #imap(errand: 'visit' | 'login', number: number): Promise<Outcome> {
    const { imapsPort, ca, user, password } = this.#options;
    const socket = tls.connect({
      port: imapsPort,
      host: '127.0.0.1',
      servername: 'localhost',
      ca,
      ...(this.#session === undefined ? {} : { session: this.#session }),
    });
    socket.once('secureConnect', () => {
      if (socket.isSessionReused()) this.#resumed++;
      else this.#full++;
    });
    socket.on('session', (session: Buffer) => (this.#session = session));
    const steps: Step[] = [{ send: null, until: /^\* OK/, underWay: false }];
    if (errand === 'login') {
      steps.push({ send: `a LOGIN ${user} "${password}"`, until: /^a OK/m, underWay: true });
      steps.push({ send: 'b SELECT INBOX', until: /^b OK/m, underWay: true });
    }
    steps.push({ send: 'z LOGOUT', until: /^z OK/m, underWay: false });
    return converse(socket, steps, `${errand} ${number}`);
  }

  async #mail(number: number): Promise<Outcome> {
    const { smtpPort, recipient } = this.#options;
    const message = `steady-${number}-${process.hrtime.bigint().toString(36)}`;
    const body = 'Quite an ordinary line of an ordinary message.\r\n'.repeat(20);
    const ok = /^250 /m;
    const outcome = await converse(
      net.connect({ port: smtpPort, host: '127.0.0.1' }),
      [
        { send: null, until: /^220 /m, underWay: false },
        { send: 'EHLO load.example.com', until: ok, underWay: false },
        { send: 'MAIL FROM:<load@example.com>', until: ok, underWay: false },
        { send: `RCPT TO:<${recipient}>`, until: ok, underWay: true },
        { send: 'DATA', until: /^354 /m, underWay: true },
        { send: `Subject: ${message}\r\n\r\n${body}.`, until: ok, underWay: true },
      ],
      `mail ${number}`,
    );
    return outcome.kind === 'done' ? { ...outcome, message } : outcome;
  }
}

const COME_AGAIN = /^(\* BYE|421 )/m;

/** Says the steps one after another, each when the one before is answered. */
function converse(socket: net.Socket, steps: readonly Step[], name: string): Promise<Outcome> {
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  let place = 0;
  let text = '';
  let failure = 'closed';
  const end = (outcome: Outcome): void => {
    clearTimeout(limit);
    socket.destroy();
    resolve(outcome);
  };
  const broken = (why: string): void => {
    const step = steps[place];
    const cause = `${name}, ${step?.send?.split(' ', 2).join(' ').slice(0, 20) ?? 'greeting'}: ${why} ${text.slice(-200)}`;
    if (place === 0) end({ kind: 'refused', why: cause });
    else if (step?.underWay === true) end({ kind: 'cut', why: cause });
    else end({ kind: 'turned away' });
  };
  const limit = setTimeout(() => broken(`no answer in ${WAIT_MS} ms`), WAIT_MS);
  socket.on('error', (error: NodeJS.ErrnoException) => (failure = error.code ?? error.message));
  socket.on('close', () => broken(failure));
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    const step = steps[place];
    if (step === undefined) return;
    const isLast = place === steps.length - 1;
    if (step.until.test(text)) {
      text = '';
      place++;
      const next = steps[place];
      if (next === undefined) end({ kind: 'done' });
      else socket.write(`${next.send}\r\n`);
    } else if (COME_AGAIN.test(text) && !isLast) {
      // An IMAP command that met a goodbye on its way was not begun; a transaction that is told so is broken.
      if (step.underWay && text.startsWith('421')) broken('told to come again');
      else end({ kind: 'turned away' });
    }
  });
  return promise;
}
