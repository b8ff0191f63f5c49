// The directory in LDAP for several addresses of ours, of which some have settings of their own (what vdmap.cfg is to the
// Sun MMP). Promises: a login is looked up by the settings of the address that its client connected to, and proven there.

import type { CertMapping } from '../../config/legacy/certmap.ts';
import type { Log } from '../../log.ts';
import type { CertificateNames } from '../../tls/certificate-names.ts';
import type { World } from '../../world.ts';
import type { Account, ActingQuestion, Answer, CertificateAnswer, Directory, Login } from '../directory.ts';
import { LdapDirectory, type LdapSource, type SplitId } from './directory.ts';
import { placeKey } from '../login-id.ts';

export interface LdapPlacesOptions {
  readonly common: LdapSource;
  /** By placeKey(). */
  readonly places: ReadonlyMap<string, LdapSource>;
  readonly split: (login: Login) => SplitId;
  readonly domainCache: { readonly ttlMs: number; readonly missTtlMs: number; readonly max: number };
  readonly world: World;
  readonly log: Log;
}

export class LdapPlaces implements Directory {
  readonly #common: LdapDirectory;
  readonly #places: ReadonlyMap<string, LdapDirectory>;
  readonly prove?: (login: Login, account: Account, password: string) => Promise<'right' | 'wrong'>;

  constructor({ common, places, ...shared }: LdapPlacesOptions) {
    this.#common = new LdapDirectory({ ...shared, source: common });
    this.#places = new Map(
      [...places].map(([place, source]) => [place, new LdapDirectory({ ...shared, source })]),
    );
    // How passwords are checked is the same everywhere.
    if (common.settings.passwords === 'bind') {
      this.prove = async (login, account, password) =>
        (await this.at(login).prove?.(login, account, password)) ?? 'wrong';
    }
  }

  /** The one that a login belongs to. */
  at({ service, server }: Login): LdapDirectory {
    return this.#places.get(placeKey(service, server.address)) ?? this.#common;
  }

  find(login: Login, password: string | null): Promise<Answer> {
    return this.at(login).find(login, password);
  }

  byMail(login: Login, addresses: readonly string[]): Promise<CertificateAnswer> {
    return this.at(login).byMail(login, addresses);
  }

  byCertmap(
    login: Login,
    certificate: CertificateNames,
    mappings: readonly CertMapping[],
  ): Promise<CertificateAnswer> {
    return this.at(login).byCertmap(login, certificate, mappings);
  }

  isAdministrator(question: ActingQuestion): Promise<boolean> {
    return this.at(question.login).isAdministrator(question);
  }

  keyOf(login: Login): string {
    return this.at(login).keyOf(login);
  }

  close(): void {
    this.#common.close();
    for (const directory of this.#places.values()) directory.close();
  }
}
