// The whole file against the schemas: its own settings, then every entry of the maps with free names, each by itself.
// Nothing here looks from one entry to another (references.ts does) and nothing throws: mistakes go to the report.

import { ipOf } from '../wire/address.ts';
import { checkMap } from './check.ts';
import type { Checked, Report } from './check.ts';
import type { Given, Group } from './formats.ts';
import { isHostName } from './items.ts';
import type { Path } from './lines.ts';
import { found } from './misfit.ts';
import { acmeSchema } from './schema-acme.ts';
import { backendSchema, channelSchema } from './schema-backend.ts';
import { domainSchema } from './schema-domain.ts';
import { serviceSchema } from './schema-service.ts';
import { certificateSchema, sniSchema } from './schema-tls.ts';
import { tokenModuleSchema } from './schema-token.ts';
import { settingsSchema } from './schema.ts';

/** A nickname, or files. */
export type GivenCertificate = string | Checked<typeof certificateSchema>;

/** The certificates of one `tls` map; null: as above. */
export interface GivenCertificates {
  readonly certificates: readonly GivenCertificate[] | null;
  readonly sni: ReadonlyMap<string, readonly GivenCertificate[]> | null;
}

export type GivenDomain = Checked<typeof domainSchema>;
export type GivenService = Checked<typeof serviceSchema> & {
  readonly shown: GivenCertificates;
  /** By address, as the system writes it. */
  readonly domains: ReadonlyMap<string, GivenDomain>;
};
export type GivenModule = Checked<typeof tokenModuleSchema>;
export type GivenAcme = Checked<typeof acmeSchema>;
export type GivenChannel = Checked<typeof channelSchema>;
export type GivenBackend = Checked<typeof backendSchema> & {
  readonly certificates: readonly GivenCertificate[];
};

export interface GivenSettings {
  readonly top: Checked<typeof settingsSchema>;
  readonly shown: GivenCertificates;
  readonly modules: ReadonlyMap<string, GivenModule>;
  readonly acme: GivenAcme | null;
  readonly services: ReadonlyMap<string, GivenService>;
  readonly channels: ReadonlyMap<string, GivenChannel>;
  readonly backends: ReadonlyMap<string, GivenBackend>;
}

export function checkEverything(root: unknown, report: Report): GivenSettings {
  const top = checkMap({ schema: settingsSchema, given: root, path: [] }, report);
  const entriesOf = <const S extends Group>(map: 'services' | 'channels' | 'backends', schema: S) =>
    new Map(
      namedEntries(top.values[map], { path: [map], report }).map(([name, given]) => [
        name,
        checkMap({ schema, given, path: [map, name] }, report),
      ]),
    );
  const services = [...entriesOf('services', serviceSchema)].map(
    ([name, service]) =>
      [
        name,
        { ...service, shown: checkCertificates(service, report), domains: checkDomains(service, report) },
      ] as const,
  );
  const backends = [...entriesOf('backends', backendSchema)].map(([name, backend]) => {
    const place = { path: [...backend.path, 'tls', 'certificate'], report };
    const certificates = readCertificates(backend.values.tls.certificate ?? [], place);
    return [name, { ...backend, certificates }] as const;
  });
  return {
    top,
    shown: checkCertificates(top, report),
    modules: checkModules(top.values.certificates.modules, report),
    acme: checkAcme(top.values.certificates.acme, report),
    services: new Map(services),
    channels: entriesOf('channels', channelSchema),
    backends: new Map(backends),
  };
}

function checkAcme(given: Given | null, report: Report): GivenAcme | null {
  return given === null
    ? null
    : checkMap({ schema: acmeSchema, given, path: ['certificates', 'acme'] }, report);
}

interface Place {
  readonly path: Path;
  readonly report: Report;
}

const ENTRY_NAME = /^\w[\w.@-]{0,63}$/;

/** A name alone stands for its library. */
function checkModules(map: Given, report: Report): Map<string, GivenModule> {
  const path = ['certificates', 'modules'];
  const modules = namedEntries(map, { path, report }).map(([name, given]): [string, GivenModule] => {
    const isText = typeof given === 'string';
    const module = {
      schema: tokenModuleSchema,
      given: isText ? new Map([['library', given]]) : given,
      path: [...path, name],
      places: new Map(isText ? [['library', [...path, name]]] : []),
    };
    const checked = checkMap(module, report);
    const { library, nss } = checked.values;
    const isMissing =
      library === null && nss === null && !checked.isWrong('library') && !checked.isWrong('nss');
    if (isMissing && (given === null || given instanceof Map))
      report.add(checked.path, 'missing, expected library or nss');
    return [name, checked];
  });
  return new Map(modules);
}

/** Names become keys of plain objects, so those that every object has are refused. */
function namedEntries(map: Given, { path, report }: Place): [string, unknown][] {
  return [...map].flatMap(([key, value]): [string, unknown][] => {
    const name = String(key);
    if (ENTRY_NAME.test(name) && !(name in Object.prototype)) return [[name, value]];
    report.add(
      [...path, name],
      'expected a name of letters, digits, ".", "_", "-" and "@", found something else',
    );
    return [];
  });
}

/** What differs by the address of ours that a client has connected to. */
function checkDomains(
  { path, values }: Checked<typeof serviceSchema>,
  report: Report,
): ReadonlyMap<string, GivenDomain> {
  const domains = new Map<string, GivenDomain>();
  for (const [key, given] of values.domains) {
    const place = [...path, 'domains', String(key)];
    const ip = ipOf(String(key));
    if (ip === null) report.add(place, `expected an IP address, found ${found(String(key))}`);
    else if (domains.has(ip.address)) report.add(place, 'given twice');
    else domains.set(ip.address, checkMap({ schema: domainSchema, given, path: place }, report));
  }
  return domains;
}

interface WithTls {
  readonly path: Path;
  readonly values: {
    readonly tls: {
      readonly certificate: readonly (string | Given)[] | null;
      readonly sni: Given | null;
    };
  };
}

function checkCertificates({ path, values }: WithTls, report: Report): GivenCertificates {
  const { certificate, sni } = values.tls;
  const at = (key: string): Place => ({ path: [...path, 'tls', key], report });
  return {
    certificates: certificate === null ? null : readCertificates(certificate, at('certificate')),
    sni: sni === null ? null : readSni(sni, at('sni')),
  };
}

function readCertificates(given: readonly (string | Given)[], { path, report }: Place): GivenCertificate[] {
  return given.map((item, index) => {
    const place = given.length === 1 ? path : [...path, index];
    if (typeof item === 'string') {
      const isFirst = item === '' || given.indexOf(item) === index;
      if (!isFirst)
        report.add(place, `${found(item)} is listed twice, expected one certificate per type of key`);
      return item;
    }
    return checkMap({ schema: certificateSchema, given: item, path: place }, report);
  });
}

function readSni(given: Given, { path, report }: Place): Map<string, GivenCertificate[]> {
  const names = new Map<string, GivenCertificate[]>();
  for (const [key, value] of given) {
    const pattern = String(key).toLowerCase();
    const place = [...path, String(key)];
    if (!isHostName(pattern.replace(/^\*\./, '')) || pattern in Object.prototype) {
      report.add(place, `expected a host name or *.domain, found ${found(String(key))}`);
      continue;
    }
    if (names.has(pattern)) report.add(place, 'given twice, upper and lower case are the same');
    const places = new Map([['certificate', place]]);
    const entry = { schema: sniSchema, given: new Map([['certificate', value]]), path: place, places };
    const { certificate } = checkMap(entry, report).values;
    names.set(pattern, readCertificates(certificate ?? [], { path: place, report }));
  }
  return names;
}
