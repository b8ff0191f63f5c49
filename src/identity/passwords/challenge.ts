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

/** Of plain passwords. */
const OWN: Shape = { saltBytes: SALT_BYTES, iterations: ITERATIONS, isStored: false };
const WRONG: Finding = { proof: 'wrong', password: null };
const DECOY = 'nobody has this password';

export class ChallengeDesk {
  readonly #key: Buffer;
  readonly #turns: Turns;
  /** As most accounts have it; where that is not known, as the first that was asked for. */
  #shape: Shape | null;

  /** `key`: what salts are made of; `accounts`: the secrets of each, as far as they are known ahead. */
  constructor(key: Buffer, turns: Turns, accounts: readonly (readonly string[])[] = []) {
    this.#key = key;
    this.#turns = turns;
    this.#shape = commonShape(accounts);
  }

  /** `name`: in the one spelling of all that the directory takes for it; `secrets`: of whom that is, null for nobody. */
  judge(name: string, secrets: readonly string[] | null): SecretsJudge {
    const { plain, isPlain, verifier } = usable(secrets ?? []);
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
    return plain.length > 0 ? this.#learnt(OWN) : (this.#shape ?? OWN);
  }

  #learnt(shape: Shape): Shape {
    this.#shape ??= shape;
    return shape;
  }

  /**
   * By the name and not by the account: that two names are one user is nobody's business. Two spellings of one name are
   * asked with one salt, or those of a user with stored keys would be told from those of nobody.
   */
  #saltFor(name: string, bytes: number): Buffer {
    const salt = createHmac('sha512', this.#key).update(name.toLowerCase()).digest();
    return salt.subarray(0, bytes);
  }
}

interface Usable {
  readonly plain: readonly string[];
  /** For SCRAM, too. */
  readonly isPlain: boolean;
  readonly verifier: ScramVerifier | null;
}

function usable(secrets: readonly string[]): Usable {
  const stored = secrets.slice(0, SECRETS_MAX);
  const plain = stored.flatMap((secret) => plainOf(secret) ?? []);
  const isPlain = plain.some((password) => prepared(password) !== null);
  // Any plain password fits a salt, keys fit their own only; and a password is worth more to the store.
  return { plain, isPlain, verifier: isPlain ? null : keysAmong(stored) };
}

/** null: nobody has anything of use. */
function commonShape(accounts: readonly (readonly string[])[]): Shape | null {
  const counted = new Map<string, { readonly shape: Shape; count: number }>();
  for (const secrets of accounts) {
    const { plain, verifier } = usable(secrets);
    if (verifier === null && plain.length === 0) continue;
    const shape = verifier === null ? OWN : shapeOf(verifier);
    const key = JSON.stringify(shape);
    const known = counted.get(key) ?? { shape, count: 0 };
    known.count++;
    counted.set(key, known);
  }
  return [...counted.values()].toSorted((one, other) => other.count - one.count)[0]?.shape ?? null;
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
