// May this client use this service? Sun's TCPAccess: the allow rules first, then the deny rules, the first that fits
// decides; where none fits, only allow rules mean no, anything else means yes. Pure: names are given, or asked for when
// the answer hangs on them.

import type {
  AccessList,
  AccessRule,
  AccessRules,
  AccessService,
  ClientPattern,
} from '../wire/access-rules.ts';
import { matchesGlob } from '../wire/glob.ts';
import { contains } from '../wire/network.ts';

/** What the name service says of an address. */
export interface ClientNames {
  /** Names that the address claims. */
  readonly claimed: readonly string[];
  /** Those of them that lead back to the address. */
  readonly confirmed: readonly string[];
}

export interface AccessFacts {
  readonly protocol: 'imap' | 'pop3' | 'smtp';
  /** TLS from the first byte. */
  readonly implicitTls: boolean;
  /** '' where there is none (Unix sockets). */
  readonly address: string;
  /** null: not looked up yet. */
  readonly names: ClientNames | null;
}

export type AccessRuling = 'allow' | 'deny' | 'needs names';

/** Fits, does not fit, or nobody knows without a name. */
type Fit = boolean | 'unknown';

const SERVICE = { imap: ['imap', 'imaps'], pop3: ['pop', 'pops'], smtp: ['smtp', 'smtps'] } as const;

export function judgeAccess(rules: AccessRules, facts: AccessFacts): AccessRuling {
  const [plain, secure] = SERVICE[facts.protocol];
  // As in the MMP, the plain name covers both ports.
  const services: readonly AccessService[] = facts.implicitTls ? [plain, secure] : [plain];
  for (const [list, ruling] of [
    [rules.allow, 'allow'],
    [rules.deny, 'deny'],
  ] as const) {
    for (const rule of list) {
      const fit = fits(rule, services, facts);
      if (fit === 'unknown') return 'needs names';
      if (fit) return ruling;
    }
  }
  return rules.allow.length > 0 && rules.deny.length === 0 ? 'deny' : 'allow';
}

function fits(rule: AccessRule, services: readonly AccessService[], facts: AccessFacts): Fit {
  const service = inList(rule.services, (item) => item === 'all' || services.includes(item));
  return service === true ? inList(rule.clients, (pattern) => isClient(pattern, facts)) : false;
}

function inList<T>(list: AccessList<T>, test: (item: T) => Fit): Fit {
  let found: Fit = false;
  for (const item of list.items) {
    const fit = test(item);
    if (fit === true) {
      found = true;
      break;
    }
    if (fit === 'unknown') found = fit;
  }
  if (found === false || list.except === null) return found;
  const excepted = inList(list.except, test);
  if (excepted === true) return false;
  return excepted === false ? found : 'unknown';
}

function isClient(pattern: ClientPattern, { address, names }: AccessFacts): Fit {
  switch (pattern.kind) {
    case 'all':
      return true;
    case 'network':
      return contains(pattern.network, address);
    case 'octets':
      return address.startsWith(pattern.start);
    case 'name':
      if (!/[a-z]/.test(pattern.pattern) && matchesGlob(pattern.pattern, address)) return true;
      break;
    default:
  }
  return names === null ? 'unknown' : isNamed(pattern, names);
}

function isNamed(pattern: ClientPattern, { claimed, confirmed }: ClientNames): boolean {
  switch (pattern.kind) {
    case 'known':
      return confirmed.length > 0;
    case 'unknown':
      return confirmed.length === 0;
    case 'spoofer':
      return claimed.length > 0 && confirmed.length === 0;
    case 'local':
      return confirmed.some((name) => !name.includes('.'));
    case 'domain':
      return confirmed.some((name) => name.toLowerCase().endsWith(pattern.suffix));
    case 'name':
      return confirmed.some((name) => matchesGlob(pattern.pattern, name.toLowerCase()));
    default:
      return false;
  }
}
