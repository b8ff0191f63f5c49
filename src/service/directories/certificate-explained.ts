// Who would be logged in by a certificate at a service, and why: what `sallyport certmap` shows. The same steps as on the
// path of a connection, with the certificate from a file: whether it is believed, whom it stands for by certmap.conf or its
// mail address, where that user's mail is, and who logs in there. The directory is really asked; a responder (OCSP) is not.
// On failure: the directory's GateError.

import type { X509Certificate } from 'node:crypto';

import type { BackendSettings, ServiceSettings } from '../../config/settings.ts';
import { variantsOf } from '../../config/variants.ts';
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
  'user' | 'reason' | 'status' | 'backend' | 'hosts' | 'replay' | 'login'
>;

function outcomeOf(
  answer: CertificateAnswer,
  { configuration: { settings }, address, service: { domains } }: Question,
  service: ServiceSettings,
): Outcome {
  if (answer.kind !== 'account') {
    const reason = answer.kind === 'nobody' ? answer.reason : answer.text;
    return { user: null, reason, status: null, backend: null, hosts: [], replay: null, login: null };
  }
  const { account } = answer;
  const isMailbox = service.protocol !== 'smtp' && account.backend !== null;
  const backend = isMailbox ? settings.backends[account.backend ?? ''] : backendOf(settings, service);
  const admin = domains[address]?.admin?.user ?? backend?.admin?.user ?? null;
  return {
    user: account.user,
    reason: null,
    status: account.status,
    backend: backend?.name ?? null,
    hosts: service.protocol === 'smtp' ? [] : account.hosts,
    replay: account.replay,
    login: backend === undefined || backend === null ? null : loginThere(backend, admin, service),
  };
}

function loginThere(
  backend: BackendSettings,
  admin: string | null,
  { protocol }: ServiceSettings,
): string | null {
  if (admin !== null) return `as administrator ${admin} (PLAIN)`;
  return takesProven({ admin: null, settings: backend }, protocol) ? 'told, without a login' : null;
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
