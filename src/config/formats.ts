// The named formats of the settings: what a value may look like, and what it becomes.
// `read` gives the value as the code wants it (milliseconds, endpoints, secrets) or throws a Misfit; nothing else
// leaves it. A Misfit says what was expected and what was found, without the value where the setting is sensitive.
// Importing this file registers every format with convict, once for the process.

import convict from 'convict';
import { parseAccessRules } from '../wire/access-rules.ts';
import { isAttributeName } from '../wire/ldap-filter.ts';
import { parseSqlUrl } from '../wire/sql-url.ts';
import type { Format, FormatName, FormatValues, Given, Group, Leaf } from './format-types.ts';
import { isHttpsUrl, readEmail, readNames } from './items-acme.ts';
import {
  checkHeaders,
  inRange,
  isHostName,
  isNickname,
  nicknamesOf,
  readAttribute,
  readChannelMatch,
  readClient,
  readHostPattern,
  readLdapUrl,
  readListener,
  readNetwork,
  readNetworkLimits,
  readPeer,
  readPin,
  readServer,
  readVerify,
} from './items.ts';
import { keywordProblems } from './keyword-texts.ts';
import { nameProblem, replayProblem, searchProblem } from './ldap-texts.ts';
import { found, isText, Misfit } from './misfit.ts';
import { inlineSecret, isRedisUrl } from './secret.ts';
import type { Secret } from './settings.ts';
import { openSslTakes, wrongCiphers } from './tls-lists.ts';

export type { Format, FormatName, FormatValues, Given, Group, Leaf };

const MAX_ITEMS = 1000;

/** The sentence for a value that is not what the setting takes. */
export function misfit(leaf: Leaf, value: unknown): string {
  const expected = `expected ${expectedOf(leaf)}`;
  if (value === null && leaf.required) return `missing, ${expected}`;
  return leaf.sensitive ? expected : `${expected}, found ${found(value)}`;
}

export function expectedOf(leaf: Leaf): string {
  return FORMATS[leaf.format].expected(leaf);
}

function readNumber(value: unknown, leaf: Leaf): number {
  const fits =
    typeof value === 'number' &&
    Number.isFinite(value) &&
    value >= (leaf.min ?? 0) &&
    value <= (leaf.max ?? Number.MAX_SAFE_INTEGER);
  if (!fits) throw new Misfit([misfit(leaf, value)]);
  return value;
}

/** A simple value that passes a test. */
function simple(expected: string, fits: (value: string) => boolean): Format<string> {
  return {
    expected: () => expected,
    read(value, leaf) {
      if (!isText(value, leaf.max) || !fits(value)) throw new Misfit([misfit(leaf, value)]);
      return value;
    },
  };
}

/** A text of which can be said what is wrong with it. */
function checked(expected: string, problemOf: (value: string) => string | null): Format<string> {
  return {
    expected: () => expected,
    read(value, leaf) {
      const problem = typeof value === 'string' ? problemOf(value) : '';
      if (problem !== null) throw new Misfit([`${misfit(leaf, value)}${problem && `: ${problem}`}`]);
      return value as string;
    },
  };
}

/** A list whose items are read one by one; a single value is a list of one. An item may say itself what is wrong. */
function readList<T>(value: unknown, leaf: Leaf, readItem: (item: unknown) => T | Misfit | null): T[] {
  if (value === null || (value instanceof Map && !FORMATS[leaf.format].takesMap)) {
    throw new Misfit([misfit(leaf, value)]);
  }
  const items: unknown[] = Array.isArray(value) ? value : [value];
  if (items.length < (leaf.min ?? 0) || items.length > MAX_ITEMS) throw new Misfit([misfit(leaf, value)]);
  const wrong: string[] = [];
  const right = items.flatMap((item, index) => {
    const read = readItem(item);
    if (read !== null && !(read instanceof Misfit)) return [read as T];
    const text = read instanceof Misfit ? read.message : misfit(leaf, item);
    wrong.push(`${Array.isArray(value) ? `[${index}] ` : ''}${text}`);
    return [];
  });
  if (wrong.length > 0) throw new Misfit(wrong);
  return right;
}

function readSecret(value: unknown, leaf: Leaf): Secret {
  if (typeof value === 'string' && value !== '') return inlineSecret(value);
  const map: unknown = Array.isArray(value) && value.length === 1 ? value[0] : null;
  if (map instanceof Map && map.size === 1) {
    const file: unknown = map.get('file');
    if (isText(file)) return { kind: 'file', path: file };
    const name: unknown = map.get('credential');
    if (isNickname(name)) return { kind: 'credential', name };
  }
  throw new Misfit([misfit(leaf, value)]);
}

function readMap(value: unknown, leaf: Leaf): Given {
  const map: unknown = Array.isArray(value) && value.length === 1 ? value[0] : null;
  if (map instanceof Map) return map;
  if (typeof value === 'object' && value !== null && Object.keys(value).length === 0) return new Map();
  throw new Misfit([misfit(leaf, value)]);
}

export const FORMATS: { readonly [Name in FormatName]: Format<FormatValues[Name]> } = {
  text: simple('a text', () => true),
  name: simple('a name', () => true),
  path: simple('a file or folder name', () => true),
  paths: {
    expected: () => 'a file or folder name, or a list of these',
    read: (value, leaf) => readList(value, leaf, (item) => (isText(item) ? item : null)),
  },
  hostname: simple('a host name', isHostName),
  ciphers: {
    expected: () => 'default, modern, intermediate, old or an OpenSSL cipher list',
    read(value, leaf) {
      if (!isText(value, leaf.max)) throw new Misfit([misfit(leaf, value)]);
      const wrong = wrongCiphers(value);
      if (wrong !== null) throw new Misfit([`${misfit(leaf, value)}${wrong}`]);
      return value;
    },
  },
  groups: simple(
    'default or a colon list of TLS groups that this OpenSSL knows',
    (text) => text === 'default' || openSslTakes({ ecdhCurve: text }),
  ),
  count: {
    expected: (leaf) => inRange('a whole number', leaf),
    read(value, leaf) {
      if (!Number.isInteger(value)) throw new Misfit([misfit(leaf, value)]);
      return readNumber(value, leaf);
    },
  },
  seconds: {
    expected: (leaf) => inRange('seconds', leaf),
    read(value, leaf) {
      const seconds = readNumber(value, leaf);
      return seconds === 0 ? 0 : Math.max(1, Math.round(seconds * 1000));
    },
  },
  flag: {
    expected: () => 'true or false',
    read(value, leaf) {
      if (typeof value !== 'boolean') throw new Misfit([misfit(leaf, value)]);
      return value;
    },
  },
  choice: {
    expected: (leaf) => `one of ${leaf.choices?.join(', ')}`,
    read(value, leaf) {
      if (typeof value === 'string' && leaf.choices?.includes(value)) return value;
      throw new Misfit([misfit(leaf, value)]);
    },
  },
  choices: {
    expected: (leaf) => `a list of ${leaf.choices?.join(', ')}`,
    read: (value, leaf) =>
      readList(value, leaf, (item) =>
        typeof item === 'string' && leaf.choices?.includes(item) ? item : null,
      ),
  },
  words: {
    expected: () => 'a list of words',
    read: (value, leaf) => readList(value, leaf, (item) => (isText(item) && !/\s/.test(item) ? item : null)),
  },
  capabilities: {
    expected: () => 'probe or a list of capabilities',
    read: (value, leaf) =>
      value === 'probe' ? null : readList(value, leaf, (item) => (isText(item) ? item : null)),
  },
  listeners: {
    expected: () => 'a port, address:port, [v6 address]:port or unix:/path',
    read: (value, leaf) => readList(value, leaf, readListener),
  },
  servers: {
    expected: () => 'host:port, [v6 address]:port, unix:/path or { server: …, weight: …, priority: … }',
    takesMap: true,
    read: (value, leaf) => readList(value, leaf, readServer),
  },
  pins: {
    expected: () => 'a SHA-256 in hex or base64',
    read: (value, leaf) => readList(value, leaf, readPin),
  },
  verify: {
    expected: () => 'backend, directory or { store: BACKEND }',
    takesMap: true,
    read(value, leaf) {
      const verify = readVerify(value);
      if (verify === null) throw new Misfit([misfit(leaf, value)]);
      return verify;
    },
  },
  clientInfo: {
    expected: () => 'none or a list of id, id?, xclient, xclient?, xpehlo, xpehlo?, proxy-v1, proxy-v2',
    read: (value, leaf) => (value === 'none' ? [] : checkHeaders(readList(value, leaf, readClient))),
  },
  networks: {
    expected: () => 'a list of addresses or networks, as in 192.0.2.0/24 or 2001:db8::/32',
    read: (value, leaf) => readList(value, leaf, readNetwork),
  },
  hostPatterns: {
    expected: () => 'a list of host names (with * for anything), addresses or networks',
    read: (value, leaf) => readList(value, leaf, readHostPattern),
  },
  ldapUrls: {
    expected: () => 'a list of ldap://host:port and ldaps://host:port',
    read: (value, leaf) => readList(value, leaf, readLdapUrl),
  },
  ldapName: checked('a name in the directory, as in ou=People,o=example.com', nameProblem),
  ldapAttribute: simple('a name of an attribute', isAttributeName),
  ldapAttributes: {
    expected: () => 'a list of names of attributes',
    read: (value, leaf) => readList(value, leaf, readAttribute),
  },
  searchFormat: checked('a filter with placeholders, as in (uid=%U)', searchProblem),
  replayFormat: checked('a name with placeholders, as in %U@%V', replayProblem),
  sqlUrl: {
    expected: () => 'sqlite:/file, postgres://user@host/database or mysql://user@host/database',
    read(value, leaf) {
      const url = typeof value === 'string' ? parseSqlUrl(value) : { problem: '' };
      // What was written may hold a password.
      if ('problem' in url)
        throw new Misfit([`expected ${expectedOf(leaf)}${url.problem && `: ${url.problem}`}`]);
      return url;
    },
  },
  sqlQuery: {
    expected: () => 'a query with placeholders, as in SELECT … WHERE login = :login',
    read(value, leaf) {
      if (typeof value !== 'string' || value.trim() === '') throw new Misfit([misfit(leaf, value)]);
      return value;
    },
  },
  webAddress: simple('http://… or https://… without a user', (text) => {
    const url = URL.parse(text);
    return url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.hostname !== '';
  }),
  networkLimits: {
    expected: (leaf) => `${inRange('a whole number', leaf)}, or a map of networks to such numbers`,
    takesMap: true,
    read(value, leaf) {
      const rows = readNetworkLimits(value, leaf);
      if (rows instanceof Misfit) throw rows;
      if (rows === null) throw new Misfit([misfit(leaf, value)]);
      return rows;
    },
  },
  accessRules: {
    expected: () => 'access rules, as in +imaps,pops:ALL$+imap:192.0.2.0/24',
    read(value, leaf) {
      if (typeof value !== 'string' || value.trim() === '') throw new Misfit([misfit(leaf, value)]);
      const parsed = parseAccessRules(value);
      if (parsed.kind === 'malformed') throw new Misfit([`expected ${expectedOf(leaf)}; ${parsed.reason}`]);
      return value;
    },
  },
  redis: {
    expected: () => 'redis://host:port/number or rediss://…, { file: … } or { credential: … }',
    takesMap: true,
    read(value, leaf) {
      const secret = readSecret(value, leaf);
      if (secret.kind === 'inline' && !isRedisUrl(secret.value)) throw new Misfit([misfit(leaf, value)]);
      return secret;
    },
  },
  trustedPeers: {
    expected: () => 'a list of addresses, networks (192.0.2.0/24, 2001:db8::/32) and the word unix',
    read: (value, leaf) => readList(value, leaf, readPeer),
  },
  channelKeywords: {
    expected: () => 'channel keywords in one text',
    read(value, leaf) {
      if (!isText(value)) throw new Misfit([misfit(leaf, value)]);
      const problems = keywordProblems(value);
      if (problems.length > 0) throw new Misfit(problems);
      return value;
    },
  },
  channelMatch: {
    expected: () => 'a list of addresses, networks and host names, as in 192.0.2.0/24 or .example.com',
    read: (value, leaf) => readList(value, leaf, readChannelMatch),
  },
  certificates: {
    expected: () =>
      'a nickname without a path separator, module:nickname, { cert: …, key: … }, or a list of these',
    takesMap: true,
    read: (value, leaf) =>
      readList<string | Given>(nicknamesOf(value), leaf, (item) =>
        item instanceof Map || isNickname(item) ? item : null,
      ),
    salvage: (value) =>
      Array.isArray(value) ? value.map((item: unknown) => (item instanceof Map ? (item as Given) : '')) : [],
  },
  secret: {
    expected: () => 'a text, { file: … } or { credential: … }',
    takesMap: true,
    read: readSecret,
  },
  sni: { expected: () => 'a map of host names to certificates', takesMap: true, read: readMap },
  entries: { expected: () => 'a map of names to settings', takesMap: true, read: readMap },
  acme: { expected: () => 'a map of settings, see below', takesMap: true, read: readMap },
  httpsUrl: simple('an https:// URL', isHttpsUrl),
  emails: {
    expected: () => 'a list of e-mail addresses',
    read: (value, leaf) => readList(value, leaf, readEmail),
  },
  hostNames: {
    expected: (leaf) => `a map of nicknames to lists of up to ${leaf.max} host names`,
    takesMap: true,
    read(value, leaf) {
      const rows = readNames(readMap(value, leaf), leaf);
      if (rows instanceof Misfit) throw rows;
      if (rows.length === 0) throw new Misfit([misfit(leaf, value)]);
      return rows;
    },
  },
};

for (const [name, format] of Object.entries<Format<unknown>>(FORMATS)) {
  convict.addFormat({
    name,
    validate(value: unknown, leaf) {
      format.read(value, leaf as unknown as Leaf);
    },
  });
}
