// The name that somebody logs in with, taken apart: the user, the domain, and both in the one spelling that everything
// else goes by. Pure. Promises: never throws; an id without any delimiter and without a default domain comes out as it
// went in; a delimiter is looked for from the end, so `a@b@c` is the user `a@b` of `c`.

/** How ids are read at one address of ours. */
export interface NameRules {
  /** Appended where an id has no domain; null: nothing is. */
  readonly defaultDomain: string | null;
  /** A set of characters, each of which may part the user from the domain. */
  readonly delimiters: string;
  /** The one that is used from here on. */
  readonly canonicalDelimiter: string;
}

export interface LoginId {
  /** As the client sent it. */
  readonly given: string;
  readonly user: string;
  /** In lower case; '': there is none. */
  readonly domain: string;
  /** User and domain with the canonical delimiter. */
  readonly canonical: string;
}

const ID_MAX = 512;

/** Whether a directory that searches need be asked for it: an empty, over-long or unprintable name is nobody's. */
export function isPlausibleId(id: string): boolean {
  // oxlint-disable-next-line no-control-regex
  return id !== '' && id.length <= ID_MAX && id.isWellFormed() && !/[\u0000-\u001f\u007f]/.test(id);
}

export function splitLoginId(given: string, rules: NameRules): LoginId {
  const at = lastOf(given, rules.delimiters);
  const user = at < 0 ? given : given.slice(0, at);
  // RFC 4343 2: upper and lower case of a domain are the same.
  const domain = (at < 0 ? (rules.defaultDomain ?? '') : given.slice(at + 1)).toLowerCase();
  const canonical = domain === '' ? user : `${user}${rules.canonicalDelimiter}${domain}`;
  // `anna@` is nobody of no domain, and stays what it is.
  return at >= 0 && (domain === '' || user === '')
    ? { given, user: given, domain: '', canonical: given }
    : { given, user, domain, canonical };
}

function lastOf(text: string, characters: string): number {
  for (let at = text.length - 1; at >= 0; at--) if (characters.includes(text[at] ?? '')) return at;
  return -1;
}

/**
 * A login for the store made of a template: `%s` user and domain, `%U` user, `%V` domain, `%o` the id as it was sent,
 * `%%` a percent sign.
 */
export function fillReplay(template: string, id: LoginId): string {
  return template.replaceAll(/%([sUVo%])/g, (_, letter: string) => {
    switch (letter) {
      case 's':
        return id.canonical;
      case 'U':
        return id.user;
      case 'V':
        return id.domain;
      case 'o':
        return id.given;
      default:
        return '%';
    }
  });
}

/** By server address, where it has rules of its own. */
export class NameBook {
  readonly #rules: NameRules;
  readonly #byAddress: ReadonlyMap<string, Partial<NameRules>>;

  constructor(rules: NameRules, byAddress: ReadonlyMap<string, Partial<NameRules>> = new Map()) {
    this.#rules = rules;
    this.#byAddress = byAddress;
  }

  /** A name that is canonical already. */
  canonical(name: string): LoginId {
    const { canonicalDelimiter } = this.#rules;
    return splitLoginId(name, { defaultDomain: null, delimiters: canonicalDelimiter, canonicalDelimiter });
  }

  /** Whoever is called by a mail address. */
  ofAddress(address: string): LoginId {
    const { canonicalDelimiter } = this.#rules;
    return splitLoginId(address, { defaultDomain: null, delimiters: '@', canonicalDelimiter });
  }

  /** `service` and `address`: where the client connected to. */
  split(
    given: string,
    { service, address }: { readonly service: string; readonly address: string },
  ): LoginId {
    const own = this.#byAddress.get(placeKey(service, address));
    return splitLoginId(given, own === undefined ? this.#rules : { ...this.#rules, ...own });
  }
}

export function placeKey(service: string, address: string): string {
  return `${service} ${address}`;
}
