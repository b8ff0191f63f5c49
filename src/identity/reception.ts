// Where the path asks about a login: the directory behind a cache, and whether the password is right where that is the
// directory's business. Promises: one search for however many ask for one user at the same time; an answer that is still
// believed is given while the directory is down; an unknown user costs the same work as a wrong password; a password is
// remembered as a keyed hash, under a key that this process alone has; one line in the log when the directory goes and
// one when it comes back. On failure: the directory's GateError; nothing that could not be asked is a wrong password.

import { createHmac } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';

import { asGateError } from '../errors.ts';
import { explain, type Log } from '../log.ts';
import type { World } from '../world.ts';
import { Cache, Together } from './cache.ts';
import { accountOfCertificate, type CertificateQuestion } from './certificate-login.ts';
import {
  type Account,
  type ActingQuestion,
  type Answer,
  type CertificateAnswer,
  commonKey,
  type Directory,
  type Login,
  type Refusal,
  type Shown,
} from './directory.ts';
import { ChallengeDesk, type SecretsJudge } from './passwords/challenge.ts';
import { passwordFits } from './passwords/password.ts';
import { Turns } from './turns.ts';

export interface ReceptionOptions {
  readonly directory: Directory;
  readonly cache: {
    readonly size: number;
    readonly ttlMs: number;
    readonly missTtlMs: number;
    readonly passwordTtlMs: number;
  };
  /** Who may log in for everybody, by the name that the account has. */
  readonly isAdmin?: (login: Login, user: string) => boolean;
  /** Of the salts that logins by challenge are shown; undefined: of this process alone. */
  readonly saltKey?: Buffer | undefined;
  readonly world: World;
  readonly log: Log;
}

export interface Inquiry {
  readonly login: Login;
  /** null: the login is proven, or will be, by something else. */
  readonly password: string | null;
  /** Who checks passwords where the account does not say otherwise. */
  readonly checker: 'directory' | 'others';
}

export interface AccountRuling {
  readonly kind: 'account';
  readonly account: Account;
  /** Whether it is the directory that checks the password of this account. */
  readonly checked: boolean;
  /** null where it does not. */
  readonly proof: 'right' | 'wrong' | null;
  /** It is wrong since there is none to compare with. */
  readonly hasNoPassword?: true;
  /** That of the account, which the client has proven to know without showing it. */
  readonly provenPassword?: string;
}

export type Ruling =
  | AccountRuling
  | {
      readonly kind: 'nobody';
      /** For the log; not there: nobody of that name. */
      readonly reason?: string;
      /** It was no guess, and costs nothing. */
      readonly isBlameless?: true;
    }
  | Refusal;

const NOBODY: Answer = { kind: 'nobody' };
/** Values of one account that are tried. */
const SECRETS_MAX = 8;

export class Reception {
  readonly #options: ReceptionOptions;
  readonly #accounts: Cache<Answer>;
  readonly #passwords: Cache<Account>;
  readonly #holders: Cache<CertificateAnswer>;
  readonly #searches = new Together<Answer>();
  readonly #lookups = new Together<CertificateAnswer>();
  readonly #proofs = new Together<'right' | 'wrong'>();
  readonly #key: Buffer;
  readonly #turns = new Turns();
  readonly #challenges: ChallengeDesk;
  #down = false;
  /** What an unknown user's password is compared with: the last value that anybody's was. */
  #decoy = '{SSHA512}';

  constructor(options: ReceptionOptions) {
    this.#options = options;
    this.#accounts = new Cache(options.cache.size);
    this.#passwords = new Cache(options.cache.size);
    this.#holders = new Cache(options.cache.size);
    this.#key = options.world.random(32);
    const { directory, saltKey, world } = options;
    this.#challenges = new ChallengeDesk(saltKey ?? world.random(32), this.#turns, directory.secrets);
  }

  async ask(inquiry: Inquiry): Promise<Ruling> {
    const { directory, world } = this.#options;
    const { login, password, checker } = inquiry;
    const key = this.#keyOf(login);
    if (directory.needsPassword === true) return this.#askWhole(key, inquiry);
    const isRemembered = this.#accounts.get(key, world.monotonic()) !== undefined;
    const found = await this.#search(key, login, null);
    if (found.kind === 'nobody' && checker === 'directory' && password !== null) {
      await this.#compare([this.#decoy], password);
    }
    if (found.kind !== 'account') return found;
    const ruling = await this.#rule(key, inquiry, found.account);
    if (ruling.proof !== 'wrong' || password === '' || !isRemembered) return ruling;
    const anew = await this.#renew(key, login, found.account);
    if (anew === null) return ruling;
    return anew.kind === 'account' ? this.#rule(key, inquiry, anew.account) : anew;
  }

  /** Somebody had the wrong secret: whoever asks next is not told what is remembered, for it may be another one now. */
  doubt(login: Login): void {
    this.#accounts.delete(this.#keyOf(login));
  }

  /**
   * Whom a certificate stands for that was found good. What is remembered is what the directory said of this very
   * certificate by these mappings; whether it is good is judged anew on each connection, and not here.
   */
  async identify(question: CertificateQuestion): Promise<CertificateAnswer> {
    const { directory, cache, world } = this.#options;
    const { login, certificate, mappings } = question;
    if (certificate.kind === 'odd') return accountOfCertificate(directory, question);
    // Where the directory is told whom it asks to be, its answer is about that too.
    const place = directory.judgeCertificate === undefined ? { ...login, id: '' } : login;
    const key = this.#digest(directory.keyOf?.(place) ?? commonKey(place), [
      certificate.der.toString('base64'),
      mappings,
    ]);
    const known = this.#holders.get(key, world.monotonic());
    if (known !== undefined) return known;
    const ask = async (): Promise<CertificateAnswer> => {
      const answer = await this.#watched(() => accountOfCertificate(directory, question));
      const ttlMs = answer.kind === 'account' ? cache.ttlMs : answer.kind === 'nobody' ? cache.missTtlMs : 0;
      if (ttlMs > 0 && cache.ttlMs > 0) this.#holders.set(key, answer, world.monotonic() + ttlMs);
      return answer;
    };
    return cache.ttlMs > 0 ? this.#lookups.do(key, ask) : ask();
  }

  /** Who has a secret without sending it. `secrets`: of whom the login is, null for nobody. */
  judge(login: Login, secrets: readonly string[] | null): SecretsJudge {
    const { directory } = this.#options;
    return this.#challenges.judge(directory.spelling?.(login) ?? login.id, secrets);
  }

  /** What was shown in place of a password is for the directory itself to judge. */
  judges(kind: Shown['kind']): boolean {
    return this.#options.directory.judges?.has(kind) === true;
  }

  /** Asked each time, where judges() says so: nothing of it is remembered. */
  async present(login: Login, shown: Shown): Promise<Ruling> {
    const { directory } = this.#options;
    const answer = await this.#watched(async () => directory.judge?.(login, shown) ?? NOBODY);
    if (answer.kind !== 'account') return answer;
    return { kind: 'account', account: answer.account, checked: true, proof: answer.proof ?? 'wrong' };
  }

  /** Whether an account whose password was right may log in for another. */
  async mayActFor(question: ActingQuestion): Promise<boolean> {
    const { directory, isAdmin } = this.#options;
    if (isAdmin?.(question.login, question.account.user) === true) return true;
    return this.#watched(async () => (await directory.isAdministrator?.(question)) ?? false);
  }

  close(): void {
    this.#options.directory.close();
  }

  #keyOf(login: Login): string {
    return this.#options.directory.keyOf?.(login) ?? commonKey(login);
  }

  async #rule(key: string, { login, password, checker }: Inquiry, account: Account): Promise<AccountRuling> {
    const checked = account.preAuth ?? checker === 'directory';
    const proof = checked && password !== null ? await this.#prove(key, { login, account, password }) : null;
    const hasNone =
      proof === 'wrong' && this.#options.directory.prove === undefined && account.secrets.length === 0;
    return { kind: 'account', account, checked, proof, ...(hasNone ? { hasNoPassword: true } : {}) };
  }

  /** What the directory says now of an account that is remembered; null: its passwords are the same, or nobody knows. */
  async #renew(key: string, login: Login, { secrets }: Account): Promise<Answer | null> {
    const { directory } = this.#options;
    if (directory.prove !== undefined || secrets.length === 0) return null;
    const find = (): Promise<Answer> => this.#watched(() => directory.find(login, null));
    const answer = await this.#searches.do(`${key} anew`, find).catch((error: unknown) => {
      // A guess stays one while the directory is down.
      if (asGateError(error).code === 'DIRECTORY_DOWN') return null;
      throw error;
    });
    const isSame = answer?.kind === 'account' && isDeepStrictEqual(answer.account.secrets, secrets);
    if (answer === null || isSame) return null;
    this.#remember(key, answer);
    return answer;
  }

  /** A directory that has to be told the password: search and proof are one. */
  async #askWhole(key: string, { login, password, checker }: Inquiry): Promise<Ruling> {
    const whole = password === null ? key : `${key} ${this.#digest(key, password)}`;
    const found = await this.#search(whole, login, password);
    if (found.kind !== 'account') return found;
    const checked = found.account.preAuth ?? checker === 'directory';
    const proof = checked && password !== null ? (found.proof ?? 'wrong') : null;
    return { kind: 'account', account: found.account, checked, proof };
  }

  async #search(key: string, login: Login, password: string | null): Promise<Answer> {
    const { directory, cache, world } = this.#options;
    const known = this.#accounts.get(key, world.monotonic());
    if (known !== undefined) return known;
    const ask = async (): Promise<Answer> => {
      const answer = await this.#watched(() => directory.find(login, password));
      this.#remember(key, answer);
      return answer;
    };
    // Whoever is not to be remembered is asked for each time.
    return cache.ttlMs > 0 ? this.#searches.do(key, ask) : ask();
  }

  #remember(key: string, answer: Answer): void {
    const { cache, world } = this.#options;
    const ttlMs = answer.kind === 'account' ? cache.ttlMs : answer.kind === 'nobody' ? cache.missTtlMs : 0;
    const isWrong = answer.kind === 'account' && answer.proof === 'wrong';
    if (ttlMs > 0 && cache.ttlMs > 0 && !isWrong) this.#accounts.set(key, answer, world.monotonic() + ttlMs);
    else this.#accounts.delete(key);
  }

  async #prove(
    key: string,
    {
      login,
      account,
      password,
    }: { readonly login: Login; readonly account: Account; readonly password: string },
  ): Promise<'right' | 'wrong'> {
    const { directory, cache, world } = this.#options;
    if (password === '') return 'wrong';
    const hashed = this.#digest(key, password);
    // Another account, searched anew, is proven anew.
    if (this.#passwords.get(hashed, world.monotonic()) === account) return 'right';
    const proof = await this.#proofs.do(hashed, async () => {
      if (directory.prove !== undefined) {
        return this.#watched(async () => directory.prove?.(login, account, password) ?? 'wrong');
      }
      if (account.secrets.length > 0) return this.#compare(account.secrets, password);
      const answer = await this.#watched(() => directory.find(login, password));
      if (answer.kind === 'account' && answer.proof !== null) return answer.proof;
      // There is nothing to compare, which takes as long as a wrong password does, and is never right.
      await this.#compare([this.#decoy], password);
      return 'wrong';
    });
    const ttlMs = Math.min(cache.passwordTtlMs, cache.ttlMs);
    if (proof === 'right' && ttlMs > 0) this.#passwords.set(hashed, account, world.monotonic() + ttlMs);
    return proof;
  }

  async #compare(secrets: readonly string[], password: string): Promise<'right' | 'wrong'> {
    return this.#turns.take(async () => {
      this.#decoy = secrets[0] ?? this.#decoy;
      for (const secret of secrets.slice(0, SECRETS_MAX)) {
        if (await passwordFits(secret, password)) return 'right';
      }
      return 'wrong';
    });
  }

  async #watched<T>(work: () => Promise<T>): Promise<T> {
    const { log } = this.#options;
    try {
      const result = await work();
      if (this.#down) log.info('directory-up', {});
      this.#down = false;
      return result;
    } catch (cause) {
      const error = asGateError(cause);
      if (error.code === 'DIRECTORY_DOWN' && !this.#down) {
        this.#down = true;
        log.error('directory-down', { code: error.code, cause: explain(error) });
      }
      throw error;
    }
  }

  #digest(key: string, secret: unknown): string {
    return createHmac('sha256', this.#key)
      .update(JSON.stringify([key, secret]))
      .digest('base64');
  }
}
