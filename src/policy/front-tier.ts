// Whether a front tier shows the right password. Promises: the time it takes tells nothing of the password, and what is
// kept for the comparison is a digest.

import { createHash, timingSafeEqual } from 'node:crypto';

/** null where there is no password: then nobody has the right one. */
export function passwordCheck(password: string | null): ((shown: string) => boolean) | null {
  if (password === null) return null;
  const wanted = digest(password);
  return (shown) => timingSafeEqual(digest(shown), wanted);
}

function digest(password: string): Buffer {
  return createHash('sha256').update(password).digest();
}
