// Who would be logged in by a certificate at a service, and why: what `sallyport certmap` shows. The same steps as on the
// path of a connection, with the certificate from a file: whether it is believed, whom it stands for by certmap.conf or its
// mail address, where that user's mail is, and who logs in there. The directory is really asked; a responder (OCSP) is not.
// On failure: the directory's GateError.

import type { X509Certificate } from 'node:crypto';

import type { BackendSettings, ServiceSettings } from '../../config/settings.ts';
import { variantsOf } from '../../config/variants.ts';
import { namedServer } from '../../connection/backend-hosts.ts';
import { takesProven } from '../../connection/verify.ts';
import { accountOfCertificate } from '../../identity/certificate-login.ts';
import type { Account, CertificateAnswer, Login } from '../../identity/directory.ts';
import { createLog } from '../../log.ts';
import { readCertificateNames } from '../../tls/certificate-names.ts';
import {
  ClientCertificates,
  type ClientCertificateFault,
  factsOf,
  type ClientTrust,
} from '../../tls/client-certificate.ts';
import type { World } from '../../world.ts';
import { backendOf } from '../backends/backends.ts';
import { judgedMechanisms } from './certificate-logins.ts';
import { certmapOf } from './certmaps.ts';
import type { Configuration } from '../configuration.ts';
import { makeDirectory } from './directories.ts';

export interface ExplainedCertificate {
  readonly service: string;
  readonly subject: string;
  readonly issuer: string;
  readonly serial: string;
  readonly fingerprint256: string;
  /** null: the service would believe it. */
  readonly notBelieved: ClientCertificateFault | 'not-asked-for' | 'not-served' | null;
  /** certmap.conf; null: there is none. */
  readonly certmap: string | null;
  readonly steps: readonly string[];
  /** null: nobody. */
  readonly user: string | null;
  /** Why it is nobody. */
  readonly reason: string | null;
  readonly status: Account['status'] | null;
  readonly backend: string | null;
  /** Mail hosts that the directory names. */
  readonly hosts: readonly string[];
  /** What the user is called there. */
  readonly replay: string | null;
  /** How the user is logged in there; null: nobody can. */
  readonly login: string | null;
  /** Rules of the user, which are about where the client is. */
  readonly access: readonly string[];
  /** What else stands in the way, in words. */
  readonly obstacles: readonly string[];
}

export interface Question {
  readonly configuration: Configuration;
  readonly service: ServiceSettings;
  /** Of ours, where clients connect to. */
  readonly address: string;
  readonly certificate: X509Certificate;
  /** What came with it. */
  readonly others: readonly X509Certificate[];
}

export async function explainCertificate(question: Question, world: World): Promise<ExplainedCertificate> {
  const { configuration, address, certificate } = question;
  const { settings, material } = configuration;
  const service = variantsOf(question.service).get(address) ?? question.service;
  const { subject, issuer, serial, fingerprint256 } = factsOf(certificate, null);
  const directory = makeDirectory({
    settings,
    material: material.directory,
    world,
    log: createLog({ level: 'error', format: 'json', write: () => undefined }),
  });
  try {
    const answer = await accountOfCertificate(directory, {
      login: loginOf(question, { subject, issuer, serial }),
      certificate: readCertificateNames(certificate.raw),
      mappings: certmapOf(service, material.certmaps),
    });
    return {
      service: service.name,
      subject,
      issuer,
      serial,
      fingerprint256,
      notBelieved: faultOf(question, world.now()),
      certmap: service.certmap,
      steps: answer.steps,
      ...outcomeOf(answer, question, service),
    };
  } finally {
    directory.close();
  }
}

function faultOf(
  { configuration, service, certificate, others }: Question,
  now: number,
): ExplainedCertificate['notBelieved'] {
  const trust: ClientTrust | null = configuration.material.services[service.name]?.clients ?? null;
  // Before the first start there is no certificate of our own, and nothing to ask clients in.
  if (trust === null) return service.name in configuration.trust.clients ? 'not-served' : 'not-asked-for';
  return new ClientCertificates(trust).judgeAlone(certificate, others, now);
}

type Outcome = Pick<
  ExplainedCertificate,
  'user' | 'reason' | 'status' | 'backend' | 'hosts' | 'replay' | 'login' | 'access' | 'obstacles'
>;

const NOBODY = {
  user: null,
  status: null,
  backend: null,
  hosts: [],
  replay: null,
  login: null,
  access: [],
  obstacles: [],
};

function outcomeOf(
  answer: CertificateAnswer,
  { configuration: { settings }, address, service: { domains } }: Question,
  service: ServiceSettings,
): Outcome {
  if (answer.kind !== 'account')
    return { ...NOBODY, reason: answer.kind === 'nobody' ? answer.reason : answer.text };
  const { account } = answer;
  const isMailbox = service.protocol !== 'smtp' && account.backend !== null;
  const front = backendOf(settings, service);
  const backend = isMailbox ? settings.backends[account.backend ?? ''] : front;
  const own = domains[address]?.admin?.user ?? null;
  const admin = own ?? backend?.admin?.user ?? null;
  const hosts = service.protocol === 'smtp' ? [] : account.hosts;
  const needsAdmin = own === null && !judgedMechanisms(service, settings).includes('EXTERNAL');
  return {
    user: account.user,
    reason: null,
    status: account.status,
    backend: backend?.name ?? null,
    hosts,
    replay: account.replay,
    login: loginThere(backend ?? null, service, {
      admin,
      hasPassword: account.replayPassword !== undefined,
    }),
    access: account.access,
    obstacles: [
      ...hiddenBy(service, needsAdmin ? front : null),
      ...strayHosts(hosts, backend ?? null, service),
    ],
  };
}

/** Why clients are offered no EXTERNAL, whoever they are. `front`: who has to have an administrator for that. */
function hiddenBy({ name, protocol, mechanisms }: ServiceSettings, front: BackendSettings | null): string[] {
  if (!mechanisms.includes('EXTERNAL')) return [`services.${name}.mechanisms leaves EXTERNAL out`];
  // A switch of channels may lead to a relay that has one.
  if (protocol === 'smtp' || front === null || front.admin !== null) return [];
  return [`services.${name} offers no EXTERNAL, since backends.${front.name} has no admin`];
}

function strayHosts(
  hosts: readonly string[],
  backend: BackendSettings | null,
  { protocol }: ServiceSettings,
): string[] {
  if (backend === null) return [];
  const stray = hosts.filter((host) => namedServer(host, backend, protocol) === null);
  return stray.map((host) => `backends.${backend.name}.hosts does not allow ${host}`);
}

function loginThere(
  backend: BackendSettings | null,
  { protocol }: ServiceSettings,
  { admin, hasPassword }: { readonly admin: string | null; readonly hasPassword: boolean },
): string | null {
  if (backend === null) return null;
  if (admin === null && takesProven({ admin, settings: backend }, protocol)) return 'told, without a login';
  if (hasPassword) return 'with the password that the script gives (PLAIN)';
  return admin === null ? null : `as administrator ${admin} (PLAIN)`;
}

function loginOf(
  { service, address, certificate: { raw } }: Question,
  { subject, issuer, serial }: { readonly subject: string; readonly issuer: string; readonly serial: string },
): Login {
  return {
    id: '',
    service: service.name,
    protocol: service.protocol,
    tls: true,
    client: { address: '127.0.0.1', port: 0 },
    server: { address, port: 0 },
    certificateSubject: subject,
    certificate: { issuer, serial, der: raw },
    byCertificate: true,
  };
}
