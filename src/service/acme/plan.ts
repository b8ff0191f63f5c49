// When a certificate is ordered by ACME, and how long to wait after a failure. Pure.

export interface CertificateLife {
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly names: readonly string[];
  /** It only holds the place. */
  readonly isSelfSigned: boolean;
}

export interface Renewal {
  /** Host names, lower case. */
  readonly names: readonly string[];
  /** null: a third of its life. */
  readonly renewBeforeMs: number | null;
}

/** Five failed validations an hour are what Let's Encrypt allows for one name. */
const RETRY_FIRST_MS = 900_000;
const RETRY_MAX_MS = 86_400_000;
/** Part of a wait by which servers are spread. */
const JITTER = 0.1;
/** A CA that wants more than this is asked again all the same. */
const PATIENCE_MAX_MS = 7 * 86_400_000;

/** Milliseconds since 1970; 0: at once. `life` is null where there is no certificate of that type of key. */
export function dueAt(life: CertificateLife | null, { names, renewBeforeMs }: Renewal): number {
  if (life === null || life.isSelfSigned) return 0;
  const covered = new Set(life.names.map((name) => name.toLowerCase()));
  // One that is for more than is wanted is good until its time.
  if (!names.every((name) => covered.has(name))) return 0;
  const { notBefore, notAfter } = life;
  const whole = notAfter - notBefore;
  // Whatever the settings say: a certificate that is renewed all the time is what CAs limit.
  return notAfter - Math.min(renewBeforeMs ?? whole / 3, whole / 2);
}

/** `failures` so far, this one included; `spread` from 0 to 1. */
export function retryWait(failures: number, retryAfterMs: number | null, spread: number): number {
  const own = Math.min(RETRY_FIRST_MS * 2 ** (failures - 1), RETRY_MAX_MS);
  const asked = Math.min(retryAfterMs ?? 0, PATIENCE_MAX_MS);
  return Math.round(Math.max(own, asked) * (1 + JITTER * spread));
}
