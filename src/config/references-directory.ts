// What the directory demands of the other settings: what its type needs, servers where it names no hosts.

import type { Report } from './check.ts';
import type { GivenSettings } from './entries.ts';
import { expectedOf } from './formats.ts';
import { isLoopback } from '../wire/address.ts';
import { checkSql } from './references-sql.ts';
import { backendSchema } from './schema-backend.ts';

export function checkDirectory(given: GivenSettings, report: Report): void {
  checkType(given, report);
  checkLdap(given, report);
  checkSql(given, report);
  const { type } = given.top.values.directory;
  for (const backend of given.backends.values()) {
    const { servers, hosts } = backend.values;
    const isNamed = type !== 'none' && (hosts.length > 0 || backend.isWrong('hosts'));
    if (servers !== null || isNamed || backend.isWrong('servers')) continue;
    const also = type === 'none' ? '' : '; or `hosts` that the directory may name';
    report.add([...backend.path, 'servers'], `missing, expected ${expectedOf(backendSchema.servers)}${also}`);
  }
}

function checkType({ top }: GivenSettings, report: Report): void {
  const { type, file, http, ldap, sql } = top.values.directory;
  if (top.isWrong('directory.type')) return;
  const needs = {
    file: file === null,
    http: http.url === null,
    ldap: ldap.urls.length === 0,
    sql: sql.url === null,
  };
  for (const [key, path] of [
    ['file', ['directory', 'file']],
    ['http', ['directory', 'http', 'url']],
    ['ldap', ['directory', 'ldap', 'urls']],
    ['sql', ['directory', 'sql', 'url']],
  ] as const) {
    if (top.isWrong(path.join('.'))) continue;
    if (type === key && needs[key]) report.add(path, `missing, type: ${key} needs it`);
    if (type !== key && !needs[key]) report.add(path, `only for type: ${key}, this is ${type}`);
  }
}

/** Whose password would go in clear, and bind names that have none. */
function checkLdap({ top, services }: GivenSettings, report: Report): void {
  const { type, ldap } = top.values.directory;
  const ofDomains = [...services.values()].flatMap(({ domains }) => [...domains.values()]);
  for (const { path, values } of ofDomains) {
    const isGiven = Object.values(values.ldap).some((value) => value !== null);
    if (isGiven && type !== 'ldap') report.add([...path, 'ldap'], `only for type: ldap, this is ${type}`);
  }
  if (type !== 'ldap') return;
  const all = [
    { path: ['directory', 'ldap'], ldap },
    ...ofDomains.map(({ path, values: { ldap: own } }) => ({
      path: [...path, 'ldap'],
      ldap: {
        // What is above is told there.
        urls: own.urls ?? [],
        bindDn: own.bindDn,
        bindPassword: own.bindPassword ?? ldap.bindPassword,
      },
    })),
  ];
  for (const { path, ldap: one } of all) {
    if (one.bindDn !== null && one.bindDn !== '' && one.bindPassword === null)
      report.add([...path, 'bindDn'], 'has no bindPassword, and without one a bind is anonymous');
    const clear = one.urls.find(
      ({ host, implicitTls }) => !implicitTls && host !== 'localhost' && !isLoopback(host),
    );
    const sends = (one.bindDn ?? ldap.bindDn) !== null || ldap.passwords === 'bind';
    if (clear === undefined || ldap.startTls || ldap.allowClear || !sends) continue;
    report.add(
      [...path, 'urls'],
      `passwords would go to ${clear.host} without TLS, expected ldaps://, startTls or allowClear: true`,
    );
  }
}
