// `sallyport check`: reads and validates the settings and everything they name, changes nothing, starts nothing.
// Mistakes go to standard error, one a line; without any, standard output gets what would be served.
// With --probe every server of every backend is asked what a client would meet there; one that fails makes the exit
// code 1, since the settings are right and the world is not.

import { findSettingsFile } from '../config/load.ts';
import { SettingsError } from '../errors.ts';
import { harmless } from '../log.ts';
import { createConfigurationSource } from '../service/configuration.ts';
import type { Configuration } from '../service/configuration.ts';
import { type LdapProbe, probeLdap } from '../service/directories/ldap-material.ts';
import { probeSql, type SqlProbe } from '../service/directories/sql-material.ts';
import { probeBackends } from '../service/backends/probe.ts';
import type { ProbeResult } from '../service/backends/probe.ts';
import { certificateText, crlText } from '../service/status.ts';
import { summarise } from '../service/summary.ts';
import { tlsOffers, withOffers } from '../service/certificates/tls-offers.ts';
import type { TlsOffer } from '../tls/offer.ts';
import type { AcmeSummary, BackendSummary, ServiceSummary, Summary } from '../service/summary.ts';
import {
  CONFIG_HELP,
  CONFIG_OPTION,
  DONE,
  FAILED,
  JSON_HELP,
  JSON_OPTION,
  textOption,
  WRONG_SETTINGS,
} from './usage.ts';
import type { Command, OptionValues, Program } from './usage.ts';

export const check: Command = {
  name: 'check',
  summary: 'validates the settings, the certificates and keys, and shows what would be served and offered',
  options: { ...CONFIG_OPTION, ...JSON_OPTION, probe: { type: 'boolean' } },
  help: `\n${CONFIG_HELP}${JSON_HELP}  --probe      also connects to every server of every backend, without a login\n`,
  async run(values, program) {
    const file = findSettingsFile(textOption(values, 'config'));
    try {
      const source = createConfigurationSource({ file, world: program.world, missing: 'foresee' });
      return await report(await source.load(), values, program);
    } catch (error) {
      if (!(error instanceof SettingsError)) throw error;
      const { mistakes } = error;
      if (values['json'] === true) program.out(`${JSON.stringify({ ok: false, file, mistakes }, null, 2)}\n`);
      program.err(mistakes.map((mistake) => `${mistake}\n`).join(''));
      return WRONG_SETTINGS;
    }
  },
};

async function report(configuration: Configuration, values: OptionValues, program: Program): Promise<number> {
  const { settings, material } = configuration;
  const { world } = program;
  const offers = await tlsOffers(configuration, world);
  const summary = withOffers(summarise(configuration, world.now()), settings, offers);
  const { users } = material.directory;
  const probes = values['probe'] === true ? await probeBackends({ settings, material, users, world }) : null;
  const directory = probes === null ? [] : await probeLdap(settings, material.directory.ldap, world);
  const database = probes === null ? [] : await probeSql(settings, material.directory.sql, world);
  const ok = [...(probes ?? []), ...directory, ...database].every(({ error }) => error === null);
  if (values['json'] === true) {
    program.out(
      `${JSON.stringify({ ok, ...summary, ...(probes === null ? {} : { probes, directoryProbes: [...directory, ...database] }) }, null, 2)}\n`,
    );
  } else {
    program.out(summaryText(summary));
    for (const probe of probes ?? []) program.out(probeText(probe, world.now()));
    for (const probe of directory) program.out(ldapProbeText(probe));
    for (const probe of database) program.out(sqlProbeText(probe));
  }
  return ok ? DONE : FAILED;
}

export function summaryText(summary: Summary): string {
  const { directory } = summary;
  const lines = [
    `settings ${summary.file ?? 'by default'}, as ${summary.hostname}`,
    ...summary.services.flatMap((service) => [
      serviceLine(service),
      ...domainLines(service),
      ...clientLines(service),
      ...wayLines(service),
      ...offerLines(service, summary.services),
    ]),
    ...(directory.type === 'none' ? [] : [directoryLine(directory)]),
    ...summary.channels.map(({ name, tls, sasl, inert, relay }) => {
      const idle = inert.length > 0 ? `; without effect here: ${inert.join(' ')}` : '';
      return `channel ${name}: ${tls}, ${sasl}, to ${relay}${idle}`;
    }),
    ...summary.backends.map(backendLine),
    ...summary.certificates.map(certificateText),
    ...summary.acme.map(acmeLine),
    ...summary.crls.map(crlText),
    ...summary.warnings.map((warning) => `warning: ${warning}`),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

function directoryLine({ type, users }: Summary['directory']): string {
  return `directory: ${type}${users === null ? '' : ` of ${users} entries`}`;
}

function serviceLine(service: ServiceSummary): string {
  const { name, protocol, listen, tls, sasl, proxyProtocol, channel, backend, checker, adminPolicy } =
    service;
  const rules = protocol === 'smtp' ? `${tls}, ${sasl}` : tls;
  const through = channel === null ? '' : ` by channel ${channel}`;
  const balancers =
    proxyProtocol === null
      ? ''
      : `; PROXY header from ${proxyProtocol.from.join(', ')} (${proxyProtocol.mode})`;
  const checked = checker === null ? '' : `; passwords checked by ${checker}`;
  const others = adminPolicy === 'none' ? '' : `; adminPolicy ${adminPolicy}`;
  return (
    `service ${name}: ${protocol} on ${listen.join(', ')}; ${rules}${through}${balancers}; to ${backend}` +
    `${checked}${others}`
  );
}

function acmeLine({ nickname, names, challenge, listen, directory }: AcmeSummary): string {
  return `acme ${nickname}: ${names.join(', ')}; by ${challenge} on ${listen.join(', ')}; from ${directory}`;
}

const AUTHORITIES_SHOWN = 8;

/** What clients are asked for, and whose certificates count. */
function clientLines({ clientCertificates }: ServiceSummary): string[] {
  if (clientCertificates === null) return [];
  const { required, authorities, crl, ocsp } = clientCertificates;
  const more =
    authorities.length > AUTHORITIES_SHOWN ? ` and ${authorities.length - AUTHORITIES_SHOWN} more` : '';
  const asked = [...(crl ? ['CRL'] : []), ...(ocsp === 'off' ? [] : [`OCSP (${ocsp})`])];
  const revocation = asked.length === 0 ? '' : `; revocation by ${asked.join(' and ')}`;
  return [
    `  client certificates ${required ? 'required' : 'asked for'}, of ` +
      `${authorities.slice(0, AUTHORITIES_SHOWN).join(', ')}${more}${revocation}`,
  ];
}

/** Each address with settings of its own. */
function domainLines({ domains }: ServiceSummary): string[] {
  return domains.map(({ address, own }) => `  at ${address}: ${own.join(', ') || 'nothing'} of its own`);
}

/** Each switch of channels on a line of its own. */
function wayLines({ ways }: ServiceSummary): string[] {
  return ways.map(({ from, to, rule }) => `  ${from} → ${to} (${rule})`);
}

/** What a client will be offered; where it is the same as at a service before, its name. */
function offerLines({ name, offer }: ServiceSummary, services: readonly ServiceSummary[]): string[] {
  if (offer === undefined || offer === null) return [];
  const text = offerText(offer);
  const same = services.find((other) => other.offer && offerText(other.offer).join() === text.join());
  return same === undefined || same.name === name ? text : [`  TLS as for service ${same.name}`];
}

function offerText({ versions, groups, keys, names, unusable }: TlsOffer): string[] {
  const missing = new Map<string, string[]>();
  for (const { suite, reason } of unusable) missing.set(reason, [...(missing.get(reason) ?? []), suite]);
  return [
    ...versions.map(({ version, suites }) => `  ${version}: ${suites.join(' ') || 'no suite'}`),
    `  groups: ${groups.join(' ') || 'none'}`,
    `  certificates: ${keys.join(', ')}`,
    ...names.map((shown) => `  certificates for ${shown.name}: ${shown.keys.join(', ')}`),
    ...[...missing].map(([reason, suites]) => `  not offered (${reason}): ${suites.join(' ')}`),
  ];
}

function backendLine({
  name,
  servers,
  hosts,
  balance,
  tls,
  verify,
  ca,
  databaseCas,
  pins,
  admin,
  client,
}: BackendSummary): string {
  const trust =
    tls === 'notls'
      ? ''
      : pins > 0
        ? ', verified by pin'
        : verify
          ? `, verified by ${trustedText(ca, databaseCas)}`
          : ', NOT verified';
  const order = servers.length > 1 ? ` (${balance})` : '';
  const login = admin === null ? '' : `; ${admin} logs in for the users`;
  const told = client.length > 0 ? `; client told by ${client.join(', ')}` : '';
  const named = hosts.length === 0 ? [] : [`hosts that the directory names (${hosts.join(', ')})`];
  return `backend ${name}: ${[...servers, ...named].join(', ')}${order}; ${tls}${trust}${login}${told}`;
}

/** What a server says is somebody else's text. */
function ldapProbeText({ server, base, error }: LdapProbe): string {
  const found = error === null ? `${base} is there` : `FAILED, ${error}`;
  return `${harmless(`probe directory ${server}: ${found}`)}\n`;
}

function sqlProbeText({ server, query, columns, attributes, error, warnings }: SqlProbe): string {
  const name = `probe directory ${server}: ${query}`;
  if (error !== null) return `${harmless(`${name} FAILED, ${error}`)}\n`;
  const others = attributes.length === 0 ? '' : `; attributes: ${attributes.join(', ')}`;
  const lines = [
    `${name} gives ${columns.join(', ') || 'nothing that is known'}${others}`,
    ...warnings.map((warning) => `warning: ${name}: ${warning}`),
  ];
  return lines.map((line) => `${harmless(line)}\n`).join('');
}

function trustedText(ca: string | null, databaseCas: number): string {
  const ours = `${databaseCas} of the certificate database`;
  if (ca === 'database') return `CAs: ${ours}`;
  return ca ?? (databaseCas === 0 ? "the system's CAs" : `the system's CAs and ${ours}`);
}

const DAY_MS = 86_400_000;

export function probeText(result: ProbeResult, now: number): string {
  const { backend, protocol, server, error, tls, certificateNotAfter, capabilities, mechanisms, warnings } =
    result;
  const name = `probe ${backend} ${server} (${protocol})`;
  if (error !== null) return `${harmless(`${name}: FAILED, ${error}`)}\n`;
  const secured = tls === null ? 'without TLS' : tls;
  const expiry =
    certificateNotAfter === null
      ? ''
      : `, certificate has ${Math.floor((Date.parse(certificateNotAfter) - now) / DAY_MS)} days left`;
  const offers = [capabilities.join(' '), mechanisms.length > 0 ? `SASL ${mechanisms.join(' ')}` : ''];
  const offered = offers.filter((words) => words !== '').join('; ');
  const lines = [
    `${name}: ${secured}${expiry}; offers ${offered || 'nothing'}`,
    ...warnings.map((warning) => `warning: ${name}: ${warning}`),
  ];
  return lines.map((line) => `${harmless(line)}\n`).join('');
}
