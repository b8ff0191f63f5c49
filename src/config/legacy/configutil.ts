// `sallyport import configutil`: what the TLS options of a Sun Messaging Server mean as settings of this one, for a front
// that takes the place of its IMAP, POP and SMTP servers towards the clients. Pure: text in, text out.
// Promises YAML that the settings reader takes, with comments where something must be filled in, and a note for every
// option that is not in it. A listing knows nothing of the servers behind, so their places stand for them: names under
// `.invalid`, which lead nowhere. No password of the listing comes out again.

import { isIP } from 'node:net';
import { isHostName, isModuleName } from '../items.ts';
import { importBackends } from './configutil-backends.ts';
import { Listing } from './configutil-listing.ts';
import { noteOthers } from './configutil-others.ts';
import { certificatesOf, ciphersIn, foreignModules, INTERNAL, nicknamesIn } from './nss-tls.ts';
import type { Imported } from './option-table.ts';
import { Commented, type SettingsMap, yamlText } from './yaml-text.ts';

const HEAD = [
  'From a configutil listing. Before it can serve: fill in the backends, bring the certificates over, and run',
  '`sallyport check`.',
];
const PORT = { min: 1, max: 65_535 };
const SHOWN_FIRST = 'Server-Cert';

export function importConfigutil(text: string): Imported {
  const listing = new Listing(text);
  if (listing.size === 0) {
    const problems = [
      'expected a listing by configutil of a Sun Messaging Server, found no line name = value',
    ];
    return { yaml: null, notes: listing.notes, companions: [], problems };
  }
  const isOn = isTlsOn(listing);
  const address = listenAddress(listing);
  const rules = { listing, isOn, address };
  const smtp = importSmtp(rules);
  const services = { ...importStore(rules, IMAP), ...importStore(rules, POP), ...smtp.services };
  const tls = importTls(listing);
  const settings: SettingsMap = {
    ...hostnameOf(listing),
    ...importDatabase(listing, foreignModules({ tls, services })),
    tls,
    ...importTickets(listing),
    services,
    ...smtp.channels,
    backends: importBackends(listing, {
      pop: Object.keys(services).some((name) => name.startsWith('pop')),
      smtp: Object.keys(smtp.services).length > 0,
    }),
  };
  noteOthers(listing);
  const notes = listing.notes.toSorted((a, b) => (a.line ?? Infinity) - (b.line ?? Infinity));
  return { yaml: yamlText(settings, HEAD), notes, companions: [], problems: [] };
}

function hostnameOf(listing: Listing): SettingsMap {
  const line = listing.take('local.hostname');
  if (line === null) return {};
  if (isHostName(line.value)) return { hostname: line.value };
  listing.note(line, 'expected a host name');
  return {};
}

function listenAddress(listing: Listing): string | null {
  const line = listing.take('service.listenaddr');
  if (line === null || /^(inaddr_any|0\.0\.0\.0)$/i.test(line.value)) return null;
  if (isIP(line.value) !== 0) return line.value.includes(':') ? `[${line.value}]` : line.value;
  listing.note(line, 'expected an IP address; the services listen on every address');
  return null;
}

/** Whether the server has TLS at all. */
function isTlsOn(listing: Listing): boolean {
  const master = listing.flag('nsserversecurity');
  const rsa = listing.flag('encryption.rsa.nssslactivation');
  if (master === false) {
    note(
      listing,
      'nsserversecurity',
      'it is off, so the services get no TLS (tls: notls); set musttls to give them TLS',
    );
  } else if (rsa === false) {
    note(
      listing,
      'encryption.rsa.nssslactivation',
      'RSA is off, and with it TLS (tls: notls); set musttls to give it',
    );
  }
  return master !== false && rsa !== false;
}

function note(listing: Listing, name: string, reason: string): void {
  const line = listing.take(name);
  if (line !== null) listing.note(line, reason);
}

/** A list of nicknames of different key types, each perhaps `module:nickname`; null: none was given. */
function nicknames(listing: Listing, name: string, module: string | null): string | string[] | null {
  const line = listing.take(name);
  return line === null ? null : nicknamesIn(listing, line, { between: ',', module });
}

/** The token whose certificates are shown where nothing else is said; null: the database's own. */
function tokenModule(listing: Listing): string | null {
  const token = listing.take('encryption.rsa.nsssltoken');
  if (token === null || INTERNAL.test(`${token.value}:`)) return null;
  if (isModuleName(token.value)) return token.value;
  listing.note(token, 'expected the name of a token; certificates are looked for in the database');
  return null;
}

function importTls(listing: Listing): SettingsMap {
  const module = tokenModule(listing);
  const personality = 'encryption.rsa.nssslpersonalityssl';
  const certificate =
    nicknames(listing, personality, module) ?? (module === null ? SHOWN_FIRST : `${module}:${SHOWN_FIRST}`);
  const settings: SettingsMap = { certificate };
  const suites = listing.take('encryption.nsssl3ciphers');
  const ciphers = suites === null ? null : ciphersIn(listing, suites);
  if (ciphers !== null) settings['ciphers'] = ciphers;
  const clients = importClientCertificates(listing);
  if (clients !== null) settings['clientCertificates'] = clients;
  return settings;
}

function importClientCertificates(listing: Listing): string | null {
  const line = listing.take('encryption.nssslclientauth');
  if (line === null) return null;
  if (/^(off|no|0|none)$/i.test(line.value)) return 'off';
  if (/^(on|yes|1|allowed|optional)$/i.test(line.value)) return 'auto';
  if (/^(required?|2)$/i.test(line.value)) {
    listing.note(
      line,
      'carried as auto; set tls.clientCertificates: require where nobody is served without one',
    );
    return 'auto';
  }
  listing.note(line, 'expected off, allowed or required');
  return null;
}

/** The NSS database stays what it is, as a module; a comment, since only its owner can say where it is now. */
function importDatabase(listing: Listing, modules: readonly string[]): SettingsMap {
  const path = listing.take('local.ssldbpath');
  const prefix = listing.take('local.ssldbprefix');
  if (prefix !== null)
    listing.note(prefix, 'an NSS database is opened without a prefix: copy its files to names without it');
  if (path !== null)
    listing.note(
      path,
      'in a comment: the database can be used as a module, or its certificates brought over',
    );
  for (const name of ['encryption.nscertfile', 'encryption.nskeyfile']) {
    note(
      listing,
      name,
      'the files of the old database: bring its certificates over, see the comment at `certificates`',
    );
  }
  const folder = path?.value ?? '/opt/sun/comms/messaging64/config';
  return { certificates: certificatesOf({ folder, prefix, modules }) };
}

/** Sessions live with the clients, as tickets, so that there is no cache to size; their age is that of the keys. */
function importTickets(listing: Listing): SettingsMap {
  for (const name of ['imap', 'pop']) {
    const line = listing.take(`service.${name}.sslcachesize`);
    if (line !== null) {
      const off = line.value === '0' ? '; it cannot be switched off' : '';
      listing.note(line, `there is no cache of sessions: clients keep them as tickets${off}`);
    }
  }
  note(listing, 'encryption.nssslsessiontimeout', 'for SSL 2, which is gone from TLS (RFC 6176)');
  const seconds = listing.number('encryption.nsssl3sessiontimeout', { min: 0, max: 604_800 });
  return seconds === null || seconds === 0 ? {} : { tickets: { rotate: seconds } };
}

interface Rules {
  readonly listing: Listing;
  readonly isOn: boolean;
  readonly address: string | null;
}

interface Store {
  readonly name: 'imap' | 'pop';
  readonly protocol: 'imap' | 'pop3';
  readonly port: number;
  readonly sslPort: number;
  readonly backend: string;
}

const IMAP: Store = { name: 'imap', protocol: 'imap', port: 143, sslPort: 993, backend: 'stores' };
const POP: Store = { name: 'pop', protocol: 'pop3', port: 110, sslPort: 995, backend: 'popstores' };

function importStore({ listing, isOn, address }: Rules, store: Store): Record<string, SettingsMap> {
  const { name, protocol, backend } = store;
  const certificate = nicknames(listing, `local.${name}.sslnicknames`, null);
  const shown = certificate === null ? {} : { certificate };
  const isServed = listing.flag(`service.${name}.enable`) !== false;
  const port = listing.number(`service.${name}.port`, PORT) ?? store.port;
  const usesTls = (listing.flag(`service.${name}.sslusessl`) ?? true) && isOn;
  const mode = modeOf(listing, name, usesTls);
  const hasPort = listing.flag(`service.${name}.enablesslport`) === true;
  const sslPort = listing.number(`service.${name}.sslport`, PORT) ?? store.sslPort;
  const listen = (number: number): string | number => (address === null ? number : `${address}:${number}`);
  const entry = (number: number, tls: SettingsMap | string): SettingsMap => ({
    protocol,
    listen: listen(number),
    tls,
    backend,
  });
  const services: Record<string, SettingsMap> = {};
  if (!isServed) return services;
  const ownTls = certificate === null || mode === 'notls' ? mode : { mode, ...shown };
  services[protocol] = entry(port, ownTls);
  if (hasPort && usesTls) {
    services[`${protocol}s`] = entry(
      sslPort,
      certificate === null ? 'implicit' : { mode: 'implicit', ...shown },
    );
  } else if (hasPort) {
    note(
      listing,
      `service.${name}.enablesslport`,
      'TLS is off for this service, so it has no port of its own for TLS',
    );
  }
  return services;
}

/** plaintextmincipher: below 0 no passwords, 0 also in clear, above only under TLS. */
function modeOf(listing: Listing, name: string, usesTls: boolean): string {
  const option = `service.${name}.plaintextmincipher`;
  const least = listing.number(option, { min: -1, max: 1024 }) ?? 0;
  if (least < 0) {
    note(listing, option, 'logins by password cannot be forbidden here; they need TLS (musttls)');
    return 'musttls';
  }
  if (least > 0 && !usesTls) {
    note(
      listing,
      option,
      'passwords need TLS, and TLS is off: it is on here (musttls), or nobody could log in',
    );
    return 'musttls';
  }
  if (least > 128)
    note(
      listing,
      option,
      'a strength above 128 bits is said with tls.ciphers; every cipher here has 128 or more',
    );
  if (least > 0) return 'musttls';
  return usesTls ? 'maytls' : 'notls';
}

/** SMTP has its ports and channels elsewhere; only where its certificate is named are there services for it. */
function importSmtp({ listing, address }: Rules): {
  services: Record<string, SettingsMap>;
  channels: SettingsMap;
} {
  const option = 'local.imta.sslnicknames';
  const certificate = nicknames(listing, option, null);
  if (certificate === null) return { services: {}, channels: {} };
  note(
    listing,
    option,
    'carried over; ports and channels of SMTP are not in a listing: compare services, channels and backends.mta with dispatcher.cnf and imta.cnf',
  );
  const listen = (number: number): string | number => (address === null ? number : `${address}:${number}`);
  const channels = new Commented(['The usual channels; compare their keywords with imta.cnf.'], {
    tcp_local: { keywords: 'smtp mx maytlsserver maysaslserver', relay: 'mta' },
    tcp_submit: { keywords: 'smtp mx musttlsserver mustsaslserver', relay: 'mta' },
  });
  return {
    services: {
      smtp: { protocol: 'smtp', listen: listen(25), tls: { certificate }, channel: 'tcp_local' },
      submission: { protocol: 'smtp', listen: listen(587), tls: { certificate }, channel: 'tcp_submit' },
    },
    channels: { channels },
  };
}
