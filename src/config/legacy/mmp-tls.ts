// The TLS options of the MMP: what is shown, with which ciphers, and whose NSS database it comes from. Pure.

import { isIP } from 'node:net';
import { dirname } from 'node:path';
import type { Instance, Migration, Section } from './mmp-files.ts';
import { isAny, sourced } from './mmp-files.ts';
import { Everywhere } from './mmp-scope.ts';
import { ciphersIn, nicknamesIn, databaseComment } from './nss-tls.ts';
import type { Line, OptionTable } from './option-table.ts';
import { Commented, type SettingsMap } from './yaml-text.ts';

const USUAL = 'Server-Cert';
const FOLDER = '/opt/SUNWmsgsr/config';
const PASSWORDS = 'sslpassword.conf';
const FILES = ['SSLCertFile', 'SSLKeyFile', 'SSLSecmodFile', 'SSLCertPrefix', 'SSLKeyPrefix'] as const;

/** Whether an instance has TLS; off, if nothing is said. */
export function hasTls(options: Section): boolean {
  return options.flag('SSLEnable') === true;
}

/** What one instance shows. */
export function shownBy(options: Section): SettingsMap {
  const names = options.take('SSLCertNicknames');
  const certificate =
    names === null || names.value === '' ? null : nicknamesIn(options, names, { between: ' ', module: null });
  const suites = options.take('SSLCipherSpecs');
  const ciphers = suites === null || suites.value === '' ? null : ciphersIn(options, suites);
  if (Array.isArray(certificate) && names !== null)
    options.note(
      names,
      'carried as a list, which is for keys of different types (RSA, ECDSA): of one type name one certificate',
    );
  return {
    ...(names === null || certificate === null
      ? { certificate: USUAL }
      : { certificate: sourced(names, certificate) }),
    ...(suites === null ? {} : { ciphers: sourced(suites, ciphers ?? 'default') }),
  };
}

/** The database of certificates, with what is to be done by hand; the same for all proxies. */
export function certificatesOf(
  instances: readonly Instance[],
  migration: Migration,
  { table, modules }: { readonly table: OptionTable; readonly modules: readonly string[] },
): Commented {
  const named = new Map<string, Line>();
  for (const { options } of instances) {
    for (const name of FILES) {
      const line = options.take(name);
      if (line === null) continue;
      options.note(
        line,
        'not carried: bring keys and certificates over one by one, see the comment at `certificates`',
      );
      if (line.value !== '' && !named.has(name)) named.set(name, line);
    }
  }
  const path = named.get('SSLCertFile') ?? named.get('SSLKeyFile') ?? named.get('SSLSecmodFile');
  const folder = path === undefined ? FOLDER : dirname(path.value);
  const stubs = Object.fromEntries(modules.map((name) => [name, `./library-of-${name}.so`]));
  return new Commented(
    [
      ...databaseComment({ folder, prefix: named.get('SSLCertPrefix') ?? null, modules }),
      'CAs come over by certutil -L -d FOLDER -n NICKNAME -a > FILE and `sallyport cert add-cert -C NICKNAME FILE`;',
      '`sallyport cert trust NICKNAME CT,,` lets those whom it has certified log in by certificate (CertMapFile).',
    ],
    {
      database: './certs',
      ...passwordsOf(
        new Everywhere(
          instances.filter(({ options }) => hasTls(options)),
          table,
        ),
        migration,
      ),
      ...(modules.length > 0 ? { modules: stubs } : {}),
    },
  );
}

/** sslpassword.conf comes over as it is: its form is ours too. */
function passwordsOf(everywhere: Everywhere, migration: Migration): SettingsMap {
  const line = everywhere.take('SSLKeyPasswdFile');
  if (line === null) return {};
  const name = line.value === '' ? null : line.value;
  const found = name === null ? null : migration.files.read(name);
  if (name === null || found === null) {
    everywhere.table.note(
      line,
      name === null
        ? 'it names no file: `sallyport cert` makes a password by itself'
        : 'the file is not there: `sallyport cert` makes a password by itself',
    );
    return {};
  }
  const rows = found.text.split(/\r?\n/);
  for (const [index, row] of rows.entries()) {
    if (row.trim() === '' || row.startsWith('#') || /^[^:]+:./.test(row)) continue;
    migration.notes.push({
      file: found.path,
      line: index + 1,
      option: null,
      reason: 'expected moduleName:password; left out',
    });
  }
  const text = rows.filter((row) => row.startsWith('#') || /^[^:]+:./.test(row)).join('\n');
  if (text === '') return {};
  migration.companions.push({ name: PASSWORDS, text: `${text}\n` });
  return { passwordFile: sourced(line, `./${PASSWORDS}`) };
}

/** Numbers in words that are no ports, and the usual one: rather too many have TLS than too few. */
function portsIn(wrong: readonly string[], usual: string): string[] {
  return wrong.length === 0 ? [] : [usual, ...wrong.flatMap((text) => text.match(/\d+/g) ?? [])];
}

/** Ports that speak TLS from the first byte. */
export function securePorts({ protocol, options }: Instance): {
  readonly isSecure: (place: { host: string | null; port: number }) => boolean;
  readonly line: Line | null;
} {
  const line = options.take('SSLPorts');
  const usual = { imap: '993', pop3: '995', smtp: '465' }[protocol];
  const texts = (line?.value ?? usual).split(/[|,\s]+/).filter((text) => text !== '');
  const wrong = texts.filter((text) => !/^(\S*:)?\d{1,5}$/.test(text));
  if (line !== null && wrong.length > 0)
    options.note(line, `expected ports with | between them; what can be read of it counts, and ${usual}`);
  const wanted = [...texts.filter((text) => !wrong.includes(text)), ...portsIn(wrong, usual)].map((text) => {
    const at = text.lastIndexOf(':');
    const host = at <= 0 ? null : text.slice(0, at).replace(/^\[(.*)\]$/, '$1');
    return { host: host !== null && isIP(host) === 0 ? null : host, port: Number(text.slice(at + 1)) };
  });
  return {
    line,
    // A port that is named with one address and served on all is never left without TLS for that.
    isSecure: ({ host, port }) =>
      wanted.some(
        (place) => place.port === port && (isAny(place.host) || isAny(host) || place.host === host),
      ),
  };
}
