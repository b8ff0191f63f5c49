// The directory in LDAP, the way Sun's messaging servers keep it: the domain's entry, the user's entry under it, or one
// flat tree. Promises: filters hold what a client sent as values only; two entries for one name are an error and nobody's
// login; a name that cannot be one is nobody, without a search; a password is asked of a connection that is used for
// nothing else, and an empty one of none (RFC 4513 5.1.2). Domains are kept, users are not: that is the caller's.
// On failure: GateError DIRECTORY_DOWN or DIRECTORY_AMBIGUOUS.

import type { CertMapping } from '../../config/legacy/certmap.ts';
import type { LdapSettings } from '../../config/settings.ts';
import { GateError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { CertificateNames } from '../../tls/certificate-names.ts';
import { BackendTls } from '../../tls/client.ts';
import { isBelow } from '../../wire/ldap-dn.ts';
import { type Filter, filterText } from '../../wire/ldap-filter.ts';
import {
  attributesOf,
  parseReplayTemplate,
  parseSearchTemplate,
  type Pieces,
} from '../../wire/login-template.ts';
import type { World } from '../../world.ts';
import {
  type Account,
  type ActingQuestion,
  type Answer,
  type CertificateAnswer,
  commonKey,
  type Directory,
  type Login,
} from '../directory.ts';
import { type AccountRules, accountOf, wantedAttributes } from './account.ts';
import { isAdministrator } from './administrators.ts';
import { findByCertmap, findByMail } from './certificates.ts';
import {
  LdapConnection,
  type LdapEntry,
  LdapFailure,
  type LdapSearch,
  type LdapServer,
  serverName,
} from './connection.ts';
import { type Domain, LdapDomains } from './domains.ts';
import { isPlausibleId } from '../login-id.ts';
import { ServerPool } from '../server-pool.ts';
import { fillFilter, type LoginFacts } from '../substitution.ts';

/** Settings with what their files held. */
export interface LdapSource {
  readonly settings: LdapSettings;
  readonly bindPassword: string | null;
  /** PEM; null: the system's. */
  readonly ca: string | null;
}

/** A login id taken apart. */
export interface SplitId {
  readonly user: string;
  readonly domain: string;
  readonly delimiter: string;
}

export interface LdapDirectoryOptions {
  readonly source: LdapSource;
  readonly split: (login: Login) => SplitId;
  readonly domainCache: { readonly ttlMs: number; readonly missTtlMs: number; readonly max: number };
  readonly world: World;
  readonly log: Log;
}

const WAITING_MAX = 512;
/** One more than the one that there must be. */
const ENTRIES_MAX = 2;

export class LdapDirectory implements Directory {
  readonly #options: LdapDirectoryOptions;
  readonly #pool: ServerPool<LdapServer, LdapConnection>;
  readonly #binds: ServerPool<LdapServer, LdapConnection>;
  readonly #domains: LdapDomains;
  readonly #rules: AccountRules;
  readonly #flat: Filter<Pieces>;
  readonly #hosted: Filter<Pieces>;
  readonly #found = new WeakMap<Account, { readonly dn: string; readonly domain: Domain | null }>();
  /** By a bind as the user. Not there where passwords are compared, which is the caller's. */
  readonly prove?: (login: Login, account: Account, password: string) => Promise<'right' | 'wrong'>;

  constructor(options: LdapDirectoryOptions) {
    this.#options = options;
    const { settings, bindPassword } = options.source;
    const { world, log } = options;
    const shared = {
      servers: settings.servers.map((server): LdapServer => {
        return { ...server, tls: server.implicitTls ? 'implicit' : settings.startTls ? 'starttls' : 'none' };
      }),
      nameOf: serverName,
      connectionsMax: settings.connections,
      waitingMax: WAITING_MAX,
      timeoutMs: settings.timeoutMs,
      refreshMs: settings.refreshMs,
      retryMs: settings.retryMs,
      world,
      log,
    };
    const open = opener(options);
    this.#binds = new ServerPool({ ...shared, connect: open });
    this.#pool = new ServerPool({
      ...shared,
      connect: async (server, timeoutMs) => {
        const end = world.monotonic() + timeoutMs;
        const connection = await open(server, timeoutMs);
        if (settings.bindDn !== null)
          await signOn(connection, { settings, bindPassword, ms: end - world.monotonic() });
        return connection;
      },
    });
    const base = settings.schema === 2 ? (settings.userGroupBase ?? settings.base) : settings.base;
    this.#domains = new LdapDomains({
      ...options.domainCache,
      search: (search) => this.search(search),
      schema: settings.schema,
      base,
      world,
      log,
    });
    this.#flat = searchTemplate(settings.searchFormat);
    this.#hosted = searchTemplate(settings.domainSearchFormat ?? settings.searchFormat);
    const { mailHostAttrs, accessAttr } = settings;
    this.#rules = { mailHostAttrs, accessAttr, replayFormat: replayTemplate(settings.replayFormat) };
    if (settings.passwords === 'bind') {
      this.prove = (_login, account, password) => this.#bind(account, password);
    }
  }

  async find(login: Login, password: string | null): Promise<Answer> {
    const { log } = this.#options;
    const { id, service, client } = login;
    if (!isPlausibleId(id)) {
      log.warn('login name refused', {
        service,
        client: client.address,
        name: id.slice(0, 64),
        chars: id.length,
      });
      return { kind: 'nobody' };
    }
    const facts = this.#factsOf(login);
    const found = await this.#look(facts);
    if (found === null) return { kind: 'nobody' };
    const answer = this.#answer(found, facts);
    if (answer.kind !== 'account' || password === null) return answer;
    const { account } = answer;
    const asks = account.status === 'active' && account.preAuth !== false;
    return asks ? { ...answer, proof: (await this.prove?.(login, account, password)) ?? null } : answer;
  }

  /** The account of an entry that is known by its name, as of a certificate. */
  async accountAt(login: Login, dn: string): Promise<Answer> {
    return this.#rephrase(async () => {
      const known = await this.#entryAt(dn, ['uid', 'mail']);
      const uid = known?.attributes.get('uid')?.[0];
      if (known === null || uid === undefined || uid === '') return { kind: 'nobody' };
      const own = this.#factsOf({ ...login, id: uid });
      const mail = known.attributes.get('mail') ?? [];
      const domains = [own.domain, ...mail.map((address) => address.slice(address.lastIndexOf('@') + 1))];
      const domain = this.#options.source.settings.hostedDomains
        ? await this.#domainAround(dn, domains)
        : null;
      if (domain === 'none') {
        this.#options.log.warn('entry refused', {
          entry: dn,
          reason: 'it is below no domain of its addresses',
        });
        return { kind: 'nobody' };
      }
      const entry = await this.#entryAt(dn, this.#attributes(domain));
      // As if the uid had been typed: what it says of another domain than that of the entry is part of the name.
      const userId = domain === null || own.domain === domain.name ? own.userId : uid;
      const facts = { ...own, userId, domain: domain?.name ?? own.domain };
      return entry === null ? { kind: 'nobody' } : this.#answer({ entry, domain }, facts);
    });
  }

  byMail(login: Login, addresses: readonly string[]): Promise<CertificateAnswer> {
    return this.#rephrase(() => findByMail(this, login, addresses));
  }

  byCertmap(
    login: Login,
    certificate: CertificateNames,
    mappings: readonly CertMapping[],
  ): Promise<CertificateAnswer> {
    return this.#rephrase(() => findByCertmap(this, login, { certificate, mappings }));
  }

  /** Where users of certificates are searched. */
  get userBase(): string {
    const { userGroupBase, base } = this.#options.source.settings;
    return userGroupBase ?? base;
  }

  #answer(found: { readonly entry: LdapEntry; readonly domain: Domain | null }, facts: LoginFacts): Answer {
    const { log, source } = this.#options;
    const { dn } = found.entry;
    const account = accountOf({ ...found, facts }, this.#rules);
    if ('problem' in account) {
      log.warn('entry refused', { entry: dn, reason: account.problem });
      const text = 'The account is not set up for this, tell its administrator';
      return { kind: 'refused', temporary: true, text };
    }
    this.#found.set(account, { dn, domain: found.domain });
    if (source.settings.passwords === 'compare' && account.secrets.length === 0)
      log.info('entry without userPassword', { entry: dn });
    return { kind: 'account', account, proof: null };
  }

  async #domainAround(dn: string, names: readonly string[]): Promise<Domain | 'none'> {
    for (const name of new Set(names)) {
      const domain = await this.#domains.find(name);
      if (domain !== null && isBelow(dn, domain.usersBase)) return domain;
    }
    return 'none';
  }

  async #entryAt(dn: string, attributes: readonly string[]): Promise<LdapEntry | null> {
    const filter = { kind: 'present', attribute: 'objectClass' } as const;
    try {
      const [entry] = await this.search({ base: dn, scope: 'base', filter, attributes, sizeLimit: 1 });
      return entry ?? null;
    } catch (error) {
      if (error instanceof LdapFailure && error.blame === 'missing') return null;
      throw error;
    }
  }

  async #bind(account: Account, password: string): Promise<'right' | 'wrong'> {
    const dn = this.#found.get(account)?.dn;
    if (dn === undefined) throw new GateError('INTERNAL', { what: 'an account of another directory' });
    if (password === '' || password.includes('\0')) return 'wrong';
    return this.#rephrase(() => this.#binds.ask((connection, ms) => connection.bind(dn, password, ms)));
  }

  async isAdministrator({ account, target }: Omit<ActingQuestion, 'login'>): Promise<boolean> {
    const dn = this.#found.get(account)?.dn;
    if (dn === undefined) return false;
    const domainBase = (target === null ? null : this.#found.get(target)?.domain?.usersBase) ?? null;
    const { adminGroup: group } = this.#options.source.settings;
    const search = (one: LdapSearch): Promise<readonly LdapEntry[]> => this.search(one);
    return this.#rephrase(() => isAdministrator(dn, { group, domainBase, search }));
  }

  /** By the filter that looks for it: matching of values leaves blanks aside. What is no part of the name is none here. */
  spelling(login: Login): string {
    const { hostedDomains } = this.#options.source.settings;
    const { userId, ...rest } = this.#factsOf(login);
    const aside = { clientAddress: '*', serverAddress: '*', certificateSubject: '*' };
    const facts = { ...rest, ...aside, userId: userId.trim().replaceAll(/ +/g, ' ') };
    const filter = fillFilter(hostedDomains ? this.#hosted : this.#flat, facts);
    return `${hostedDomains ? facts.domain : ''} ${filter === null ? login.id : filterText(filter)}`;
  }

  /** What the answer depends on. */
  keyOf(login: Login): string {
    const { client, certificateSubject } = login;
    const key = [commonKey(login)];
    const { settings } = this.#options.source;
    const formats = `${settings.searchFormat} ${settings.domainSearchFormat ?? ''}`;
    if (formats.includes('%C')) key.push(client.address);
    if (formats.includes('%D')) key.push(certificateSubject ?? '');
    return JSON.stringify(key);
  }

  /** For certificates too. Rejects with LdapFailure or GateError. */
  search(search: LdapSearch): Promise<readonly LdapEntry[]> {
    return this.#pool.ask((connection, ms) => connection.search(search, ms));
  }

  close(): void {
    this.#pool.close();
    this.#binds.close();
  }

  #factsOf(login: Login): LoginFacts {
    const { user, domain, delimiter } = this.#options.split(login);
    return {
      original: login.id,
      userId: user,
      domain,
      delimiter,
      clientAddress: login.client.address,
      serverAddress: login.server.address,
      certificateSubject: login.certificateSubject ?? '',
    };
  }

  async #look(
    facts: LoginFacts,
  ): Promise<{ readonly entry: LdapEntry; readonly domain: Domain | null } | null> {
    const { settings } = this.#options.source;
    if (facts.userId === '') return null;
    if (settings.hostedDomains && facts.domain === '') return null;
    return this.#rephrase(async () => {
      const domain = settings.hostedDomains ? await this.#domains.find(facts.domain) : null;
      if (settings.hostedDomains && domain === null) return null;
      const template = domain === null ? this.#flat : (domain.filter ?? this.#hosted);
      const filter = fillFilter(template, facts);
      if (filter === null) return null;
      const base =
        domain?.usersBase ??
        (settings.schema === 2 ? (settings.userGroupBase ?? settings.base) : settings.base);
      const entry = await this.#one({ base, filter, domain });
      return entry === null ? null : { entry, domain };
    });
  }

  async #one(question: {
    readonly base: string;
    readonly filter: Filter<string>;
    readonly domain: Domain | null;
  }): Promise<LdapEntry | null> {
    const { base, filter, domain } = question;
    const attributes = this.#attributes(domain);
    const entries = await this.search({ base, scope: 'sub', filter, attributes, sizeLimit: ENTRIES_MAX });
    if (entries.length > 1) {
      const names = entries.map(({ dn }) => dn).join(' | ');
      throw new GateError('DIRECTORY_AMBIGUOUS', { filter: filterText(filter), entries: names });
    }
    return entries[0] ?? null;
  }

  #attributes(domain: Domain | null): readonly string[] {
    const replay = attributesOf(domain?.replay ?? this.#rules.replayFormat);
    const withPasswords = this.#options.source.settings.passwords === 'compare';
    return wantedAttributes(this.#rules, { replay, withPasswords });
  }

  /** A question that no server can answer is for the administrator; for the client the directory is down. */
  async #rephrase<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof LdapFailure)) throw error;
      throw new GateError(
        'DIRECTORY_DOWN',
        { found: error.message, base: this.#options.source.settings.base },
        error,
      );
    }
  }
}

function opener({
  source,
  world,
}: LdapDirectoryOptions): (server: LdapServer, ms: number) => Promise<LdapConnection> {
  const { settings, ca } = source;
  const isSecure = settings.startTls || settings.servers.some(({ implicitTls }) => implicitTls);
  const tls = new BackendTls({
    mode: isSecure ? 'musttls' : 'notls',
    verify: settings.verifyCertificate,
    ca,
    name: settings.tlsName,
    minVersion: 'TLSv1.2',
    ciphers: 'default',
  });
  const { allowClear } = settings;
  return (server, ms) => LdapConnection.open({ server, tls, allowClear, world }, ms);
}

async function signOn(
  connection: LdapConnection,
  { settings, bindPassword, ms }: { settings: LdapSettings; bindPassword: string | null; ms: number },
): Promise<void> {
  try {
    const proof = await connection.bind(settings.bindDn ?? '', bindPassword ?? '', Math.max(1, ms));
    if (proof === 'wrong')
      throw new LdapFailure('server', 'the server does not accept bindDn and bindPassword');
  } catch (error) {
    connection.close();
    throw error;
  }
}

/** The settings were checked; a template that is wrong does not come here. */
function searchTemplate(text: string): Filter<Pieces> {
  const parsed = parseSearchTemplate(text, 'searchFormat');
  if ('problem' in parsed) throw new TypeError(parsed.problem);
  return parsed.filter;
}

function replayTemplate(text: string): Pieces {
  const parsed = parseReplayTemplate(text);
  if ('problem' in parsed) throw new TypeError(parsed.problem);
  return parsed.pieces;
}
