// The mechanisms in which the client answers a challenge and sends no password: CRAM-MD5 (RFC 2195), SCRAM-SHA-256 and
// -PLUS (RFC 5802, RFC 7677), and POP3's APOP (RFC 1939 7). Server side, up to the name first (collect…), and the rest when
// it is known whose secrets are asked (prove). Promises: what a client says of channel binding is held against what it was
// offered and what it repeats; whoever breaks off, or sends what is no message, has proven nothing.

import { decodeBase64 } from '../wire/sasl.ts';
import {
  type ClientFinal,
  type ClientFirst,
  formatServerFinal,
  formatServerFirst,
  parseClientFinal,
  parseClientFirst,
} from '../wire/scram.ts';
import { type DigestLogin, parseDigestLogin } from '../wire/digest-login.ts';
import type { Ask, ChallengeCredentials, ChallengeJudge, Fresh, NoProof, Proof } from './dialect.ts';

export type BrokenOff = { readonly kind: 'cancelled' } | { readonly kind: 'malformed' };

export interface ChallengeStart {
  /** The client's initial response, or null. */
  readonly initial: string | null;
  readonly bytesMax: number;
  readonly ask: Ask;
  readonly fresh: Fresh;
  /** Whether SCRAM-SHA-256-PLUS was offered too: who says that it was not has been lied to. */
  readonly plusOffered: boolean;
  /** Tells the client that the exchange is over, where that comes later. */
  readonly onBrokenOff: (how: BrokenOff) => void;
}

type Collected = ChallengeCredentials | BrokenOff;
type ScramName = 'SCRAM-SHA-256' | 'SCRAM-SHA-256-PLUS';

const CANCELLED: BrokenOff = { kind: 'cancelled' };
const MALFORMED: BrokenOff = { kind: 'malformed' };
const TOLD: NoProof = { proof: 'told', password: null };
const UNBOUND: NoProof = { proof: 'unbound', password: null };
const DOWNGRADED: NoProof = { proof: 'downgraded', password: null };
const WRONG: Proof = { proof: 'wrong', password: null };

export async function collectCram(start: ChallengeStart): Promise<Collected> {
  // RFC 4422 5: the server speaks first here, so there is nothing to begin with.
  if (start.initial !== null) return MALFORMED;
  const challenge = start.fresh.stamp();
  const answer = await start.ask(Buffer.from(challenge).toString('base64'));
  if (answer === '*') return CANCELLED;
  const message = decodeBase64(answer, start.bytesMax);
  const login = message === null ? null : parseDigestLogin(message);
  return login === null ? MALFORMED : digestCredentials('CRAM-MD5', challenge, login);
}

/** `argument`: what stood behind APOP; `stamp`: what the greeting held. */
export function apopCredentials(argument: string, stamp: string): ChallengeCredentials | null {
  const login = parseDigestLogin(Buffer.from(argument));
  return login === null ? null : digestCredentials('APOP', stamp, login);
}

function digestCredentials(
  mechanism: 'APOP' | 'CRAM-MD5',
  challenge: string,
  { user, digest }: DigestLogin,
): ChallengeCredentials {
  return {
    kind: 'challenge',
    mechanism,
    user,
    authzid: '',
    ask: () => Promise.resolve('*'),
    prove: (judge) => judge.digest(mechanism, challenge, digest),
  };
}

export async function collectScram(mechanism: ScramName, start: ChallengeStart): Promise<Collected> {
  const text = start.initial ?? (await start.ask(''));
  if (text === '*') return CANCELLED;
  const message = decodeBase64(text, start.bytesMax);
  const first = message === null ? null : parseClientFirst(message);
  if (first === null) return MALFORMED;
  const { user, authzid } = first;
  // A binding with a mechanism that has none, and the other way round.
  const isBound = first.binding.kind === 'p';
  if (isBound !== (mechanism === 'SCRAM-SHA-256-PLUS')) return MALFORMED;
  // RFC 5802 6: 'y' where -PLUS was offered means that somebody has taken it out of the list, which is for the log.
  const isDowngraded = first.binding.kind === 'y' && start.plusOffered;
  return {
    kind: 'challenge',
    mechanism,
    user,
    authzid,
    ask: start.ask,
    prove: async (judge, ask) => (isDowngraded ? DOWNGRADED : proveScram(judge, first, { ...start, ask })),
  };
}

async function proveScram(
  judge: ChallengeJudge,
  first: ClientFirst,
  start: ChallengeStart,
): Promise<Proof | NoProof> {
  const { salt, iterations } = judge.scram;
  const nonce = first.nonce + start.fresh.nonce();
  const serverFirst = formatServerFirst(nonce, salt, iterations);
  const answer = await start.ask(Buffer.from(serverFirst).toString('base64'));
  if (answer === '*') return brokenOff(start, CANCELLED);
  const message = decodeBase64(answer, start.bytesMax);
  const final = message === null ? null : parseClientFinal(message);
  if (final === null) return brokenOff(start, MALFORMED);
  const authMessage = `${first.bare},${serverFirst},${final.withoutProof}`;
  // Asked whatever else is wrong, so that all refusals take the same work.
  const proof = await judge.scramProof(authMessage, final.proof);
  if (proof.proof === 'wrong' || final.nonce !== nonce) return WRONG;
  if (!isBound(judge, first, final)) return UNBOUND;
  // RFC 5802 3: the client wants to see that the server knows the secret too.
  const end = await start.ask(Buffer.from(formatServerFinal(proof.signature)).toString('base64'));
  if (end === '*') return brokenOff(start, CANCELLED);
  return end === '' || end === '=' ? proof : brokenOff(start, MALFORMED);
}

/** RFC 5802 6: `c=` is the GS2 header as it came, and behind it the data of the type that it names. */
function isBound(judge: ChallengeJudge, { binding, gs2Header }: ClientFirst, final: ClientFinal): boolean {
  const data = binding.kind === 'p' ? judge.binding(binding.type) : Buffer.alloc(0);
  return data !== null && final.binding.equals(Buffer.concat([Buffer.from(gs2Header), data]));
}

function brokenOff({ onBrokenOff }: ChallengeStart, how: BrokenOff): NoProof {
  onBrokenOff(how);
  return TOLD;
}
