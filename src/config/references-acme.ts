// What the settings of ACME demand of each other and of the services: consent, both halves of a binding, addresses that
// no service has.

import { formatHostPort, ipOf } from '../wire/address.ts';
import type { Report } from './check.ts';
import type { GivenAcme, GivenSettings } from './entries.ts';
import { LETS_ENCRYPT } from './schema-acme.ts';
import type { Endpoint } from './settings.ts';

export function checkAcme(given: GivenSettings, report: Report): void {
  const { acme } = given;
  if (acme === null) return;
  const { path, values } = acme;
  if (!values.agreeTerms && !acme.isWrong('agreeTerms')) {
    const isPublic = values.directory === LETS_ENCRYPT && !acme.isWrong('directory');
    const terms = isPublic
      ? 'https://letsencrypt.org/repository/'
      : 'the place that its directory names as termsOfService';
    report.add([...path, 'agreeTerms'], `expected true: you agree to the CA's terms of service, at ${terms}`);
  }
  checkBinding(acme, report);
  for (const [index, endpoint] of (values.listen ?? []).entries()) {
    const problem = addressProblem(endpoint, given);
    const item = (values.listen ?? []).length > 1 ? [index] : [];
    if (problem !== null) report.add([...path, 'listen', ...item], problem);
  }
}

// RFC 8555 7.3.4: a key identifier and a MAC key.
function checkBinding({ path, values: { eab }, isWrong }: GivenAcme, report: Report): void {
  if ((eab.kid === null) === (eab.key === null) || isWrong('eab.kid') || isWrong('eab.key')) return;
  const [lacks, has] = eab.kid === null ? ['kid', 'key'] : ['key', 'kid'];
  report.add([...path, 'eab', lacks], `missing, there is eab.${has} and the two belong together`);
}

function addressProblem(endpoint: Endpoint, { services }: GivenSettings): string | null {
  if (endpoint.kind === 'unix') return 'expected address:port, a CA connects to no Unix socket';
  if (endpoint.port === 0) return 'expected a port, a CA cannot look for it';
  const address = addressOf(endpoint);
  for (const [name, { values }] of services) {
    const isTaken = (values.listen ?? []).some((other) => addressOf(other) === address);
    if (isTaken) return `${address} is taken by services.${name} already`;
  }
  return null;
}

function addressOf(endpoint: Endpoint): string {
  if (endpoint.kind === 'unix') return `unix:${endpoint.path}`;
  return formatHostPort(ipOf(endpoint.host)?.address ?? endpoint.host, endpoint.port);
}
