// The directory in a database: the domain's row first, where there is a query for it, then the user's. Promises: what a
// client sent is bound to queries as values and never part of their text; two rows for one name are an error and nobody's
// login; a name that cannot be one is nobody, without a query; domains are kept, users are not: that is the caller's.
// Passwords are compared by the caller, with what the row holds. On failure: GateError DIRECTORY_DOWN or
// DIRECTORY_AMBIGUOUS; a row that cannot be understood is a temporary refusal, and the log says why.

import type { SqlSettings } from '../../config/settings.ts';
import { GateError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import { parseReplayTemplate, type Pieces } from '../../wire/login-template.ts';
import {
  parseSqlQuery,
  type Placeholder,
  type SqlDialect,
  type SqlQuery,
  type SqlUse,
} from '../../wire/sql-template.ts';
import type { World } from '../../world.ts';
import { Cache, Together } from '../cache.ts';
import { nobody, onlyOne } from '../certificate-answer.ts';
import {
  type Account,
  type Answer,
  type CertificateAnswer,
  commonKey,
  type Directory,
  type Login,
} from '../directory.ts';
import { isPlausibleId } from '../login-id.ts';
import { ServerFailure } from '../server-pool.ts';
import { accountOf, domainOf, NO_DOMAIN, type Problem, type SqlDomain } from './account.ts';
import type { SqlAnswer, SqlSource } from './source.ts';
import type { LoginFacts } from '../substitution.ts';

export interface SqlDirectoryOptions {
  readonly settings: SqlSettings;
  readonly source: SqlSource;
  /** A login id taken apart. */
  readonly split: (login: Login) => {
    readonly user: string;
    readonly domain: string;
    readonly delimiter: string;
  };
  readonly domainCache: { readonly ttlMs: number; readonly missTtlMs: number; readonly max: number };
  readonly world: World;
  readonly log: Log;
}

interface Several {
  readonly kind: 'several';
}

type Values = Readonly<Record<Placeholder, string | null>>;

/** What a login is called. */
const NAMES = ['user', 'domain', 'login', 'id'] as const satisfies readonly Placeholder[];

const NOT_SET_UP = 'The account is not set up for this, tell its administrator';

export class SqlDirectory implements Directory {
  readonly #options: SqlDirectoryOptions;
  readonly #user: SqlQuery;
  readonly #domain: SqlQuery | null;
  readonly #replayFormat: Pieces | null;
  readonly #domains: Cache<SqlDomain | Problem | null>;
  readonly #searches = new Together<SqlDomain | Problem | null>();
  /** Not there without a query for it. */
  readonly byMail?: (login: Login, addresses: readonly string[]) => Promise<CertificateAnswer>;

  constructor(options: SqlDirectoryOptions) {
    this.#options = options;
    const { settings } = options;
    const user = queryOf(settings, 'userQuery');
    if (user === null) throw new TypeError('directory.sql.userQuery is missing and no mistake was reported');
    this.#user = user;
    this.#domain = queryOf(settings, 'domainQuery');
    this.#replayFormat = settings.replayFormat === null ? null : piecesOf(settings.replayFormat);
    this.#domains = new Cache(options.domainCache.max);
    const mail = queryOf(settings, 'mailQuery');
    if (mail !== null) this.byMail = (login, addresses) => this.#byMail(mail, login, addresses);
  }

  async find(login: Login, _password: string | null): Promise<Answer> {
    const { log } = this.#options;
    const { id, service, client } = login;
    if (!isPlausibleId(id)) {
      const name = id.slice(0, 64);
      log.warn('login name refused', { service, client: client.address, name, chars: id.length });
      return { kind: 'nobody' };
    }
    return this.#rephrase(login, () => this.#look(login));
  }

  /** What the answer depends on. */
  keyOf(login: Login): string {
    const key = [commonKey(login)];
    if (this.#uses('client')) key.push(login.client.address);
    if (this.#uses('subject')) key.push(login.certificateSubject ?? '');
    return JSON.stringify(key);
  }

  /** By what queries are given of the name. */
  spelling(login: Login): string {
    const values = valuesOf(login, this.#options.split(login));
    const names = NAMES.filter((name) => this.#uses(name));
    return JSON.stringify(names.map((name) => values[name]));
  }

  close(): void {
    this.#options.source.close();
  }

  #uses(name: Placeholder): boolean {
    return this.#user.uses.has(name) || (this.#domain?.uses.has(name) ?? false);
  }

  async #byMail(query: SqlQuery, login: Login, addresses: readonly string[]): Promise<CertificateAnswer> {
    const accounts: Account[] = [];
    const steps: string[] = [];
    for (const address of addresses) {
      const found = await this.#rephrase(login, () => this.#ofAddress(query, login, address));
      const words = found.kind === 'account' ? found.account.user : found.kind;
      steps.push(`mailQuery with ${address}: ${words}`);
      if (found.kind === 'several') return nobody('more than one row has its mail address', steps);
      if (found.kind === 'refused') return { ...found, steps };
      if (found.kind === 'account') accounts.push(found.account);
    }
    return onlyOne(accounts, steps);
  }

  /** The account of the row with that address; the domain is that of the user whom the row names. */
  async #ofAddress(query: SqlQuery, login: Login, address: string): Promise<Answer | Several> {
    if (!isPlausibleId(address)) return { kind: 'nobody' };
    const { split } = this.#options;
    const nameless = valuesOf(login, { user: '', domain: '', delimiter: '' });
    const answer = await this.#put(query, { ...nameless, id: null, mail: address });
    if (answer.rows.length !== 1) return { kind: answer.rows.length === 0 ? 'nobody' : 'several' };
    const id = userOf(answer) ?? address;
    const named = { ...login, id };
    const { user, domain: given, delimiter } = split(named);
    if (user === '' || (this.#domain !== null && given === '')) return { kind: 'nobody' };
    const values = valuesOf(named, { user, domain: given, delimiter });
    const domain = this.#domain === null ? NO_DOMAIN : await this.#domainOf(this.#domain, values);
    if (domain === null) return { kind: 'nobody' };
    if ('problem' in domain) return this.#refuse('domain refused', { domain: given, reason: domain.problem });
    return this.#answer(answer, { domain, values, delimiter });
  }

  async #look(login: Login): Promise<Answer> {
    const { user, domain: given, delimiter } = this.#options.split(login);
    if (user === '' || (this.#domain !== null && given === '')) return { kind: 'nobody' };
    const typed = valuesOf(login, { user, domain: given, delimiter });
    const domain = this.#domain === null ? NO_DOMAIN : await this.#domainOf(this.#domain, typed);
    if (domain === null) return { kind: 'nobody' };
    if ('problem' in domain) return this.#refuse('domain refused', { domain: given, reason: domain.problem });
    const values = valuesOf(login, { user, domain: domain.name ?? given, delimiter });
    const answer = await this.#ask(this.#user, values);
    return answer.rows.length === 0
      ? { kind: 'nobody' }
      : this.#answer(answer, { domain, values, delimiter });
  }

  #answer(
    answer: SqlAnswer,
    {
      domain,
      values,
      delimiter,
    }: { readonly domain: SqlDomain; readonly values: Values; readonly delimiter: string },
  ): Answer {
    const canonical = values.login ?? '';
    const replayFormat = this.#replayFormat;
    const facts = factsOf(values, delimiter);
    // Letter case, accents and blanks at the end are nothing to the collations of MySQL.
    const mustName = dialectOf(this.#options.settings) === 'mysql';
    const account = accountOf({ answer, domain, facts, canonical, replayFormat, mustName });
    return 'problem' in account
      ? this.#refuse('entry refused', { entry: canonical, reason: account.problem })
      : { kind: 'account', account, proof: null };
  }

  #refuse(event: string, context: Readonly<Record<string, string>>): Answer {
    this.#options.log.warn(event, context);
    return { kind: 'refused', temporary: true, text: NOT_SET_UP };
  }

  /** null: there is none. */
  async #domainOf(query: SqlQuery, values: Values): Promise<SqlDomain | Problem | null> {
    const { world, domainCache } = this.#options;
    const key = JSON.stringify(query.values.map((name) => values[name]));
    const known = this.#domains.get(key, world.monotonic());
    if (known !== undefined) return known;
    return this.#searches.do(key, async () => {
      const answer = await this.#ask(query, values);
      const found = answer.rows.length === 0 ? null : domainOf(answer);
      // What is wrong is looked at again, so that it need not be waited for once it is mended.
      const isWrong = found !== null && 'problem' in found;
      const ttlMs = isWrong ? 0 : found === null ? domainCache.missTtlMs : domainCache.ttlMs;
      if (ttlMs > 0) this.#domains.set(key, found, world.monotonic() + ttlMs);
      return found;
    });
  }

  async #ask(query: SqlQuery, values: Values): Promise<SqlAnswer> {
    const answer = await this.#put(query, values);
    if (answer.rows.length <= 1) return answer;
    throw new GateError('DIRECTORY_AMBIGUOUS', { login: values.login ?? '', found: 'two rows' });
  }

  #put({ text, values: names }: SqlQuery, values: Values): Promise<SqlAnswer> {
    return this.#options.source.ask({ text, values: names.map((name) => values[name]) });
  }

  /** A question that no server can answer is for the administrator; for the client the directory is down. */
  async #rephrase<T>(
    { id, service, client }: Login,
    ask: () => Promise<T>,
  ): Promise<T | { readonly kind: 'nobody' }> {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof ServerFailure)) throw error;
      if (error.blame !== 'missing') throw new GateError('DIRECTORY_DOWN', { found: error.message }, error);
      // No value of the column can be what was sent.
      const reason = error.message;
      this.#options.log.warn('login name refused', {
        service,
        client: client.address,
        name: id.slice(0, 64),
        reason,
      });
      return { kind: 'nobody' };
    }
  }
}

/** null: no column says it, or not as a text; what is wrong with it is told with the account. */
function userOf({ columns, rows }: SqlAnswer): string | null {
  const place = columns.findIndex((name) => name.toLowerCase() === 'user');
  const value = rows[0]?.[place];
  return typeof value === 'string' && value !== '' ? value : null;
}

export function dialectOf({ url }: SqlSettings): SqlDialect {
  if (url === null) throw new TypeError('directory.sql.url is missing and no mistake was reported');
  return url.dialect;
}

/** The settings were checked; a query that is wrong does not come here. */
export function queryOf(settings: SqlSettings, use: SqlUse): SqlQuery | null {
  const written = settings[use];
  if (written === null) return null;
  const query = parseSqlQuery(written, { dialect: dialectOf(settings), use });
  if ('problem' in query) throw new TypeError(query.problem);
  return query;
}

function piecesOf(text: string): Pieces {
  const parsed = parseReplayTemplate(text);
  if ('problem' in parsed) throw new TypeError(parsed.problem);
  return parsed.pieces;
}

/** What a login does not have is NULL, which equals nothing. */
function valuesOf(
  { id, service, protocol, client, server, certificateSubject }: Login,
  name: { readonly user: string; readonly domain: string; readonly delimiter: string },
): Values {
  const { user, domain, delimiter } = name;
  return {
    user,
    domain: domain === '' ? null : domain,
    login: domain === '' ? user : `${user}${delimiter}${domain}`,
    id,
    client: client.address === '' ? null : client.address,
    server: server.address === '' ? null : server.address,
    subject: certificateSubject === '' ? null : certificateSubject,
    service,
    protocol,
    mail: null,
  };
}

function factsOf(values: Values, delimiter: string): LoginFacts {
  return {
    original: values.id ?? '',
    userId: values.user ?? '',
    domain: values.domain ?? '',
    delimiter,
    clientAddress: values.client ?? '',
    serverAddress: values.server ?? '',
    certificateSubject: values.subject ?? '',
  };
}
