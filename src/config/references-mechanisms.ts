// What mechanisms by challenge demand of the other settings: a directory that is asked who it is, and that gives more than
// a yes or no.

import type { Report } from './check.ts';
import type { GivenService, GivenSettings } from './entries.ts';
import type { Mechanism } from './settings.ts';

const CHALLENGES: readonly Mechanism[] = ['CRAM-MD5', 'SCRAM-SHA-256', 'SCRAM-SHA-256-PLUS', 'APOP'];

export function checkMechanisms(given: GivenSettings, report: Report): void {
  for (const service of given.services.values()) checkChallenges(service, given, report);
}

function checkChallenges(service: GivenService, given: GivenSettings, report: Report): void {
  const { protocol, mechanisms, verify } = service.values;
  if (service.isWrong('mechanisms') || protocol === null) return;
  const path = [...service.path, 'mechanisms'];
  if (mechanisms.includes('APOP') && protocol !== 'pop3')
    report.add(path, `APOP is only for pop3, this is ${protocol}`);
  const listed = mechanisms.filter(
    (mechanism) => CHALLENGES.includes(mechanism) && (mechanism !== 'APOP' || protocol === 'pop3'),
  );
  if (listed.length === 0 || service.isWrong('verify')) return;
  const names = listed.join(', ');
  const need = verify.kind === 'directory' ? needOf(given) : '`verify: directory`';
  if (need !== null) report.add(path, `${names} can be proven by stored passwords only, expected ${need}`);
}

/** What the directory would have to be; null: it is. */
function needOf({ top }: GivenSettings): string | null {
  const { type, ldap } = top.values.directory;
  if (top.isWrong('directory.type') || type === 'none') return null;
  if (type === 'http') return '`directory.type: file` or `ldap`, found http';
  return type === 'ldap' && ldap.passwords === 'bind'
    ? '`directory.ldap.passwords: compare`, found bind'
    : null;
}
