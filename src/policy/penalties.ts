// What failed logins cost an address (the MMP's BGPenalty and its kin): each adds to a delay that the next attempt has
// to wait for, up to a limit; the delay fades in a straight line or ends at once when it has aged. Pure. Times are
// milliseconds of the wall clock, so that they outlive a process and hold over machines.

export interface PenaltyRules {
  /** What one failed login adds. */
  readonly stepMs: number;
  readonly maxMs: number;
  /** Counted from the last failure. */
  readonly decayMs: number;
  /** The delay fades over `decayMs`; else it holds whole until then. */
  readonly linear: boolean;
}

export interface Penalty {
  readonly delayMs: number;
  /** The last failure. */
  readonly at: number;
}

/** How long an attempt has to wait now. */
export function delayOf(penalty: Penalty | null, now: number, rules: PenaltyRules): number {
  if (penalty === null) return 0;
  // A clock that was set back makes nobody younger.
  const age = Math.max(0, now - penalty.at);
  if (age >= rules.decayMs) return 0;
  const left = rules.linear ? penalty.delayMs * (1 - age / rules.decayMs) : penalty.delayMs;
  return Math.min(Math.ceil(left), rules.maxMs);
}

/** The penalty after `failures` more failures. */
export function worsened(
  penalty: Penalty | null,
  { now, failures = 1 }: { readonly now: number; readonly failures?: number },
  rules: PenaltyRules,
): Penalty {
  const before = delayOf(penalty, now, rules);
  return { delayMs: Math.min(before + failures * rules.stepMs, rules.maxMs), at: now };
}

/** Of two tellings of the same address, the one that makes it wait longer now. */
export function graver(
  a: Penalty | null,
  b: Penalty,
  { now, rules }: { now: number; rules: PenaltyRules },
): Penalty {
  return a !== null && delayOf(a, now, rules) > delayOf(b, now, rules) ? a : b;
}

/** When it is over, so that whoever keeps it may forget it. */
export function endOf(penalty: Penalty, rules: PenaltyRules): number {
  return penalty.at + rules.decayMs;
}
