// What `sallyport check` says of TLS: for each service what its clients are offered (asked of OpenSSL, tls/offer.ts), and
// what became of the ciphers in the settings: old names that are not served, names that OpenSSL passes over, versions
// without a suite. Where the certificate is still to be made, one of the kind that would be made stands in, in memory.

import { makeSelfSigned } from '../certdb/issue.ts';
import type { ServiceSettings, Settings } from '../config/settings.ts';
import { offersTls } from '../policy/channel-map.ts';
import { grantChannelOf } from '../policy/grants.ts';
import { checkCiphers } from '../tls/ciphers.ts';
import type { ServerTlsMaterial } from '../tls/context.ts';
import { offerOf, type TlsOffer } from '../tls/offer.ts';
import { oldCipherNotes, parseCiphers } from '../wire/cipher-names.ts';
import type { World } from '../world.ts';
import type { Configuration } from './configuration.ts';
import type { Summary } from './summary.ts';

/** By service name; a service without TLS has none. */
export type TlsOffers = Readonly<Record<string, TlsOffer>>;

export async function tlsOffers({ settings, material }: Configuration, world: World): Promise<TlsOffers> {
  const offers: Record<string, TlsOffer> = {};
  const known = new Map<string, TlsOffer>();
  let standIn: ServerTlsMaterial['certificates'] | null = null;
  for (const service of Object.values(settings.services)) {
    if (!offersTls(service, settings.channels, grantChannelOf(service, settings))) continue;
    let served = material.services[service.name] ?? null;
    if (served === null) {
      standIn ??= await certificateToCome(settings, world);
      served = materialOf(service, standIn);
    }
    const id = JSON.stringify(served);
    const offer = known.get(id) ?? (await offerOf(served));
    known.set(id, offer);
    offers[service.name] = offer;
  }
  return offers;
}

async function certificateToCome(
  { hostname }: Settings,
  world: World,
): Promise<ServerTlsMaterial['certificates']> {
  const { cert, key } = await makeSelfSigned({ names: [hostname], days: 1, now: world.now() });
  return [{ cert, key: key.export({ type: 'pkcs8', format: 'pem' }).toString() }];
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
