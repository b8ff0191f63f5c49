// A service as it is for clients of one address of ours (`domains`): what is said there laid over what the service says.
// Pure. In two forms: while the file is checked, and of the settings that came out of it.

import type { Reporter } from './check.ts';
import type { GivenDomain, GivenService, GivenSettings } from './entries.ts';
import { isLeaf } from './schema.ts';
import { DOMAIN_KEYS, type DomainKey } from './schema-domain.ts';
import { serviceSchema } from './schema-service.ts';
import type { ServiceSettings } from './settings.ts';

/** What an address says of its own. */
function saidOf({ values }: GivenDomain): readonly DomainKey[] {
  return DOMAIN_KEYS.filter((key) => {
    const own: unknown = values[key];
    return isLeaf(serviceSchema[key]) ? own !== null : Object.values(own ?? {}).some((one) => one !== null);
  });
}

/** Its mistakes are those of the address. */
export function variantOf(service: GivenService, domain: GivenDomain): GivenService {
  const own = saidOf(domain).map((key) => {
    const value: unknown = domain.values[key];
    if (isLeaf(serviceSchema[key])) return [key, value];
    const parts = Object.entries(value ?? {}).filter(([, part]) => part !== null);
    return [key, { ...(service.values[key] as object), ...Object.fromEntries(parts) }];
  });
  return {
    ...service,
    path: domain.path,
    values: { ...service.values, ...(Object.fromEntries(own) as Partial<GivenService['values']>) },
    isWrong: (setting) => domain.isWrong(setting) || service.isWrong(setting),
    domains: new Map(),
  };
}

/** Every service, and each as it is at an address, where only what is said there can be wrong. */
export function* everyVariant(
  { services }: GivenSettings,
  report: Reporter,
): Generator<readonly [GivenService, Reporter]> {
  for (const service of services.values()) {
    yield [service, report];
    for (const domain of service.domains.values()) {
      const said = new Set<unknown>(saidOf(domain));
      yield [
        variantOf(service, domain),
        {
          add(path, text) {
            if (said.has(path[domain.path.length])) report.add(path, text);
          },
        },
      ];
    }
  }
}

/** A service, and by address of ours the service as it is there. */
export function variantsOf(service: ServiceSettings): ReadonlyMap<string, ServiceSettings> {
  return new Map(
    Object.entries(service.domains).map(([address, { overrides }]) => [
      address,
      { ...service, ...overrides, domains: {} },
    ]),
  );
}

/** All that a service can be for a client. */
export function facesOf(service: ServiceSettings): readonly ServiceSettings[] {
  return [service, ...variantsOf(service).values()];
}

/** How a setting of an address is named in messages. */
export function domainPlace(service: string, address: string): string {
  return `services.${service}.domains."${address}"`;
}
