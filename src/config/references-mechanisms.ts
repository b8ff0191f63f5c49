// What mechanisms by challenge demand of the other settings: a directory that is asked who it is, and that gives more than
// a yes or no, or (a script for nginx) is shown a challenge and a digest.

import type { Reporter, Report } from './check.ts';
import type { GivenService, GivenSettings } from './entries.ts';
import type { Mechanism } from './settings.ts';
import { everyVariant } from './variants.ts';

const CHALLENGES: readonly Mechanism[] = ['CRAM-MD5', 'SCRAM-SHA-256', 'SCRAM-SHA-256-PLUS', 'APOP'];

export function checkMechanisms(given: GivenSettings, report: Report): void {
  for (const [service, told] of everyVariant(given, report)) checkChallenges(service, given, told);
}

function checkChallenges(
  { path: above, values, isWrong }: GivenService,
  given: GivenSettings,
  report: Reporter,
): void {
  const { protocol, mechanisms, verify } = values;
  checkRestriction({ path: above, values }, report);
  if (isWrong('mechanisms') || protocol === null) return;
  const path = [...above, 'mechanisms'];
  if (mechanisms.includes('APOP') && protocol !== 'pop3')
    report.add(path, `APOP is only for pop3, this is ${protocol}`);
  const listed = mechanisms.filter(
    (mechanism) => CHALLENGES.includes(mechanism) && (mechanism !== 'APOP' || protocol === 'pop3'),
  );
  if (listed.length === 0 || isWrong('verify')) return;
  const names = listed.join(', ');
  const isAsked = verify.kind === 'directory';
  const need = isAsked ? needOf(given, listed) : '`verify: directory`';
  const vain = isAsked && isScript(given) ? listed.filter(isScram).join(', ') : names;
  if (need !== null) report.add(path, `${vain} can be proven by stored passwords only, expected ${need}`);
  // An address that says this alone has the mechanisms of its service.
  if (!isAsked && above.includes('domains'))
    report.add([...above, 'verify'], `expected directory, which the mechanisms ${names} need`);
}

/** Without TLS, ours or a balancer's, there must be something that may go in clear. */
function checkRestriction({ path, values }: Pick<GivenService, 'path' | 'values'>, report: Reporter): void {
  const { restrictPlainPasswords, tls, proxyProtocol, mechanisms } = values;
  const isShut = restrictPlainPasswords && tls.mode === 'notls' && proxyProtocol.from === null;
  if (!isShut || mechanisms.some((mechanism) => CHALLENGES.includes(mechanism))) return;
  report.add(
    [...path, 'restrictPlainPasswords'],
    'nobody could log in: expected TLS, or a mechanism by challenge',
  );
}

/** What the directory would have to be; null: it is. */
function needOf(given: GivenSettings, listed: readonly Mechanism[]): string | null {
  const { top } = given;
  const { type, ldap } = top.values.directory;
  if (top.isWrong('directory.type') || type === 'none') return null;
  // The contract of auth_http has a challenge and an answer to it, and SCRAM has more of both.
  if (isScript(given))
    return listed.some(isScram) ? '`directory.type: file`, `ldap` or `sql`, found http' : null;
  return type === 'ldap' && ldap.passwords === 'bind'
    ? '`directory.ldap.passwords: compare`, found bind'
    : null;
}

function isScript({ top }: GivenSettings): boolean {
  return top.values.directory.type === 'http';
}

function isScram(mechanism: Mechanism): boolean {
  return mechanism.startsWith('SCRAM');
}
