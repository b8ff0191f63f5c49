// `sallyport certmap`: which user a certificate stands for at a service, and every step on the way there. Changes nothing;
// the directory is asked as it would be for a login. Exit codes: 0 there is a user who would be logged in, 1 there is none,
// or nobody can tell, 78 wrong settings.

import { readFileSync, statSync } from 'node:fs';
import { X509Certificate } from 'node:crypto';

import { findSettingsFile } from '../config/load.ts';
import type { ServiceSettings } from '../config/settings.ts';
import { explain, harmless } from '../log.ts';
import {
  explainCertificate,
  type ExplainedCertificate,
} from '../service/directories/certificate-explained.ts';
import { type Configuration, createConfigurationSource } from '../service/configuration.ts';
import {
  CONFIG_HELP,
  CONFIG_OPTION,
  DONE,
  FAILED,
  JSON_HELP,
  JSON_OPTION,
  textOption,
  WRONG_USAGE,
} from './usage.ts';
import type { Command, OptionValues, Program } from './usage.ts';

export const certmap: Command = {
  name: 'certmap',
  summary: 'tells which user the certificate of a client stands for, and why',
  options: {
    ...CONFIG_OPTION,
    service: { type: 'string' },
    address: { type: 'string' },
    ...JSON_OPTION,
  },
  operands: ['CERT'],
  help:
    `\n  CERT         file with the certificate, PEM or DER; in PEM those of its CAs may follow\n` +
    `  --service S  at this service; default: the first that asks clients for certificates\n` +
    `  --address A  for clients that connect to this address of ours, where \`domains\` differ\n${CONFIG_HELP}${JSON_HELP}`,
  async run(values, program) {
    const file = findSettingsFile(textOption(values, 'config'));
    const source = createConfigurationSource({ file, world: program.world, missing: 'foresee' });
    return tell(await source.load(), values, program);
  },
};

async function tell(configuration: Configuration, values: OptionValues, program: Program): Promise<number> {
  const service = serviceOf(configuration, textOption(values, 'service'));
  if (typeof service === 'string') {
    program.err(`sallyport certmap: ${service}\n`);
    return WRONG_USAGE;
  }
  const path = textOption(values, 'CERT') ?? '';
  const read = readCertificates(path);
  if (typeof read === 'string') {
    program.err(`${path}: ${read}\n`);
    return FAILED;
  }
  const [certificate, ...others] = read;
  const address = textOption(values, 'address') ?? '';
  const answer = await explainCertificate(
    { configuration, service, address, certificate, others },
    program.world,
  );
  program.out(values['json'] === true ? `${JSON.stringify(answer, null, 2)}\n` : explanation(answer));
  return answer.user !== null && problemsOf(answer).length === 0 ? DONE : FAILED;
}

function serviceOf({ settings, trust }: Configuration, name: string | undefined): ServiceSettings | string {
  const { services } = settings;
  if (name !== undefined)
    return services[name] ?? `there is no service ${name}, but ${Object.keys(services).join(', ') || 'none'}`;
  const all = Object.values(services);
  return all.find((service) => service.name in trust.clients) ?? all[0] ?? 'there is no service';
}

const FILE_BYTES_MAX = 1_048_576;
const CERTIFICATES_MAX = 50;

function readCertificates(path: string): readonly [X509Certificate, ...X509Certificate[]] | string {
  try {
    if (statSync(path).size > FILE_BYTES_MAX) return `expected at most ${FILE_BYTES_MAX} bytes`;
    const bytes = readFileSync(path);
    const blocks = bytes
      .toString('latin1')
      .match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g);
    const [first, ...rest] = (blocks ?? [bytes])
      .slice(0, CERTIFICATES_MAX)
      .map((block) => new X509Certificate(block));
    return first === undefined ? 'expected a certificate' : [first, ...rest];
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && /^E[A-Z]+$/.test(String(error.code));
    return isMissing ? `cannot be read (${explain(error)})` : 'expected a certificate in PEM or DER';
  }
}

/** Why nobody would be logged in, as far as that is known. */
function problemsOf(answer: ExplainedCertificate): string[] {
  const { notBelieved, user, status, backend, login, service } = answer;
  const problems: string[] = [...answer.obstacles];
  if (notBelieved === 'not-asked-for')
    problems.push(`services.${service} asks clients for no certificate: no CA is trusted for them there`);
  else if (notBelieved === 'not-served')
    problems.push(`services.${service} has no certificate of its own yet, it is made at the first start`);
  else if (notBelieved !== null) problems.push(`services.${service} does not believe it: ${notBelieved}`);
  if (user === null) return problems;
  if (status !== 'active') problems.push(`the account is ${status}`);
  if (login === null) problems.push(`nobody can log in for others at backends.${backend}: it has no admin`);
  return problems;
}

function explanation(answer: ExplainedCertificate): string {
  const {
    subject,
    issuer,
    serial,
    certmap: conf,
    steps,
    user,
    backend,
    hosts,
    replay,
    login,
    access,
  } = answer;
  const lines = [
    `certificate: ${subject === '' ? '(empty subject)' : subject}`,
    `issuer: ${issuer}`,
    `serial: ${serial}`,
    `at: services.${answer.service}, ${conf === null ? 'without certmap.conf' : `by ${conf}`}`,
    ...steps.map((step) => `  ${step}`),
    `user: ${user ?? 'nobody'}`,
    ...(user === null
      ? []
      : [
          `backend: ${backend ?? '-'}${hosts.length === 0 ? '' : `, at ${hosts.join(', ')}`}`,
          `logged in there as: ${replay}${login === null ? '' : `, ${login}`}`,
          ...access.map((rules) => `only from where these rules let it: ${rules}`),
        ]),
    ...problemsOf(answer).map((problem) => `not logged in: ${problem}`),
  ];
  return lines.map((line) => `${harmless(line)}\n`).join('');
}
