// What there is to say of a certificate's dates. Pure.

const DAY_MS = 86_400_000;
const EXPIRY_WARNING_DAYS = 14;

export interface Validity {
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
}

export function dayText(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

/** null: it is valid for a while. */
export function validityWarning({ notBefore, notAfter }: Validity, now: number): string | null {
  if (now > notAfter) return `expired on ${dayText(notAfter)}`;
  if (now < notBefore) return `is not valid before ${dayText(notBefore)}`;
  const daysLeft = Math.floor((notAfter - now) / DAY_MS);
  return daysLeft < EXPIRY_WARNING_DAYS ? `expires on ${dayText(notAfter)}, in ${daysLeft} days` : null;
}
