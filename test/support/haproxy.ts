// A real haproxy of the test's own, in TCP mode, on free loopback ports: each proxy passes what comes to it on to one
// address, with the PROXY header that its options ask for, and ends TLS where it is given a certificate. Nothing in
// /etc is read. The caller removes the folder after stop().

import { mkdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';

import type { Issued } from './authority.ts';
import { freePorts } from './ports.ts';
import { run, startProcess, type ServerProcess } from './program.ts';

export interface ProxyOptions {
  /** The port on 127.0.0.1 that it leads to. */
  readonly to: number;
  /** Options of the `server` line: send-proxy, send-proxy-v2, … */
  readonly server: string;
  /** It ends TLS with this, and asks clients for a certificate where `clientCa` is given. */
  readonly tls?: Issued;
  readonly clientCaFile?: string;
}

export interface Haproxy<Name extends string> {
  readonly ports: Readonly<Record<Name, number>>;
  stop(): Promise<void>;
}

/** A listener that leads nowhere: it is there when the others are, and who knocks there disturbs nobody. */
const READY = 'ready';

export async function startHaproxy<Name extends string>(
  folder: string,
  proxies: Readonly<Record<Name, ProxyOptions>>,
): Promise<Haproxy<Name>> {
  mkdirSync(folder, { recursive: true });
  const names = Object.keys(proxies) as Name[];
  for (let attempt = 1; ; attempt++) {
    const [ready = 0, ...free] = await freePorts(names.length + 1);
    const ports = Object.fromEntries(names.map((name, index) => [name, free[index] ?? 0]));
    const file = join(folder, 'haproxy.cfg');
    writeFileSync(file, configuration(folder, proxies, { ...ports, [READY]: ready }));
    const server = startProcess('haproxy', ['-db', '-f', file]);
    const failure = await waitForStart(server, ready);
    if (failure === null) {
      return {
        ports: ports as Record<Name, number>,
        async stop() {
          await server.stop('SIGTERM');
        },
      };
    }
    const { text: version } = await run('haproxy', ['-v']);
    if (attempt === 3 || !failure.includes('Address already in use')) {
      throw new Error(`${version.split('\n')[0]} did not start: ${failure}`);
    }
  }
}

function configuration(
  folder: string,
  proxies: Readonly<Record<string, ProxyOptions>>,
  ports: Readonly<Record<string, number>>,
): string {
  const parts = Object.entries<ProxyOptions>(proxies).map(([name, { to, server, tls, clientCaFile }]) => {
    const file = join(folder, `${name}.pem`);
    if (tls !== undefined) writeFileSync(file, `${tls.key}${tls.cert}`, { mode: 0o600 });
    const ask = clientCaFile === undefined ? '' : ` ca-file ${clientCaFile} verify optional`;
    const secured = tls === undefined ? '' : ` ssl crt ${file}${ask}`;
    return `listen ${name}
  bind 127.0.0.1:${ports[name]}${secured}
  server behind 127.0.0.1:${to} source 127.0.0.1 ${server}
`;
  });
  return `global
  nbthread 1
  maxconn 200
  log stdout format raw local0 notice
defaults
  mode tcp
  log global
  timeout connect 5s
  timeout client 1m
  timeout server 1m
  unique-id-format %{+X}o%ci:%cp_%Ts_%rt
listen ${READY}
  bind 127.0.0.1:${ports[READY]}
${parts.join('')}`;
}

/** null when it serves. */
async function waitForStart(server: ServerProcess, port: number): Promise<string | null> {
  const end = performance.now() + 10_000;
  while (!server.exited() && performance.now() < end) {
    if (await accepts(port)) return null;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await server.stop();
  return server.output();
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1' });
    socket.on('error', () => resolve(false));
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}
