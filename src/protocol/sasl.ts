// The server side of a SASL exchange, the same in three dialects: mechanism and first message in, credentials out.
// It decides nothing: a password or token is carried, not checked. Limits: a message is at most `bytesMax` long.

import type { Mechanism } from '../config/settings.ts';
import { decodeBase64, parseOauthBearer, parsePlain, parseXoauth2 } from '../wire/sasl.ts';
import type { Ask, Credentials, Fresh } from './dialect.ts';
import { offeredNow, type Standing, wantsPrivacy } from './mechanisms.ts';
import { type BrokenOff, type ChallengeStart, collectCram, collectScram } from './sasl-challenge.ts';

export type SaslResult =
  | { readonly kind: 'credentials'; readonly credentials: Credentials }
  | { readonly kind: 'cancelled' }
  | { readonly kind: 'malformed' }
  | { readonly kind: 'unknown' }
  /** Not without TLS. */
  | { readonly kind: 'insecure' };

/** What became of an exchange that gave no credentials. */
export type SaslFailure = Exclude<SaslResult, { readonly kind: 'credentials' }>;

const MALFORMED = { kind: 'malformed' } as const;
const USERNAME_PROMPT = Buffer.from('Username:').toString('base64');
const PASSWORD_PROMPT = Buffer.from('Password:').toString('base64');

export interface SaslStart {
  /** As the client wrote it. */
  readonly mechanism: string;
  /** The initial response (RFC 4954 4: `=` is an empty one), or null. */
  readonly initial: string | null;
  /** What the service offers, to whom that is fit. */
  readonly mechanisms: readonly Mechanism[];
  readonly standing: Standing;
  readonly fresh: Fresh;
  readonly bytesMax: number;
  readonly ask: Ask;
  /** Called where the exchange is broken off after the credentials were given out. */
  readonly onBrokenOff: (how: BrokenOff) => void;
}

/** RFC 4422 5: the client may cancel with `*` at any time. */
export async function collectCredentials(start: SaslStart): Promise<SaslResult> {
  const mechanism = start.mechanism.toUpperCase();
  if (wantsPrivacy(mechanism, start.standing)) return { kind: 'insecure' };
  const offered = offeredNow(start.mechanisms, start.standing);
  if (!offered.some((known) => known === mechanism)) return { kind: 'unknown' };
  const challenge: ChallengeStart = { ...start, plusOffered: offered.includes('SCRAM-SHA-256-PLUS') };
  if (mechanism === 'CRAM-MD5') return collected(await collectCram(challenge));
  if (mechanism === 'SCRAM-SHA-256' || mechanism === 'SCRAM-SHA-256-PLUS') {
    return collected(await collectScram(mechanism, challenge));
  }
  const first = start.initial ?? (await start.ask(mechanism === 'LOGIN' ? USERNAME_PROMPT : ''));
  if (first === '*') return { kind: 'cancelled' };
  const message = decodeBase64(first, start.bytesMax);
  if (message === null) return MALFORMED;
  switch (mechanism) {
    case 'PLAIN':
      return password('PLAIN', parsePlain(message));
    case 'LOGIN':
      return finishLogin(start, message);
    case 'XOAUTH2':
    case 'OAUTHBEARER':
      return bearer(start, mechanism, { text: first, parsed: message });
    case 'EXTERNAL':
      return external(message);
    default:
      return { kind: 'unknown' };
  }
}

function collected(found: Credentials | BrokenOff): SaslResult {
  return found.kind === 'cancelled' || found.kind === 'malformed'
    ? found
    : { kind: 'credentials', credentials: found };
}

/** LOGIN has no RFC: two prompts, two answers (draft-murchison-sasl-login). */
async function finishLogin(start: SaslStart, name: Buffer): Promise<SaslResult> {
  const answer = await start.ask(PASSWORD_PROMPT);
  if (answer === '*') return { kind: 'cancelled' };
  const secret = decodeBase64(answer, start.bytesMax);
  if (secret === null) return MALFORMED;
  // As a PLAIN message it passes the same checks: UTF-8, no NUL, nothing empty.
  return password('LOGIN', parsePlain(Buffer.concat([Buffer.of(0), name, Buffer.of(0), secret])));
}

function password(
  mechanism: 'PLAIN' | 'LOGIN',
  parsed: { authzid: string; user: string; password: string } | null,
): SaslResult {
  return parsed === null
    ? MALFORMED
    : { kind: 'credentials', credentials: { kind: 'password', mechanism, ...parsed } };
}

function bearer(
  start: SaslStart,
  mechanism: 'XOAUTH2' | 'OAUTHBEARER',
  message: { text: string; parsed: Buffer },
): SaslResult {
  const parsed = mechanism === 'XOAUTH2' ? parseXoauth2(message.parsed) : parseOauthBearer(message.parsed);
  if (parsed === null) return MALFORMED;
  return {
    kind: 'credentials',
    credentials: { kind: 'bearer', mechanism, user: parsed.user, message: message.text, ask: start.ask },
  };
}

/** RFC 4422 A: the message is the identity to act as, empty for the certificate's own. */
function external(message: Buffer): SaslResult {
  const user = message.toString('utf8');
  if (!Buffer.from(user).equals(message) || user.includes('\0')) return MALFORMED;
  return { kind: 'credentials', credentials: { kind: 'external', mechanism: 'EXTERNAL', user } };
}
