// A polite MTA as a script. It keeps what it was given: who logged in, what XCLIENT said, each message with its
// envelope, and every byte behind DATA, so that a test can see that no end of data came where none may come.

import type tls from 'node:tls';
import type { Conversation } from './conversation.ts';
import type { BackendCall, BackendScript } from './gateway.ts';
import type { Login } from './stores.ts';

export interface MtaOptions {
  readonly tls?: tls.SecureContext;
  readonly implicit?: tls.SecureContext;
  /** Parameters of AUTH; default: PLAIN LOGIN; empty: no AUTH. */
  readonly mechanisms?: readonly string[];
  /** Parameters of XCLIENT; undefined: not offered. */
  readonly xclient?: string;
  /** Further EHLO lines; default: PIPELINING SIZE 8BITMIME CHUNKING ENHANCEDSTATUSCODES. */
  readonly keywords?: readonly string[];
  readonly accepts?: (login: Login) => boolean;
  readonly refusal?: string;
  readonly challenge?: string;
  /** Replies by the whole command or by its verb instead of the polite ones; null: hangs up without a word. */
  readonly replies?: Readonly<Record<string, string | null>>;
  /** Hangs up after each message, as Postfix does after smtpd_timeout or a limit. */
  readonly hangsUpAfterMessage?: boolean;
}

export interface Message {
  readonly from: string;
  readonly to: readonly string[];
  /** As received between 354 and the end, dots still stuffed; for BDAT the octets of all chunks. */
  readonly data: string;
}

export interface Mta {
  readonly script: BackendScript;
  readonly logins: Login[];
  readonly introductions: string[];
  readonly messages: Message[];
  /** The commands as they came, DATA's contents left out. */
  readonly commands: string[];
}

interface Transaction {
  from: string | null;
  to: string[];
  chunks: string;
}

export function mta(options: MtaOptions = {}): Mta {
  const kept: Mta = {
    script: (call) => new Session(call, kept, options).serve(),
    logins: [],
    introductions: [],
    messages: [],
    commands: [],
  };
  return kept;
}

class Session {
  readonly #talk: Conversation;
  readonly #kept: Mta;
  readonly #options: MtaOptions;
  #transaction: Transaction = { from: null, to: [], chunks: '' };

  constructor(call: BackendCall, kept: Mta, options: MtaOptions) {
    this.#talk = call.talk;
    this.#kept = kept;
    this.#options = options;
  }

  async serve(): Promise<void> {
    const talk = this.#talk;
    if (this.#options.implicit !== undefined) await talk.answerTls(this.#options.implicit);
    talk.say('220 mta.test ESMTP');
    for (;;) {
      const line = await talk.lineOrEnd();
      if (line === null) return talk.finish();
      this.#kept.commands.push(line);
      const [verb = ''] = line.toUpperCase().split(' ');
      const replies = this.#options.replies ?? {};
      const own = Object.hasOwn(replies, line) ? replies[line] : replies[verb];
      if (own === null) return talk.finish();
      if (own !== undefined) talk.say(own);
      else if ((await this.#answer(verb, line)) === 'over') return talk.finish();
      if (own?.startsWith('421') === true) return talk.finish();
    }
  }

  async #answer(verb: string, line: string): Promise<'over' | 'on'> {
    const talk = this.#talk;
    const argument = line.slice(verb.length + 1);
    switch (verb) {
      case 'EHLO':
        talk.send(this.#ehlo());
        break;
      case 'HELO':
        talk.say('250 mta.test');
        break;
      case 'STARTTLS':
        talk.say('220 2.0.0 Go on');
        if (this.#options.tls !== undefined) await talk.answerTls(this.#options.tls);
        break;
      case 'XCLIENT':
        this.#kept.introductions.push(argument);
        talk.say('220 mta.test ESMTP');
        break;
      case 'AUTH':
        await this.#auth(argument);
        break;
      case 'MAIL':
        this.#transaction = { from: argument.slice('FROM:'.length), to: [], chunks: '' };
        talk.say('250 2.1.0 Sender ok');
        break;
      case 'RCPT':
        if (this.#transaction.from === null) talk.say('503 5.5.1 MAIL first');
        else {
          this.#transaction.to.push(argument.slice('TO:'.length));
          talk.say('250 2.1.5 Recipient ok');
        }
        break;
      case 'DATA':
        talk.say('354 Go ahead');
        return this.#keep(await this.#data());
      case 'BDAT':
        return this.#chunk(argument);
      case 'RSET':
        this.#transaction = { from: null, to: [], chunks: '' };
        talk.say('250 2.0.0 Reset');
        break;
      case 'QUIT':
        talk.say('221 2.0.0 Bye');
        return 'over';
      default:
        talk.say('502 5.5.2 What');
    }
    return 'on';
  }

  #ehlo(): string {
    const { mechanisms = ['PLAIN', 'LOGIN'], xclient, tls: context } = this.#options;
    const lines = [
      'mta.test',
      ...(this.#options.keywords ?? [
        'PIPELINING',
        'SIZE 1000000',
        '8BITMIME',
        'CHUNKING',
        'ENHANCEDSTATUSCODES',
      ]),
      ...(mechanisms.length > 0 ? [`AUTH ${mechanisms.join(' ')}`] : []),
      ...(xclient === undefined ? [] : [`XCLIENT ${xclient}`]),
      ...(context !== undefined && !this.#talk.secured ? ['STARTTLS'] : []),
    ];
    return lines.map((text, index) => `250${index === lines.length - 1 ? ' ' : '-'}${text}\r\n`).join('');
  }

  async #auth(argument: string): Promise<void> {
    const talk = this.#talk;
    const [mechanism = '', initial] = argument.split(' ');
    const ask = (challenge: string): Promise<string> => talk.ask(`334 ${challenge}`);
    const decode = (text: string): string => Buffer.from(text, 'base64').toString('utf8');
    let login: Login;
    if (mechanism === 'LOGIN') {
      const user = decode(initial ?? (await ask('VXNlcm5hbWU6')));
      login = { how: 'LOGIN', authzid: '', user, secret: decode(await ask('UGFzc3dvcmQ6')) };
    } else {
      const message = decode(initial ?? (await ask('')));
      const [authzid = '', user = '', secret = ''] = message.split('\0');
      login =
        mechanism === 'PLAIN'
          ? { how: 'PLAIN', authzid, user, secret }
          : { how: mechanism, authzid: '', user: '', secret: message };
    }
    this.#kept.logins.push(login);
    if ((this.#options.accepts ?? (({ secret }) => secret === 'secret'))(login)) {
      talk.say('235 2.7.0 Welcome');
      return;
    }
    if (this.#options.challenge !== undefined)
      await ask(Buffer.from(this.#options.challenge).toString('base64'));
    talk.say(this.#options.refusal ?? '535 5.7.8 Wrong');
  }

  /** Everything up to CRLF.CRLF; as strict as an MTA can be. */
  async #data(): Promise<string> {
    const lines: string[] = [];
    for (;;) {
      const line = await this.#talk.line();
      if (line === '.') return lines.map((text) => `${text}\r\n`).join('');
      lines.push(line);
    }
  }

  async #chunk(argument: string): Promise<'over' | 'on'> {
    const [size = '0', last] = argument.split(' ');
    this.#transaction.chunks += await this.#talk.bytes(Number(size));
    if (last !== undefined) return this.#keep(this.#transaction.chunks);
    this.#talk.say(`250 2.0.0 ${size} octets received`);
    return 'on';
  }

  #keep(data: string): 'over' | 'on' {
    const { from, to } = this.#transaction;
    this.#kept.messages.push({ from: from ?? '', to, data });
    this.#transaction = { from: null, to: [], chunks: '' };
    this.#talk.say(`250 2.0.0 Queued as ${this.#kept.messages.length}`);
    return this.#options.hangsUpAfterMessage === true ? 'over' : 'on';
  }
}
