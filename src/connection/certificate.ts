// SASL EXTERNAL: who the client is by the certificate that it has shown. Promises: only a certificate of the client's own
// counts, that was verified on this very leg: not that of a front tier or of a balancer that has ended the client's TLS,
// nor what such a one says of the client's; whoever asks to act as somebody must be that somebody, in whatever spelling.
// A certificate that stands for nobody is no guess, since another try of the same certificate tells nobody anything;
// somebody else's name is one. On failure: the directory's GateError.

import type { Account, Login } from '../identity/directory.ts';
import { sameAddress } from '../identity/certificate-login.ts';
import type { Ruling } from '../identity/reception.ts';
import { type CertificateNames, readCertificateNames } from '../tls/certificate-names.ts';
import type { ClientCertificate } from '../tls/client-certificate.ts';
import type { Client } from './client.ts';

/** What the client itself has shown, where it is believed. */
export function ownCertificate({
  tier,
  outerTls,
  leg,
}: Pick<Client, 'tier' | 'outerTls' | 'leg'>): ClientCertificate | null {
  if (tier !== null || outerTls !== null) return null;
  return leg.clientCertificate?.verified === true ? leg.clientCertificate : null;
}

/** `login.id`: whom it asks to be, '' for whoever the certificate stands for. */
export async function identify(client: Client, login: Login): Promise<Ruling> {
  const { gate } = client;
  const own = ownCertificate(client);
  if (own === null) return unknown('it has shown no certificate of its own that is believed');
  if (gate.reception === null) return unknown('there is no directory that says whose certificate it is');
  const certificate = readCertificateNames(own.der);
  const mappings = gate.certmap;
  const asked = { ...login, byCertificate: true } as const;
  const found = await gate.reception.identify({ login: asked, certificate, mappings });
  if (found.kind === 'nobody') return unknown(found.reason);
  if (found.kind !== 'account') return found;
  const { account } = found;
  if (found.isAsked === true) return { kind: 'account', account, checked: true, proof: 'right' };
  if (certificate.kind === 'odd' || !(await isAsked(client, asked, { account, certificate })))
    return {
      kind: 'nobody',
      reason: `the certificate stands for ${account.user}, not for ${shown(login.id)}`,
    };
  return { kind: 'account', account, checked: true, proof: 'right' };
}

function unknown(reason: string): Ruling {
  return { kind: 'nobody', reason, isBlameless: true };
}

interface Proven {
  readonly account: Account;
  readonly certificate: CertificateNames;
}

/** RFC 4422 3.4.1: an identity to act as must be one that the proven one may take, and here that is its own. */
async function isAsked(client: Client, login: Login, { account, certificate }: Proven): Promise<boolean> {
  const { id } = login;
  const { alternative, subject } = certificate.mail;
  if (id === '' || id === account.user) return true;
  const { reception } = client.gate;
  const byMail = client.gate.certmap === null;
  const isAddress = byMail && [...alternative, ...subject].some((mail) => sameAddress(mail, id));
  if (reception === null) return false;
  const asked = await reception.ask({ login, password: null, checker: 'others' });
  if (asked.kind !== 'account') return isAddress;
  const { user } = asked.account;
  return user === account.user || (isAddress && sameAddress(user, account.user));
}

const NAME_MAX = 64;

function shown(name: string): string {
  return JSON.stringify(name.slice(0, NAME_MAX));
}
