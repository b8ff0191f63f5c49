// What is wrong with a text of a directory in LDAP: a name, a filter with placeholders, a name to replay; null: nothing.

import { parseDn } from '../wire/ldap-dn.ts';
import { hasPlaceholder, parseReplayTemplate, parseSearchTemplate } from '../wire/login-template.ts';

export function nameProblem(text: string): string | null {
  const parsed = parseDn(text);
  return parsed.kind === 'malformed' ? parsed.reason : null;
}

export function searchProblem(text: string): string | null {
  const parsed = parseSearchTemplate(text, 'searchFormat');
  if ('problem' in parsed) return parsed.problem;
  // It would find the same entry for everybody.
  return hasPlaceholder(parsed.filter) ? null : 'nothing of the login is in it';
}

export function replayProblem(text: string): string | null {
  const parsed = parseReplayTemplate(text);
  return 'problem' in parsed ? parsed.problem : null;
}
