// A service made ready to serve: its dialect, its rules for clients, its certificates, its backend. Made once per
// settings; connections keep the gate they came through, so a reload changes nothing for those that are open.

import type { CertMapping } from '../config/legacy/certmap.ts';
import type { Limits, Mechanism, ServiceSettings, Timeouts } from '../config/settings.ts';
import type { Reception } from '../identity/reception.ts';
import type { Log } from '../log.ts';
import type { Dialect, FrontRules, Offer } from '../protocol/dialect.ts';
import { isByChallenge } from '../protocol/mechanisms.ts';
import type { NetworkTable } from '../wire/network.ts';
import type { World } from '../world.ts';
import type { AdminLogin, Backend } from './backend-leg.ts';
import { peer } from './peer.ts';
import type { Placements } from './placements.ts';
import type { AccessRules } from '../wire/access-rules.ts';
import type { GateGrants } from './grants.ts';
import type { Guard } from './guard.ts';
import type { GateChannels } from './channel-course.ts';
import type { Upgrader } from './upgrader.ts';
import type { Refusals } from './refusals.ts';
import type { Balancers } from './proxy-header.ts';
import type { GateSpoof } from './spoof.ts';
import { type PasswordCheck, takesProven } from './verify.ts';

export interface Gate {
  readonly name: string;
  readonly dialect: Dialect;
  readonly settings: ServiceSettings;
  /** The same service for clients that have connected to an address with settings of its own; null: there is none. */
  readonly domains: ReadonlyMap<string, Gate> | null;
  /** Who logs in for others, whatever the backend; null: the admin of each. */
  readonly admin: AdminLogin | null;
  readonly rules: FrontRules;
  /** Null: no certificate, so no TLS. */
  readonly upgrader: Upgrader | null;
  readonly implicitTls: boolean;
  /** Null: nobody may speak for another. */
  readonly balancers: Balancers | null;
  /** For smtp that of the channel where connections start; client.backend is the current one. */
  readonly backend: Backend;
  /** null: everybody. */
  readonly access: AccessRules | null;
  readonly guard: Guard;
  /** null: there is no POP before SMTP. */
  readonly grants: GateGrants | null;
  /** Where users of hashed backends were put by hand. */
  readonly placements: Placements;
  /** null: a store that cannot be had is told as it is. */
  readonly spoof: GateSpoof | null;
  readonly refusals: Refusals;
  /** Who says whether a password is right before any backend is asked; null: the backend says it. */
  readonly passwordCheck: PasswordCheck | null;
  /** What certmap.conf says; null: a certificate stands for whoever has its mail address. */
  readonly certmap: readonly CertMapping[] | null;
  /** Who says whose mail is where; null: everybody's is at the backend. */
  readonly reception: Reception | null;
  /** A backend that the directory may name; null: there is none of that name here. */
  readonly backendNamed: (name: string) => Backend | null;
  /** How long the last wrong password took to be refused. */
  readonly refusalTime: { ms: number };
  /** Peers that may say who their client is. */
  readonly frontTier: NetworkTable<true>;
  /** smtp only. */
  readonly channels: GateChannels | null;
  readonly limits: Limits;
  readonly timeouts: Timeouts;
  readonly world: World;
  readonly log: Log;
}

/** What a service is for clients that have connected to an address of ours; that is asked for only where it matters. */
export function gateAt(service: Gate, address: () => string | undefined): Gate {
  if (service.domains === null) return service;
  return service.domains.get(peer(address(), 0).address) ?? service;
}

/** Where a service leads to, and who logs in there for others. */
export interface Lead {
  readonly backend: Backend;
  readonly admin: AdminLogin | null;
  /** Mechanisms that the directory judges, so that no backend has to know them. */
  readonly judged?: readonly Mechanism[];
}

/**
 * What clients of a service are shown of its backend. Where the backend cannot be asked, IMAP and POP3 clients see the
 * least that every store has; SMTP has no such least, so the failure is the client's answer (421).
 */
export function offerOf(
  service: ServiceSettings,
  dialect: Dialect,
  { backend, admin, judged = [] }: Lead,
): () => Promise<Offer> {
  const { settings } = backend;
  const passwords: readonly Mechanism[] = service.mechanisms.filter((m) => m === 'PLAIN' || m === 'LOGIN');
  const isTaken = takesProven({ admin, settings }, dialect.protocol);
  const provenHere: readonly Mechanism[] = service.mechanisms.filter(
    (m) => isByChallenge(m) || judged.includes(m) || (m === 'EXTERNAL' && isTaken),
  );
  // Nobody here can tell what a token is worth, and an administrator's login does not ask.
  const isProxy = settings.login === 'proxy';
  const allowed = service.mechanisms.filter((m) =>
    m === 'EXTERNAL' ? provenHere.includes(m) : passwords.includes(m) || provenHere.includes(m) || !isProxy,
  );
  if (service.capabilities !== null) {
    const fixed: Promise<Offer> = Promise.resolve({
      capabilities: service.capabilities,
      mechanisms: allowed,
    });
    return () => fixed;
  }
  const least: Offer = { capabilities: [], mechanisms: [...passwords, ...provenHere] };
  let seen: { readonly from: object; readonly offer: Offer } | null = null;
  return async () => {
    const known = await backend.knowledge().catch((error: unknown) => {
      if (service.protocol === 'smtp') throw error;
      return null;
    });
    if (known === null) return least;
    if (seen?.from === known) return seen.offer;
    const carriesPasswords =
      service.protocol !== 'smtp' || known.mechanisms.some((m) => m === 'PLAIN' || m === 'LOGIN');
    const offer: Offer = {
      capabilities: dialect.shown(known.capabilities, service.ehloKeywords),
      mechanisms: allowed.filter((mechanism) => {
        // RFC 4616 2: only PLAIN carries an identity to act as.
        const takesAdmin = admin === null || known.mechanisms.includes('PLAIN');
        if (provenHere.includes(mechanism)) return isTaken ? takesAdmin : carriesPasswords;
        return passwords.includes(mechanism) ? carriesPasswords : known.mechanisms.includes(mechanism);
      }),
    };
    seen = { from: known, offer };
    return offer;
  };
}
