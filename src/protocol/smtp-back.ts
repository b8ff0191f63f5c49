// SMTP towards the relay: greeting, EHLO, STARTTLS, XCLIENT or XPEHLO, AUTH, and replies for smtp-relay.ts. The relay is not
// trusted: every reply is bounded and well-formed or the leg ends.

import { GateError } from '../errors.ts';
import { encodeXtext, parseEhloKeyword, parseReplyLine, xclientAddress } from '../wire/smtp.ts';
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

export interface SmtpReply {
  readonly code: number;
  /** The text of each line. */
  readonly texts: readonly string[];
  /** As it came, with CRLFs. */
  readonly raw: string;
}

/** RFC 4954 4: an initial response only where the command stays within 512 octets. */
const INITIAL_RESPONSE_MAX = 450;

/** XCLIENT's own limit is the command line's, 512 octets. */
const XCLIENT_LINE_MAX = 500;

const AUTH_ROUNDS_MAX = 10;

export class SmtpBack implements BackSession {
  readonly talk: Talk;
  #plan: BackPlan | null = null;
  #capabilities: readonly string[] = [];

  constructor(talk: Talk) {
    this.talk = talk;
  }

  get capabilities(): readonly string[] {
    return this.#capabilities;
  }

  get mechanisms(): readonly string[] {
    return this.#parametersOf('AUTH') ?? [];
  }

  has(keyword: string): boolean {
    return this.#parametersOf(keyword) !== null;
  }

  async open(plan: BackPlan): Promise<void> {
    this.#plan = plan;
    const greeting = await this.readReply();
    if (greeting.code !== 220) throw this.#error('BACKEND_REFUSED', greeting);
    await this.#ehlo(plan.hostname);
    if (plan.tls === 'notls' || this.talk.secured) return;
    if (this.has('STARTTLS') && (await this.#run('STARTTLS')).code === 220) {
      await this.talk.startTls('');
      await this.#ehlo(plan.hostname);
    } else if (plan.tls === 'musttls') throw new GateError('BACKEND_TLS_MISSING', { backend: plan.host });
  }

  introduce(method: IntroductionMethod, client: ClientFacts): Promise<boolean> {
    return method === 'xpehlo' ? this.#xpehlo(client) : this.#xclient(client);
  }

  /** Postfix XCLIENT: every attribute that the relay listed, then a new EHLO in the client's name. */
  async #xclient(client: ClientFacts): Promise<boolean> {
    const listed = this.#parametersOf('XCLIENT');
    // A relay that cannot be told the address would take the client for us.
    const takes = (attribute: string): boolean =>
      listed?.some((name) => name.toUpperCase() === attribute) === true;
    if (listed === null || !takes('ADDR')) return false;
    if (client.isLoginNeeded === true && !takes('LOGIN')) return false;
    const known = xclientAttributes(client);
    const words = listed.flatMap((name) => {
      const value = known.get(name.toUpperCase());
      return value === undefined ? [] : [`${name}=${value}`];
    });
    for (const line of xclientLines(words)) {
      const reply = await this.#run(line);
      if (isLoop(reply)) throw this.#error('PROXY_LOOP', reply);
      if (reply.code !== 220) throw this.#error('BACKEND_NO_CLIENT_INFO', reply);
    }
    if (client.esmtp || client.helo === null) await this.#ehlo(client.helo ?? this.#hostname);
    else await this.#helo(client.helo);
    return true;
  }

  /** Our own: an EHLO in the client's name that shows our password and tells the rest. */
  async #xpehlo(client: ClientFacts): Promise<boolean> {
    const password = this.#plan?.xpehloPassword ?? null;
    if (password === null || !this.has('XPEHLO')) return false;
    const { HELO: _isTheName, ...told } = Object.fromEntries(xclientAttributes(client));
    const channel = client.channel == null ? {} : { CHANNEL: client.channel };
    const words = Object.entries({
      PASSWORD: encodeXtext(password),
      ...told,
      ...tlsAttribute(client),
      ...channel,
    });
    const line = words.map(([name, value]) => `${name}=${value}`).join(' ');
    const reply = await this.#run(`XPEHLO ${client.helo ?? this.#hostname} ${line}`);
    if (isLoop(reply)) throw this.#error('PROXY_LOOP', reply);
    // Its words are not for the log, the password may be among them.
    if (reply.code !== 250) throw this.#error('BACKEND_NO_CLIENT_INFO', { ...reply, texts: ['to XPEHLO'] });
    this.#capabilities = reply.texts.slice(1);
    return true;
  }

  async login(credentials: Replayable): Promise<Verdict> {
    switch (credentials.kind) {
      case 'password':
        return this.#password(credentials);
      case 'bearer':
        if (!this.mechanisms.includes(credentials.mechanism)) throw this.#noMechanism(credentials.mechanism);
        return this.#auth(credentials.mechanism, [credentials.message], credentials.ask);
    }
  }

  async ping(): Promise<void> {
    const reply = await this.#run('NOOP');
    if (reply.code !== 250) throw this.#error('BACKEND_REFUSED', reply);
  }

  quit(): void {
    this.talk.send('QUIT\r\n');
  }

  /** RFC 5321 4.2.1: one reply, all its lines with the same code. */
  async readReply(): Promise<SmtpReply> {
    const texts: string[] = [];
    let raw = '';
    let code: number | null = null;
    for (;;) {
      const line = await this.talk.line();
      const reply = parseReplyLine(line);
      if (reply.kind !== 'reply' || reply.code !== (code ??= reply.code)) {
        throw new GateError('BACKEND_PROTOCOL', { backend: this.#plan?.host });
      }
      texts.push(reply.text);
      raw += `${line.toString('latin1')}\r\n`;
      if (raw.length > (this.#plan?.limits.replyBytes ?? 0)) {
        throw new GateError('BACKEND_PROTOCOL', {
          backend: this.#plan?.host,
          phase: 'reply larger than limits.replyBytes',
        });
      }
      if (reply.last) return { code: reply.code, texts, raw };
    }
  }

  /** PLAIN carries everything; LOGIN is all that some relays have. */
  async #password(credentials: Extract<Replayable, { kind: 'password' }>): Promise<Verdict> {
    const { user, password, authzid } = credentials;
    if (this.mechanisms.includes('PLAIN')) {
      return this.#auth('PLAIN', [formatPlain(credentials).toString('base64')]);
    }
    if (authzid === '' && this.mechanisms.includes('LOGIN')) {
      return this.#auth(
        'LOGIN',
        [user, password].map((text) => Buffer.from(text).toString('base64')),
      );
    }
    throw this.#noMechanism(credentials.mechanism);
  }

  async #auth(mechanism: string, answers: string[], ask?: (c: string) => Promise<string>): Promise<Verdict> {
    const queue = [...answers];
    const first = queue[0] ?? '';
    const immediate = mechanism !== 'LOGIN' && first.length <= INITIAL_RESPONSE_MAX;
    if (immediate) queue.shift();
    let reply = await this.#run(`AUTH ${mechanism}${immediate ? ` ${first}` : ''}`);
    for (let rounds = 0; reply.code === 334; rounds++) {
      if (rounds === AUTH_ROUNDS_MAX) throw this.#error('BACKEND_PROTOCOL', reply);
      const next = queue.shift() ?? (ask === undefined ? '*' : await ask(reply.texts[0] ?? ''));
      reply = await this.#run(next);
    }
    if (reply.code === 421) throw this.#error('BACKEND_REFUSED', reply);
    return {
      accepted: reply.code === 235,
      temporary: reply.code >= 400 && reply.code < 500,
      words: reply.raw,
      extra: [],
    };
  }

  async #ehlo(name: string): Promise<void> {
    // RFC 3207 4.2: what was learnt before TLS is forgotten, also where no new list comes.
    this.#capabilities = [];
    const reply = await this.#run(`EHLO ${name}`);
    if (reply.code === 250) {
      this.#capabilities = reply.texts.slice(1);
      return;
    }
    if (reply.code < 500) throw this.#error('BACKEND_REFUSED', reply);
    await this.#helo(name);
  }

  async #helo(name: string): Promise<void> {
    this.#capabilities = [];
    const reply = await this.#run(`HELO ${name}`);
    if (reply.code !== 250) throw this.#error('BACKEND_REFUSED', reply);
  }

  async #run(command: string): Promise<SmtpReply> {
    this.talk.send(`${command}\r\n`);
    return this.readReply();
  }

  get #hostname(): string {
    return this.#plan?.hostname ?? '';
  }

  #parametersOf(keyword: string): readonly string[] | null {
    for (const line of this.#capabilities) {
      const parsed = parseEhloKeyword(line);
      if (parsed.keyword === keyword) return parsed.parameters;
    }
    return null;
  }

  #noMechanism(mechanism: string): GateError {
    return new GateError('BACKEND_NO_MECHANISM', { backend: this.#plan?.host, mechanism });
  }

  #error(
    code: 'BACKEND_REFUSED' | 'BACKEND_NO_CLIENT_INFO' | 'BACKEND_PROTOCOL' | 'PROXY_LOOP',
    reply: SmtpReply,
  ): GateError {
    return new GateError(code, {
      backend: this.#plan?.host,
      said: `${reply.code} ${reply.texts.join(' / ')}`,
    });
  }
}

const UNAVAILABLE = '[UNAVAILABLE]';

/** RFC 3463 3.5: 5.4.6, a routing loop. A proxy behind says so, and it is as true here. */
function isLoop(reply: SmtpReply): boolean {
  return reply.code === 554 && reply.texts[0]?.startsWith('5.4.6 ') === true;
}

function tlsAttribute({ tlsVersion, tlsCipher }: ClientFacts): { readonly TLS?: string } {
  if (tlsVersion === null) return {};
  return { TLS: encodeXtext(tlsCipher === null ? tlsVersion : `${tlsVersion}:${tlsCipher}`) };
}

/** The attributes of Postfix's XCLIENT_README, values in xtext, and two that only other proxies list. */
function xclientAttributes(client: ClientFacts): ReadonlyMap<string, string> {
  return new Map([
    ['NAME', client.name === null ? UNAVAILABLE : encodeXtext(client.name)],
    ['ADDR', xclientAddress(client.address)],
    ['PORT', String(client.port)],
    ['PROTO', client.esmtp || client.helo === null ? 'ESMTP' : 'SMTP'],
    ['HELO', client.helo === null ? UNAVAILABLE : encodeXtext(client.helo)],
    ['LOGIN', client.login === null ? UNAVAILABLE : encodeXtext(client.login)],
    ['DESTADDR', xclientAddress(client.localAddress)],
    ['DESTPORT', String(client.localPort)],
    ['TTL', String(client.ttl)],
    ['SESSION', encodeXtext(client.sessionId)],
  ]);
}

/** As many commands as the attributes need. */
function xclientLines(words: readonly string[]): readonly string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length + 1 <= XCLIENT_LINE_MAX)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(`XCLIENT ${word}`);
  }
  return lines;
}
