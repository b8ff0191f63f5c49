// Polite IMAP and POP3 stores as scripts: they know one user, answer what a mail program asks, keep the account of who
// logged in and what they were told of the client, and take the tests' wishes as options.

import { createHash } from 'node:crypto';
import type tls from 'node:tls';
import type { BackendCall, BackendScript } from './gateway.ts';
import type { Conversation } from './conversation.ts';

export interface StoreOptions {
  /** Shows STARTTLS (STLS) and answers it with this. */
  readonly tls?: tls.SecureContext;
  /** TLS from the first byte. */
  readonly implicit?: tls.SecureContext;
  /** SASL mechanisms; default: PLAIN. */
  readonly mechanisms?: readonly string[];
  /** IMAP: refuses the command LOGIN and says LOGINDISABLED. */
  readonly noLogin?: boolean;
  /** IMAP: offers ID; POP3: offers XCLIENT. */
  readonly client?: boolean;
  readonly saslIr?: boolean;
  /** Who is let in; default: password 'secret'. */
  readonly accepts?: (login: Login) => boolean;
  /** Words behind NO or -ERR; default: [AUTHENTICATIONFAILED] Wrong. */
  readonly refusal?: string;
  /** An OAuth error challenge that comes before the refusal, as JSON. */
  readonly challenge?: string;
  /** Answers to commands after login, by name; what is not here has a polite default. */
  readonly commands?: Readonly<Record<string, (talk: Conversation, line: string) => Promise<void> | void>>;
}

export interface Login {
  readonly how: string;
  readonly authzid: string;
  readonly user: string;
  readonly secret: string;
}

export interface Store {
  readonly script: BackendScript;
  readonly logins: Login[];
  /** The arguments of ID or XCLIENT. */
  readonly introductions: string[];
}

/** 4 KiB of mail, lines and dots and all, the same each time. */
export const MAIL = Array.from(
  { length: 60 },
  (_, line) => `${line % 7 === 0 ? '..' : ''}${createHash('sha256').update(`${line}`).digest('hex')}`,
).join('\r\n');

export function imapStore(options: StoreOptions = {}): Store {
  const store: Store = { script: (call) => serveImap(call, store, options), logins: [], introductions: [] };
  return store;
}

export function pop3Store(options: StoreOptions = {}): Store {
  const store: Store = { script: (call) => servePop3(call, store, options), logins: [], introductions: [] };
  return store;
}

function judge(store: Store, options: StoreOptions, login: Login): boolean {
  store.logins.push(login);
  return (options.accepts ?? (({ secret }) => secret === 'secret'))(login);
}

/** Asks the other side with a challenge and returns its answer. */
type Ask = (challenge: string) => Promise<string>;

async function sasl(mechanism: string, initial: string | null, ask: Ask): Promise<Login | null> {
  const decode = (text: string): string => Buffer.from(text, 'base64').toString('utf8');
  if (mechanism === 'LOGIN') {
    const user = decode(initial ?? (await ask('VXNlcm5hbWU6')));
    return { how: 'LOGIN', authzid: '', user, secret: decode(await ask('UGFzc3dvcmQ6')) };
  }
  const answer = initial ?? (await ask(''));
  if (answer === '*') return null;
  const message = decode(answer);
  if (mechanism === 'PLAIN') {
    const [authzid = '', user = '', secret = ''] = message.split('\0');
    return { how: 'PLAIN', authzid, user, secret };
  }
  const [first = '', ...fields] = message.split('\x01');
  const user = /(?:^user=|,a=)([^,]*)/.exec(first)?.[1] ?? '';
  const secret = fields.find((field) => field.startsWith('auth='))?.slice('auth=Bearer '.length) ?? '';
  return { how: mechanism, authzid: '', user, secret };
}

async function serveImap({ talk }: BackendCall, store: Store, options: StoreOptions): Promise<void> {
  if (options.implicit !== undefined) await talk.answerTls(options.implicit);
  talk.say('* OK store.test at your service');
  for (let tag = '', name = '', line = ''; ;) {
    line = await talk.line();
    [tag = '', name = ''] = line.split(' ');
    const rest = line.slice(tag.length + name.length + 2);
    switch (name.toUpperCase()) {
      case 'CAPABILITY':
        talk.say(`* CAPABILITY ${imapCapabilities(talk, options)}`);
        talk.say(`${tag} OK Capabilities given`);
        break;
      case 'STARTTLS':
        if (options.tls === undefined) talk.say(`${tag} BAD No TLS`);
        else {
          talk.say(`${tag} OK Go on`);
          await talk.answerTls(options.tls);
        }
        break;
      case 'ID':
        store.introductions.push(rest);
        talk.say('* ID NIL');
        talk.say(`${tag} OK ID done`);
        break;
      case 'LOGIN':
      case 'AUTHENTICATE': {
        const login =
          name.toUpperCase() === 'LOGIN' ? await loginWords(talk, rest) : await imapSasl(talk, rest);
        if (login !== null && judge(store, options, login)) {
          talk.say(`${tag} OK [CAPABILITY IMAP4rev1 IDLE LOGGED-IN] Welcome ${login.user}`);
          return serveMailbox(talk, options);
        }
        if (options.challenge !== undefined) {
          talk.say(`+ ${Buffer.from(options.challenge).toString('base64')}`);
          await talk.line();
        }
        talk.say(`${tag} NO ${options.refusal ?? '[AUTHENTICATIONFAILED] Wrong'}`);
        break;
      }
      case 'LOGOUT':
        talk.say('* BYE');
        talk.say(`${tag} OK Bye`);
        talk.finish();
        return;
      default:
        talk.say(`${tag} BAD ${name}`);
    }
  }
}

function imapCapabilities(talk: Conversation, options: StoreOptions): string {
  const { mechanisms = ['PLAIN'] } = options;
  return [
    'IMAP4rev1',
    'IDLE',
    ...(options.saslIr === false ? [] : ['SASL-IR']),
    ...(options.client === true ? ['ID'] : []),
    ...(options.tls !== undefined && !talk.secured ? ['STARTTLS'] : []),
    ...(options.noLogin === true ? ['LOGINDISABLED'] : []),
    ...mechanisms.map((mechanism) => `AUTH=${mechanism}`),
  ].join(' ');
}

/** LOGIN's two words, quoted, bare or as literals. */
async function loginWords(talk: Conversation, rest: string): Promise<Login> {
  const words: string[] = [];
  for (let left = rest; ;) {
    const literal = /\{(\d+)(\+?)\}$/.exec(left);
    const text = literal === null ? left : left.slice(0, literal.index);
    for (const match of text.matchAll(/"((?:[^"\\]|\\.)*)"|[^ ]+/g)) {
      words.push(match[1]?.replaceAll(/\\(.)/g, '$1') ?? match[0]);
    }
    if (literal === null) break;
    if (literal[2] === '') talk.say('+ Ready');
    words.push(Buffer.from(await talk.bytes(Number(literal[1])), 'latin1').toString('utf8'));
    left = await talk.line();
  }
  return { how: 'LOGIN command', authzid: '', user: words[0] ?? '', secret: words[1] ?? '' };
}

function imapSasl(talk: Conversation, rest: string): Promise<Login | null> {
  const [mechanism = '', initial = null] = rest.split(' ');
  return sasl(mechanism.toUpperCase(), initial, (challenge) => talk.ask(`+ ${challenge}`));
}

async function serveMailbox(talk: Conversation, options: StoreOptions): Promise<void> {
  for (;;) {
    const line = await talk.lineOrEnd();
    if (line === null) return talk.finish();
    const [tag = '', name = ''] = line.split(' ');
    const own = options.commands?.[name.toUpperCase()];
    if (own !== undefined) {
      await own(talk, line);
      continue;
    }
    switch (name.toUpperCase()) {
      case 'FETCH':
        talk.send(`* 1 FETCH (BODY[] {${MAIL.length}}\r\n${MAIL})\r\n${tag} OK Fetched\r\n`);
        break;
      case 'IDLE':
        talk.say('+ idling');
        break;
      case 'LOGOUT':
        talk.send(`* BYE\r\n${tag} OK Bye\r\n`);
        return talk.finish();
      default:
        talk.say(line === 'DONE' ? 'i OK Idled' : `${tag} OK ${name} done`);
    }
  }
}

async function servePop3({ talk }: BackendCall, store: Store, options: StoreOptions): Promise<void> {
  if (options.implicit !== undefined) await talk.answerTls(options.implicit);
  talk.say('+OK store.test ready <1896.697170952@store.test>');
  let user = '';
  for (;;) {
    const line = await talk.line();
    const [verb = ''] = line.split(' ');
    const rest = line.slice(verb.length + 1);
    let login: Login | null | undefined;
    switch (verb) {
      case 'CAPA':
        talk.send(`+OK\r\n${popCapabilities(talk, options).join('\r\n')}\r\n.\r\n`);
        break;
      case 'STLS':
        if (options.tls === undefined) talk.say('-ERR No TLS');
        else {
          talk.say('+OK Go on');
          await talk.answerTls(options.tls);
        }
        break;
      case 'XCLIENT':
        store.introductions.push(rest);
        talk.say('+OK Thanks');
        break;
      case 'UTF8':
        talk.say('+OK UTF8');
        break;
      case 'USER':
        user = rest;
        talk.say('+OK Password');
        break;
      case 'PASS':
        login = { how: 'USER', authzid: '', user, secret: rest };
        break;
      case 'AUTH': {
        const [mechanism = '', initial = null] = rest.split(' ');
        login = await sasl(mechanism, initial, (challenge) => talk.ask(`+ ${challenge}`));
        break;
      }
      case 'QUIT':
        talk.say('+OK Bye');
        return talk.finish();
      default:
        talk.say('-ERR What');
    }
    if (login === undefined) continue;
    if (login !== null && judge(store, options, login)) {
      talk.say(`+OK Welcome ${login.user}`);
      return serveMaildrop(talk, options);
    }
    if (options.challenge !== undefined)
      await talk.ask(`+ ${Buffer.from(options.challenge).toString('base64')}`);
    talk.say(`-ERR ${options.refusal ?? '[AUTH] Wrong'}`);
  }
}

function popCapabilities(talk: Conversation, options: StoreOptions): string[] {
  const { mechanisms = ['PLAIN'] } = options;
  return [
    'TOP',
    'UIDL',
    'UTF8',
    'USER',
    ...(mechanisms.length > 0 ? [`SASL ${mechanisms.join(' ')}`] : []),
    ...(options.client === true ? ['XCLIENT ADDR PORT SESSION TTL'] : []),
    ...(options.tls !== undefined && !talk.secured ? ['STLS'] : []),
  ];
}

async function serveMaildrop(talk: Conversation, options: StoreOptions): Promise<void> {
  for (;;) {
    const line = await talk.lineOrEnd();
    if (line === null) return talk.finish();
    const [verb = ''] = line.split(' ');
    const own = options.commands?.[verb];
    if (own !== undefined) {
      await own(talk, line);
      continue;
    }
    if (verb === 'RETR') talk.send(`+OK ${MAIL.length} octets\r\n${MAIL}\r\n.\r\n`);
    else if (verb === 'STAT') talk.say('+OK 1 4096');
    else if (verb === 'QUIT') {
      talk.say('+OK Bye');
      return talk.finish();
    } else talk.say('-ERR What');
  }
}
