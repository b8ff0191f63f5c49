// The servers behind, as far as a configutil listing knows of them: the hosts to which its webmail server speaks IMAP
// (local.service.proxy.imapport.HOST …). Everything else is a place to fill in.

import { isHostName } from '../items.ts';
import type { Line, Listing } from './configutil-listing.ts';
import { Commented, type SettingsMap } from './yaml-text.ts';

const PROXY = 'local.service.proxy';
const IMAP = 143;
const IMAPS = 993;
const FILL_IN = 'FILL IN: the servers behind; this name leads nowhere.';

export interface Wanted {
  readonly pop: boolean;
  readonly smtp: boolean;
}

export function importBackends(listing: Listing, wanted: Wanted): SettingsMap {
  const stores = proxyHosts(listing);
  const own = stores.get('');
  stores.delete('');
  const [only] = stores.size === 1 ? [...stores] : [];
  const backends: SettingsMap = {
    stores:
      only === undefined
        ? place('store.invalid', own ?? new Leg(), [FILL_IN])
        : place(only[0], own === undefined ? only[1] : only[1].over(own), [
            'From local.service.proxy.*: is this the store?',
          ]),
  };
  if (stores.size > 1) {
    for (const [host, leg] of stores) {
      const text = 'Known from local.service.proxy.*; no service leads to it yet.';
      backends[host] = place(host, own === undefined ? leg : leg.over(own), [text]);
    }
  }
  if (only === undefined) fillIn(listing, 'stores');
  if (wanted.pop) fillIn(listing, 'popstores');
  if (wanted.smtp) fillIn(listing, 'mta');
  if (wanted.pop) backends['popstores'] = new Commented([FILL_IN], { servers: ['store.invalid:110'] });
  if (wanted.smtp) backends['mta'] = new Commented([FILL_IN], { servers: ['mta.invalid:25'] });
  return backends;
}

function fillIn(listing: Listing, backend: string): void {
  const reason = 'the servers behind are not in a listing: fill in the place that stands for them';
  listing.notes.push({ file: null, line: null, option: `backends.${backend}.servers`, reason });
}

/** The leg to one host, or to all of them. */
class Leg {
  readonly port: number | null;
  readonly tls: boolean | null;
  readonly admin: string | null;

  constructor(given: { port?: number | null; tls?: boolean | null; admin?: string | null } = {}) {
    this.port = given.port ?? null;
    this.tls = given.tls ?? null;
    this.admin = given.admin ?? null;
  }

  /** What this one does not say, the general one does. */
  over(general: Leg): Leg {
    return new Leg({
      port: this.port ?? general.port,
      tls: this.tls ?? general.tls,
      admin: this.admin ?? general.admin,
    });
  }
}

function place(host: string, { port, tls, admin }: Leg, words: readonly string[]): Commented {
  const value: SettingsMap = { servers: [`${host}:${port ?? (tls === true ? IMAPS : IMAP)}`] };
  if (tls === true) value['tls'] = port === null || port === IMAPS ? 'implicit' : 'musttls';
  const account =
    admin === null
      ? []
      : [
          `An administrator logged in for the users of webmail. To do so here, put the password into a file (chmod 600):`,
          `  login: proxy`,
          `  admin: { user: ${JSON.stringify(admin)}, passwordFile: storeadmin.secret }`,
        ];
  return new Commented([...words, ...account], value);
}

/** '' is what holds for every host. */
function proxyHosts(listing: Listing): Map<string, Leg> {
  const legs = new Map<string, Leg>();
  const put = (line: Line, start: string, given: ConstructorParameters<typeof Leg>[0]): void => {
    const host = line.name.slice(start.length + 1).toLowerCase();
    if (host !== '' && !isHostName(host)) return listing.note(line, 'expected a host name at its end');
    legs.set(host, new Leg(given).over(legs.get(host) ?? new Leg()));
  };
  for (const line of listing.takeAll(`${PROXY}.imapport`)) {
    const port = Number(line.value);
    if (Number.isInteger(port) && port > 0 && port < 65_536) put(line, `${PROXY}.imapport`, { port });
    else listing.note(line, 'expected a port');
  }
  for (const line of listing.takeAll(`${PROXY}.imapssl`)) {
    put(line, `${PROXY}.imapssl`, { tls: /^(1|yes|on|true)$/i.test(line.value) });
  }
  for (const line of listing.takeAll(`${PROXY}.admin`)) {
    listing.note(
      line,
      'in a comment at the backend: an administrator logs in only where you say so (login: proxy)',
    );
    put(line, `${PROXY}.admin`, { admin: line.value });
  }
  for (const line of listing.takeAll(`${PROXY}.adminpass`)) {
    listing.note(
      line,
      'passwords are not carried over: put it into the file that `admin.passwordFile` of the backend names',
    );
  }
  return legs;
}
