// Who a client is, in the argument of IMAP's ID (RFC 2971), by the names that Dovecot's proxies use.
// Promises: never throws; at most 30 pairs, names that are not known are passed over; a value is checked and bounded.
// On failure: a named malformation with the name of the field, never its value.

import { ipOf } from './address.ts';
import type { ImapToken } from './imap.ts';
import { misword, type Misword, type Told, toldPort, toldSession, toldTtl } from './introduction.ts';

/** RFC 2971 3.3. */
const PAIRS_MAX = 30;
const NAME_BYTES_MAX = 30;
const VALUE_BYTES_MAX = 1024;

const FIELDS: ReadonlyMap<string, (value: string) => Told | null> = new Map<
  string,
  (value: string) => Told | null
>([
  ['x-originating-ip', (value) => tell(ipOf(value)?.address, (address) => ({ address }))],
  ['x-originating-port', (value) => tell(toldPort(value), (port) => ({ port }))],
  ['x-connected-ip', (value) => tell(ipOf(value)?.address, (localAddress) => ({ localAddress }))],
  ['x-connected-port', (value) => tell(toldPort(value), (localPort) => ({ localPort }))],
  ['x-proxy-ttl', (value) => tell(toldTtl(value), (ttl) => ({ ttl }))],
  ['x-session-id', (value) => tell(toldSession(value), (sessionId) => ({ sessionId }))],
]);

/** What ID tells of a client; null: nothing. */
export function parseId(
  args: readonly ImapToken[],
): { readonly kind: 'id'; readonly told: Told | null } | Misword {
  if (args.length === 1 && args[0]?.kind === 'nil') return { kind: 'id', told: null };
  const pairs = args.slice(1, -1);
  if (args[0]?.kind !== 'open' || args.at(-1)?.kind !== 'close' || pairs.length % 2 !== 0) {
    return misword('syntax', 'ID');
  }
  if (pairs.length > PAIRS_MAX * 2) return misword('too-long', 'ID');
  const seen = new Set<string>();
  let told: Told = {};
  for (let at = 0; at < pairs.length; at += 2) {
    const [key, value] = [pairs[at], pairs[at + 1]];
    // RFC 2971 4: names are strings, values strings or NIL.
    if (key?.kind !== 'string' || (value?.kind !== 'string' && value?.kind !== 'nil'))
      return misword('syntax', 'ID');
    const name = key.value.length > NAME_BYTES_MAX ? '' : key.value.toString('latin1').toLowerCase();
    const read = FIELDS.get(name);
    if (read === undefined || value.kind === 'nil') continue;
    if (value.value.length > VALUE_BYTES_MAX) return misword('too-long', name);
    const more = seen.has(name) ? null : read(value.value.toString('latin1'));
    if (more === null) return misword('syntax', name);
    seen.add(name);
    told = { ...told, ...more };
  }
  return { kind: 'id', told: seen.size === 0 ? null : told };
}

function tell<T>(value: T | null | undefined, say: (value: T) => Told): Told | null {
  return value === null || value === undefined ? null : say(value);
}
