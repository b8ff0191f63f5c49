// Single items of `certificates.acme`: URLs, e-mail addresses, host names that a CA can look at. Each gives the value, or
// says what is wrong with it.

import { isIP } from 'node:net';

import { isHostName, isNickname } from './items.ts';
import { found, isText, Misfit } from './misfit.ts';

/** RFC 8555 6.1: HTTPS and nothing else. */
export function isHttpsUrl(text: string): boolean {
  const url = URL.parse(text);
  return url?.protocol === 'https:' && url.hostname !== '' && url.username === '' && url.password === '';
}

export function readEmail(item: unknown): string | null {
  if (!isText(item, 254)) return null;
  // RFC 8555 7.3: one address, no header fields.
  return /^[^\s@?,<>]+@[^\s@?,<>]+$/.test(item) ? item : null;
}

/** Nickname → host names in lower case. */
export function readNames(
  given: ReadonlyMap<unknown, unknown>,
  leaf: { readonly max?: number },
): [string, string[]][] | Misfit {
  const wrong: string[] = [];
  const rows = [...given].map(([key, names]): [string, string[]] => {
    const read = readHostNames(String(key), names, leaf);
    if (typeof read === 'string') wrong.push(read);
    return [String(key), typeof read === 'string' ? [] : read];
  });
  return wrong.length > 0 ? new Misfit(wrong) : rows;
}

/** The names of one nickname in lower case, or what is wrong. */
function readHostNames(
  nickname: string,
  given: unknown,
  { max = 100 }: { readonly max?: number },
): string[] | string {
  if (!isNickname(nickname) || nickname.includes(':') || nickname in Object.prototype)
    return `expected a nickname without a path separator or colon, found ${found(nickname)}`;
  const names: unknown[] = Array.isArray(given) ? given : [given];
  if (names.length === 0 || names.length > max)
    return `${nickname}: expected 1 to ${max} host names, found ${names.length}`;
  const read: string[] = [];
  for (const name of names) {
    const problem = nameProblem(name);
    if (problem !== null) return `${nickname}: ${problem}`;
    const lower = String(name).toLowerCase();
    if (read.includes(lower)) return `${nickname}: ${lower} is given twice`;
    read.push(lower);
  }
  return read;
}

function nameProblem(name: unknown): string | null {
  if (typeof name === 'string' && name.startsWith('*.'))
    return `${found(name)}: a CA gives wildcards by dns-01 only, which is not done here; list each host name`;
  if (typeof name === 'string' && isIP(name) !== 0)
    return `expected a host name, found the address ${found(name)}`;
  return isText(name) && isHostName(name) ? null : `expected a host name, found ${found(name)}`;
}
