// From settings and material to the directory that a worker asks, behind its cache. What has not changed since the
// settings before is kept, with what it remembers and its connections; one that is replaced is closed when nobody can
// be on the way to it any more.

import type { DirectoryCacheSettings, Settings } from '../../config/settings.ts';
import type { Directory, Login } from '../../identity/directory.ts';
import { everyone } from '../../identity/everyone.ts';
import { fileDirectory } from '../../identity/file-directory.ts';
import { httpDirectory } from '../../identity/http-directory.ts';
import type { SplitId } from '../../identity/ldap/directory.ts';
import { NameBook, type NameRules, placeKey, splitLoginId } from '../../identity/login-id.ts';
import { Reception } from '../../identity/reception.ts';
import type { Log } from '../../log.ts';
import type { World } from '../../world.ts';
import type { DirectoryMaterial } from './material.ts';
import { makeLdap } from './ldap-material.ts';
import { makeSql } from './sql-material.ts';

export interface DirectoryParts {
  readonly settings: Settings;
  readonly material: DirectoryMaterial;
  /** What made-up salts are made of, the same in all workers; left out: of this process alone. */
  readonly saltKey?: Buffer;
  readonly world: World;
  readonly log: Log;
}

export class Directories {
  #key = '';
  #reception: Receptions | null = null;

  /** What these settings ask for. */
  update(parts: DirectoryParts): Receptions | null {
    const { settings, material, world } = parts;
    const isNeeded = !isPlain(settings);
    const key = JSON.stringify([settings.directory, placesOf(settings), material]);
    if (isNeeded && this.#reception !== null && key === this.#key) return this.#reception;
    const old = this.#reception;
    // Connections that came before may still log in.
    if (old !== null) world.after(2 * settings.timeouts.loginMs, () => old.close());
    this.#key = key;
    this.#reception = isNeeded ? makeReceptions(parts) : null;
    return this.#reception;
  }
}

/** Nobody's mail is anywhere else, and nobody's name is changed. */
function isPlain({ directory, services }: Settings): boolean {
  const { type, defaultDomain, domainDelimiters, canonicalDelimiter, admins } = directory;
  const asGiven = defaultDomain === null && domainDelimiters === canonicalDelimiter && admins.length === 0;
  return (
    type === 'none' &&
    asGiven &&
    Object.values(services).every(({ domains }) =>
      Object.values(domains).every((own) => own.defaultDomain === null && own.domainDelimiters === null),
    )
  );
}

/** What is remembered, and who is asked for the rest, by the address that a client has connected to. */
export interface Receptions {
  readonly common: Reception;
  /** Those that remember for themselves, by placeKey(). */
  readonly places: ReadonlyMap<string, Reception>;
  close(): void;
}

function makeReceptions(parts: DirectoryParts): Receptions {
  const { settings, saltKey, world, log } = parts;
  const directory = makeDirectory(parts);
  const isAdmin = adminsOf(settings);
  const make = (cache: DirectoryCacheSettings): Reception =>
    new Reception({ directory, cache, isAdmin, saltKey, world, log });
  return {
    common: make(settings.directory.cache),
    places: new Map(
      placesOf(settings).flatMap(({ place, cache }) => (cache === null ? [] : [[place, make(cache)]])),
    ),
    close: () => directory.close(),
  };
}

/**
 * As they are listed, and as they are called where names are completed. A bare name is that of somebody else at an address
 * that has names or a tree of its own.
 */
function adminsOf(settings: Settings): (login: Login, user: string) => boolean {
  const { admins, defaultDomain, domainDelimiters: delimiters, canonicalDelimiter } = settings.directory;
  const ids = admins.map((admin) => splitLoginId(admin, { defaultDomain, delimiters, canonicalDelimiter }));
  const whole = new Set(ids.flatMap(({ canonical, domain }) => (domain === '' ? [] : [canonical])));
  const listed = new Set(admins);
  const strange = new Set(
    placesOf(settings)
      .filter(({ names, ldap }) => Object.keys(names).length > 0 || ldap !== null)
      .map(({ place }) => place),
  );
  return ({ service, server }, user) =>
    whole.has(user) || (listed.has(user) && !strange.has(placeKey(service, server.address)));
}

/** What addresses say of directories. */
function placesOf({ services }: Settings) {
  return Object.values(services).flatMap(({ name, domains }) =>
    Object.entries(domains).map(
      ([address, { defaultDomain, domainDelimiters: delimiters, ldap, cache }]) => ({
        place: placeKey(name, address),
        names: {
          ...(defaultDomain === null ? {} : { defaultDomain }),
          ...(delimiters === null ? {} : { delimiters }),
        },
        ldap,
        cache,
      }),
    ),
  );
}

/** Without a cache before it. */
export function makeDirectory({ settings, material, world, log }: DirectoryParts): Directory {
  const { directory } = settings;
  const names = nameBook(settings);
  switch (directory.type) {
    case 'none':
      return everyone(names);
    case 'file':
      return fileDirectory(material.users, names);
    case 'ldap':
      return makeLdap({ settings, material: material.ldap, split: splitBy(names, settings), world, log });
    case 'sql':
      return makeSql({ settings, material: material.sql, split: splitBy(names, settings), world, log });
    case 'http': {
      const { url, timeoutMs, connections, passTokens, passClientCert } = directory.http;
      if (url === null) throw new Error('directory.http.url is missing and no mistake was reported');
      const { ca, header } = material;
      const passed = { passTokens, passClientCert };
      return httpDirectory({ url, ca, header, timeoutMs, connections, ...passed, names, world });
    }
  }
}

function splitBy(names: NameBook, { directory }: Settings): (login: Login) => SplitId {
  const delimiter = directory.canonicalDelimiter;
  return ({ id, service, server }) => {
    const { user, domain } = names.split(id, { service, address: server.address });
    return { user, domain, delimiter };
  };
}

function nameBook(settings: Settings): NameBook {
  const { defaultDomain, domainDelimiters: delimiters, canonicalDelimiter } = settings.directory;
  const byAddress = new Map<string, Partial<NameRules>>(
    placesOf(settings).map(({ place, names }) => [place, names]),
  );
  return new NameBook({ defaultDomain, delimiters, canonicalDelimiter }, byAddress);
}
