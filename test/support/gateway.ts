// The whole front of a worker in memory: real settings, real TLS, no ports, a clock that the test moves, backends that
// are scripts. Everything ends with the test. `closed()` gives the one closing line of each connection, in the order
// of their ends, and fails where a backend's script did.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import type net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import tls from 'node:tls';
import type { Settings } from '../../src/config/settings.ts';
import { createLog } from '../../src/log.ts';
import { offersTls } from '../../src/policy/channel-map.ts';
import { grantChannelOf } from '../../src/policy/grants.ts';
import { NO_TRUST } from '../../src/service/backends/material.ts';
import { createFront, type Front } from '../../src/service/front.ts';
import { readDomainAdmins } from '../../src/service/directories/domain-admins.ts';
import { readCertmaps } from '../../src/service/directories/certmaps.ts';
import { readDirectoryMaterial } from '../../src/service/directories/material.ts';
import { readTierPasswords } from '../../src/service/passwords.ts';
import { WorkerGuard } from '../../src/service/limits/worker-guard.ts';
import { readSpoofs } from '../../src/service/spoofs.ts';
import type { ClientTrust } from '../../src/tls/client-certificate.ts';
import type { ServerTlsMaterial } from '../../src/tls/context.ts';
import type { DialTarget } from '../../src/world.ts';
import { makeAuthority, type Authority, type Issued } from './authority.ts';
import { backendSecretsOf } from './backend-secrets.ts';
import { type ClientTls, Conversation, ConversationEnded } from './conversation.ts';
import { PORTS, relayHost, settingsOf } from './gateway-settings.ts';
import { manualWorld, type ManualWorld } from './manual-world.ts';
import { play } from './transcript.ts';
import { cable, type CableEnd, type CableOptions } from './wire.ts';

export type LogLine = Readonly<Record<string, unknown>>;
export type Proto = 'imap' | 'pop3' | 'smtp';

/** What a scripted backend is given for each connection to it. */
export interface BackendCall {
  readonly talk: Conversation;
  readonly end: CableEnd;
  /** 1 for the first connection to this backend. */
  readonly number: number;
  /** host:port */
  readonly server?: string;
}

/** Serves one connection; a text is played as a transcript, in the server's part. */
export type BackendScript = string | ((call: BackendCall) => Promise<void>);

/** Besides a script: 'refused' is ECONNREFUSED, with 'silent' the dial never ends. */
export type BackendPlan = BackendScript;

export interface GatewayOptions {
  readonly protocol: Proto;
  readonly backend: BackendPlan;
  /** STARTTLS rule for clients; for smtp it becomes the channel's keyword. Default: maytls. */
  readonly tls?: 'notls' | 'maytls' | 'musttls' | 'implicit';
  /** smtp: the channel's other keyword. Default: maysaslserver. */
  readonly sasl?: string;
  /** smtp: all channels by name, `behind` their relay unless said; with `service: { channel: … }`. */
  readonly channels?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Further backends by name, each a script on an address of its own. */
  readonly relays?: Readonly<Record<string, BackendScript>>;
  /** Further keys of the service; `capabilities` is a fixed list unless it is said here. */
  readonly service?: Readonly<Record<string, unknown>>;
  /** What answers at a server (host:port) of its own; the others have `backend`. */
  readonly plans?: Readonly<Record<string, BackendPlan>>;
  /** Further services by name, on the same front. */
  readonly services?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly popBeforeSmtp?: Readonly<Record<string, unknown>>;
  /** Further backends. */
  readonly backends?: Readonly<Record<string, unknown>>;
  /** Keys of the backend; `servers` is one on 127.0.0.1. */
  readonly to?: Readonly<Record<string, unknown>>;
  /** The directory; with `users`, text of a file of users, its type is file. */
  readonly directory?: Readonly<Record<string, unknown>>;
  readonly users?: string;
  /** No limit on connections and no penalties, unless they are said here. */
  readonly limits?: Readonly<Record<string, unknown>>;
  readonly penalties?: Readonly<Record<string, unknown>>;
  readonly timeouts?: Readonly<Record<string, number>>;
  readonly connectionsMax?: number;
  readonly cable?: CableOptions;
  /** Between the front and its backend; default: as `cable`. */
  readonly backendCable?: CableOptions;
  readonly world?: Partial<ManualWorld>;
  /** What the front shows; default: testMaterial().front. */
  readonly certificate?: Issued;
  /** What is dialled besides backends; null: it is a backend. */
  readonly outside?: (target: DialTarget) => net.Socket | null;
  /** Whose certificates are asked of clients; default: nobody's. */
  readonly clients?: ClientTrust;
}

export interface ConnectOptions extends CableOptions {
  readonly from?: string;
  /** The address of ours that it connects to. */
  readonly at?: string;
  /** Default: mail. */
  readonly service?: string;
}

/** One certificate for the front, one for backends, one authority; made once in a process. */
interface Material {
  readonly folder: string;
  readonly authority: Authority;
  readonly front: Issued;
  readonly store: Issued;
}

let material: Material | null = null;

export function testMaterial(): Material {
  if (material !== null) return material;
  const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-gateway-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const authority = makeAuthority(folder);
  material = {
    folder,
    authority,
    front: authority.issue({ names: ['mail.test'] }),
    store: authority.issue({ names: ['store.test', '127.0.0.1'] }),
  };
  return material;
}

/** What a test's client trusts. */
export function clientTls(more: Partial<ClientTls> = {}): ClientTls {
  return { ca: testMaterial().authority.ca, ...more };
}

/** What a scripted backend shows. */
export function storeContext(issued: Issued = testMaterial().store): tls.SecureContext {
  return tls.createSecureContext({ cert: issued.cert, key: issued.key });
}

export class Gateway {
  readonly world: ManualWorld;
  readonly lines: LogLine[] = [];
  readonly front: Front;
  readonly guard: WorkerGuard;
  /** One for each connection to the backend, in order. */
  readonly calls: BackendCall[] = [];
  /** Servers in the order in which they were dialled, host:port. */
  readonly dialled: string[] = [];
  readonly settings: Settings;
  /** What answers the next connection to the backend. */
  backend: BackendPlan;
  /** The same by server, host:port. */
  readonly plans: Record<string, BackendPlan>;
  readonly #options: GatewayOptions;
  readonly #ends: CableEnd[] = [];
  readonly #failures: unknown[] = [];
  readonly #scripts: Promise<void>[] = [];
  #connections = 0;
  #wake: () => void = () => undefined;

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.backend = options.backend;
    this.plans = { ...options.plans };
    this.world = manualWorld({
      dial: (target) => options.outside?.(target) ?? this.#dial(target),
      ...options.world,
    });
    this.settings = settingsOf(options, testMaterial().folder);
    this.guard = new WorkerGuard({ settings: this.settings, world: this.world });
    this.front = createFront({
      settings: this.settings,
      material: frontMaterial(this.settings, options),
      world: this.world,
      log: createLog({ level: 'debug', format: 'json', write: (line) => this.#log(line) }),
      connectionsMax: options.connectionsMax ?? 1000,
      guard: this.guard,
    });
  }

  /** A client of the service, connected. */
  connect(options: ConnectOptions = {}): Conversation {
    const { from = '192.0.2.7', at = '198.51.100.1', service = 'mail', ...how } = options;
    const [near, far] = cable({ ...this.#options.cable, ...how });
    far.remoteAddress = from;
    far.remotePort = 50_000 + ++this.#connections;
    far.localAddress = at;
    far.localPort = PORTS[this.#options.protocol];
    this.#ends.push(near, far);
    this.front.serve(service, far.asSocket());
    return new Conversation(near);
  }

  /** Connects and plays a script; the client is there for what comes next. */
  async play(script: string, options: ConnectOptions = {}): Promise<Conversation> {
    const client = this.connect(options);
    await this.resume(client, script);
    return client;
  }

  /** Goes on with a client. */
  async resume(client: Conversation, script: string): Promise<void> {
    await play(script, client, { clientTls: clientTls() });
  }

  /** The closing line of the `number`th connection that ended (default: of as many as were made). */
  async closed(number = this.#connections): Promise<LogLine> {
    const line = await this.logged((entry) => entry['event'] === 'closed', number);
    const count = this.lines.filter((entry) => entry['event'] === 'closed').length;
    assert.ok(count <= this.#connections, 'more closing lines than connections');
    this.#check();
    return line;
  }

  /** Waits for the `number`th line that the predicate takes. */
  async logged(predicate: (line: LogLine) => boolean, number = 1): Promise<LogLine> {
    const find = (): LogLine | undefined => this.lines.filter(predicate)[number - 1];
    await this.#until(() => find() !== undefined);
    return find() ?? {};
  }

  /** Waits for the `number`th connection to the backend. */
  async call(number = 1): Promise<BackendCall> {
    await this.#until(() => this.calls[number - 1] !== undefined);
    const call = this.calls[number - 1];
    assert.ok(call !== undefined);
    return call;
  }

  /** All that the backend was ever sent, TLS left aside. */
  get backendHeard(): string {
    return this.calls.map((call) => call.talk.heard).join('');
  }

  /** Lets what is on its way arrive. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 60; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
  }

  /** Moves the clock once everything that is on its way has arrived. */
  async advance(ms: number): Promise<void> {
    await this.settle();
    this.world.advance(ms);
    await this.settle();
  }

  /** Waits for the backends' scripts to end, and fails where one did. */
  async scriptsDone(): Promise<void> {
    await Promise.all(this.#scripts);
    this.#check();
  }

  destroy(): void {
    for (const end of this.#ends) end.destroy();
  }

  async #until(check: () => boolean): Promise<void> {
    const deadline = performance.now() + 5000;
    while (!check()) {
      this.#check();
      if (performance.now() > deadline) {
        throw new Error(`it did not happen; the log: ${JSON.stringify(this.lines.slice(-6), null, 1)}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 200);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  #check(): void {
    const [first] = this.#failures;
    if (first !== undefined) {
      const reason = first instanceof Error ? first.message : 'unknown';
      throw new Error(`a backend's script failed: ${reason}`, { cause: first });
    }
  }

  #log(line: string): void {
    this.lines.push(JSON.parse(line) as LogLine);
    this.#wake();
  }

  #dial(target: DialTarget): net.Socket {
    const [near, far] = cable(this.#options.backendCable ?? this.#options.cable ?? {});
    this.#ends.push(near, far);
    near.remoteAddress = target.kind === 'tcp' ? target.host : undefined;
    near.remotePort = target.kind === 'tcp' ? target.port : undefined;
    const server = target.kind === 'tcp' ? `${target.host}:${target.port}` : target.path;
    this.dialled.push(server);
    setImmediate(() =>
      this.#answer(near, far, { server, plan: this.plans[server] ?? this.#scriptAt(target) ?? this.backend }),
    );
    return near.asSocket();
  }

  #scriptAt(target: DialTarget): BackendScript | undefined {
    return Object.entries(this.#options.relays ?? {}).find(
      (_, index) => target.kind === 'tcp' && target.host === relayHost(index),
    )?.[1];
  }

  #answer(
    near: CableEnd,
    far: CableEnd,
    { server, plan: backend }: { readonly server: string; readonly plan: BackendPlan },
  ): void {
    if (near.destroyed || backend === 'silent') return;
    if (backend === 'refused') {
      near.destroy(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }));
      return;
    }
    near.emit('connect');
    const call: BackendCall = {
      talk: new Conversation(far),
      end: far,
      number: this.calls.length + 1,
      server,
    };
    this.calls.push(call);
    this.#wake();
    const script =
      typeof backend === 'string'
        ? play(backend, call.talk, { as: 'server', serverTls: storeContext() })
        : backend(call);
    this.#scripts.push(
      script.catch((error: unknown) => {
        if (!isEnd(error)) this.#failures.push(error);
      }),
    );
  }
}

/** A front that ends with the test. */
export function openGateway(t: TestContext, options: GatewayOptions): Gateway {
  const gateway = new Gateway(options);
  t.after(() => gateway.destroy());
  return gateway;
}

/** What is asserted of a closing line; other fields are not looked at. */
export function assertLine(line: LogLine, expected: LogLine): void {
  const seen = Object.fromEntries(Object.keys(expected).map((key) => [key, line[key] ?? null]));
  assert.deepEqual(seen, { ...expected }, JSON.stringify(line));
}

/** A script that waits in vain because the front has left is no failure of the test. */
function isEnd(error: unknown): boolean {
  return (
    error instanceof ConversationEnded || (error instanceof Error && error.cause instanceof ConversationEnded)
  );
}

/** What a front of these settings is given. */
export function frontMaterial(
  settings: Settings,
  {
    certificate: shown = testMaterial().front,
    clients,
  }: Pick<GatewayOptions, 'certificate' | 'clients'> = {},
): Parameters<typeof createFront>[0]['material'] {
  const { authority } = testMaterial();
  const services: Record<string, ServerTlsMaterial | null> = {};
  for (const service of Object.values(settings.services)) {
    const { minVersion, maxVersion, ciphers, groups } = service.tls;
    const certificates = [{ cert: shown.cert, key: shown.key }];
    services[service.name] = offersTls(service, settings.channels, grantChannelOf(service, settings))
      ? { certificates, sni: [], minVersion, maxVersion, ciphers, groups, clients: clients ?? null }
      : null;
  }
  const backendCas = Object.fromEntries(Object.keys(settings.backends).map((name) => [name, authority.ca]));
  const backendSecrets = backendSecretsOf(settings);
  const fail = (error: unknown): never => {
    throw error;
  };
  const tierPasswords = readTierPasswords(settings, fail);
  const spoofs = readSpoofs(settings, fail);
  const directory = readDirectoryMaterial(settings, fail);
  const domainAdmins = readDomainAdmins(settings, fail);
  const certmaps = readCertmaps(settings, fail);
  return {
    services,
    backendTrust: NO_TRUST,
    backendCas,
    backendSecrets,
    tierPasswords,
    spoofs,
    domainAdmins,
    directory,
    certmaps,
    ticketKeys: Buffer.alloc(48, 7),
    saltKey: Buffer.alloc(32, 7),
  };
}
