// From sallyport.yaml to Settings: finds the file, reads it, checks it whole, completes it.
// Promises a deeply frozen Settings with absolute paths, or one SettingsError with every mistake, each with file, line
// and key. Only the file itself is read, nothing that it names. The environment is no source of settings.

import { existsSync, readFileSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, resolve } from 'node:path';
import { SettingsError } from '../errors.ts';
import { Report } from './check.ts';
import { checkEverything } from './entries.ts';
import type {
  GivenAcme,
  GivenBackend,
  GivenCertificate,
  GivenModule,
  GivenService,
  GivenSettings,
} from './entries.ts';
import { EMPTY_TREE, parseSettings } from './lines.ts';
import { checkReferences } from './references.ts';
import { completeDirectory } from './load-directory.ts';
import { completeAdmin, completeDomain } from './load-domains.ts';
import { type GivenVersions, versionRange } from './tls-versions.ts';
import type {
  AcmeSettings,
  BackendSettings,
  CertificateRef,
  CertificateSettings,
  ChannelSettings,
  Secret,
  ServerTlsSettings,
  ServiceSettings,
  Settings,
  TokenModuleSettings,
} from './settings.ts';
import { namedCertificate } from './token-references.ts';

const MAX_FILE_BYTES = 1_048_576;
const STANDARD_FILES = ['./sallyport.yaml', '/etc/sallyport/sallyport.yaml'];

/** The file of `--config`, else the first standard place that has one, else null. */
export function findSettingsFile(argument: string | undefined): string | null {
  return argument ?? STANDARD_FILES.find((file) => existsSync(file)) ?? null;
}

export function defaultSettings(): Settings {
  return loadSettings({ file: null });
}

export function loadSettings({ file }: { file: string | null }): Settings {
  const tree = file === null ? EMPTY_TREE : parseSettings(readText(file));
  const report = new Report(file ?? 'the defaults', tree);
  const given = checkEverything(tree.root, report);
  if (tree.brokenAt === null) checkReferences(given, report);
  report.throwIfAny();
  return freeze(complete(given, file));
}

/** `FILE:LINE` of a setting, or as near as the file tells; for mistakes that only the machine can show. */
export function placeOf(file: string, key: string): string {
  try {
    const line = parseSettings(readText(file)).lineOf([key]);
    return line === null ? file : `${file}:${line}`;
  } catch {
    return file;
  }
}

function readText(file: string): string {
  const refuse = (words: string): never => {
    throw new SettingsError([`${file}: ${words}`]);
  };
  try {
    const { size } = statSync(file);
    if (size > MAX_FILE_BYTES) refuse(`expected settings of at most ${MAX_FILE_BYTES} bytes, found ${size}`);
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file));
  } catch (error) {
    if (error instanceof SettingsError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    const words: Record<string, string> = {
      ENOENT: 'there is no such file',
      EISDIR: 'expected a file, found a folder',
      EACCES: 'this user may not read it',
      ERR_ENCODING_INVALID_ENCODED_DATA: 'expected UTF-8, found other bytes',
    };
    return refuse(words[code] ?? `cannot be read (${code})`);
  }
}

/** Resolves names against the folder of the file, or the current one. */
type Locate = (name: string) => string;

function complete(
  { top, shown, modules, acme, services, channels, backends }: GivenSettings,
  file: string | null,
): Settings {
  const path = file === null ? null : resolve(file);
  const folder = path === null ? process.cwd() : dirname(path);
  const locate: Locate = (name) => resolve(folder, name);
  const { values } = top;
  const tls = completeTls(values.tls, shown, locate);
  const { access, certmap, directory } = values;
  const above: Above = { tls, rules: values.tls, locate, access, certmap, directory };
  return {
    file: path,
    hostname: values.hostname ?? hostname(),
    dataDir: locate(values.dataDir),
    workers: values.workers,
    user: values.user,
    redis: secretOf(values.redis, locate),
    pidFile: locateFile(values.pidFile, locate),
    log: values.log,
    certificates: completeCertificates({ top, modules, acme }, locate),
    tickets: {
      rotateMs: values.tickets.rotate,
      secret: secretOf(values.tickets.secret, locate),
    },
    services: mapEntries(services, (name, service) => completeService(name, service, above)),
    channels: mapEntries(channels, (name, channel): ChannelSettings => ({
      name,
      keywords: present(channel.values.keywords),
      match: channel.values.match,
      relay: present(channel.values.relay),
    })),
    backends: mapEntries(backends, (name, backend) => completeBackend(name, backend, { tls, locate })),
    directory: completeDirectory(values.directory, locate),
    limits: values.limits,
    penalties: completePenalties(values.penalties),
    popBeforeSmtp: completeGrants(values.popBeforeSmtp),
    timeouts: {
      proxyHeaderMs: values.timeouts.proxyHeader,
      handshakeMs: values.timeouts.handshake,
      loginMs: values.timeouts.login,
      connectMs: values.timeouts.connect,
      replyMs: values.timeouts.reply,
      imapMs: values.timeouts.imap,
      imapIdleMs: values.timeouts.imapIdle,
      pop3Ms: values.timeouts.pop3,
      smtpMs: values.timeouts.smtp,
      dataMs: values.timeouts.data,
      closeMs: values.timeouts.close,
      drainMs: values.timeouts.drain,
    },
    probeMs: values.probe,
  };
}

function completePenalties(given: GivenSettings['top']['values']['penalties']): Settings['penalties'] {
  const { step, max, decay, ...rest } = given;
  return { ...rest, stepMs: step, maxMs: max, decayMs: decay };
}

function completeTls(
  { certificate: _given, sni: _names, clientCa, crl, ...rules }: GivenSettings['top']['values']['tls'],
  shown: GivenSettings['shown'],
  locate: Locate,
): ServerTlsSettings {
  return {
    ...rules,
    ...versionRange(rules),
    clientCa: clientCa.map(locate),
    crl: crl.map(locate),
    certificates: refsOf(shown.certificates ?? [], locate),
    sni: namesOf(shown.sni ?? new Map(), locate),
  };
}

/** What the dialects say themselves, whatever a list of capabilities holds. */
const OURS = /^(STARTTLS|STLS|LOGINDISABLED|SASL|AUTH)([= ]|$)/i;

interface Above {
  readonly tls: ServerTlsSettings;
  /** The same as the file says it. */
  readonly rules: GivenVersions;
  readonly locate: Locate;
  readonly access: string | null;
  readonly certmap: string | null;
  readonly directory: GivenSettings['top']['values']['directory'];
}

function completeService(name: string, service: GivenService, above: Above): ServiceSettings {
  const { values, shown, domains } = service;
  const { tls, rules, locate, directory } = above;
  const complete = (variant: GivenService): ServiceSettings => completeService(name, variant, above);
  const protocol = present(values.protocol);
  return {
    name,
    protocol,
    listen: present(values.listen),
    tlsMode: values.tls.mode ?? (protocol === 'smtp' ? null : 'musttls'),
    tls: {
      certificates: shown.certificates === null ? tls.certificates : refsOf(shown.certificates, locate),
      sni: shown.sni === null ? tls.sni : namesOf(shown.sni, locate),
      ...versionRange(values.tls, rules),
      ciphers: values.tls.ciphers ?? tls.ciphers,
      groups: values.tls.groups ?? tls.groups,
      stapling: values.tls.stapling ?? tls.stapling,
      clientCertificates: values.tls.clientCertificates ?? tls.clientCertificates,
      clientCa: values.tls.clientCa?.map(locate) ?? tls.clientCa,
      crl: values.tls.crl?.map(locate) ?? tls.crl,
      clientOcsp: values.tls.clientOcsp ?? tls.clientOcsp,
    },
    proxyProtocol: completeProxyProtocol(values.proxyProtocol),
    backend: values.backend,
    channel: values.channel,
    access: values.access ?? above.access,
    banner: values.banner,
    serverDownAlert: values.serverDownAlert,
    verify: values.verify,
    certmap: locateFile(values.certmap ?? above.certmap, locate),
    adminPolicy: values.adminPolicy,
    domains: mapEntries(domains, (_address, domain) =>
      completeDomain(service, domain, { directory, locate, complete }),
    ),
    capabilities: values.capabilities?.filter((line) => !OURS.test(line)) ?? null,
    ehloKeywords: values.ehloKeywords,
    mechanisms: values.mechanisms,
    restrictPlainPasswords: values.restrictPlainPasswords,
    lineEndings: values.lineEndings,
    clientLookup: values.clientLookup,
    grants: values.grants,
    grantTtlMs: values.grantTtl,
    authService: values.authService,
    spoof: {
      message: locateFile(values.spoof.message, locate),
      when: values.spoof.when,
    },
    frontTier: {
      from: values.frontTier.from,
      password: secretOf(values.frontTier.password, locate),
    },
  };
}

function completeGrants({
  channel,
  ttl,
  ...rest
}: GivenSettings['top']['values']['popBeforeSmtp']): Settings['popBeforeSmtp'] {
  return channel === null ? null : { channel, ttlMs: ttl, ...rest };
}

function completeProxyProtocol({
  from,
  mode,
}: GivenService['values']['proxyProtocol']): ServiceSettings['proxyProtocol'] {
  return from === null ? null : { from, mode: mode ?? 'require' };
}

/** How long a server that failed is left alone where nothing is said. */
const FAILOVER_MS = 30_000;
/** Sun's FailoverTimeout: seconds to wait, and minutes to stay away. */
const MINUTES_PER_SECOND = 60;

/** Stands for the CAs of the certificate database; a file of that name is `./database`. */
const DATABASE_CAS = 'database';

function completeBackend(
  name: string,
  { values, certificates }: GivenBackend,
  { tls: above, locate }: Pick<Above, 'tls' | 'locate'>,
): BackendSettings {
  const { servers, tls, check, admin, failover, failoverTimeout } = values;
  const { certificate: _given, ca, ...secured } = tls;
  const waited = failoverTimeout === null ? FAILOVER_MS : failoverTimeout * MINUTES_PER_SECOND;
  return {
    name,
    servers: servers ?? [],
    hosts: values.hosts,
    port: values.port,
    balance: values.balance,
    failoverTimeoutMs: failoverTimeout,
    failoverMs: failover ?? waited,
    check: {
      everyMs: check.every,
      timeoutMs: check.timeout,
      user: check.user,
      password: secretOf(check.password, locate),
    },
    tls: {
      ...secured,
      minVersion: versionRange(secured).minVersion,
      ca: ca === null || ca === DATABASE_CAS ? ca : locate(ca),
      crl: above.crl,
      certificates: refsOf(certificates, locate),
    },
    connections: values.connections,
    login: values.login,
    admin: completeAdmin(admin, locate),
    allowClearBackend: values.allowClearBackend,
    client: values.client,
    xpehloPassword: secretOf(values.xpehloPassword, locate),
  };
}

function completeCertificates(
  { top, modules, acme }: Pick<GivenSettings, 'top' | 'modules' | 'acme'>,
  locate: Locate,
): CertificateSettings {
  const { database, passwordFile, engine, watch } = top.values.certificates;
  return {
    database: locate(database),
    passwordFile: locate(passwordFile),
    modules: mapEntries(modules, (name, module) => completeModule(name, module, locate)),
    engine: completeEngine(engine, locate),
    watchMs: watch,
    acme: completeAcme(acme, locate),
  };
}

function completeModule(name: string, { values }: GivenModule, locate: Locate): TokenModuleSettings {
  const { library, nss, token, slot } = values;
  return {
    name,
    library: library === null ? null : locate(library),
    nss: nss === null ? null : locate(nss),
    token,
    slot,
  };
}

/** What has no separator is an engine's id. */
function completeEngine(engine: string | null, locate: Locate): string | null {
  return engine?.includes('/') === true ? locate(engine) : engine;
}

function completeAcme(given: GivenAcme | null, locate: Locate): AcmeSettings | null {
  if (given === null) return null;
  const { names, renewBefore, ca, eab, ...values } = given.values;
  const key = secretOf(eab.key, locate);
  return {
    ...values,
    names: Object.fromEntries(present(names)),
    renewBeforeMs: renewBefore,
    ca: ca === null ? null : locate(ca),
    eab: eab.kid === null || key === null ? null : { kid: eab.kid, key },
  };
}

function refsOf(given: readonly GivenCertificate[], locate: Locate): CertificateRef[] {
  return given.map((certificate) => {
    if (typeof certificate === 'string') return namedCertificate(certificate);
    const { cert, key, passphrase } = certificate.values;
    return {
      kind: 'files',
      cert: locate(present(cert)),
      key: locate(present(key)),
      passphrase: secretOf(passphrase, locate),
    };
  });
}

function namesOf(
  sni: ReadonlyMap<string, readonly GivenCertificate[]>,
  locate: Locate,
): Record<string, CertificateRef[]> {
  return mapEntries(sni, (_name, certificates) => refsOf(certificates, locate));
}

function secretOf(secret: Secret | null, locate: Locate): Secret | null {
  return secret?.kind === 'file' ? { kind: 'file', path: locate(secret.path) } : secret;
}

function locateFile(name: string | null, locate: Locate): string | null {
  return name === null ? null : locate(name);
}

function mapEntries<In, Out>(
  map: ReadonlyMap<string, In>,
  change: (name: string, value: In) => Out,
): Record<string, Out> {
  return Object.fromEntries([...map].map(([name, value]) => [name, change(name, value)]));
}

/** A required setting that is not there was reported, so nobody comes here without it. */
function present<T>(value: T | null): T {
  if (value === null) throw new TypeError('a required setting is missing and no mistake was reported');
  return value;
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) freeze(inner);
  }
  return value;
}
