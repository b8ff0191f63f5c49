// SMTP (RFC 5321) on both legs. It stays command-aware to the end: smtp-front.ts answers what is ours, smtp-relay.ts
// carries transactions, smtp-back.ts opens the leg to the MTA.

import { parseEhloKeyword } from '../wire/smtp.ts';
import type { Dialect } from './dialect.ts';
import { SmtpBack } from './smtp-back.ts';
import { SmtpFront } from './smtp-front.ts';

/**
 * EHLO keywords whose commands and parameters pass through us unharmed. STARTTLS and AUTH are ours; XCLIENT, XFORWARD
 * and XPEHLO never pass; BINARYMIME cannot, since bare line endings are refused. What is unknown is stripped.
 */
const KNOWN = new Set([
  'SIZE',
  '8BITMIME',
  'PIPELINING',
  'ENHANCEDSTATUSCODES',
  'DSN',
  'SMTPUTF8',
  'CHUNKING',
  'REQUIRETLS',
  'DELIVERBY',
  'MT-PRIORITY',
  'FUTURERELEASE',
  'NO-SOLICITING',
  'LIMITS',
  'RRVS',
]);

const NEVER = new Set(['STARTTLS', 'AUTH', 'XCLIENT', 'XFORWARD', 'XPEHLO', 'BINARYMIME']);

export const smtp: Dialect = {
  protocol: 'smtp',
  alpn: ['smtp'],
  front: (talk, rules, visitor) => new SmtpFront(talk, rules, visitor),
  back: (talk) => new SmtpBack(talk),
  shown: (capabilities, extra) =>
    capabilities.filter((capability) => {
      const { keyword } = parseEhloKeyword(capability);
      return !NEVER.has(keyword) && (KNOWN.has(keyword) || extra.includes(keyword));
    }),
};
