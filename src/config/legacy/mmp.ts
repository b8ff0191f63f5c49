// `sallyport import mmp`: what the configuration of a Sun Messaging Multiplexor means as settings of this program, alone or
// with the channels of the MTA behind it (imta.cnf). Pure but for the files, which it is given a way to read.
// Promises YAML that the settings reader takes, in which each value has its origin behind it; a note with file and line for
// every option that is not in it, or not as it was; passwords in files of their own and nowhere else. What is in no file
// is asked for (`problems`), where nothing can stand for it.

import { type ImtaChannels, readChannels } from './imta-channels.ts';
import { imtaServices } from './imta.ts';
import { headOf, sortedNotes } from './import-head.ts';
import { directoryOf, withDirectoryWords } from './mmp-directory.ts';
import { Domains } from './mmp-domains.ts';
import {
  type Files,
  type FoundFile,
  type Instance,
  Migration,
  type MmpFolder,
  noteRest,
  readFolder,
  type Section,
  sourced,
  sourceOf,
} from './mmp-files.ts';
import { mmpOption } from './mmp-options.ts';
import { certmapOf, wantsCompare } from './mmp-gate.ts';
import { grantsOfService } from './mmp-grants.ts';
import { connectionLimitsOf, penaltiesOf } from './mmp-limits.ts';
import { Everywhere, sameValue, scopeOf, within } from './mmp-scope.ts';
import { type Served, servicesOf, storesOf } from './mmp-services.ts';
import { RELAY, type Smtp, smtpOf } from './mmp-smtp.ts';
import { certificatesOf, hasTls, shownBy } from './mmp-tls.ts';
import { foreignModules } from './nss-tls.ts';
import type { Imported, Line } from './option-table.ts';
import { Commented, type SettingsMap, Sourced, yamlText } from './yaml-text.ts';

export interface MmpInput {
  /** What the folder is called in messages. */
  readonly shown: string;
  readonly files: Files;
  /** imta.cnf, and the way to the files beside it. */
  readonly imta: { readonly file: FoundFile; readonly files: Files } | null;
  readonly relay: string | null;
}

const NO_FILES =
  'expected the configuration of an MMP, found none of AService.cfg, ImapProxyAService.cfg, PopProxyAService.cfg, SmtpProxyAService.cfg (nor X-def.cfg)';
const DAY_SECONDS = 86_400;

export function importMmp(input: MmpInput): Imported {
  const migration = new Migration(input.files);
  const folder = readFolder(migration);
  if (folder === null) return { yaml: null, notes: [], companions: [], problems: [NO_FILES] };
  const channels = channelsOf(input, migration);
  const parts = partsOf(folder, migration, { channels, relay: input.relay });
  if (typeof parts === 'string') return { yaml: null, notes: [], companions: [], problems: [parts] };
  const settings = settingsOf(folder, migration, parts);
  noteRest(folder.general, null);
  for (const { options, protocol } of folder.instances) noteRest(options, protocol);
  parts.domains.noteRest();
  const body = yamlText(settings);
  noteSilent([folder.general, ...folder.instances.map(({ options }) => options)], { migration, body });
  noteSilent(parts.domains.sections(), { migration, body });
  const notes = sortedNotes(migration.notes);
  const from = `the MMP in ${input.shown}${input.imta === null ? '' : ` and of ${input.imta.file.path}`}`;
  const yaml = yamlText(settings, headOf(from, todoOf(folder, migration), notes));
  return { yaml, notes, companions: migration.companions, problems: [] };
}

/** Nothing is left out without a word: lines that are neither in the settings nor in the notes, and like no such line. */
function noteSilent(
  sections: readonly Section[],
  { migration, body }: { readonly migration: Migration; readonly body: string },
): void {
  const noted = new Map(migration.notes.map(({ file, line, reason }) => [`${file}:${line}`, reason]));
  const carried = sourcesIn(body);
  const isCarried = (line: Line): boolean => carried.has(sourceOf(line));
  const reasonOf = ({ file, line }: Line): string | undefined => noted.get(`${file}:${line}`);
  const keyOf = (line: Line): string => `${mmpOption(line.name)?.name ?? line.name} ${sameValue(line)}`;
  const lines = sections.flatMap((section) => section.all());
  const alike = new Set(lines.filter(isCarried).map(keyOf));
  const reasons = new Map(
    lines.flatMap((line) => {
      const reason = reasonOf(line);
      return reason === undefined ? [] : [[keyOf(line), reason] as const];
    }),
  );
  for (const line of lines) {
    if (isCarried(line) || reasonOf(line) !== undefined) continue;
    if (alike.has(keyOf(line)) && line.value !== '') continue;
    const reason =
      line.value === ''
        ? 'it is empty, as if it were not there'
        : (reasons.get(keyOf(line)) ?? 'has no effect beside the other options');
    migration.notes.push({ file: line.file, line: line.line, option: line.name, reason });
  }
}

/** The origins that stand behind values, and those of whole maps, before them. */
function sourcesIn(body: string): ReadonlySet<string> {
  return new Set(
    body.split('\n').flatMap((line) => {
      const at = line.lastIndexOf(' # ');
      return at < 0
        ? []
        : line
            .slice(at + 3)
            .replace(/^vdmap \S+ of /, '')
            .split('; ');
    }),
  );
}

function channelsOf({ imta }: MmpInput, migration: Migration): ImtaChannels | null {
  if (imta === null) return null;
  const own = new Migration(imta.files);
  const channels = readChannels(imta.file, own);
  migration.notes.push(...own.notes);
  return channels;
}

function todoOf({ instances }: MmpFolder, { stays }: Migration): string[] {
  return [
    ...(instances.some(({ options }) => hasTls(options))
      ? ['bring keys and certificates over: see the comment at `certificates`;']
      : []),
    ...(instances.some(({ protocol }) => protocol !== 'smtp')
      ? ['say which hosts the directory may name: `hosts` of the backends;']
      : []),
    ...[...stays].map((path) => `keep ${path}, which they read where it is, or name a copy of it;`),
    'stop the MMP, since it has the ports.',
  ];
}

interface Parts {
  readonly everywhere: Everywhere;
  readonly domains: Domains;
  readonly smtp: Smtp | null;
  readonly channels: ImtaChannels | null;
}

interface Given {
  readonly channels: ImtaChannels | null;
  readonly relay: string | null;
}

/** A text: what is missing. */
function partsOf({ general, instances }: MmpFolder, migration: Migration, given: Given): Parts | string {
  const everywhere = new Everywhere(instances, general);
  const domains = new Domains(migration);
  const isSmtp = instances.some(({ protocol }) => protocol === 'smtp');
  const { channels: imta, relay } = given;
  if (!isSmtp && imta === null) return { everywhere, domains, smtp: null, channels: null };
  const ttlsOfDomains = domains.ttls(instances);
  const smtp = smtpOf({ everywhere, instances, migration, imta, relay, ttlsOfDomains });
  return typeof smtp === 'string' ? smtp : { everywhere, domains, smtp, channels: imta };
}

function settingsOf(folder: MmpFolder, migration: Migration, parts: Parts): SettingsMap {
  const { general, instances } = folder;
  const { everywhere, domains, smtp } = parts;
  const tls = tlsAtTop(instances);
  const backends: SettingsMap = {};
  const grant = smtp?.grant ?? null;
  const certmap = certmapAtTop(instances, migration);
  const served = servicesOf(instances, {
    migration,
    hasGrants: grant !== null,
    hasAdmin: instances.some(hasAdmin),
    ownTls: (instance) => difference(tls.of(instance), tls.top),
    leadsTo: (instance) => {
      const way =
        instance.protocol === 'smtp'
          ? { channel: smtp?.channel ?? 'tcp_local' }
          : { backend: backendFor(instance, backends, migration) };
      return { ...way, ...grantsOfService(instance, grant) };
    },
    domains: (instance) => domains.of(instance, grant),
    certmap: (instance) => certmap.of(instance),
  });
  if (smtp !== null) backends[RELAY] = smtp.backend;
  const isDirectory =
    instances.some(({ protocol }) => protocol !== 'smtp') || everywhere.take('LdapUrl') !== null;
  const compare = isDirectory ? (compareOf(instances) ?? domains.compare(instances)) : null;
  const services = serviceMap(served, parts);
  return {
    ...workersOf(general, everywhere),
    ...(tls.top === null
      ? {}
      : {
          certificates: certificatesOf(instances, migration, {
            table: general,
            modules: foreignModules({ top: tls.top, services }),
          }),
          tls: tls.top,
        }),
    ...(certmap.top === null ? {} : { certmap: certmap.top }),
    services,
    ...(smtp === null ? {} : { channels: smtp.channels }),
    backends,
    ...(isDirectory
      ? {
          directory: withDirectoryWords(
            directoryOf(everywhere, migration, { compare, isClear: domains.isClear(instances) }),
          ),
        }
      : {}),
    ...connectionLimitsOf(everywhere, migration),
    ...penaltiesOf(everywhere, migration),
    ...(smtp === null || smtp.popBeforeSmtp === null ? {} : { popBeforeSmtp: smtp.popBeforeSmtp }),
    ...timeoutsOf(everywhere),
  };
}

function serviceMap(served: readonly Served[], { channels }: Parts): SettingsMap {
  const own = Object.fromEntries(served.flatMap(({ services }) => [...services]));
  const isSmtp = served.some(({ instance }) => instance.protocol === 'smtp');
  return isSmtp || channels === null ? own : { ...own, ...imtaServices(channels) };
}

function hasAdmin({ protocol, options }: Instance): boolean {
  const isSaid = (name: string): boolean => (options.take(name)?.value ?? '') !== '';
  return protocol !== 'smtp' && isSaid('StoreAdmin') && isSaid('StoreAdminPass');
}

/** Whether any proxy compares answers with passwords. */
function compareOf(instances: readonly Instance[]): Line | null {
  const lines = instances.map(({ protocol, options }) =>
    protocol === 'smtp' ? null : wantsCompare(scopeOf(options)),
  );
  return lines.find((line) => line !== null) ?? null;
}

/** The first that has TLS says what is shown where nothing else is said. */
function tlsAtTop(instances: readonly Instance[]): {
  readonly top: SettingsMap | null;
  readonly of: (instance: Instance) => SettingsMap;
} {
  const shown = new Map(
    instances
      .filter(({ options }) => hasTls(options))
      .map((instance) => [instance, shownBy(instance.options)]),
  );
  const [top = null] = shown.values();
  return { top, of: (instance) => shown.get(instance) ?? {} };
}

/** What an instance has otherwise than the top. */
function difference(own: SettingsMap, top: SettingsMap | null): SettingsMap {
  const plain = (value: unknown): string => JSON.stringify(value instanceof Sourced ? value.value : value);
  return Object.fromEntries(Object.entries(own).filter(([key, value]) => plain(value) !== plain(top?.[key])));
}

function certmapAtTop(
  instances: readonly Instance[],
  migration: Migration,
): { readonly top: Sourced | null; readonly of: (instance: Instance) => Sourced | null } {
  const own = new Map(
    instances.map((instance) => [instance, certmapOf(scopeOf(instance.options), migration)] as const),
  );
  const top = [...own.values()].find((value) => value !== null) ?? null;
  return {
    top,
    of: (instance) => {
      const value = own.get(instance) ?? null;
      return value !== null && value.value !== top?.value ? value : null;
    },
  };
}

/** Instances with the same stores share a backend. */
function backendFor(instance: Instance, backends: SettingsMap, migration: Migration): string {
  const store = storesOf(instance, migration);
  const base = instance.protocol === 'imap' ? 'stores' : 'popstores';
  const plain = (value: unknown): string =>
    JSON.stringify(value, (_key, inner: unknown) => (inner instanceof Sourced ? inner.value : inner));
  const same = Object.entries(backends).find(
    ([name, known]) =>
      name.startsWith(base) && known instanceof Commented && plain(known.value) === plain(store.value),
  );
  if (same !== undefined) return same[0];
  const name = `${base}${instance.suffix}`;
  backends[name] = store;
  return name;
}

function workersOf(general: MmpFolder['general'], everywhere: Everywhere): SettingsMap {
  const threads = first(general, everywhere, 'NumThreads');
  const workers = threads === null ? null : within(everywhere, threads, { min: 1, max: 1024 });
  const level = first(general, everywhere, 'LogLevel');
  const number = level === null ? null : general.numberOf(level, { min: 0, max: 10 });
  return {
    ...(threads === null || workers === null ? {} : { workers: sourced(threads, workers) }),
    ...(level === null || number === null ? {} : { log: { level: sourced(level, levelOf(number)) } }),
  };
}

/** AService.cfg's, or one of the proxies'. */
function first(general: MmpFolder['general'], everywhere: Everywhere, name: string): Line | null {
  const own = general.take(name);
  return everywhere.settle(name, own);
}

/** 5 is what the MMP has by itself. */
function levelOf(number: number): string {
  if (number <= 1) return 'error';
  if (number <= 4) return 'warn';
  return number <= 7 ? 'info' : 'debug';
}

function timeoutsOf(everywhere: Everywhere): SettingsMap {
  const timeouts: SettingsMap = {};
  for (const protocol of ['imap', 'pop3', 'smtp'] as const) {
    const line = everywhere.only(protocol).take('Timeout');
    const seconds = line === null ? null : within(everywhere, line, { min: 1, max: DAY_SECONDS });
    if (line !== null && seconds !== null) timeouts[protocol] = sourced(line, seconds);
  }
  return Object.keys(timeouts).length === 0 ? {} : { timeouts };
}
