// What is known of a client besides who it says that it is, for directories that want to know (a script for nginx). Promises:
// only what was found out anyway; of a certificate that is not believed no more than that. Never throws.

import type { Login } from '../identity/directory.ts';
import type { Client } from './client.ts';

type Surroundings = Pick<Login, 'tlsFacts' | 'certificateWord' | 'proxied' | 'clientName'>;

export async function surroundings(client: Client): Promise<Surroundings> {
  const { gate, leg, proxied, tier, outerTls } = client;
  const facts = outerTls ?? (tier === null ? leg.facts : null);
  const word = certificateWord(client);
  return {
    ...(facts === null ? {} : { tlsFacts: { version: facts.version, cipher: facts.cipher } }),
    ...(word === null ? {} : { certificateWord: word }),
    ...(proxied === null ? {} : { proxied }),
    ...(gate.dialect.protocol === 'smtp' ? { clientName: await client.name } : {}),
  };
}

/** null: its TLS does not end here, or nobody asked for one. */
function certificateWord({
  gate,
  leg,
  tier,
  outerTls,
}: Client): NonNullable<Login['certificateWord']> | null {
  if (tier !== null || outerTls !== null || gate.upgrader?.asksForCertificate !== true) return null;
  const { clientCertificate: shown } = leg;
  if (shown === null) return 'none';
  return shown.verified ? 'good' : { fault: shown.fault ?? 'invalid' };
}
