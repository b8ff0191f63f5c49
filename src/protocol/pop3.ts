// POP3 (RFC 1939, RFC 2449, RFC 2595, RFC 5034, RFC 6856) before login, on both legs.

import type { Dialect } from './dialect.ts';
import { Pop3Back } from './pop3-back.ts';
import { Pop3Front } from './pop3-front.ts';

/** What is ours to say: login and TLS of the client leg, the name of the software, the way for proxies. */
const OURS = /^(SASL|STLS|USER|XCLIENT|XOIP|IMPLEMENTATION|RESP-CODES|AUTH-RESP-CODE|APOP)\b/i;

export const pop3: Dialect = {
  protocol: 'pop3',
  alpn: ['pop3'],
  front: (talk, rules, visitor) => new Pop3Front(talk, rules, visitor),
  back: (talk) => new Pop3Back(talk),
  shown: (capabilities) => capabilities.filter((capability) => !OURS.test(capability)),
};
