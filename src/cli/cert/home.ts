// Where a certificate lives, by how it is called: `nickname` in the database, `module:nickname` in a token.

import { nicknameProblem } from '../../certdb/nickname.ts';
import { INTERNAL_NAMES } from '../../config/password-file.ts';
import { SettingsError } from '../../errors.ts';

export type Home =
  | { readonly kind: 'database'; readonly nickname: string }
  | { readonly kind: 'token'; readonly module: string; readonly nickname: string };

export function homeOf(alias: string): Home {
  const colon = alias.indexOf(':');
  const isInternal = colon > 0 && INTERNAL_NAMES.includes(alias.slice(0, colon));
  if (colon < 0 || isInternal) return { kind: 'database', nickname: alias.slice(colon + 1) };
  return { kind: 'token', module: alias.slice(0, colon), nickname: alias.slice(colon + 1) };
}

/** The nickname in the database. An Error for what cannot be one. */
export function nicknameOf(alias: string): string {
  const home = homeOf(alias);
  if (home.kind === 'token')
    throw new SettingsError([`"${alias}" is a certificate in a token, which this verb cannot work on`]);
  const problem = nicknameProblem(home.nickname);
  if (problem !== null) throw new SettingsError([problem]);
  return home.nickname;
}
