// A Talk without a socket: the other side is a list of chunks, what the dialect says is kept. A chunk is taken only when
// the dialect waits for more, so a later one never counts as sent in advance. When none is left the other side has
// closed. `startTls` flips `secured`, or fails where a chunk went on behind the line.

import { GateError } from '../../src/errors.ts';
import type { Limits } from '../../src/config/settings.ts';
import type { BackPlan, FrontRules, Offer, Talk, Visitor, Wish } from '../../src/protocol/dialect.ts';
import { takeLine } from '../../src/wire/lines.ts';

export interface TalkOptions {
  /** Default: 'client'. */
  readonly side?: 'client' | 'backend';
  readonly secured?: boolean;
  readonly lineBytesMax?: number;
  /** Takes notes of what is said (`name> …`) and heard (`name< …`), so that two talks can share one. */
  readonly journal?: string[];
  readonly name?: string;
}

const ROLES = {
  client: { closed: 'CLIENT_CLOSED', injection: 'STARTTLS_INJECTION', garbage: 'BAD_LINE_ENDING' },
  backend: { closed: 'BACKEND_CLOSED', injection: 'BACKEND_INJECTION', garbage: 'BACKEND_PROTOCOL' },
} as const;

export class ScriptedTalk implements Talk {
  secured: boolean;
  ended = false;
  /** Commands that were waited for with nothing under way. */
  commands = 0;
  /** A socket that takes no more for the moment; flushed() is then waited for. */
  congested = false;
  /** Called at each flushed(). */
  onFlush: () => void = () => undefined;
  readonly #options: TalkOptions;
  readonly #chunks: Buffer[];
  #arrived: Buffer = Buffer.alloc(0);
  #said: Buffer = Buffer.alloc(0);
  #taken = 0;

  constructor(chunks: readonly (string | Buffer)[], options: TalkOptions = {}) {
    this.#options = options;
    this.#chunks = chunks.map((chunk) => (typeof chunk === 'string' ? Buffer.from(chunk) : chunk));
    this.secured = options.secured ?? false;
  }

  /** All that was said so far, one character for each byte. */
  get said(): string {
    return this.#said.toString('latin1');
  }

  /** What was said since the last call. */
  saidSince(): string {
    const text = this.said.slice(this.#taken);
    this.#taken = this.#said.length;
    return text;
  }

  get pendingBytes(): number {
    return this.#arrived.length;
  }

  get lineReady(): boolean {
    return this.#arrived.includes(0x0a);
  }

  /** Chunks that nobody asked for. */
  get unheard(): number {
    return this.#chunks.length;
  }

  feed(...chunks: readonly (string | Buffer)[]): void {
    this.#chunks.push(...chunks.map((chunk) => (typeof chunk === 'string' ? Buffer.from(chunk) : chunk)));
  }

  async line(): Promise<Buffer> {
    for (;;) {
      const taken = takeLine(this.#arrived, 0, this.#options.lineBytesMax ?? LIMITS.commandBytes);
      if (taken.kind === 'line') {
        this.#arrived = this.#arrived.subarray(taken.next);
        this.#note('<', taken.line);
        return taken.line;
      }
      if (taken.kind === 'malformed') throw this.#error('garbage', taken.reason);
      this.#more();
    }
  }

  async command(): Promise<Buffer> {
    this.commands += 1;
    return this.line();
  }

  async bytes(count: number): Promise<Buffer> {
    while (this.#arrived.length < count) this.#more();
    const taken = this.#arrived.subarray(0, count);
    this.#arrived = this.#arrived.subarray(count);
    return taken;
  }

  async chunk(countMax = this.#arrived.length + 1_000_000): Promise<Buffer> {
    if (this.#arrived.length === 0) this.#more();
    const taken = this.#arrived.subarray(0, countMax);
    this.#arrived = this.#arrived.subarray(taken.length);
    return taken;
  }

  putBack(bytes: Buffer): void {
    this.#arrived = Buffer.concat([bytes, this.#arrived]);
  }

  send(data: string | Buffer): void {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    this.#said = Buffer.concat([this.#said, bytes]);
    this.#note('>', bytes);
  }

  async flushed(): Promise<void> {
    this.onFlush();
  }

  async startTls(go: string): Promise<void> {
    if (this.#arrived.length > 0) throw this.#error('injection', `${this.#arrived.length} bytes`);
    if (go !== '') this.send(go);
    this.secured = true;
    this.#note('=', Buffer.from('tls'));
  }

  #more(): void {
    const next = this.#chunks.shift();
    if (next === undefined) {
      this.ended = true;
      throw this.#error('closed', 'the script is over');
    }
    this.#arrived = Buffer.concat([this.#arrived, next]);
  }

  #note(mark: '<' | '>' | '=', bytes: Buffer): void {
    const { journal, name = '' } = this.#options;
    journal?.push(`${name}${mark} ${bytes.toString('latin1').replace(/\r\n$/, '')}`);
  }

  #error(kind: keyof (typeof ROLES)['client'], what: string): GateError {
    return new GateError(ROLES[this.#options.side ?? 'client'][kind], { what });
  }
}

export const LIMITS: Limits = {
  connections: 100,
  perAddress: [],
  perUser: 0,
  total: 0,
  messagesPerUser: { count: 0, seconds: 3600 },
  recipientsPerUser: { count: 0, seconds: 3600 },
  newTlsSessions: 0,
  prefix6: 64,
  authAttempts: 3,
  badCommands: 10,
  commandBytes: 8192,
  replyBytes: 8192,
  pipelined: 100,
};

const OFFER: Offer = { capabilities: [], mechanisms: ['PLAIN', 'LOGIN', 'XOAUTH2', 'OAUTHBEARER'] };

/** Always the same, so that answers can be written down. */
export const FRESH: FrontRules['fresh'] = { nonce: () => 'fresh', stamp: () => '<fresh.1@mail.test>' };

export interface RulesOptions extends Partial<Omit<FrontRules, 'offer' | 'limits'>>, Partial<Offer> {
  readonly limits?: Partial<Limits>;
}

/** maytls and maysasl, every mechanism, no capability, unless it is said otherwise. */
export function frontRules(options: RulesOptions = {}): FrontRules {
  const { limits, capabilities = OFFER.capabilities, mechanisms = OFFER.mechanisms, ...rules } = options;
  const offer = { capabilities, mechanisms };
  return {
    hostname: 'mail.test',
    banner: 'ready',
    serverDownAlert: null,
    tls: 'maytls',
    sasl: 'maysasl',
    lineEndings: 'refuse',
    isTierPassword: null,
    restricted: false,
    apop: false,
    fresh: FRESH,
    ...rules,
    limits: { ...LIMITS, ...limits },
    offer: async () => offer,
  };
}

/** A client like any other: it may not say that it is somebody else. */
export const STRANGER: Visitor = {
  isFrontTier: false,
  bindable: false,
  certified: false,
  introduce() {
    throw new Error('a stranger was believed');
  },
  course: null,
  askChannel: () => false,
  authService: null,
};

export function backPlan(plan: Partial<BackPlan> = {}): BackPlan {
  return {
    tls: 'maytls',
    limits: LIMITS,
    host: 'store.test:143',
    hostname: 'mail.test',
    ...plan,
  };
}

/** What a wait ended with: a wish, or the code of the error. */
export async function outcome(wish: Promise<Wish>): Promise<Wish | string> {
  return wish.catch((error: unknown) => {
    if (error instanceof GateError) return error.code;
    throw error;
  });
}

/** Each a chunk of its own: nothing is sent in advance. */
export function lines(...texts: readonly string[]): string[] {
  return texts.map((text) => `${text}\r\n`);
}

export function base64(text: string | Buffer): string {
  return Buffer.from(text).toString('base64');
}

/** A PLAIN message. */
export function plainMessage(user: string, password: string, authzid = ''): string {
  return base64(`${authzid}\0${user}\0${password}`);
}

export const ACCEPTED = { accepted: true, temporary: false, extra: [] } as const;
export const REFUSED = { accepted: false, temporary: false, extra: [] } as const;
