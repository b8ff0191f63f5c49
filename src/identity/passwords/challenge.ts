// Whether a client has a secret that it did not send: APOP, CRAM-MD5, SCRAM-SHA-256 against what the directory holds, a
// plain password or (SCRAM) keys of one. Promises: for nobody, and for an account without such a secret, there is a judge
// like any other, whose salt stays the same for a name and who does about the same work and finds everything wrong; what
// is compared is compared in constant time. On failure: GateError where too many wait.

import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

import { plainOf } from './password.ts';
import { prepared } from './saslprep.ts';
import {
  parseScramVerifier,
  proofFits,
  type ScramKeys,
  scramKeys,
  type ScramVerifier,
  serverSignature,
} from './scram.ts';
import type { Turns } from '../turns.ts';

/** The iterations for plain passwords, of which nothing is stored: what a client that watches its battery still likes. */
export const ITERATIONS = 4096;
const SALT_BYTES = 16;
/** Values of one account that are tried. */
const SECRETS_MAX = 8;

export interface Finding {
  readonly proof: 'right' | 'wrong';
  /** The password itself, where the directory has it. */
  readonly password: string | null;
}

export interface SecretsJudge {
  /** No secret of the account can be used for that mechanism, so that nobody is right. */
  cannot(mechanism: string): boolean;
  digest(kind: 'APOP' | 'CRAM-MD5', challenge: string, digest: string): Promise<Finding>;
  readonly scram: { readonly salt: Buffer; readonly iterations: number };
  scramProof(authMessage: string, clientProof: Buffer): Promise<Finding & { readonly signature: Buffer }>;
}

/** What SCRAM looks like at this site, so that a name of nobody looks the same. */
interface Shape {
  readonly saltBytes: number;
  readonly iterations: number;
  /** Keys are stored, so nothing has to be derived. */
  readonly isStored: boolean;
}

const WRONG: Finding = { proof: 'wrong', password: null };
const DECOY = 'nobody has this password';

export class ChallengeDesk {
  readonly #key: Buffer;
  readonly #turns: Turns;
  /** As the first account that was asked for has it. */
  #shape: Shape | null = null;

  /** `key`: what salts are made of. */
  constructor(key: Buffer, turns: Turns) {
    this.#key = key;
    this.#turns = turns;
  }

  /** `name`: as the client gave it; `secrets`: of whom that is, null for nobody. */
  judge(name: string, secrets: readonly string[] | null): SecretsJudge {
    const stored = (secrets ?? []).slice(0, SECRETS_MAX);
    const plain = stored.flatMap((secret) => plainOf(secret) ?? []);
    const isPlain = plain.some((password) => prepared(password) !== null);
    // Any plain password fits a salt, keys fit their own only; and a password is worth more to the store.
    const verifier = isPlain ? null : keysAmong(stored);
    const shape = verifier === null ? this.#shapeOf(plain) : this.#learnt(shapeOf(verifier));
    const { saltBytes, iterations } = shape;
    const salt = verifier?.salt ?? this.#saltFor(name, saltBytes);
    const scram = { salt, iterations };
    return {
      scram,
      cannot: (mechanism) =>
        mechanism.startsWith('SCRAM') ? !isPlain && verifier === null : plain.length === 0,
      digest: async (kind, challenge, digest) => digestFinding(plain, { kind, challenge, digest }),
      scramProof: (authMessage, clientProof) =>
        this.#turns.take(async () => {
          const keys =
            verifier === null ? await keysOf(plain, scram, shape) : [{ keys: verifier, password: null }];
          return scramFinding(keys, authMessage, clientProof);
        }),
    };
  }

  #shapeOf(plain: readonly string[]): Shape {
    const own: Shape = { saltBytes: SALT_BYTES, iterations: ITERATIONS, isStored: false };
    return plain.length > 0 ? this.#learnt(own) : (this.#shape ?? own);
  }

  #learnt(shape: Shape): Shape {
    this.#shape ??= shape;
    return shape;
  }

  /** By the name and not by the account: that two names are one user is nobody's business. */
  #saltFor(name: string, bytes: number): Buffer {
    const salt = createHmac('sha512', this.#key).update(name.toLowerCase()).digest();
    return salt.subarray(0, bytes);
  }
}

function keysAmong(stored: readonly string[]): ScramVerifier | null {
  for (const secret of stored) {
    const verifier = parseScramVerifier(secret);
    if (verifier !== null) return verifier;
  }
  return null;
}

function shapeOf({ salt, iterations }: ScramVerifier): Shape {
  return { saltBytes: salt.length, iterations, isStored: true };
}

interface Candidate {
  readonly keys: ScramKeys;
  readonly password: string | null;
}

async function keysOf(
  plain: readonly string[],
  { salt, iterations }: { readonly salt: Buffer; readonly iterations: number },
  { isStored }: Shape,
): Promise<readonly Candidate[]> {
  const candidates: Candidate[] = [];
  for (const password of plain) {
    // RFC 5802 2.2: the client prepares what its user types, so must we what the directory holds.
    const text = prepared(password);
    if (text !== null) candidates.push({ keys: await scramKeys(text, salt, iterations), password });
  }
  if (candidates.length === 0 && !isStored) await scramKeys(DECOY, salt, iterations);
  return candidates;
}

function scramFinding(
  candidates: readonly Candidate[],
  authMessage: string,
  clientProof: Buffer,
): Finding & { readonly signature: Buffer } {
  const found = candidates.find(({ keys }) => proofFits(keys, authMessage, clientProof));
  if (found === undefined) return { ...WRONG, signature: Buffer.alloc(0) };
  const { keys, password } = found;
  return { proof: 'right', password, signature: serverSignature(keys, authMessage) };
}

interface DigestAnswer {
  readonly kind: 'APOP' | 'CRAM-MD5';
  readonly challenge: string;
  readonly digest: string;
}

function digestFinding(plain: readonly string[], answer: DigestAnswer): Finding {
  const found = plain.find((password) => digestFits(password, answer));
  // The same work for nobody, whose password it is not whatever comes of it.
  if (plain.length === 0) digestFits(DECOY, answer);
  return found === undefined ? WRONG : { proof: 'right', password: found };
}

function digestFits(password: string, { kind, challenge, digest }: DigestAnswer): boolean {
  const expected =
    kind === 'APOP'
      ? // RFC 1939 7: the stamp and the secret behind it.
        createHash('md5').update(challenge).update(password).digest()
      : // RFC 2195 2.
        createHmac('md5', password).update(challenge).digest();
  const shown = Buffer.from(digest, 'hex');
  return shown.length === expected.length && timingSafeEqual(shown, expected);
}
