// POP3 before login, towards the client: CAPA, STLS, USER, PASS, APOP, AUTH, UTF8, NOOP, QUIT; the rest is answered -ERR and
// counted. A front tier may say who its client is by XCLIENT, and XQUERYAUTH is for those that the service allows; to
// anybody else there are no such commands. Promises: no password is asked for or taken where TLS is required and
// missing; USER is always answered alike, so that nobody learns which names exist (RFC 1939 7).

import { ERRORS, GateError } from '../errors.ts';
import { ipOf } from '../wire/address.ts';
import { parsePop3Xclient } from '../wire/introduction.ts';
import { parseCommand } from '../wire/pop3.ts';
import type { Credentials, FrontRules, FrontSession, Talk, Verdict, Visitor, Wish } from './dialect.ts';
import { offeredNow, type Standing, wantsPrivacy } from './mechanisms.ts';
import { Patience } from './patience.ts';
import { collectCredentials, type SaslFailure } from './sasl.ts';
import { apopCredentials } from './sasl-challenge.ts';

export class Pop3Front implements FrontSession {
  readonly #talk: Talk;
  #rules: FrontRules;
  readonly #visitor: Visitor;
  readonly #patience: Patience;
  #user: string | null = null;
  #utf8 = false;
  /** What the greeting held for APOP; null: there is no APOP. */
  #stamp: string | null = null;
  /** A login waits for its answer. */
  #waiting = false;

  constructor(talk: Talk, rules: FrontRules, visitor: Visitor) {
    this.#talk = talk;
    this.#rules = rules;
    this.#visitor = visitor;
    this.#patience = new Patience(rules.limits.badCommands);
  }

  govern(rules: FrontRules): void {
    this.#rules = rules;
    this.#patience.limit(rules.limits.badCommands);
  }

  async greet(): Promise<void> {
    // RFC 1939 7: where APOP is offered, a stamp of which there is no second.
    this.#stamp = this.#rules.apop ? this.#rules.fresh.stamp() : null;
    const stamp = this.#stamp === null ? '' : ` ${this.#stamp}`;
    // Dovecot's way to tell a proxy that XCLIENT is known.
    const code = this.#visitor.isFrontTier ? '[XCLIENT] ' : '';
    this.#talk.send(`+OK ${code}${this.#rules.hostname} ${this.#rules.banner}${stamp}\r\n`);
  }

  async nextWish(): Promise<Wish> {
    this.#waiting = false;
    for (;;) {
      const line = await this.#talk.command();
      const command = parseCommand(line);
      const wish =
        command.kind === 'command'
          ? await this.#answer(command.verb, command.argument)
          : this.#err('Command not understood');
      if (wish !== null) return wish;
    }
  }

  admit(verdict: Verdict): void {
    this.#talk.send(`+OK ${verdict.words}\r\n`);
  }

  refuse(verdict: Verdict): void {
    this.#user = null;
    this.#talk.send(`-ERR ${verdict.words}\r\n`);
  }

  wordsFor(error: GateError): string {
    const { pop3, text } = ERRORS[error.code];
    if (pop3 === null) return '';
    return `-ERR ${pop3 === '' ? '' : `[${pop3}] `}${text}\r\n`;
  }

  /** As in IMAP: what is only the login's failure does not end the connection. */
  ends(error: GateError): boolean {
    return !this.#waiting || ERRORS[error.code].imap?.[0] !== 'NO';
  }

  async #answer(verb: string, argument: string): Promise<Wish | null> {
    switch (verb) {
      case 'CAPA':
        return this.#capa();
      case 'NOOP':
        return this.#ok('');
      case 'QUIT':
        this.#talk.send('+OK Goodbye\r\n');
        return { kind: 'quit' };
      case 'STLS':
        return this.#startTls();
      case 'USER':
        return this.#takeUser(argument);
      case 'PASS':
        return this.#takePassword(argument);
      case 'APOP':
        return this.#apop(argument);
      case 'AUTH':
        return this.#auth(argument);
      case 'UTF8':
        return this.#takeUtf8();
      case 'XQUERYAUTH':
        return this.#queryAuth(argument);
      case 'XCLIENT':
        if (this.#visitor.isFrontTier) return this.#takeIntroduction(argument);
        return this.#err('Log in first');
      default:
        return this.#err('Log in first');
    }
  }

  async #capa(): Promise<null> {
    const offer = await this.#rules.offer();
    const { tls } = this.#rules;
    const secured = this.#talk.secured;
    const sasl = this.#mustSecure() ? [] : offeredNow(offer.mechanisms, this.#standing);
    const lines = [
      ...offer.capabilities,
      'RESP-CODES',
      'AUTH-RESP-CODE',
      ...(tls === 'notls' || secured ? [] : ['STLS']),
      ...(this.#noPasswords() ? [] : ['USER']),
      ...(sasl.length > 0 ? [`SASL ${sasl.join(' ')}`] : []),
    ];
    this.#patience.waste();
    this.#talk.send(`+OK Capabilities follow\r\n${lines.map((line) => `${line}\r\n`).join('')}.\r\n`);
    return null;
  }

  async #startTls(): Promise<null> {
    if (this.#rules.tls === 'notls') return this.#err('TLS is not available here');
    if (this.#talk.secured) return this.#err('TLS is active already');
    await this.#talk.startTls('+OK Begin TLS now\r\n');
    // RFC 2595 4: knowledge from before TLS is discarded.
    this.#user = null;
    this.#utf8 = false;
    return null;
  }

  /** Dovecot's proxies send it before STLS, so it counts beyond it: whom we trust, the address says. */
  #takeIntroduction(argument: string): null {
    const xclient = parsePop3Xclient(argument);
    if (xclient.kind === 'malformed') {
      throw new GateError('BAD_INTRODUCTION', { by: 'XCLIENT', what: xclient.what });
    }
    this.#visitor.introduce(xclient.told);
    this.#user = null;
    return this.#ok('Updated');
  }

  /** Whoever may ask is told before any login. */
  async #queryAuth(argument: string): Promise<null> {
    const { authService } = this.#visitor;
    if (authService === null) return this.#err('Log in first');
    if (this.#mustSecure()) return this.#needsTls();
    const address = ipOf(argument)?.address;
    if (address === undefined) return this.#err('XQUERYAUTH takes an IP address');
    const user = await authService(address);
    if (user !== null) return this.#ok(user);
    this.#patience.waste();
    this.#talk.send('-ERR not authenticated\r\n');
    return null;
  }

  #takeUser(name: string): null {
    if (this.#noPasswords()) return this.#needsTls();
    if (name === '') return this.#err('USER takes a name');
    this.#user = name;
    return this.#ok('Password please');
  }

  #takePassword(password: string): Wish | null {
    if (this.#noPasswords()) return this.#needsTls();
    const user = this.#user;
    this.#user = null;
    if (user === null) return this.#err('USER first');
    if (password === '') return this.#err('[AUTH] The password may not be empty');
    return this.#wish({ kind: 'password', mechanism: 'USER', authzid: '', user, password });
  }

  #apop(argument: string): Wish | null {
    if (this.#stamp === null || !this.#rules.apop) return this.#err('APOP is not available here');
    if (this.#mustSecure()) return this.#needsTls();
    this.#user = null;
    const credentials = apopCredentials(argument, this.#stamp);
    return credentials === null ? this.#err('APOP takes a name and a digest') : this.#wish(credentials);
  }

  async #auth(argument: string): Promise<Wish | null> {
    const { mechanisms } = await this.#rules.offer();
    if (this.#mustSecure()) return this.#needsTls();
    const [mechanism, initial, ...rest] = argument.split(' ').filter((word) => word !== '');
    if (mechanism === undefined) {
      const now = offeredNow(mechanisms, this.#standing);
      this.#talk.send(`+OK Mechanisms follow\r\n${now.map((m) => `${m}\r\n`).join('')}.\r\n`);
      return null;
    }
    if (rest.length > 0) return this.#err('AUTH takes a mechanism');
    const result = await collectCredentials({
      mechanism,
      initial: initial ?? null,
      mechanisms,
      standing: this.#standing,
      fresh: this.#rules.fresh,
      bytesMax: this.#rules.limits.commandBytes,
      onBrokenOff: (how) => this.#saslFailure(how),
      ask: async (challenge) => {
        this.#talk.send(`+ ${challenge}\r\n`);
        return (await this.#talk.line()).toString('latin1');
      },
    });
    return result.kind === 'credentials' ? this.#wish(result.credentials) : this.#saslFailure(result);
  }

  #saslFailure(result: SaslFailure): null {
    switch (result.kind) {
      case 'cancelled':
        return this.#err('AUTH cancelled');
      case 'malformed':
        return this.#err('That is not a valid SASL message');
      case 'unknown':
        return this.#err('[AUTH] Mechanism not offered');
      case 'insecure':
        return this.#needsTls();
    }
  }

  async #takeUtf8(): Promise<null> {
    const offer = await this.#rules.offer();
    if (!offer.capabilities.some((capability) => /^UTF8\b/.test(capability))) {
      return this.#err('UTF8 is not available here');
    }
    this.#utf8 = true;
    return this.#ok('UTF8 enabled');
  }

  #wish(credentials: Credentials): Wish {
    this.#waiting = true;
    return { kind: 'login', credentials, utf8: this.#utf8 };
  }

  get #standing(): Standing {
    const { bindable, certified } = this.#visitor;
    return { secured: this.#talk.secured, bindable, certified, restricted: this.#rules.restricted };
  }

  #noPasswords(): boolean {
    return this.#mustSecure() || wantsPrivacy('LOGIN', this.#standing);
  }

  #mustSecure(): boolean {
    return this.#rules.tls === 'musttls' && !this.#talk.secured;
  }

  #needsTls(): null {
    return this.#err('[AUTH] Use STLS first');
  }

  #ok(words: string): null {
    this.#patience.waste();
    this.#talk.send(`+OK ${words}\r\n`);
    return null;
  }

  #err(words: string): null {
    this.#patience.lose();
    this.#talk.send(`-ERR ${words}\r\n`);
    return null;
  }
}
