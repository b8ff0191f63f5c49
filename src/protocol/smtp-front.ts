// SMTP towards the client: greeting, EHLO, STARTTLS, AUTH, and all that is answered without the relay. A wish to send
// mail leaves its command pending here for smtp-relay.ts. Promises: MAIL is not passed on where TLS or AUTH is required
// and missing; XCLIENT, XFORWARD and XPEHLO from a client are unknown commands, the first and the last are known to
// front tiers of ours (smtp-introduction.ts); after STARTTLS all is forgotten, and after an introduction there is none.

import { ERRORS, GateError } from '../errors.ts';
import { formatReply, parseBdat, parseCommand, parseEhloKeyword, parsePath } from '../wire/smtp.ts';
import type {
  Course,
  Credentials,
  FrontRules,
  FrontSession,
  Talk,
  Verdict,
  Visitor,
  Wish,
} from './dialect.ts';
import { offeredNow, type Standing } from './mechanisms.ts';
import { Patience } from './patience.ts';
import { collectCredentials, type SaslFailure } from './sasl.ts';
import { SmtpIntroduction } from './smtp-introduction.ts';
import { mustSecure, refusalOf, type SessionState } from './smtp-order.ts';

export interface SmtpCommand {
  readonly verb: string;
  readonly argument: string;
}

export interface Helo {
  readonly name: string;
  readonly esmtp: boolean;
}

/** RFC 5321 4.5.3.1.4 says 512 octets; MAIL with parameters and AUTH need more (RFC 4954 4). */
const HELO_NAME_MAX = 255;
/** RFC 4954 6: the login failed, and not for ever; the connection goes on. */
const LOGIN_FAILED = 454;

export class SmtpFront implements FrontSession {
  readonly talk: Talk;
  readonly #visitor: Visitor;
  #rules: FrontRules;
  readonly #patience: Patience;
  readonly #introduction: SmtpIntroduction;
  #helo: Helo | null = null;
  #authenticated = false;
  #pending: SmtpCommand | null = null;

  constructor(talk: Talk, rules: FrontRules, visitor: Visitor) {
    this.talk = talk;
    this.#rules = rules;
    this.#visitor = visitor;
    this.#introduction = new SmtpIntroduction(rules, visitor);
    this.#patience = new Patience(rules.limits.badCommands);
  }

  /** Those of the channel that it is on. */
  get rules(): FrontRules {
    return this.#rules;
  }

  govern(rules: FrontRules): void {
    this.#rules = rules;
    this.#patience.limit(rules.limits.badCommands);
  }

  get authenticated(): boolean {
    return this.#authenticated || this.isVouchedFor;
  }

  /** The login is a front tier's word, which can be given to a relay again. */
  get isVouchedFor(): boolean {
    return !this.#authenticated && this.#course !== null && this.#course.login !== null;
  }

  get helo(): Helo | null {
    return this.#helo;
  }

  async greet(): Promise<void> {
    this.talk.send(`220 ${this.rules.hostname} ESMTP ${this.rules.banner}\r\n`);
  }

  async nextWish(): Promise<Wish> {
    for (;;) {
      const command = await this.nextCommand('between');
      if (this.#course?.settling) await this.#course.settling;
      switch (command.verb) {
        case 'MAIL':
          if (!this.mayMail(command)) break;
          this.#pending = command;
          return { kind: 'mail' };
        case 'AUTH': {
          const credentials = await this.#auth(command);
          if (credentials !== null) return { kind: 'login', credentials };
          break;
        }
        case 'QUIT':
          this.quit();
          return { kind: 'quit' };
        default:
          await this.answer(command);
      }
    }
  }

  /** The pending command or the next one; a malformed one has the verb '' and is known to nobody. */
  async nextCommand(where: 'between' | 'in transaction'): Promise<SmtpCommand> {
    const pending = this.#pending;
    if (pending !== null) {
      this.#pending = null;
      return pending;
    }
    const line = where === 'between' ? await this.talk.command() : await this.talk.line();
    const command = parseCommand(line);
    return command.kind === 'command'
      ? { verb: command.verb, argument: command.argument }
      : { verb: '', argument: '' };
  }

  /** Leaves a command for whoever asks next. */
  postpone(command: SmtpCommand): void {
    this.#pending = command;
  }

  admit(verdict: Verdict): void {
    this.#authenticated = true;
    this.#patience.restore();
    this.#repeat(verdict);
  }

  refuse(verdict: Verdict): void {
    this.#repeat(verdict);
  }

  /** The relay's reply, byte by byte as it came. */
  #repeat(verdict: Verdict): void {
    this.talk.send(Buffer.from(verdict.words, 'latin1'));
  }

  wordsFor(error: GateError): string {
    const { smtp, text } = ERRORS[error.code];
    if (smtp === null) return '';
    const [code, enhanced] = smtp;
    return formatReply(code, enhanced, code === LOGIN_FAILED ? text : `${this.rules.hostname} ${text}`);
  }

  ends(error: GateError): boolean {
    return ERRORS[error.code].smtp?.[0] !== LOGIN_FAILED;
  }

  quit(): void {
    this.talk.send(formatReply(221, '2.0.0', `${this.rules.hostname} closing connection`));
  }

  /** What needs no relay. Commands that need a transaction are out of order here. */
  async answer(command: SmtpCommand): Promise<void> {
    switch (command.verb) {
      case 'EHLO':
      case 'HELO':
        return this.#greetBack(command);
      case 'STARTTLS':
        return this.#startTls(command);
      case 'XCLIENT':
      case 'XPEHLO':
        return this.#takeIntroduction(command);
      case 'NOOP':
      case 'RSET':
        this.#patience.waste();
        return this.reply(250, '2.0.0', 'OK');
      case 'HELP':
        this.#patience.waste();
        return this.reply(214, '2.0.0', 'See RFC 5321');
      case 'VRFY':
        this.#patience.waste();
        // RFC 5321 3.5.3: no address is confirmed to strangers.
        return this.reply(252, '2.1.5', 'Cannot verify, send some mail and see');
      case 'RCPT':
      case 'DATA':
        return this.bad(503, '5.5.1', 'MAIL first');
      case 'BDAT':
        return this.#unwantedChunk(command);
      case 'AUTH':
      case 'MAIL':
        if (this.#isRefused(command.verb)) return;
        return this.bad(503, '5.5.1', 'Not in this order');
      default:
        return this.#unknown();
    }
  }

  /** Whether AUTH, STARTTLS or XCLIENT will really be tried; if not, answer() has the reason. */
  mayRestart({ verb, argument }: SmtpCommand): boolean {
    if (verb === 'XCLIENT') return this.knows(verb) && !this.#introduction.isLate(verb);
    if (refusalOf(verb, this.rules, { ...this.#state, greeted: true }) !== null) return false;
    return verb === 'AUTH' || argument === '';
  }

  /** Whether XCLIENT or XPEHLO is a command at all for this peer. */
  knows(verb: string): boolean {
    return this.#introduction.knows(verb);
  }

  /** Channel rules and syntax of MAIL; answers when it may not. */
  mayMail(command: SmtpCommand): boolean {
    if (this.#isRefused('MAIL')) return false;
    const path = parsePath(command.argument, 'FROM');
    if (path.kind !== 'path') return this.#no(501, '5.5.4', 'Syntax: MAIL FROM:<address>');
    if (path.parameters.get('BODY')?.toUpperCase() === 'BINARYMIME') {
      return this.#no(555, '5.5.4', 'BINARYMIME is not offered');
    }
    // RFC 4954 5: who is not authenticated vouches for nobody.
    if (!this.authenticated && (path.parameters.get('AUTH') ?? '<>') !== '<>') {
      return this.#no(555, '5.5.4', 'AUTH= needs an authenticated session');
    }
    // RFC 8689 4.2.1: only on a session that is secured itself.
    if (path.parameters.has('REQUIRETLS') && !this.talk.secured) {
      return this.#no(530, '5.7.4', 'REQUIRETLS needs STARTTLS');
    }
    return true;
  }

  /** A message went through: what was wasted before is forgiven. */
  forgive(): void {
    this.#patience.restore();
  }

  reply(code: number, enhanced: string | null, text: string): void {
    this.talk.send(formatReply(code, enhanced, text));
  }

  /** A command fails for a reason of the table, and the session goes on. */
  deny({ row: { smtp, text } }: GateError): void {
    const [code, enhanced] = smtp ?? [450, '4.0.0'];
    this.bad(code, enhanced, text);
  }

  bad(code: number, enhanced: string, text: string): void {
    this.#patience.lose();
    this.reply(code, enhanced, text);
  }

  #no(code: number, enhanced: string, text: string): false {
    this.bad(code, enhanced, text);
    return false;
  }

  #unknown(): void {
    this.bad(500, '5.5.1', 'Command not known');
  }

  get #course(): Course | null {
    return this.#visitor.course;
  }

  get #standing(): Standing {
    const { bindable, certified } = this.#visitor;
    return { secured: this.talk.secured, bindable, certified, restricted: this.rules.restricted };
  }

  get #state(): SessionState {
    return {
      greeted: this.#helo !== null,
      secured: this.talk.secured,
      introduced: this.#introduction.made,
      authenticated: this.authenticated,
    };
  }

  /** True: the channel's rules or the order of commands refuse it, and the client has been told. */
  #isRefused(verb: string): boolean {
    const refusal = refusalOf(verb, this.rules, this.#state);
    if (refusal === null) return false;
    if (refusal.rule !== null) this.#course?.refused(refusal.rule);
    this.bad(refusal.code, refusal.enhanced, refusal.text);
    return true;
  }

  async #greetBack(command: SmtpCommand): Promise<void> {
    const name = command.argument.trim();
    if (name === '' || name.length > HELO_NAME_MAX || /\s/.test(name)) {
      return this.bad(501, '5.5.4', `Syntax: ${command.verb} hostname`);
    }
    this.#patience.waste();
    const esmtp = command.verb === 'EHLO';
    this.#helo = { name, esmtp };
    if (!esmtp) return this.reply(250, null, this.rules.hostname);
    await this.#sendKeywords();
  }

  async #sendKeywords(): Promise<void> {
    // RFC 2034 4: the EHLO reply itself carries no enhanced status code.
    this.talk.send(formatReply(250, null, [this.rules.hostname, ...(await this.#keywords())]));
  }

  async #keywords(): Promise<readonly string[]> {
    if (this.#course?.settling) await this.#course.settling;
    const offer = await this.rules.offer();
    const { sasl } = this.rules;
    const secured = this.talk.secured;
    const carried = offer.capabilities.filter(
      (line) => secured || parseEhloKeyword(line).keyword !== 'REQUIRETLS',
    );
    const isShut = sasl === 'nosasl' || mustSecure(this.rules, secured);
    const mechanisms = isShut ? [] : offeredNow(offer.mechanisms, this.#standing);
    return [
      ...carried,
      ...(refusalOf('STARTTLS', this.rules, this.#state) === null ? ['STARTTLS'] : []),
      ...(mechanisms.length === 0 ? [] : [`AUTH ${mechanisms.join(' ')}`]),
      ...(mustSecure(this.rules, secured) ? [] : this.#introduction.keywords),
    ];
  }

  async #takeIntroduction({ verb, argument }: SmtpCommand): Promise<void> {
    if (!this.knows(verb)) return this.#unknown();
    if (this.#isRefused(verb)) return;
    if (this.#introduction.isLate(verb)) return this.bad(503, '5.5.1', 'The client is introduced already');
    this.#patience.waste();
    if (verb === 'XCLIENT') {
      this.#introduction.takeXclient(argument);
      // The session begins anew, now with the client itself.
      this.#helo = null;
      this.#authenticated = false;
      return this.greet();
    }
    const name = this.#introduction.takeXpehlo(argument);
    this.#helo = { name, esmtp: true };
    this.#authenticated = false;
    await this.#sendKeywords();
  }

  async #startTls(command: SmtpCommand): Promise<void> {
    if (this.#isRefused('STARTTLS')) return;
    if (command.argument !== '') return this.bad(501, '5.5.4', 'STARTTLS takes no parameter');
    await this.talk.startTls(formatReply(220, '2.0.0', 'Ready to start TLS'));
    // RFC 3207 4.2: knowledge from before TLS is discarded.
    this.#helo = null;
    this.#authenticated = false;
    this.#course?.secured();
  }

  async #auth(command: SmtpCommand): Promise<Credentials | null> {
    if (this.#isRefused('AUTH')) return null;
    const [mechanism = '', initial, ...rest] = command.argument.split(' ').filter((word) => word !== '');
    if (mechanism === '' || rest.length > 0) return this.#refuseAuth(501, '5.5.4', 'AUTH takes a mechanism');
    const { mechanisms } = await this.rules.offer();
    const result = await collectCredentials({
      mechanism,
      initial: initial ?? null,
      mechanisms,
      standing: this.#standing,
      fresh: this.rules.fresh,
      bytesMax: this.rules.limits.commandBytes,
      onBrokenOff: (how) => this.#saslFailure(how),
      ask: async (challenge) => {
        this.talk.send(`334 ${challenge}\r\n`);
        return (await this.talk.line()).toString('latin1');
      },
    });
    return result.kind === 'credentials' ? result.credentials : this.#saslFailure(result);
  }

  #saslFailure(result: SaslFailure): null {
    switch (result.kind) {
      case 'cancelled':
        return this.#refuseAuth(501, '5.7.0', 'AUTH cancelled');
      case 'malformed':
        return this.#refuseAuth(501, '5.5.2', 'That is not a valid SASL message');
      case 'unknown':
        return this.#refuseAuth(504, '5.5.4', 'Mechanism not offered');
      case 'insecure':
        // RFC 4954 6.
        return this.#refuseAuth(538, '5.7.11', 'Encryption required for this mechanism, use STARTTLS first');
    }
  }

  #refuseAuth(code: number, enhanced: string, text: string): null {
    this.bad(code, enhanced, text);
    return null;
  }

  /** RFC 3030 2: the octets of a refused chunk come all the same, and are thrown away. */
  async #unwantedChunk(command: SmtpCommand): Promise<void> {
    const bdat = parseBdat(command.argument);
    if (bdat.kind !== 'bdat') throw new GateError('BAD_LINE_ENDING', { what: 'BDAT without a size' });
    for (let left = bdat.bytes; left > 0;) {
      left -= (await this.talk.chunk(left)).length;
    }
    this.bad(503, '5.5.1', 'MAIL and RCPT first');
  }
}
