// Which commands a channel's rules keep back in a session's state, and with what answer. Pure. The rule that refused
// is named by its keyword; null: the order of commands did (RFC 5321 4.1.4), no matter which channel.

import type { FrontRules } from './dialect.ts';

export interface SessionState {
  /** EHLO or HELO has been said since the connection, or its TLS, began. */
  readonly greeted: boolean;
  readonly secured: boolean;
  /** A front tier has said who the client is: TLS is the tier's affair from then on. */
  readonly introduced: boolean;
  readonly authenticated: boolean;
}

export interface Refusal {
  readonly code: number;
  readonly enhanced: string;
  readonly text: string;
  readonly rule: string | null;
}

type Rules = Pick<FrontRules, 'tls' | 'sasl'>;

const OUT_OF_ORDER = { code: 503, enhanced: '5.5.1', rule: null } as const;
/** RFC 3207 4 */
const STARTTLS_FIRST: Refusal = {
  code: 530,
  enhanced: '5.7.0',
  text: 'Must issue a STARTTLS command first',
  rule: 'musttlsserver',
};
/** Sun's words. */
const AUTH_FIRST: Refusal = {
  code: 530,
  enhanced: '5.7.0',
  text: 'No AUTH command has been given.',
  rule: 'mustsaslserver',
};

/** Null: the rules let it pass; its syntax is another matter. */
export function refusalOf(verb: string, rules: Rules, state: SessionState): Refusal | null {
  switch (verb) {
    case 'MAIL':
      return mail(rules, state);
    case 'AUTH':
      return auth(rules, state);
    case 'STARTTLS':
      return starttls(rules, state);
    case 'XCLIENT':
    case 'XPEHLO':
      return mustSecure(rules, state.secured) ? STARTTLS_FIRST : null;
    default:
      return null;
  }
}

export function mustSecure({ tls }: Rules, secured: boolean): boolean {
  return tls === 'musttls' && !secured;
}

function mail(rules: Rules, { greeted, secured, authenticated }: SessionState): Refusal | null {
  if (!greeted) return { ...OUT_OF_ORDER, text: 'EHLO first' };
  if (mustSecure(rules, secured)) return STARTTLS_FIRST;
  return rules.sasl === 'mustsasl' && !authenticated ? AUTH_FIRST : null;
}

function auth(rules: Rules, { greeted, secured, authenticated }: SessionState): Refusal | null {
  // RFC 4954 4: once only. A channel that the login led to may have no AUTH at all.
  if (authenticated) return { ...OUT_OF_ORDER, text: 'Authenticated already' };
  if (rules.sasl === 'nosasl') {
    return { code: 503, enhanced: '5.5.1', text: 'AUTH is not available here', rule: 'nosaslserver' };
  }
  if (!greeted) return { ...OUT_OF_ORDER, text: 'EHLO first' };
  return mustSecure(rules, secured) ? STARTTLS_FIRST : null;
}

function starttls({ tls }: Rules, { secured, introduced }: SessionState): Refusal | null {
  if (secured) return { ...OUT_OF_ORDER, text: 'TLS is active already' };
  if (tls !== 'notls') {
    return introduced ? { ...OUT_OF_ORDER, text: 'STARTTLS comes before the introduction' } : null;
  }
  return { code: 502, enhanced: '5.5.1', text: 'TLS is not available here', rule: 'notlsserver' };
}
