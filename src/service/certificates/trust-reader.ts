// Whom the front believes: CAs for clients and CAs for backends, kept apart, and what is revoked; read in the supervisor,
// plain data for the workers. CAs come from the certificate database, by their trust flags (`C` for servers, `T` for
// clients), and from the files that the settings name. The system's CAs are never trusted for clients.
// Mistakes go to `fail`; what serves though badly is a warning. Nothing here throws.

import { X509Certificate } from 'node:crypto';

import { nameFromLines } from '../../certdb/name-lines.ts';
import type { ServiceSettings, Settings } from '../../config/settings.ts';
import { SettingsError } from '../../errors.ts';
import { channelsOf } from '../../policy/channel-map.ts';
import { grantChannelOf } from '../../policy/grants.ts';
import { serverRules } from '../../policy/channels.ts';
import type { ClientTrust } from '../../tls/client-certificate.ts';
import { readAuthorities } from '../backends/material.ts';
import type { BackendTrust } from '../backends/material.ts';
import type { CertificateKeeper } from './keeper.ts';
import { crlWarnings, RevocationLists } from './revocation-lists.ts';
import type { CrlFacts } from './revocation-lists.ts';
import { validityWarning } from './validity.ts';

/** What a service asks its clients for, to be told. */
export interface ClientTrustFacts {
  readonly required: boolean;
  /** Names of the CAs. */
  readonly authorities: readonly string[];
  readonly crl: boolean;
  readonly ocsp: ClientTrust['ocsp'];
}

export interface TrustFacts {
  /** By service; those that ask for nothing are not in it. */
  readonly clients: Readonly<Record<string, ClientTrustFacts>>;
  readonly crls: readonly CrlFacts[];
}

export interface TrustRequest {
  readonly settings: Settings;
  readonly keeper: CertificateKeeper;
  readonly now: number;
  readonly fail: (error: unknown, where: string) => void;
}

interface Authority {
  /** Nickname or file. */
  readonly source: string;
  /** PEM. */
  readonly cert: string;
}

export class TrustReader {
  readonly #request: TrustRequest;
  readonly #lists = new RevocationLists();
  readonly #clients: Record<string, ClientTrustFacts> = {};
  /** Those in use, by what they are trusted for and fingerprint. */
  readonly #used = new Map<string, { readonly source: string; readonly certificate: X509Certificate }>();
  readonly #files = new Map<string, readonly string[] | null>();

  constructor(request: TrustRequest) {
    this.#request = request;
  }

  /** null: clients of this service are asked for nothing, or what it needs is not there, which is a mistake then. */
  clients(service: ServiceSettings): ClientTrust | null {
    const { name, tls } = service;
    const where = ` (for services.${name})`;
    const crls = this.#attempt(where, () => this.#lists.read(tls.crl)) ?? [];
    if (tls.clientCertificates === 'off') return null;
    const authorities = this.#authorities('clients', [
      ...(this.#attempt(where, () => this.#request.keeper.authorities('clients')) ?? []),
      ...tls.clientCa.flatMap((file) => this.#file(file, where).map((cert) => ({ source: file, cert }))),
    ]);
    const required = tls.clientCertificates === 'require';
    if (required) {
      if (authorities.length === 0) {
        this.#mistake(
          `services.${name}.tls.clientCertificates: require, and no CA is trusted for clients: give one of the ` +
            `certificate database the trust T (sallyport cert trust), or name a file in clientCa`,
        );
      }
      this.checkWays(service);
    }
    if (authorities.length === 0) return null;
    const names = authorities.map((pem) => commonName(new X509Certificate(pem)));
    this.#clients[name] = { required, authorities: names, crl: crls.length > 0, ocsp: tls.clientOcsp };
    return { required, authorities, crls, ocsp: tls.clientOcsp };
  }

  backends(): BackendTrust {
    const { settings, keeper } = this.#request;
    const where = ' (for the backends)';
    const places = new Set(Object.values(settings.backends).flatMap(({ tls }) => tls.crl));
    const authorities = this.#attempt(where, () => keeper.authorities('servers')) ?? [];
    return {
      authorities: this.#authorities('servers', authorities),
      crls: this.#attempt(where, () => this.#lists.read([...places])) ?? [],
    };
  }

  /** When all were asked for. */
  facts(): TrustFacts {
    const { keeper } = this.#request;
    const stored = this.#attempt('', () => keeper.known()) ?? [];
    const known = [...this.#used.values().map(({ certificate }) => certificate), ...stored];
    return { clients: this.#clients, crls: this.#lists.facts(known) };
  }

  warnings({ crls }: TrustFacts): readonly string[] {
    const { now } = this.#request;
    const old = [...this.#used].flatMap(([key, { source, certificate }]) => {
      const validity = {
        notBefore: Date.parse(certificate.validFrom),
        notAfter: Date.parse(certificate.validTo),
      };
      const warning = validityWarning(validity, now);
      return warning === null ? [] : [`CA ${source}, trusted for ${key.split(' ')[0]}: ${warning}`];
    });
    return [...new Set(old), ...crlWarnings(crls, now)];
  }

  /** PEM, each once. */
  #authorities(use: 'clients' | 'servers', found: readonly Authority[]): readonly string[] {
    const pem = new Map<string, string>();
    for (const { source, cert } of found) {
      const certificate = new X509Certificate(cert);
      pem.set(certificate.fingerprint256, certificate.toString());
      this.#used.set(`${use} ${certificate.fingerprint256}`, { source, certificate });
    }
    return [...pem.values()];
  }

  /** Of any service: a client that can go on without TLS would never be asked for the certificate that is required. */
  checkWays(service: ServiceSettings): void {
    if (service.tls.clientCertificates !== 'require' || service.tlsMode === 'implicit') return;
    const key = `services.${service.name}.tls.clientCertificates: require`;
    const { settings } = this.#request;
    const channels = channelsOf(service, settings.channels, grantChannelOf(service, settings));
    const modes = (channels.length === 0 ? [null] : channels).map(
      (channel) => serverRules(service, channel).tls,
    );
    if (modes.every((mode) => mode === 'musttls')) return;
    const expected =
      service.protocol === 'smtp' ? 'implicit, or channels with musttlsserver' : 'implicit or musttls';
    this.#mistake(`${key}, and a client can do without TLS: expected tls ${expected}`);
  }

  #file(file: string, where: string): readonly string[] {
    const known = this.#files.get(file);
    if (known !== undefined) return known ?? [];
    const read = this.#attempt(where, () => readAuthorities(file));
    this.#files.set(file, read);
    return read ?? [];
  }

  #mistake(text: string): void {
    this.#request.fail(new SettingsError([text]), '');
  }

  #attempt<T>(where: string, read: () => T): T | null {
    try {
      return read();
    } catch (error) {
      this.#request.fail(error, where);
      return null;
    }
  }
}

function commonName({ subject }: X509Certificate): string {
  const name = nameFromLines(subject);
  return /(?:^|,)CN=((?:[^,\\]|\\.)+)/.exec(name)?.[1] ?? name;
}
