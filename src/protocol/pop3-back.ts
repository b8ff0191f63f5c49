// POP3 towards a backend, up to and with the login: greeting, CAPA, STLS, XCLIENT, UTF8, then USER and PASS or AUTH.
// The backend is not trusted: every reply is bounded, and only the result of the login reaches the client.

import { GateError } from '../errors.ts';
import { parseReply } from '../wire/pop3.ts';
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

type Reply = ReturnType<typeof parseReply>;
type Final = Extract<Reply, { kind: 'ok' | 'err' }>;

/** RFC 3206: the fault is the system's, or the mailbox is busy (RFC 2449 8.1.1), not the credentials. */
const TEMPORARY = /^(SYS\/|IN-USE|LOGIN-DELAY)/;

const CAPA_LINES_MAX = 100;

export class Pop3Back implements BackSession {
  readonly #talk: Talk;
  #plan: BackPlan | null = null;
  #capabilities: readonly string[] = [];
  #greetedXclient = false;

  constructor(talk: Talk) {
    this.#talk = talk;
  }

  get capabilities(): readonly string[] {
    return this.#capabilities;
  }

  get mechanisms(): readonly string[] {
    const sasl = this.#capabilities.find((capability) => capability.startsWith('SASL '));
    return sasl === undefined ? [] : sasl.split(' ').slice(1);
  }

  async open(plan: BackPlan): Promise<void> {
    this.#plan = plan;
    const greeting = await this.#final('greeting');
    if (greeting.kind === 'err') throw this.#error('BACKEND_REFUSED', { said: greeting.text });
    // Dovecot says so in its greeting, to those whom it trusts: `+OK [XCLIENT] …`.
    this.#greetedXclient = greeting.code === 'XCLIENT';
    await this.#capa();
    if (plan.tls === 'notls' || this.#talk.secured) return;
    if (this.#has('STLS') && (await this.#run('STLS')).kind === 'ok') {
      await this.#talk.startTls('');
      await this.#capa();
    } else if (plan.tls === 'musttls') throw this.#error('BACKEND_TLS_MISSING', {});
  }

  async introduce(_method: IntroductionMethod, client: ClientFacts): Promise<boolean> {
    const offered = this.#capabilities.find((capability) => /^XCLIENT\b/.test(capability));
    if (offered === undefined) return false;
    // Dovecot's POP3 XCLIENT: what it listed, or all that it knows.
    const values = new Map([
      ...(client.address === '' ? [] : ([['ADDR', client.address]] as const)),
      ['PORT', String(client.port)],
      ['SESSION', client.sessionId],
      ['TTL', String(client.ttl)],
    ]);
    const listed = offered.split(' ').slice(1);
    // A store that cannot be told the address would take the client for us.
    if (listed.length > 0 && !listed.includes('ADDR')) return false;
    const words = (listed.length > 0 ? listed : [...values.keys()]).flatMap((name) => {
      const value = values.get(name);
      return value === undefined ? [] : [`${name}=${value}`];
    });
    const reply = await this.#run(`XCLIENT ${words.join(' ')}`);
    // A proxy behind finds itself in a loop; it is as true here.
    if (reply.kind === 'err' && reply.code === 'SYS/PERM')
      throw this.#error('PROXY_LOOP', { said: reply.text });
    return reply.kind === 'ok';
  }

  async login(credentials: Replayable, options: { readonly utf8?: boolean } = {}): Promise<Verdict> {
    if (options.utf8 === true) {
      const reply = await this.#run('UTF8');
      // The client has been told that UTF8 is on; without it names and passwords would mean something else.
      if (reply.kind === 'err') throw this.#error('BACKEND_REFUSED', { said: reply.text, phase: 'UTF8' });
    }
    switch (credentials.kind) {
      case 'password':
        return this.#password(credentials);
      case 'bearer':
        return this.#bearer(credentials);
    }
  }

  /** RFC 1939 5: NOOP is for those who are logged in, CAPA for all. */
  ping(): Promise<void> {
    return this.#capa();
  }

  quit(): void {
    this.#talk.send('QUIT\r\n');
  }

  /** USER and PASS where the name and password fit on a line as they are; PLAIN for an authzid or other bytes. */
  async #password(credentials: Extract<Replayable, { kind: 'password' }>): Promise<Verdict> {
    const { user, password, authzid } = credentials;
    const fits = authzid === '' && /^[\x21-\x7e]+$/.test(user) && /^[\x20-\x7e]+$/.test(password);
    const plain = this.mechanisms.includes('PLAIN');
    if (plain && (credentials.mechanism !== 'USER' || !fits)) {
      return this.#auth('PLAIN', [formatPlain(credentials).toString('base64')]);
    }
    if (!fits) throw this.#error('BACKEND_NO_MECHANISM', { mechanism: credentials.mechanism });
    const first = await this.#run(`USER ${user}`);
    return verdictOf(first.kind === 'ok' ? await this.#run(`PASS ${password}`) : first);
  }

  async #bearer(credentials: Extract<Replayable, { kind: 'bearer' }>): Promise<Verdict> {
    const { mechanism, message, ask } = credentials;
    if (!this.mechanisms.includes(mechanism)) throw this.#error('BACKEND_NO_MECHANISM', { mechanism });
    return this.#auth(mechanism, [message], ask);
  }

  async #auth(mechanism: string, answers: string[], ask?: (c: string) => Promise<string>): Promise<Verdict> {
    // RFC 5034 4: an initial response only where the line stays within 255 octets.
    const [first = ''] = answers;
    const queue = first.length < 200 ? answers.slice(1) : [...answers];
    this.#talk.send(`AUTH ${mechanism}${first.length < 200 ? ` ${first}` : ''}\r\n`);
    for (let rounds = 0; rounds < 10; rounds++) {
      const reply = await this.#hear();
      if (reply.kind !== 'continuation') return verdictOf(this.#expectFinal(reply, `AUTH ${mechanism}`));
      this.#talk.send(`${queue.shift() ?? (ask === undefined ? '*' : await ask(reply.text))}\r\n`);
    }
    throw this.#error('BACKEND_PROTOCOL', { phase: 'endless AUTH' });
  }

  async #capa(): Promise<void> {
    this.#capabilities = this.#greetedXclient ? ['XCLIENT'] : [];
    if ((await this.#run('CAPA')).kind === 'err') return;
    const lines: string[] = [];
    let bytes = 0;
    for (;;) {
      const line = (await this.#talk.line()).toString('latin1');
      if (line === '.') break;
      bytes += line.length;
      // What could pass for the end of a list or for a reply is no capability.
      if (/^[A-Za-z0-9][\x20-\x7e]*$/.test(line)) lines.push(line.trimEnd());
      if (lines.length > CAPA_LINES_MAX || bytes > (this.#plan?.limits.replyBytes ?? 0))
        throw this.#error('BACKEND_PROTOCOL', { phase: 'endless CAPA' });
    }
    this.#capabilities = [...this.#capabilities, ...lines];
  }

  #has(keyword: string): boolean {
    return this.#capabilities.some((capability) => capability.toUpperCase() === keyword);
  }

  async #run(command: string): Promise<Final> {
    this.#talk.send(`${command}\r\n`);
    return this.#final(command.slice(0, command.indexOf(' ') >>> 0));
  }

  async #final(phase: string): Promise<Final> {
    return this.#expectFinal(await this.#hear(), phase);
  }

  async #hear(): Promise<Reply> {
    return parseReply(await this.#talk.line());
  }

  #expectFinal(reply: Reply, phase: string): Final {
    if (reply.kind === 'ok' || reply.kind === 'err') return reply;
    throw this.#error('BACKEND_PROTOCOL', { phase });
  }

  #error(
    code:
      'BACKEND_PROTOCOL' | 'BACKEND_REFUSED' | 'BACKEND_TLS_MISSING' | 'BACKEND_NO_MECHANISM' | 'PROXY_LOOP',
    context: Readonly<Record<string, string>>,
  ): GateError {
    return new GateError(code, { backend: this.#plan?.host, ...context });
  }
}

function verdictOf(reply: Final): Verdict {
  const words = `${reply.code === '' ? '' : `[${reply.code}] `}${reply.text}`;
  const accepted = reply.kind === 'ok';
  return { accepted, temporary: !accepted && TEMPORARY.test(reply.code), words, extra: [] };
}
