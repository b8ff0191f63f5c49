// What tests of the processes need: settings without a file, a configuration without keys, clients that count.

import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Endpoint, ServiceSettings, Settings } from '../../src/config/settings.ts';
import { defaultSettings } from '../../src/config/load.ts';
import type { Configuration } from '../../src/service/configuration.ts';
import { NO_DIRECTORY } from '../../src/service/directories/material.ts';
import { NO_TIER_PASSWORDS } from '../../src/service/passwords.ts';
import { createLiveLog } from '../../src/service/live-log.ts';
import { Supervisor } from '../../src/service/supervisor.ts';
import type { SupervisorOptions } from '../../src/service/supervisor.ts';
import { realWorld } from '../../src/world.ts';

export const stubEntry = fileURLToPath(new URL('./stub-worker.ts', import.meta.url));

export function temporaryFolder(): { path: string; [Symbol.dispose]: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'sallyport-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

export function tcp(port = 0, host = '127.0.0.1'): Endpoint {
  return { kind: 'tcp', host, port };
}

export function service(name: string, ...listen: Endpoint[]): ServiceSettings {
  return {
    name,
    protocol: 'imap',
    listen,
    tlsMode: 'notls',
    tls: {
      certificates: [],
      sni: {},
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.3',
      ciphers: 'default',
      groups: 'default',
      stapling: true,
      clientCertificates: 'auto',
      clientCa: [],
      crl: [],
      clientOcsp: 'off',
    },
    adminPolicy: 'none',
    grantTtlMs: null,
    certmap: null,
    verify: { kind: 'backend' },
    domains: {},
    proxyProtocol: null,
    backend: null,
    channel: null,
    access: null,
    banner: null,
    serverDownAlert: null,
    capabilities: null,
    ehloKeywords: [],
    mechanisms: [],
    restrictPlainPasswords: false,
    lineEndings: 'refuse',
    clientLookup: false,
    grants: true,
    authService: { from: [] },
    spoof: { message: null, when: [] },
    frontTier: { from: [], password: null },
  };
}

export function settingsOf(services: readonly ServiceSettings[], more: Partial<Settings> = {}): Settings {
  return {
    ...defaultSettings(),
    hostname: 'first',
    workers: 2,
    ...more,
    services: Object.fromEntries(services.map((one) => [one.name, one])),
  };
}

export function configurationOf(settings: Settings): Configuration {
  return {
    settings,
    shared: settings,
    material: {
      services: {},
      backendTrust: { authorities: [], crls: [] },
      backendCas: {},
      backendSecrets: {},
      tierPasswords: NO_TIER_PASSWORDS,
      spoofs: {},
      domainAdmins: {},
      directory: NO_DIRECTORY,
      certmaps: {},
      ticketKeys: Buffer.alloc(48),
      saltKey: Buffer.alloc(32, 7),
    },
    ticketSecret: null,
    trust: { clients: {}, crls: [] },
    certificates: [],
    fingerprints: new Map(),
    warnings: [],
  };
}

export interface LogEntry {
  readonly event: string;
  readonly [field: string]: unknown;
}

export interface Rig {
  readonly supervisor: Supervisor;
  readonly finished: Promise<number>;
  readonly entries: readonly LogEntry[];
  /** What the next load gives; a function may throw. */
  configure: () => Settings;
  /** The next entry of this name that nobody has waited for. */
  event(name: string): Promise<LogEntry>;
  addresses(service: string): number[];
  [Symbol.asyncDispose](): Promise<void>;
}

/** A supervisor with stub workers; the first load is `settings`. */
export function startRig(settings: Settings, more: Partial<SupervisorOptions> = {}): Rig {
  const entries: LogEntry[] = [];
  const taken = new Set<LogEntry>();
  const waiting = new Map<string, (entry: LogEntry) => void>();
  const write = (line: string): void => {
    const entry = JSON.parse(line) as LogEntry;
    entries.push(entry);
    const wake = waiting.get(entry.event);
    if (wake === undefined) return;
    waiting.delete(entry.event);
    taken.add(entry);
    wake(entry);
  };
  const log = createLiveLog({ level: 'debug', format: 'json', write });
  let next = (): Settings => settings;
  const load = (): Promise<Configuration> =>
    Promise.try(() => configurationOf({ ...next(), log: { level: 'debug', format: 'json' } }));
  const supervisor = new Supervisor({
    source: { load, refresh: (kept) => Promise.resolve(configurationOf(kept)) },
    entry: stubEntry,
    version: '0.0.0',
    world: realWorld,
    log,
    ...more,
  });
  const finished = supervisor.run();
  finished.catch(() => {});
  return {
    supervisor,
    finished,
    entries,
    get configure() {
      return next;
    },
    set configure(configure) {
      next = configure;
    },
    event(name) {
      const there = entries.find((entry) => entry.event === name && !taken.has(entry));
      if (there !== undefined) {
        taken.add(there);
        return Promise.resolve(there);
      }
      const { promise, resolve, reject } = Promise.withResolvers<LogEntry>();
      waiting.set(name, resolve);
      finished.catch(reject);
      return promise;
    },
    addresses(name) {
      const last = entries.findLast((entry) => 'services' in entry);
      const services = (last?.['services'] ?? {}) as Record<string, string[]>;
      return (services[name] ?? []).map((address) => Number(address.split(':').at(-1)));
    },
    async [Symbol.asyncDispose]() {
      await supervisor.kill();
    },
  };
}

export interface TestClient {
  readonly socket: net.Socket;
  /** The next line, without its end; null at the end of the stream or after a failure. */
  line(): Promise<string | null>;
  /** How the connection failed, if it did. */
  readonly failure: () => string | null;
}

export function connect(where: number | string): TestClient {
  const socket = typeof where === 'string' ? net.connect(where) : net.connect(where, '127.0.0.1');
  let failure: string | null = null;
  const lines: string[] = [];
  let text = '';
  let ended = false;
  let wake = (): void => {};
  socket.on('error', (error: NodeJS.ErrnoException) => (failure = error.code ?? error.message));
  socket.on('data', (data) => {
    const parts = (text + data.toString()).split('\r\n');
    text = parts.pop() ?? '';
    lines.push(...parts);
    wake();
  });
  const end = (): void => {
    ended = true;
    wake();
  };
  socket.on('end', end).on('close', end);
  return {
    socket,
    async line() {
      while (lines.length === 0 && !ended) {
        const { promise, resolve } = Promise.withResolvers<void>();
        wake = resolve;
        await promise;
      }
      return lines.shift() ?? null;
    },
    failure: () => failure,
  };
}
