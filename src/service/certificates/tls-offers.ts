// What `sallyport check` says of TLS: for each service what its clients are offered (asked of OpenSSL, tls/offer.ts), and
// what became of the ciphers in the settings: old names that are not served, names that OpenSSL passes over, versions
// without a suite. Where the certificate is still to be made, one of the kind that would be made stands in, in memory; and
// one with the same kind of key where the key is in a token, which is not asked for the dozens of handshakes that this takes.

import { X509Certificate } from 'node:crypto';

import { makeSelfSigned } from '../../certdb/issue.ts';
import { keyWishProblem } from '../../certdb/keys.ts';
import type { KeyWish } from '../../certdb/keys.ts';
import { keyTypeOf } from '../../certdb/pem.ts';
import type { ServiceSettings, Settings } from '../../config/settings.ts';
import { facesOf } from '../../config/variants.ts';
import { offersTls } from '../../policy/channel-map.ts';
import { grantChannelOf } from '../../policy/grants.ts';
import { checkCiphers } from '../../tls/ciphers.ts';
import type { ServerCertificate, ServerTlsMaterial } from '../../tls/context.ts';
import { offerOf, type TlsOffer } from '../../tls/offer.ts';
import { oldCipherNotes, parseCiphers } from '../../wire/cipher-names.ts';
import type { World } from '../../world.ts';
import type { Configuration } from '../configuration.ts';
import type { Summary } from '../summary.ts';

/** By service name; a service without TLS has none. */
export type TlsOffers = Readonly<Record<string, TlsOffer>>;

export async function tlsOffers({ settings, material }: Configuration, world: World): Promise<TlsOffers> {
  const offers: Record<string, TlsOffer> = {};
  const known = new Map<string, TlsOffer>();
  const standIns = new StandIns(settings, world);
  for (const service of Object.values(settings.services)) {
    const faces = facesOf(service);
    if (!faces.some((face) => offersTls(face, settings.channels, grantChannelOf(face, settings)))) continue;
    const given = material.services[service.name] ?? null;
    const served =
      given === null
        ? materialOf(service, [await standIns.made({ type: 'ec' })])
        : await standIns.inFor(given);
    const id = JSON.stringify(served);
    const offer = known.get(id) ?? (await offerOf(served));
    known.set(id, offer);
    offers[service.name] = offer;
  }
  return offers;
}

/** Certificates that nobody is shown, one for each kind of key. */
class StandIns {
  readonly #hostname: string;
  readonly #world: World;
  readonly #made = new Map<string, ServerCertificate>();

  constructor({ hostname }: Settings, world: World) {
    this.#hostname = hostname;
    this.#world = world;
  }

  async made(wish: KeyWish): Promise<ServerCertificate> {
    const id = JSON.stringify(wish);
    const known = this.#made.get(id);
    if (known !== undefined) return known;
    const names = [this.#hostname];
    const { cert, key } = await makeSelfSigned({ names, days: 1, now: this.#world.now(), key: wish });
    const pair = { cert, key: key.export({ type: 'pkcs8', format: 'pem' }).toString() };
    this.#made.set(id, pair);
    return pair;
  }

  /** The same without keys in tokens. */
  async inFor(material: ServerTlsMaterial): Promise<ServerTlsMaterial> {
    const all = [material.certificates, ...material.sni.map(({ certificates }) => certificates)].flat();
    if (all.every((certificate) => !('token' in certificate))) return material;
    const replace = (some: readonly ServerCertificate[]): Promise<ServerCertificate[]> =>
      Promise.all(
        some.map(async (certificate) =>
          'token' in certificate ? this.made(wishFor(certificate.cert)) : certificate,
        ),
      );
    return {
      ...material,
      certificates: await replace(material.certificates),
      sni: await Promise.all(
        material.sni.map(async (entry) => ({ ...entry, certificates: await replace(entry.certificates) })),
      ),
    };
  }
}

/** A key like that of the certificate; one of the usual size where we make none of its size. */
function wishFor(cert: string): KeyWish {
  const { publicKey } = new X509Certificate(cert);
  const type = keyTypeOf(publicKey);
  if (type === 'other' || type === 'ed25519') return { type: type === 'other' ? 'ec' : type };
  const { modulusLength, namedCurve } = publicKey.asymmetricKeyDetails ?? {};
  const bits = type === 'rsa' ? modulusLength : namedCurve === 'secp384r1' ? 384 : 256;
  const wish = { type, bits } as const;
  return keyWishProblem(wish) === null ? wish : { type };
}

function materialOf(
  { tls }: ServiceSettings,
  certificates: ServerTlsMaterial['certificates'],
): ServerTlsMaterial {
  const { minVersion, maxVersion, ciphers, groups } = tls;
  return { certificates, sni: [], minVersion, maxVersion, ciphers, groups };
}

/** The summary with what is offered, and with the warnings of it. */
export function withOffers(summary: Summary, settings: Settings, offers: TlsOffers): Summary {
  return {
    ...summary,
    services: summary.services.map((service) => ({ ...service, offer: offers[service.name] ?? null })),
    warnings: [...summary.warnings, ...cipherWarnings(settings, offers), ...offerWarnings(offers)],
  };
}

/** Each list once, with all that use it. */
function cipherWarnings({ services, backends }: Settings, offers: TlsOffers): string[] {
  const users = new Map<string, string[]>();
  const note = (ciphers: string, user: string): void => {
    users.set(ciphers, [...(users.get(ciphers) ?? []), user]);
  };
  for (const { name, tls } of Object.values(services))
    if (name in offers) note(tls.ciphers, `services.${name}`);
  for (const { name, tls } of Object.values(backends))
    if (tls.mode !== 'notls') note(tls.ciphers, `backends.${name}`);
  return [...users].flatMap(([ciphers, names]) => {
    const unknown = checkCiphers(ciphers);
    const told = [...oldCipherNotes(parseCiphers(ciphers)), ...(unknown === null ? [] : [unknown])];
    return told.map((text) => `tls.ciphers (for ${names.join(', ')}): ${text}`);
  });
}

function offerWarnings(offers: TlsOffers): string[] {
  return Object.entries(offers).flatMap(([name, { versions, problems }]) => [
    ...versions
      .filter(({ suites }) => suites.length === 0)
      .map(
        ({ version }) =>
          `services.${name}.tls: no cipher suite is left for ${version}, so no client gets it: ${adviceFor(version)}`,
      ),
    ...problems.map((problem) => `services.${name}.tls: ${problem}`),
  ]);
}

function adviceFor(version: string): string {
  return version === 'TLSv1' || version === 'TLSv1.1'
    ? 'a list of ciphers needs @SECLEVEL=0 for it, or set minVersion: TLSv1.2'
    : 'change minVersion or ciphers, or show a certificate with another type of key';
}
