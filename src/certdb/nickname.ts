// Nicknames of certificates: which ones can be, and which known ones are near to one that is not known. Pure.
// `module:nickname` is a certificate in a token, so a nickname of the database has no colon.

import { nearNames } from '../spelling.ts';

const MAX_NICKNAME_CHARS = 200;
const MAX_NEAR = 3;

/** What is wrong with it, or null. */
export function nicknameProblem(nickname: string): string | null {
  if (nickname.trim() === '') return 'a nickname is empty';
  if (nickname.length > MAX_NICKNAME_CHARS) return `a nickname has at most ${MAX_NICKNAME_CHARS} characters`;
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(nickname)) return 'a nickname has no control characters';
  if (nickname.includes(':')) return 'a nickname has no colon, which is for `module:nickname`';
  return null;
}

/** `, did you mean "a" or "b"?`, or what there is to say when nothing is near. */
export function nearNicknames(nickname: string, known: readonly string[]): string {
  if (known.length === 0) return ', it holds no certificate';
  const near = nearNames(nickname, known, MAX_NEAR).map((name) => `"${name}"`);
  return near.length > 0 ? `, did you mean ${near.join(' or ')}?` : '';
}
