// A directory in a database for tests: settings, logins and a directory over any source.

import { inlineSecret } from '../../src/config/secret.ts';
import type { SqlSettings } from '../../src/config/settings.ts';
import { splitLoginId } from '../../src/identity/login-id.ts';
import { SqlDirectory } from '../../src/identity/sql/directory.ts';
import { openSource } from '../../src/identity/sql/servers.ts';
import type { SqlSource } from '../../src/identity/sql/source.ts';
import { createLog, type Log } from '../../src/log.ts';
import { parseSqlUrl } from '../../src/wire/sql-url.ts';
import { realWorld, type World } from '../../src/world.ts';

export function sqlSettings(url: string, changes: Partial<SqlSettings> = {}): SqlSettings {
  const parsed = parseSqlUrl(url);
  if ('problem' in parsed) throw new TypeError(parsed.problem);
  return {
    url: parsed,
    password: inlineSecret('never used'),
    userQuery: 'SELECT * FROM users WHERE login = :login',
    domainQuery: null,
    mailQuery: null,
    backends: [],
    replayFormat: null,
    tls: null,
    verifyCertificate: true,
    ca: null,
    tlsName: null,
    allowClear: false,
    connections: 4,
    timeoutMs: 5000,
    retryMs: 30_000,
    refreshMs: 0,
    ...changes,
  };
}

export interface SqlRig {
  readonly directory: SqlDirectory;
  readonly source: SqlSource;
  /** Lines of the log. */
  readonly events: string[];
}

export interface SqlRigOptions {
  readonly settings: SqlSettings;
  readonly password?: string;
  readonly ca?: string;
  readonly defaultDomain?: string;
  readonly world?: World;
  /** In place of what the settings name. */
  readonly source?: SqlSource;
}

export function openSqlDirectory(options: SqlRigOptions): SqlRig {
  const { settings, password = null, ca = null, defaultDomain = null, world = realWorld } = options;
  const events: string[] = [];
  const log: Log = createLog({ level: 'debug', format: 'text', write: (line) => void events.push(line) });
  const source = options.source ?? openSource({ settings, password, ca, world, log });
  const directory = new SqlDirectory({
    settings,
    source,
    split: ({ id }) => {
      const rules = { defaultDomain, delimiters: '@', canonicalDelimiter: '@' };
      const { user, domain } = splitLoginId(id, rules);
      return { user, domain, delimiter: '@' };
    },
    domainCache: { ttlMs: 900_000, missTtlMs: 60_000, max: 1000 },
    world,
    log,
  });
  return { directory, source, events };
}
