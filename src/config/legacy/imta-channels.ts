// Channel blocks of imta.cnf: a line with the name and the keywords, lines with host names, an empty line. `defaults` and
// `nodefaults` are blocks that say what the ones behind them begin with. Rewrite rules come before the first empty line.
// Pure. What is carried are the blocks of SMTP, each with the keywords that are known here, in the order they stand.

import { parseChannelKeywords } from '../../wire/channel-keywords.ts';
import { readLines, type TextLine } from './imta-lines.ts';
import { type Files, type FoundFile, type Migration, Section, sourceOf } from './mmp-files.ts';
import { networksOf } from './imta-mappings.ts';
import type { Line } from './option-table.ts';
import { type SettingsMap, Sourced } from './yaml-text.ts';

export interface Channel {
  readonly name: string;
  /** All of them, those of `defaults` first. */
  readonly keywords: string;
  readonly line: Line;
}

export interface ImtaChannels {
  readonly channels: ReadonlyMap<string, Channel>;
  /** Clients that are sent to it by address. */
  readonly match: { readonly channel: string; readonly networks: Sourced } | null;
  /** What an MMP shows to the servers of these channels. */
  readonly proxyPassword: Line | null;
}

const SMTP = /^smtp(_cr|_crlf|_crorlf|_lf)?$/i;
const NAME = /^\w[\w.@-]{0,63}$/;
const INTRANET = 'tcp_intranet';

export function readChannels(file: FoundFile, migration: Migration): ImtaChannels {
  const { lines, notes } = readLines(file, migration.files);
  migration.notes.push(...notes);
  const blocks = blocksOf(lines, migration);
  const carried = new Map<string, Channel>();
  for (const block of blocks) {
    const why = reasonAgainst(block, carried);
    if (why === null) carried.set(block.name, block);
    else say(migration, block.line, why);
  }
  const channels = new Map(
    [...carried].map(([name, channel]) => [
      name,
      { ...channel, keywords: cleaned(channel, carried, migration) },
    ]),
  );
  return { channels, match: matchOf(channels, migration), proxyPassword: passwordOf(channels, migration) };
}

function say({ notes }: Migration, { file, line, name }: Line, reason: string): void {
  notes.push({ file, line, option: name, reason });
}

function blocksOf(lines: readonly TextLine[], migration: Migration): Channel[] {
  const paragraphs: TextLine[][] = [[]];
  for (const line of lines) {
    if (line.value.trim() !== '') paragraphs.at(-1)?.push(line);
    else paragraphs.push([]);
  }
  const [first = [], ...others] = paragraphs;
  const all = isBlock(first) ? [first, ...others] : others;
  const [rule] = first;
  if (rule !== undefined && !isBlock(first)) {
    const words = `${first.length} rewrite ${first.length === 1 ? 'rule' : 'rules'}: where mail is sent on to is decided by the relay of each channel`;
    say(migration, { ...rule, name: 'rewrite rules' }, words);
  }
  let defaults = '';
  return all.flatMap((block): Channel[] => {
    const [head] = block;
    if (head === undefined) return [];
    const [, name = '', keywords = ''] = /^(\S+)\s*(.*)$/.exec(head.value.trim()) ?? [];
    if (name === 'nodefaults') defaults = '';
    if (name === 'defaults')
      defaults = `${defaults} ${known(keywords, { ...head, name }, migration)
        .flat()
        .join(' ')}`.trim();
    if (name === 'defaults' || name === 'nodefaults') return [];
    return [{ name, keywords: `${defaults} ${keywords}`.trim(), line: { ...head, name } }];
  });
}

/** A file may begin with channels at once; rules have a $ in them, and no keywords. */
function isBlock([head]: readonly TextLine[]): boolean {
  if (head === undefined || head.value.includes('$')) return false;
  const [name = '', ...words] = head.value.trim().split(/\s+/);
  if (name === 'defaults' || name === 'nodefaults') return true;
  const { unknown } = parseChannelKeywords(words.join(' '));
  return words.length > 0 && unknown.length < words.length;
}

export function isChannelName(name: string): boolean {
  return NAME.test(name) && !(name in Object.prototype);
}

function reasonAgainst({ name, keywords }: Channel, carried: ReadonlyMap<string, Channel>): string | null {
  const { inert } = parseChannelKeywords(keywords);
  const last = inert.findLast((word) => SMTP.test(word) || word === 'nosmtp' || word === 'lmtp');
  if (last === undefined || !SMTP.test(last))
    return 'a channel without SMTP, by which no client sends; left out';
  if (!isChannelName(name)) return 'expected a name of letters, digits, ".", "_", "-"; left out';
  return carried.has(name) ? 'a channel of that name is there already; left out' : null;
}

const TARGETS = /^(tlsswitchchannel|saslswitchchannel)$/i;

/** Without the words that nobody knows here, and without the ways to channels that are not carried. */
function cleaned(channel: Channel, carried: ReadonlyMap<string, Channel>, migration: Migration): string {
  return known(channel.keywords, channel.line, migration)
    .filter((unit) => {
      const [word = '', target = ''] = unit;
      if (!TARGETS.test(word) || carried.has(target.replaceAll('"', ''))) return true;
      say(migration, channel.line, `${word} ${target}: there is no such channel of SMTP; left out`);
      return false;
    })
    .flat()
    .join(' ');
}

/** The keywords that are known, each with its value if it has one. */
function known(keywords: string, line: Line, migration: Migration): string[][] {
  const isKnown = (text: string): boolean => parseChannelKeywords(text).unknown.length === 0;
  const words = keywords.match(/"[^"]*"|\S+/g) ?? [];
  const units: string[][] = [];
  const lost: string[] = [];
  for (let place = 0; place < words.length; place++) {
    const word = words[place] ?? '';
    const next = words[place + 1];
    if (isKnown(word)) units.push([word]);
    else if (next !== undefined && isKnown(`${word} ${next}`)) {
      units.push([word, next]);
      place += 1;
    } else lost.push(word);
  }
  if (lost.length > 0) say(migration, line, `not known here and left out: ${lost.join(' ')}`);
  return units;
}

/** By the usual rewrite rule, clients of INTERNAL_IP go to tcp_intranet. */
function matchOf(channels: ReadonlyMap<string, Channel>, migration: Migration): ImtaChannels['match'] {
  const switching = [...channels.values()].filter(
    ({ keywords }) => parseChannelKeywords(keywords).switching === 'switch',
  );
  const [first] = switching;
  if (first === undefined) return null;
  const mappings = migration.files.beside('mappings');
  const networks = mappings === null ? null : networksOf(mappings, migration);
  const target = channels.get(INTRANET);
  if (networks !== null && target !== undefined) return { channel: INTRANET, networks };
  say(
    migration,
    first.line,
    `switchchannel: whom it sends where is in rewrite rules and in INTERNAL_IP of the file mappings${mappings === null ? ', which is not there' : ''}: fill in \`match\` of the channels`,
  );
  return null;
}

/** NAME_option of each channel, lines OPTION=value. */
function passwordOf(channels: ReadonlyMap<string, Channel>, migration: Migration): Line | null {
  let password: Line | null = null;
  for (const name of channels.keys()) {
    const file = migration.files.beside(`${name}_option`);
    if (file === null) continue;
    const options = optionsOf(file, migration);
    const given = options.take('PROXY_PASSWORD');
    if (given !== null && password !== null && password.value !== given.value)
      options.note(given, `one relay has one password, carried as in ${sourceOf(password)}`);
    password ??= given;
    for (const line of options.rest())
      options.note(
        line,
        'of the options of a channel only PROXY_PASSWORD is read; there may be a setting for it',
      );
  }
  return password;
}

function optionsOf(file: FoundFile, { notes, files }: { notes: Migration['notes']; files: Files }): Section {
  const { lines, notes: told } = readLines(file, files);
  notes.push(...told);
  return new Section(
    lines.flatMap((line) => {
      const [, name = '', value = ''] = /^\s*([\w-]+)\s*=\s*(.*)$/.exec(line.value) ?? [];
      if (name !== '') return [{ ...line, name, value: value.trim() }];
      const { file: path, line: number } = line;
      if (line.value.trim() !== '')
        notes.push({ file: path, line: number, option: null, reason: 'expected OPTION=value; left out' });
      return [];
    }),
    notes,
  );
}

/** Channels as settings; `more` are keywords that each gets behind its own. */
export function channelSettings(
  { channels, match }: ImtaChannels,
  relay: string,
  more: ReadonlyMap<string, string>,
): SettingsMap {
  return Object.fromEntries(
    [...channels.values()].map(({ name, keywords, line }) => {
      const extra = more.get(name);
      const all = [keywords, ...(extra === undefined ? [] : [extra])].filter((text) => text !== '').join(' ');
      const settings: SettingsMap = { keywords: new Sourced(all, sourceOf(line)) };
      if (match?.channel === name) settings['match'] = match.networks;
      return [name, { ...settings, relay }];
    }),
  );
}
