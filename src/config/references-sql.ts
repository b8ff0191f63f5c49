// What a directory in a database demands: queries that can be understood, of which one finds users, backends that there
// are, and nothing in clear through a network.

import { isIP } from 'node:net';

import { isLoopback } from '../wire/address.ts';
import { parseSqlQuery, type SqlDialect } from '../wire/sql-template.ts';
import type { SqlPlace } from '../wire/sql-url.ts';
import type { Report } from './check.ts';
import type { GivenSettings } from './entries.ts';

type Given = GivenSettings['top']['values']['directory']['sql'];

const QUERIES = ['userQuery', 'domainQuery', 'mailQuery'] as const;

export function checkSql({ top, backends }: GivenSettings, report: Report): void {
  const { type, sql } = top.values.directory;
  if (type !== 'sql') return;
  const add = (key: string, text: string): void => report.add(['directory', 'sql', key], text);
  if (sql.userQuery === null && !top.isWrong('directory.sql.userQuery'))
    add('userQuery', 'missing, type: sql needs it');
  for (const name of sql.backends) {
    if (!backends.has(name)) add('backends', `there is no backend ${JSON.stringify(name)}`);
  }
  if (sql.url === null) return;
  const { dialect } = sql.url;
  for (const use of QUERIES) {
    const text = sql[use];
    const problem = text === null ? null : queryProblem(text, { dialect, use });
    if (problem !== null) add(use, problem);
  }
  if (sql.url.dialect !== 'sqlite') return checkWay(sql, sql.url.places, add);
  for (const key of ['password', 'tls', 'ca', 'tlsName'] as const) {
    if (sql[key] !== null) add(key, 'only for a server, SQLite is a file that is read as its rights allow');
  }
}

function queryProblem(
  text: string,
  as: { readonly dialect: SqlDialect; readonly use: (typeof QUERIES)[number] },
): string | null {
  const query = parseSqlQuery(text, as);
  return 'problem' in query ? query.problem : null;
}

function checkWay(
  { tls, tlsName, verifyCertificate, allowClear, url }: Given,
  places: readonly SqlPlace[],
  add: (key: string, text: string) => void,
): void {
  for (const place of places) {
    if (place.kind === 'unix') continue;
    const { host } = place;
    const isNear = host === 'localhost' || isLoopback(host);
    if (tls === 'off' && !isNear && !allowClear)
      add('url', `passwords would come from ${host} without TLS, expected tls: required or allowClear: true`);
    const isSecured = tls === 'required' || (tls === null && !isNear);
    // Its driver looks at names only.
    if (isSecured && url?.dialect === 'mysql' && verifyCertificate && isIP(tlsName ?? host) !== 0)
      add('tlsName', `missing, the certificate of ${host} is verified by a name`);
  }
}
