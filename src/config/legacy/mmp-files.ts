// The folder of an MMP: which proxies its AService.cfg starts, on what ports, and the options of each. Pure but for the
// files, which it is given a way to read. X-def.cfg stands in for an X.cfg that is not there, as in the MMP. Options of
// AService.cfg hold for the IMAP and POP proxies that have none of their own.

import { isIP } from 'node:net';
import { basename } from 'node:path';
import { isHostName } from '../items.ts';
import type { Protocol } from '../settings.ts';
import { parseSections } from './dbconf.ts';
import { MMP_NAMES, mmpOption } from './mmp-options.ts';
import { type Companion, type Line, type Note, OptionTable } from './option-table.ts';
import { Sourced } from './yaml-text.ts';
import { nearNames } from '../../spelling.ts';

export interface FoundFile {
  /** Absolute. */
  readonly path: string;
  readonly text: string;
  /** It was no UTF-8. */
  readonly isLatin1?: true;
}

export interface Files {
  /** A file of the folder by its last name, or else where its whole name says; null: none. */
  readonly read: (name: string) => FoundFile | null;
  /** Of the folder alone. */
  readonly beside: (name: string) => FoundFile | null;
}

/** Options by their names in the table; `shared` has what these do not say. */
export class Section extends OptionTable {
  readonly #shared: Section | null;

  constructor(lines: readonly Line[], notes: Note[], shared: Section | null = null) {
    super(notes);
    this.#shared = shared;
    for (const line of lines) this.put(line, mmpOption(line.name)?.name);
  }

  override take(name: string): Line | null {
    return super.take(name) ?? this.#shared?.take(name) ?? null;
  }
}

/** Where a proxy listens. */
export interface Place {
  readonly host: string | null;
  readonly port: number;
}

export interface Instance {
  readonly protocol: Protocol;
  /** Behind the names of its services and backends; '' for the first one of the protocol. */
  readonly suffix: string;
  /** The file of its options. */
  readonly file: string;
  readonly options: Section;
  readonly places: readonly Place[];
  /** null: what the MMP has where nothing is said. */
  readonly listed: Line | null;
}

export interface MmpFolder {
  readonly general: Section;
  readonly instances: readonly Instance[];
}

/** What the parts of one import have in common. */
export class Migration {
  readonly files: Files;
  readonly notes: Note[] = [];
  readonly companions: Companion[] = [];
  /** Files of the folder that the settings name where they are. */
  readonly stays = new Set<string>();

  constructor(files: Files) {
    const told = new Set<string>();
    const tell = (found: FoundFile | null): FoundFile | null => {
      if (found?.isLatin1 === true && !told.has(found.path)) this.notes.push(...latin1Notes(found));
      if (found !== null) told.add(found.path);
      return found;
    };
    this.files = { read: (name) => tell(files.read(name)), beside: (name) => tell(files.beside(name)) };
  }

  note(option: string, reason: string): void {
    this.notes.push({ file: null, line: null, option, reason });
  }

  /** The name of a file with what the line says, which must be nobody else's to read. */
  secret(line: Line, name: string): string {
    const text = `${line.value}\n`;
    for (let count = 1; ; count++) {
      const full = `${name}${count === 1 ? '' : `-${count}`}.secret`;
      const known = this.companions.find((companion) => companion.name === full);
      if (known === undefined) this.companions.push({ name: full, text });
      if (known === undefined || known.text === text) return full;
    }
  }
}

function latin1Notes({ path, text }: FoundFile): Note[] {
  return text.split(/\r?\n/).flatMap((line, index) => {
    const isPlain = /^[\t\x20-\x7e]*$/.test(line) || /^\s*[#!]/.test(line);
    const reason =
      'not in UTF-8: taken for Latin-1 and written in UTF-8; if it is a password, other bytes are sent than before';
    return isPlain ? [] : [{ file: path, line: index + 1, option: null, reason }];
  });
}

export function sourceOf({ file, name, line }: Line): string {
  return `${name}, ${file === null ? 'line ' : `${basename(file)}:`}${line}`;
}

/** A tab is a blank in a setting. */
export function sourced(line: Line, value: Sourced['value']): Sourced {
  const plain = typeof value === 'string' ? value.replaceAll('\t', ' ') : value;
  return new Sourced(plain, sourceOf(line));
}

const PROXIES: Readonly<Record<string, Protocol>> = {
  ImapProxyAService: 'imap',
  PopProxyAService: 'pop3',
  SmtpProxyAService: 'smtp',
};
const LETTERS: Readonly<Record<Protocol, string>> = { imap: 'I', pop3: 'P', smtp: 'S' };
const NO_SECTION =
  'no option of the MMP that is known here, in a section that is not in ServiceList; expected default:Option value';
const GENERAL = 'AService';
const DEFAULT = 'default';
const USUAL = 'ImapProxyAService@143|993 PopProxyAService@110';

export function hasOption(protocol: Protocol, name: string): boolean {
  return mmpOption(name)?.places.includes(LETTERS[protocol]) === true;
}

/** null: there is no file of an MMP. */
export function readFolder(migration: Migration): MmpFolder | null {
  const reader = new FolderReader(migration);
  return reader.hasAny() ? reader.read() : null;
}

class FolderReader {
  readonly #migration: Migration;
  readonly #files = new Map<string, ReadonlyMap<string, readonly Line[]> | null>();
  readonly #used = new Map<string, Section>();

  constructor(migration: Migration) {
    this.#migration = migration;
  }

  hasAny(): boolean {
    return [GENERAL, ...Object.keys(PROXIES)].some((name) => this.#sectionsOf(name) !== null);
  }

  read(): MmpFolder {
    const { notes } = this.#migration;
    const lines = this.#sectionsOf(GENERAL)?.get(DEFAULT) ?? [];
    const general = new Section(lines, notes);
    this.#used.set(`${GENERAL} ${DEFAULT}`, general);
    const list = general.take('ServiceList');
    if (list === null) {
      const words = 'AService.cfg does not say; taken for what an MMP starts by itself';
      this.#migration.note('ServiceList', `${words}: ${USUAL}`);
    }
    const wanted = (list?.value ?? USUAL).split(/\s+/).filter((word) => word !== '');
    const instances = this.#merge(wanted.flatMap((entry) => this.#instance(entry, { list, general }) ?? []));
    this.#noteUnused();
    return { general, instances };
  }

  /** Sections of X.cfg, or of X-def.cfg; null: neither is there. */
  #sectionsOf(name: string): ReadonlyMap<string, readonly Line[]> | null {
    const known = this.#files.get(name);
    if (known !== undefined) return known;
    const { files, notes } = this.#migration;
    const found = files.beside(`${name}.cfg`) ?? files.beside(`${name}-def.cfg`);
    const parsed = found === null ? null : parseSections(found);
    notes.push(...(parsed?.notes ?? []));
    this.#files.set(name, parsed?.sections ?? null);
    return parsed?.sections ?? null;
  }

  /** `DLL[|INSTANCE[|SECTION]]@HOSTPORT[|HOSTPORT…]` */
  #instance(entry: string, given: { list: Line | null; general: Section }): Instance | null {
    const { list, general } = given;
    const say = (reason: string): null => {
      if (list !== null) general.note(list, `${JSON.stringify(entry.slice(0, 80))}: ${reason}`);
      return null;
    };
    const at = entry.lastIndexOf('@');
    const [library = '', ownFile, section = DEFAULT] = entry.slice(0, Math.max(at, 0)).split('|');
    const dll = basename(library.replaceAll('\\', '/')).replace(/\.(so|dll)$/, '');
    const protocol = Object.hasOwn(PROXIES, dll) ? PROXIES[dll] : undefined;
    if (at < 0 || protocol === undefined)
      return say(`expected ${Object.keys(PROXIES).join(', ')} and @PORT; left out`);
    const file = ownFile === undefined || ownFile === '' ? dll : basename(ownFile).replace(/\.cfg$/, '');
    const sections = this.#sectionsOf(file);
    if (sections === null) return say(`${file}.cfg is not there, nor ${file}-def.cfg; left out`);
    const key = `${file} ${section}`;
    const options =
      this.#used.get(key) ??
      new Section(sections.get(section) ?? [], this.#migration.notes, protocol === 'smtp' ? null : general);
    this.#used.set(key, options);
    if (!sections.has(section) && section !== DEFAULT) say(`${file}.cfg has no section ${section}`);
    const places = entry
      .slice(at + 1)
      .split('|')
      .flatMap(
        (text) => placeOf(text) ?? say(`expected [address:]port, found ${JSON.stringify(text)}`) ?? [],
      );
    return { protocol, suffix: `${file} ${section}`, file, options, places, listed: list };
  }

  /** One instance for each file and section, with a name that tells it from the others of its protocol. */
  #merge(given: readonly Instance[]): Instance[] {
    const merged = new Map<string, Instance>();
    for (const instance of given) {
      const before = merged.get(`${instance.protocol} ${instance.suffix}`);
      const places = [...(before?.places ?? []), ...instance.places];
      merged.set(`${instance.protocol} ${instance.suffix}`, { ...instance, places });
    }
    const names = new Set<string>();
    return [...merged.values()].map((instance) => {
      const [, section = ''] = instance.suffix.split(' ');
      const base = section === DEFAULT ? instance.file : section;
      let suffix = '';
      for (let count = 1; names.has(`${instance.protocol}${suffix}`); count++)
        suffix = `-${base.replaceAll(/[^\w.-]/g, '_').slice(0, 40)}${count === 1 ? '' : `-${count}`}`;
      names.add(`${instance.protocol}${suffix}`);
      return { ...instance, suffix };
    });
  }

  /** Sections that nothing starts. */
  #noteUnused(): void {
    const { notes } = this.#migration;
    for (const name of [GENERAL, ...Object.keys(PROXIES)]) this.#sectionsOf(name);
    for (const [file, sections] of this.#files) {
      for (const [section, lines] of sections ?? []) {
        if (this.#used.has(`${file} ${section}`)) continue;
        const reason = `section ${section} of ${file}.cfg is not in ServiceList, so nothing is served by it`;
        for (const { file: path, line, name } of lines) {
          // Without its section a line looks as if its value were the option.
          const option = mmpOption(name) === null ? null : name;
          notes.push({ file: path, line, option, reason: option === null ? NO_SECTION : reason });
        }
      }
    }
  }
}

function placeOf(text: string): Place | null {
  const [, host, number = ''] = /^(?:\[?([^[\]]*?)\]?:)?(\d{1,5})$/.exec(text) ?? [];
  const port = Number(number);
  if (number === '' || port < 1 || port > 65_535) return null;
  if (host === undefined || host === '' || host === '*') return { host: null, port };
  return isIP(host) !== 0 || isHostName(host) ? { host, port } : null;
}

/** Whether a place is on all addresses; 0.0.0.0 are those of IPv4. */
export function isAny(host: string | null): host is null | '0.0.0.0' {
  return host === null || host === '0.0.0.0';
}

export const NO_GRANTS =
  'grants are for the channel of PopBeforeSmtpKludgeChannel, which no SMTP proxy that is carried has, or it is 0';

/** Why what nobody has taken is not in the settings. */
export function noteRest(options: Section, protocol: Protocol | null): void {
  for (const line of options.rest()) options.note(line, restReason(line, protocol));
}

function restReason({ name }: Line, protocol: Protocol | null): string {
  const known = mmpOption(name);
  if (known === null) {
    const [near] = nearNames(name, MMP_NAMES);
    return `no option of the MMP that is known here${near === undefined ? '' : `, was ${near} meant?`}`;
  }
  if (known.becomes === undefined) return known.reason ?? '';
  if (known.name === 'AuthServiceTTL') return NO_GRANTS;
  if (protocol === null) return 'each proxy has one of its own, or none that has use for it';
  const has = hasOption(protocol, known.name);
  return has ? 'has no effect beside the other options' : `no option of the ${protocol} proxy`;
}
