// vdmap.cfg of the MMP: what differs by the address of ours that a client has connected to, as `domains` of services. Pure
// but for the file that VirtualDomainFile names.

import { parseVdmaps } from './dbconf.ts';
import { cacheOf, goesInClear, ldapOf, namesOf } from './mmp-directory.ts';
import { adminOf, certmapOf, gateOf, wantsCompare } from './mmp-gate.ts';
import { type Instance, type Migration, NO_GRANTS, Section, sourceOf } from './mmp-files.ts';
import { type Grant, grantsOfDomain } from './mmp-grants.ts';
import { scopeOf } from './mmp-scope.ts';
import { mmpOption } from './mmp-options.ts';
import type { Line } from './option-table.ts';
import { Commented, type SettingsMap } from './yaml-text.ts';

/** Of the name of a domain in the name of a file. */
const WORD_MAX = 40;

interface Domain {
  readonly name: string;
  readonly address: string;
  readonly options: Section;
}

export class Domains {
  readonly #migration: Migration;
  readonly #files = new Map<string, readonly Domain[]>();

  constructor(migration: Migration) {
    this.#migration = migration;
  }

  /** `domains` of the services of an instance. */
  of(instance: Instance, grant: Grant | null): SettingsMap {
    const domains: SettingsMap = {};
    const line = instance.options.take('VirtualDomainFile');
    const origin = line === null ? '' : ` of ${sourceOf(line)}`;
    for (const { name, address, options } of this.#domainsOf(instance)) {
      const settings = this.#settings({ name, options }, instance, grant);
      if (Object.keys(settings).length > 0)
        domains[address] = new Commented([`vdmap ${name}${origin}`], settings);
    }
    return domains;
  }

  /** AuthServiceTTL of the domains of POP proxies. */
  ttls(instances: readonly Instance[]): Line[] {
    return this.#all(instances, 'pop3').flatMap(({ options }) => options.take('AuthServiceTTL') ?? []);
  }

  compare(instances: readonly Instance[]): Line | null {
    const lines = this.#all(instances).map(({ options }) => wantsCompare(scopeOf(options)));
    return lines.find((line) => line !== null) ?? null;
  }

  /** Whether passwords go to the directory of any of them without TLS. */
  isClear(instances: readonly Instance[]): boolean {
    return this.#all(instances).some(({ options }) => goesInClear(options.take('LdapUrl')));
  }

  sections(): Section[] {
    return [...this.#files.values()].flat().map(({ options }) => options);
  }

  /** What of them is in no setting. */
  noteRest(): void {
    for (const domains of this.#files.values()) {
      for (const { options } of domains) {
        for (const line of options.rest()) {
          const known = mmpOption(line.name);
          const reason =
            known?.vdmap === undefined
              ? 'no option of a virtual domain'
              : known.name === 'AuthServiceTTL'
                ? NO_GRANTS
                : (known.reason ?? 'no proxy that reads this file has it');
          options.note(line, reason);
        }
      }
    }
  }

  #all(instances: readonly Instance[], protocol?: Instance['protocol']): Domain[] {
    const having = instances.filter((instance) => protocol === undefined || instance.protocol === protocol);
    return [...new Set(having.flatMap((instance) => this.#domainsOf(instance)))];
  }

  #domainsOf({ options }: Instance): readonly Domain[] {
    const line = options.take('VirtualDomainFile');
    if (line === null || line.value === '') return [];
    const known = this.#files.get(line.value);
    if (known !== undefined) return known;
    const found = this.#migration.files.read(line.value);
    if (found === null) options.note(line, 'the file is not there; no address has options of its own');
    const { vdmaps, notes } = found === null ? { vdmaps: [], notes: [] } : parseVdmaps(found);
    if (found !== null && vdmaps.length === 0) options.note(line, 'there is no vdmap in the file');
    this.#migration.notes.push(...notes);
    const seen = new Set<string>();
    const domains = vdmaps.flatMap(({ name, address, lines }): Domain[] => {
      const section = new Section(lines, this.#migration.notes);
      const isFirst = !seen.has(address);
      seen.add(address);
      if (isFirst) return [{ name, address, options: section }];
      for (const option of lines) section.note(option, `${address} has another vdmap already; left out`);
      return [];
    });
    this.#files.set(line.value, domains);
    return domains;
  }

  #settings(
    { name, options }: Pick<Domain, 'name' | 'options'>,
    { protocol, options: above }: Instance,
    grant: Grant | null,
  ): SettingsMap {
    const scope = scopeOf(options);
    const migration = this.#migration;
    const service = scopeOf(above);
    const gate = gateOf(scope, { protocol, migration, hasGrants: grant !== null, service });
    const names = namesOf(scope);
    const map = certmapOf(scope, migration);
    const certmap = map === null ? {} : { certmap: map };
    if (protocol === 'smtp') return { ...names, ...gate, ...certmap };
    const word = name.replaceAll(/[^\w.-]/g, '_').slice(0, WORD_MAX);
    const ldap = ldapOf(scope, migration, `ldap-${word}`);
    const admin = adminOf(scope, migration, `storeadmin-${word}`);
    return {
      ...names,
      ...gate,
      ...(protocol === 'pop3' ? grantsOfDomain(options, grant) : {}),
      ...(Object.keys(ldap).length === 0 ? {} : { ldap }),
      ...cacheOf(scope),
      ...(admin === null ? {} : { admin }),
      ...certmap,
    };
  }
}
