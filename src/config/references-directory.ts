// What the directory demands of the other settings: what its type needs, servers where it names no hosts.

import type { Report } from './check.ts';
import type { GivenSettings } from './entries.ts';
import { expectedOf } from './formats.ts';
import { backendSchema } from './schema-backend.ts';

export function checkDirectory(given: GivenSettings, report: Report): void {
  checkType(given, report);
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
  const { type, file, http } = top.values.directory;
  if (top.isWrong('directory.type')) return;
  const needs = { file: file === null, http: http.url === null };
  for (const [key, path] of [
    ['file', ['directory', 'file']],
    ['http', ['directory', 'http', 'url']],
  ] as const) {
    if (top.isWrong(path.join('.'))) continue;
    if (type === key && needs[key]) report.add(path, `missing, type: ${key} needs it`);
    if (type !== key && !needs[key]) report.add(path, `only for type: ${key}, this is ${type}`);
  }
}
