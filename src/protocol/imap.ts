// IMAP (RFC 9051, RFC 3501) before login, on both legs. After login the connection is a byte relay.

import type { Dialect } from './dialect.ts';
import { ImapBack } from './imap-back.ts';
import { ImapFront } from './imap-front.ts';

/**
 * What a client may be told of a backend before login: everything but what concerns the other leg's TLS and login,
 * which is ours to say. COMPRESS stays: after login it is between the client and its store.
 */
const OURS =
  /^(AUTH=.*|STARTTLS|LOGINDISABLED|SASL-IR|ID|LITERAL[+-]|LOGIN-REFERRALS|X?CLIENT.*|XPROXYREUSE)$/;

export const imap: Dialect = {
  protocol: 'imap',
  alpn: ['imap'],
  front: (talk, rules, visitor) => new ImapFront(talk, rules, visitor),
  back: (talk) => new ImapBack(talk),
  shown: (capabilities) => capabilities.filter((capability) => !OURS.test(capability)),
};
