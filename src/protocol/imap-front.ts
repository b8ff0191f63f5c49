// IMAP before login, towards the client: CAPABILITY, ID, NOOP, LOGOUT, STARTTLS, LOGIN, AUTHENTICATE; anything else is
// answered BAD and counted. ID of a front tier says who the client is; anybody else's says nothing. Promises: no password is asked for or taken where TLS is required and missing; a literal
// is never larger than limits.commandBytes; what was sent in clear behind STARTTLS ends the connection.

import { ERRORS, GateError, STORE_AWAY } from '../errors.ts';
import { type ImapToken, literalAtEnd, parseCommand } from '../wire/imap.ts';
import { parseId } from '../wire/imap-id.ts';
import type {
  Credentials,
  FrontRules,
  FrontSession,
  Offer,
  Talk,
  Verdict,
  Visitor,
  Wish,
} from './dialect.ts';
import { offeredNow, type Standing, wantsPrivacy } from './mechanisms.ts';
import { Patience } from './patience.ts';
import { collectCredentials, type SaslFailure } from './sasl.ts';

/** A parsed command. */
interface Command {
  readonly tag: string;
  readonly name: string;
  readonly args: readonly ImapToken[];
}

/** RFC 7888 5: a non-synchronising literal of LITERAL- holds at most this many bytes. */
const LITERAL_MINUS_BYTES = 4096;

export class ImapFront implements FrontSession {
  readonly #talk: Talk;
  #rules: FrontRules;
  readonly #visitor: Visitor;
  readonly #patience: Patience;
  /** The tag of the login under way. */
  #tag = '*';

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
    const capabilities = this.#capabilities(await this.#rules.offer());
    const { hostname, banner } = this.#rules;
    this.#talk.send(`* OK [CAPABILITY ${capabilities}] ${hostname} ${banner}\r\n`);
  }

  async nextWish(): Promise<Wish> {
    this.#tag = '*';
    for (;;) {
      const command = await this.#command();
      if (command === null) continue;
      const wish = await this.#answer(command);
      if (wish !== null) return wish;
    }
  }

  admit(verdict: Verdict): void {
    this.#talk.send(`${verdict.extra.join('')}${this.#tag} OK ${verdict.words}\r\n`);
    // From here on only an untagged BYE is ours to say.
    this.#tag = '*';
  }

  refuse(verdict: Verdict): void {
    this.#talk.send(`${verdict.extra.join('')}${this.#tag} NO ${verdict.words}\r\n`);
  }

  wordsFor(error: GateError): string {
    const row = ERRORS[error.code];
    if (row.imap === null) return '';
    const [status, code] = row.imap;
    const words = `${status} ${code === '' ? '' : `[${code}] `}${row.text}\r\n`;
    // A login that waits for its answer gets one; a BYE is untagged (RFC 9051 7.1.5).
    return status === 'BYE' || this.#tag === '*'
      ? `* BYE ${words.slice(status.length + 1)}`
      : `${this.#alertFor(error)}${this.#tag} ${words}`;
  }

  /** RFC 9051 7.1: text behind ALERT must be shown to the user. */
  #alertFor({ code }: GateError): string {
    const { serverDownAlert } = this.#rules;
    return serverDownAlert === null || !STORE_AWAY.has(code) ? '' : `* NO [ALERT] ${serverDownAlert}\r\n`;
  }

  ends(error: GateError): boolean {
    return this.#tag === '*' || ERRORS[error.code].imap?.[0] !== 'NO';
  }

  async #answer(command: Command): Promise<Wish | null> {
    switch (command.name) {
      case 'CAPABILITY':
        this.#talk.send(`* CAPABILITY ${this.#capabilities(await this.#rules.offer())}\r\n`);
        return this.#ok(command, 'CAPABILITY done');
      case 'NOOP':
        return this.#ok(command, 'NOOP done');
      case 'ID':
        if (this.#visitor.isFrontTier) this.#takeIntroduction(command);
        // RFC 2971 3.2: we tell our name and nothing an attacker could use.
        this.#talk.send('* ID ("name" "Sallyport")\r\n');
        return this.#ok(command, 'ID done');
      case 'LOGOUT':
        this.#talk.send(`* BYE Goodbye\r\n${command.tag} OK LOGOUT done\r\n`);
        return { kind: 'quit' };
      case 'STARTTLS':
        return this.#startTls(command);
      case 'LOGIN':
        return this.#login(command);
      case 'AUTHENTICATE':
        return this.#authenticate(command);
      default:
        return this.#bad(command.tag, 'Log in first');
    }
  }

  /** Dovecot's proxies send ID before STARTTLS, so it counts beyond it: whom we trust, the address says. */
  #takeIntroduction(command: Command): void {
    const id = parseId(command.args);
    if (id.kind === 'malformed') throw new GateError('BAD_INTRODUCTION', { by: 'ID', what: id.what });
    if (id.told !== null) this.#visitor.introduce(id.told);
  }

  async #startTls(command: Command): Promise<null> {
    if (this.#rules.tls === 'notls') return this.#bad(command.tag, 'TLS is not available here');
    if (this.#talk.secured) return this.#bad(command.tag, 'TLS is active already');
    await this.#talk.startTls(`${command.tag} OK Begin TLS now\r\n`);
    return null;
  }

  #login(command: Command): Wish | null {
    const values = command.args.map(stringOf);
    const [user, password] = values;
    if (values.length !== 2 || typeof user !== 'string' || typeof password !== 'string') {
      return this.#bad(command.tag, 'LOGIN takes a user name and a password');
    }
    if (this.#noPasswords()) return this.#needsTls(command.tag);
    if (user === '' || password === '') {
      return this.#no(command.tag, '[AUTHENTICATIONFAILED] Neither name nor password may be empty');
    }
    this.#tag = command.tag;
    return {
      kind: 'login',
      credentials: { kind: 'password', mechanism: 'LOGIN', authzid: '', user, password },
    };
  }

  async #authenticate(command: Command): Promise<Wish | null> {
    const [mechanism, initial, ...rest] = command.args.map(stringOf);
    if (typeof mechanism !== 'string' || initial === null || rest.length > 0) {
      return this.#bad(command.tag, 'AUTHENTICATE takes a mechanism');
    }
    if (this.#mustSecure()) return this.#needsTls(command.tag);
    const { mechanisms } = await this.#rules.offer();
    const result = await collectCredentials({
      mechanism,
      initial: initial ?? null,
      mechanisms,
      standing: this.#standing,
      fresh: this.#rules.fresh,
      bytesMax: this.#rules.limits.commandBytes,
      onBrokenOff: (how) => this.#saslFailure(command.tag, how),
      ask: async (challenge) => {
        this.#talk.send(`+ ${challenge}\r\n`);
        return (await this.#talk.line()).toString('latin1');
      },
    });
    return result.kind === 'credentials'
      ? this.#wish(command.tag, result.credentials)
      : this.#saslFailure(command.tag, result);
  }

  #wish(tag: string, credentials: Credentials): Wish {
    this.#tag = tag;
    return { kind: 'login', credentials };
  }

  #saslFailure(tag: string, result: SaslFailure): null {
    switch (result.kind) {
      case 'cancelled':
        return this.#bad(tag, 'AUTHENTICATE cancelled');
      case 'malformed':
        return this.#bad(tag, 'That is not a valid SASL message');
      case 'unknown':
        this.#patience.lose();
        this.#talk.send(`${tag} NO [CANNOT] Mechanism not offered\r\n`);
        return null;
      case 'insecure':
        return this.#needsTls(tag);
    }
  }

  /** Reads a command with its literals; null when it was malformed and has been answered. */
  async #command(): Promise<Command | null> {
    const pieces: Buffer[] = [await this.#talk.command()];
    let bytes = pieces[0]?.length ?? 0;
    for (;;) {
      const line = pieces.at(-1) ?? Buffer.alloc(0);
      const literal = literalAtEnd(line);
      if (literal.kind === 'malformed') throw new GateError('LINE_TOO_LONG', { what: 'literal' });
      if (literal.kind === 'none') break;
      bytes += literal.bytes;
      if (bytes > this.#rules.limits.commandBytes)
        throw new GateError('LINE_TOO_LONG', { what: 'literal', bytes });
      const tag = literal.synchronising ? this.#tagOfClearLogin(pieces) : null;
      if (tag !== null) return this.#needsTls(tag);
      if (literal.synchronising) this.#talk.send('+ Ready for the literal\r\n');
      else if (literal.bytes > LITERAL_MINUS_BYTES)
        throw new GateError('LINE_TOO_LONG', { what: 'LITERAL-' });
      pieces.push(await this.#talk.bytes(literal.bytes));
      const rest = await this.#talk.line();
      bytes += rest.length;
      if (bytes > this.#rules.limits.commandBytes)
        throw new GateError('LINE_TOO_LONG', { what: 'command', bytes });
      pieces.push(rest);
    }
    const command = parseCommand(pieces);
    if (command.kind === 'command') return command;
    return this.#bad(command.tag ?? '*', 'Command not understood');
  }

  /** Whoever asks for a literal of these asks for a password: null where that may be done. */
  #tagOfClearLogin(pieces: readonly Buffer[]): string | null {
    if (!this.#noPasswords()) return null;
    const head = /^([\x21-\x7e]+) (LOGIN|AUTHENTICATE(?: "?([\w-]+)"?)?) /i.exec(
      pieces[0]?.toString('latin1') ?? '',
    );
    const [, tag = null, verb = '', quoted] = head ?? [];
    // The name of a mechanism may be a literal too, and is read; then comes the password.
    const mechanism = /^LOGIN/i.test(verb) ? 'LOGIN' : (quoted ?? pieces[1]?.toString('latin1') ?? '');
    return this.#mustSecure() || wantsPrivacy(mechanism, this.#standing) ? tag : null;
  }

  #capabilities(offer: Offer): string {
    const standing = this.#standing;
    const { secured, bindable, certified } = standing;
    const key = (secured ? 1 : 0) + (bindable ? 2 : 0) + (certified ? 4 : 0);
    const known = texts.get(offer)?.get(this.#rules)?.[key];
    if (known !== undefined) return known;
    const text = capabilityText(offer, this.#rules, standing);
    textsOf(offer, this.#rules)[key] = text;
    return text;
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

  #needsTls(tag: string): null {
    // RFC 5530 3: PRIVACYREQUIRED.
    return this.#no(tag, '[PRIVACYREQUIRED] Use STARTTLS first');
  }

  #ok(command: Command, words: string): null {
    this.#patience.waste();
    this.#talk.send(`${command.tag} OK ${words}\r\n`);
    return null;
  }

  #no(tag: string, words: string): null {
    this.#patience.lose();
    this.#talk.send(`${tag} NO ${words}\r\n`);
    return null;
  }

  #bad(tag: string, words: string): null {
    this.#patience.lose();
    this.#talk.send(`${tag} BAD ${words}\r\n`);
    return null;
  }
}

/** Atom or string as text; undefined past the end, null for what is neither or not UTF-8. */
function stringOf(token: ImapToken | undefined): string | null | undefined {
  if (token === undefined) return undefined;
  if (token.kind === 'atom') return token.text;
  if (token.kind !== 'string') return null;
  const text = token.value.toString('utf8');
  return text.includes('\ufffd') && !Buffer.from(text).equals(token.value) ? null : text;
}

/** Rendered once per offer, service and standing. */
const texts = new WeakMap<Offer, WeakMap<FrontRules, (string | undefined)[]>>();

function textsOf(offer: Offer, rules: FrontRules): (string | undefined)[] {
  const byRules = texts.get(offer) ?? new WeakMap<FrontRules, (string | undefined)[]>();
  texts.set(offer, byRules);
  const byStanding = byRules.get(rules) ?? [];
  byRules.set(rules, byStanding);
  return byStanding;
}

function capabilityText(offer: Offer, rules: FrontRules, standing: Standing): string {
  const { secured } = standing;
  const base = offer.capabilities.filter((capability) => !capability.startsWith('IMAP4'));
  // RFC 9051 writes them so, and there are clients that compare letter by letter.
  const versions = offer.capabilities
    .filter((capability) => capability.startsWith('IMAP4'))
    .map((capability) => capability.replace('REV', 'rev'));
  const head = [...(versions.length > 0 ? versions : ['IMAP4rev1']), 'LITERAL-', 'SASL-IR', 'ID', ...base];
  const starttls = rules.tls === 'notls' || secured ? [] : ['STARTTLS'];
  const mustSecure = rules.tls === 'musttls' && !secured;
  // RFC 9051 6.2.3: LOGINDISABLED, and no AUTH= that would need a password in clear.
  const disabled = mustSecure || wantsPrivacy('LOGIN', standing) ? ['LOGINDISABLED'] : [];
  const auth = mustSecure ? [] : offeredNow(offer.mechanisms, standing).map((name) => `AUTH=${name}`);
  return [...head, ...starttls, ...disabled, ...auth].join(' ');
}
