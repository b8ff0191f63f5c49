// One set of users and domains for tests, in a schema that SQLite, PostgreSQL and MariaDB all take.

export const PASSWORD = 'a secret of anna';

const quoted = (value: string | null): string =>
  value === null ? 'NULL' : `'${value.replaceAll("'", "''")}'`;

export interface UserRow {
  readonly login: string;
  readonly host?: string;
  readonly replay?: string;
  readonly status?: string;
  readonly access?: string;
  readonly backend?: string;
  readonly password?: string;
}

export function tables(
  users: readonly UserRow[],
  domains: readonly {
    readonly name: string;
    readonly own?: string;
    readonly host?: string;
    readonly replay?: string;
  }[],
): string {
  return [
    'CREATE TABLE users (login VARCHAR(255) NOT NULL, hash VARCHAR(255), host VARCHAR(255), replay VARCHAR(255),',
    '  status VARCHAR(20), access VARCHAR(255), backend VARCHAR(20));',
    'CREATE TABLE domains (name VARCHAR(255) NOT NULL, own VARCHAR(255), host VARCHAR(255), replay VARCHAR(255));',
    ...users.map(({ login, host, replay, status, access, backend, password }) => {
      const values = [login, `{PLAIN}${password ?? PASSWORD}`, host, replay, status, access, backend];
      return `INSERT INTO users VALUES (${values.map((value) => quoted(value ?? null)).join(', ')});`;
    }),
    ...domains.map(({ name, own, host, replay }) => {
      const values = [name, own, host, replay];
      return `INSERT INTO domains VALUES (${values.map((value) => quoted(value ?? null)).join(', ')});`;
    }),
  ].join('\n');
}

/** With one letter case for all three. */
export const QUERIES = {
  userQuery:
    'SELECT login AS user, hash AS password, host AS hosts, replay, status, access, backend FROM users ' +
    'WHERE login = lower(:login)',
  mailQuery: 'SELECT login AS user, host AS hosts, replay, status FROM users WHERE login = lower(:mail)',
  domainQuery: 'SELECT own AS domain, host AS hosts, replay FROM domains WHERE name = :domain',
} as const;

/** PostgreSQL calls nothing `user` without quotes. */
export const POSTGRES_QUERIES = {
  ...QUERIES,
  userQuery: QUERIES.userQuery.replace('AS user', 'AS "user"'),
  mailQuery: QUERIES.mailQuery.replace('AS user', 'AS "user"'),
} as const;

export const LOOKUP = { user: 'lookup', password: 'of the lookup' } as const;

export const POSTGRES_ROLE = `CREATE ROLE ${LOOKUP.user} LOGIN PASSWORD '${LOOKUP.password}';
GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${LOOKUP.user};
`;

export const MARIADB_ROLE = ['127.0.0.1', 'localhost']
  .map(
    (host) =>
      `CREATE USER '${LOOKUP.user}'@'${host}' IDENTIFIED BY '${LOOKUP.password}';
GRANT SELECT ON mail.* TO '${LOOKUP.user}'@'${host}';
`,
  )
  .join('');
