// Pebble, the CA that Let's Encrypt gives to those who test against ACME, with its DNS server that answers 127.0.0.1 to
// every question. Both are started on free loopback ports and ended by stop(); the CA can be stopped and started again
// on the same ports, with another root each time. It looks at names on `challengePort`, for both kinds of challenge.

import { writeFileSync } from 'node:fs';
import https from 'node:https';
import { join } from 'node:path';

import type { Authority } from './authority.ts';
import { freePorts } from './ports.ts';
import { startProcess, until, type ServerProcess } from './program.ts';

export interface PebbleOptions {
  readonly folder: string;
  /** Who signs the certificate of the CA's own web server. */
  readonly authority: Authority;
  /** Key identifier → MAC key in base64url: accounts must be bound to one of these. */
  readonly bindings?: Readonly<Record<string, string>>;
  /** How long certificates live. */
  readonly lifeSeconds?: number;
  /** Names that it refuses. */
  readonly blocked?: readonly string[];
  /** Percentage of nonces that it refuses although they are good; Pebble's own default is 5. */
  readonly nonceReject?: number;
}

export class Pebble {
  readonly directory: string;
  readonly challengePort: number;
  readonly #options: PebbleOptions;
  readonly #ports: readonly number[];
  readonly #dns: ServerProcess;
  #ca: ServerProcess | null = null;

  private constructor(options: PebbleOptions, ports: readonly number[]) {
    const [api = 0, , dns = 0, management = 0, challenge = 0] = ports;
    this.#options = options;
    this.#ports = ports;
    this.directory = `https://127.0.0.1:${api}/dir`;
    this.challengePort = challenge;
    const settings = {
      dns01: `127.0.0.1:${dns}`,
      management: `127.0.0.1:${management}`,
      defaultIPv4: '127.0.0.1',
      // The rest of what it can do is off.
      defaultIPv6: '',
      http01: '',
      https01: '',
      tlsalpn01: '',
    };
    this.#dns = startProcess(
      'pebble-challtestsrv',
      Object.entries(settings).flatMap(([option, value]) => [`-${option}`, value]),
    );
  }

  static async start(options: PebbleOptions): Promise<Pebble> {
    const pebble = new Pebble(options, await freePorts(5));
    await pebble.startCa();
    return pebble;
  }

  async startCa(): Promise<void> {
    const { folder, authority, bindings, lifeSeconds, blocked, nonceReject } = this.#options;
    const [api, management, dns] = this.#ports;
    const shown = authority.issue({ names: ['localhost', '127.0.0.1'], file: 'pebble' });
    const file = join(folder, 'pebble.json');
    const settings = {
      listenAddress: `127.0.0.1:${api}`,
      managementListenAddress: `127.0.0.1:${management}`,
      certificate: shown.certFile,
      privateKey: shown.keyFile,
      httpPort: this.challengePort,
      tlsPort: this.challengePort,
      externalAccountBindingRequired: bindings !== undefined,
      ...(bindings === undefined ? {} : { externalAccountMACKeys: bindings }),
      ...(lifeSeconds === undefined ? {} : { certificateValidityPeriod: lifeSeconds }),
      ...(blocked === undefined ? {} : { domainBlocklist: blocked }),
    };
    writeFileSync(file, JSON.stringify({ pebble: settings }));
    const ca = startProcess('pebble', ['-config', file, '-dnsserver', `127.0.0.1:${dns}`], {
      env: {
        PEBBLE_VA_NOSLEEP: '1',
        // Each order is looked at anew, so that each shows what the test is about.
        PEBBLE_AUTHZREUSE: '0',
        ...(nonceReject === undefined ? {} : { PEBBLE_WFE_NONCEREJECT: String(nonceReject) }),
      },
    });
    this.#ca = ca;
    await until(
      () =>
        this.root().then(
          (root) => root.includes('BEGIN CERTIFICATE'),
          () => ca.exited(),
        ),
      10_000,
      () => this.output(),
    );
    if (ca.exited()) throw new Error(`pebble did not start: ${this.output()}`);
  }

  async stopCa(): Promise<void> {
    await this.#ca?.stop();
    this.#ca = null;
  }

  async stop(): Promise<void> {
    await Promise.all([this.stopCa(), this.#dns.stop()]);
  }

  /** PEM of the root above what it issues. */
  root(): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const url = `https://127.0.0.1:${this.#ports[1]}/roots/0`;
    https
      .get(url, { ca: this.#options.authority.ca, agent: false }, (response) => {
        let text = '';
        response.setEncoding('latin1');
        response.on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve(text));
        response.on('error', reject);
      })
      .on('error', reject);
    return promise;
  }

  output(): string {
    return `${this.#ca?.output() ?? ''}${this.#dns.output()}`;
  }
}
