// IMAP towards a backend, up to and with the login. The backend is not trusted: PREAUTH ends the attempt, text before
// TLS is dropped with it, every reply is bounded, and nothing but the result of the login reaches the client.

import { GateError } from '../errors.ts';
import { capabilitiesIn, formatId, isTemporary, literalAtEnd, parseResponse, quoted } from '../wire/imap.ts';
import { formatPlain } from '../wire/sasl.ts';
import type {
  BackPlan,
  BackSession,
  ClientFacts,
  IntroductionMethod,
  Replayable,
  Talk,
  Verdict,
} from './dialect.ts';

type Response = ReturnType<typeof parseResponse>;
type Tagged = Extract<Response, { kind: 'tagged' }>;

/** A response and the line as it came. */
interface Heard {
  readonly response: Response;
  readonly line: Buffer;
  /** No literal hung on it. */
  readonly whole: boolean;
}

export class ImapBack implements BackSession {
  readonly #talk: Talk;
  #plan: BackPlan = UNOPENED;
  #capabilities: readonly string[] = [];
  #count = 0;
  #bytesLeft = 0;

  constructor(talk: Talk) {
    this.#talk = talk;
  }

  get capabilities(): readonly string[] {
    return this.#capabilities;
  }

  get mechanisms(): readonly string[] {
    return this.#capabilities.filter((c) => c.startsWith('AUTH=')).map((c) => c.slice('AUTH='.length));
  }

  async open(plan: BackPlan): Promise<void> {
    this.#plan = plan;
    this.#bytesLeft = plan.limits.replyBytes;
    const greeting = await this.#hear();
    this.#checkGreeting(greeting.response);
    this.#learn(greeting.response);
    if (this.#capabilities.length === 0) await this.#askCapabilities();
    if (plan.tls === 'notls' || this.#talk.secured) return;
    if (this.#has('STARTTLS')) await this.#startTls();
    else if (plan.tls === 'musttls') throw new GateError('BACKEND_TLS_MISSING', { backend: plan.host });
  }

  async introduce(_method: IntroductionMethod, client: ClientFacts): Promise<boolean> {
    if (!this.#has('ID')) return false;
    // The names that Dovecot and others read from trusted front ends (login_trusted_networks).
    const fields = new Map<string, string>([
      ['x-session-id', client.sessionId],
      ['x-originating-ip', client.address],
      ['x-originating-port', String(client.port)],
      ['x-connected-ip', client.localAddress],
      ['x-connected-port', String(client.localPort)],
      ['x-proxy-ttl', String(client.ttl)],
    ]);
    // A client on a Unix socket has no address to tell.
    for (const [key, value] of fields) if (value === '') fields.delete(key);
    const result = await this.#run(`ID ${formatId(fields)}`);
    return result.tagged.status === 'OK';
  }

  async login(credentials: Replayable): Promise<Verdict> {
    switch (credentials.kind) {
      case 'password':
        return this.#password(credentials);
      case 'bearer':
        return this.#bearer(credentials);
    }
  }

  async ping(): Promise<void> {
    const { tagged } = await this.#run('NOOP');
    if (tagged.status !== 'OK')
      throw new GateError('BACKEND_REFUSED', { backend: this.#plan.host, said: tagged.text });
  }

  quit(): void {
    this.#talk.send('s LOGOUT\r\n');
  }

  /** PLAIN carries everything; LOGIN, the command or the mechanism, carries no authzid. */
  async #password(credentials: Extract<Replayable, { kind: 'password' }>): Promise<Verdict> {
    const { user, password, authzid } = credentials;
    if (this.#has('AUTH=PLAIN')) {
      return this.#authenticate('PLAIN', [formatPlain(credentials).toString('base64')]);
    }
    if (authzid === '' && !this.#has('LOGINDISABLED')) return this.#loginCommand(user, password);
    if (authzid === '' && this.#has('AUTH=LOGIN')) {
      const answers = [user, password].map((text) => Buffer.from(text).toString('base64'));
      return this.#authenticate('LOGIN', answers);
    }
    throw new GateError('BACKEND_NO_MECHANISM', {
      backend: this.#plan.host,
      mechanism: credentials.mechanism,
    });
  }

  async #bearer(credentials: Extract<Replayable, { kind: 'bearer' }>): Promise<Verdict> {
    const { mechanism, message, ask } = credentials;
    if (!this.#has(`AUTH=${mechanism}`)) {
      throw new GateError('BACKEND_NO_MECHANISM', { backend: this.#plan.host, mechanism });
    }
    return this.#authenticate(mechanism, [message], ask);
  }

  /** Answers the backend's challenges with `answers` in turn, further ones by asking the client (RFC 7628 3.2.3). */
  async #authenticate(
    mechanism: string,
    answers: string[],
    ask?: (c: string) => Promise<string>,
  ): Promise<Verdict> {
    const queue = [...answers];
    const immediate = mechanism !== 'LOGIN' && this.#has('SASL-IR') ? ` ${queue.shift() ?? ''}` : '';
    return this.#verdict(`AUTHENTICATE ${mechanism}${immediate}`, async (challenge) => {
      const next = queue.shift() ?? (ask === undefined ? '*' : await ask(challenge));
      this.#talk.send(`${next}\r\n`);
    });
  }

  async #loginCommand(user: string, password: string): Promise<Verdict> {
    const words = [user, password].map((text) => ({ text: quoted(text), bytes: Buffer.from(text) }));
    if (words.every((word) => word.text !== null)) {
      return this.#verdict(`LOGIN ${words.map((word) => word.text).join(' ')}`, refuseChallenge);
    }
    // What no quoted string can hold goes as synchronising literals, which every server takes (RFC 9051 4.3).
    const literals = words.map((word) => word.bytes);
    const [first, second] = literals;
    return this.#verdict(`LOGIN {${first?.length}}`, async () => {
      const bytes = literals.shift();
      if (bytes === undefined) await refuseChallenge();
      else
        this.#talk.send(
          Buffer.concat([bytes, literals.length > 0 ? Buffer.from(` {${second?.length}}\r\n`) : CRLF]),
        );
    });
  }

  async #verdict(command: string, onChallenge: (challenge: string) => Promise<void>): Promise<Verdict> {
    const { tagged, capabilityLine, alerts } = await this.#run(command, onChallenge);
    const words = `${tagged.code === '' ? '' : `[${tagged.code}] `}${tagged.text}`;
    const accepted = tagged.status === 'OK';
    const temporary = !accepted && isTemporary(tagged.code);
    if (!accepted) return { accepted, temporary, words, extra: alerts };
    // RFC 9051 6.2.3: the client may only trust the list from after the login, so it must get one.
    const told = tagged.code.startsWith('CAPABILITY');
    const line = told ? null : (capabilityLine ?? (await this.#run('CAPABILITY')).capabilityLine);
    return { accepted, temporary, words, extra: line === null ? alerts : [...alerts, `${line}\r\n`] };
  }

  #checkGreeting(response: Response): void {
    const backend = this.#plan.host;
    if (response.kind !== 'untagged') throw new GateError('BACKEND_PROTOCOL', { backend, phase: 'greeting' });
    if (response.status === 'PREAUTH') throw new GateError('BACKEND_PREAUTH', { backend });
    if (response.status === 'BYE') throw new GateError('BACKEND_REFUSED', { backend, said: response.text });
    if (response.status !== 'OK') throw new GateError('BACKEND_PROTOCOL', { backend, phase: 'greeting' });
  }

  async #startTls(): Promise<void> {
    const { tagged } = await this.#run('STARTTLS');
    if (tagged.status !== 'OK') {
      if (this.#plan.tls === 'musttls')
        throw new GateError('BACKEND_TLS_MISSING', { backend: this.#plan.host });
      return;
    }
    await this.#talk.startTls('');
    // RFC 9051 6.2.1: what was learnt before TLS is forgotten.
    this.#capabilities = [];
    await this.#askCapabilities();
  }

  async #askCapabilities(): Promise<void> {
    await this.#run('CAPABILITY');
  }

  #has(capability: string): boolean {
    return this.#capabilities.includes(capability);
  }

  #learn(response: Response): boolean {
    const list = capabilityList(response);
    if (list !== null) this.#capabilities = list;
    return list !== null;
  }

  /** Sends a command and listens to its end. */
  async #run(
    command: string,
    onChallenge: (challenge: string) => Promise<void> = refuseChallenge,
  ): Promise<{ tagged: Tagged; capabilityLine: string | null; alerts: readonly string[] }> {
    const tag = `s${++this.#count}`;
    this.#bytesLeft = this.#plan.limits.replyBytes;
    this.#talk.send(`${tag} ${command}\r\n`);
    let capabilityLine: string | null = null;
    const alerts: string[] = [];
    for (;;) {
      const { response, line, whole } = await this.#hear();
      switch (response.kind) {
        case 'continuation':
          await onChallenge(response.text);
          break;
        case 'untagged':
          if (response.status === 'BYE') throw this.#farewell(response, command);
          // RFC 3501 7.1: an alert must be shown to the user.
          if (response.code.toUpperCase() === 'ALERT' && whole) alerts.push(`${line.toString('utf8')}\r\n`);
          if (this.#learn(response) && response.status === 'CAPABILITY')
            capabilityLine = line.toString('utf8');
          break;
        case 'tagged':
          if (response.tag !== tag) throw this.#nonsense();
          this.#learn(response);
          return { tagged: response, capabilityLine, alerts };
        default:
          throw this.#nonsense();
      }
    }
  }

  /** One response; literals inside it are read and dropped. */
  async #hear(): Promise<Heard> {
    const line = await this.#talk.line();
    this.#spend(line.length);
    for (let end = literalAtEnd(line); end.kind !== 'none';) {
      if (end.kind === 'malformed') throw this.#nonsense();
      this.#spend(end.bytes);
      await this.#talk.bytes(end.bytes);
      const rest = await this.#talk.line();
      this.#spend(rest.length);
      end = literalAtEnd(rest);
    }
    const whole = literalAtEnd(line).kind === 'none';
    return { response: parseResponse(line), line, whole };
  }

  #spend(bytes: number): void {
    this.#bytesLeft -= bytes + 2;
    if (this.#bytesLeft < 0) {
      throw new GateError('BACKEND_PROTOCOL', {
        backend: this.#plan.host,
        phase: 'reply larger than limits.replyBytes',
      });
    }
  }

  /** A proxy behind that finds itself in a loop says so in its answer to ID; it is as true here. */
  #farewell({ code, text }: { readonly code: string; readonly text: string }, command: string): GateError {
    const isLoop = command.startsWith('ID ') && code === 'CANNOT';
    return new GateError(isLoop ? 'PROXY_LOOP' : 'BACKEND_REFUSED', { backend: this.#plan.host, said: text });
  }

  #nonsense(): GateError {
    return new GateError('BACKEND_PROTOCOL', {
      backend: this.#plan.host,
      phase: `answer to command ${this.#count}`,
    });
  }
}

const CRLF = Buffer.from('\r\n');

/** Backends say the same list over and over; it is taken apart once. */
const LISTS_MAX = 64;
const lists = new Map<string, readonly string[] | null>();

function capabilityList(response: Response): readonly string[] | null {
  if (response.kind !== 'tagged' && response.kind !== 'untagged') return null;
  const words = response.status === 'CAPABILITY' ? response.text : response.code;
  if (words === '') return null;
  const key = `${response.status} ${words}`;
  const known = lists.get(key);
  if (known !== undefined) return known;
  const list = capabilitiesIn(response);
  if (lists.size >= LISTS_MAX) lists.clear();
  lists.set(key, list);
  return list;
}

const UNOPENED: BackPlan = {
  tls: 'notls',
  limits: { replyBytes: 0 },
  host: '',
  hostname: '',
};

async function refuseChallenge(): Promise<void> {
  throw new GateError('BACKEND_PROTOCOL', { phase: 'unexpected continuation' });
}
