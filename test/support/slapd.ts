// A real slapd of the test's own on free loopback ports, with Sun's mail schema and its whole data under a temporary
// folder. With an authority it has ldaps and StartTLS too. `stop()` and `start()` keep ports and data.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Authority } from './authority.ts';
import { freePorts } from './ports.ts';
import { run, startProcess, until, type ServerProcess } from './program.ts';

export const ADMIN = { dn: 'cn=admin,o=internet', password: 'admin of the directory' } as const;

export interface SlapdOptions {
  /** Entries, under o=internet. */
  readonly ldif: string;
  readonly authority?: Authority;
  /** Names in its certificate. */
  readonly names?: readonly string[];
  /** More lines of slapd.conf, of the database. */
  readonly extra?: string;
}

export interface Slapd {
  readonly port: number;
  readonly url: string;
  readonly tlsPort: number;
  start(): Promise<void>;
  stop(): Promise<void>;
  /** It keeps its connections and answers nothing. */
  freeze(): void;
  thaw(): void;
  /** `ldapmodify` as the administrator. */
  modify(ldif: string): Promise<void>;
  /** Ends it and removes its folder. */
  remove(): Promise<void>;
}

const SCHEMAS = ['core', 'cosine', 'inetorgperson', 'dyngroup'];

export async function startSlapd(options: SlapdOptions): Promise<Slapd> {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-slapd-'));
  const [port = 0, tlsPort = 0] = await freePorts(2);
  const config = writeConfig(folder, options);
  const ldif = join(folder, 'data.ldif');
  writeFileSync(ldif, `dn: o=internet\nobjectClass: organization\no: internet\n\n${options.ldif}`);
  const loaded = await run('slapadd', ['-f', config, '-l', ldif]);
  if (loaded.code !== 0) throw new Error(`slapadd: ${loaded.text}`);
  const urls = [`ldap://127.0.0.1:${port}/`];
  if (options.authority !== undefined) urls.push(`ldaps://127.0.0.1:${tlsPort}/`);
  let server: ServerProcess | null = null;
  const slapd: Slapd = {
    port,
    tlsPort,
    url: `ldap://127.0.0.1:${port}`,
    async start() {
      const started = startProcess('slapd', ['-f', config, '-h', urls.join(' '), '-d', 'stats']);
      server = started;
      await until(
        // It says that it starts before it listens.
        async () => started.exited() || (await accepts(port)),
        10_000,
        () => started.output(),
      );
      if (started.exited()) throw new Error(`slapd did not start: ${started.output().slice(-2000)}`);
    },
    async stop() {
      server?.child.kill('SIGCONT');
      await server?.stop();
    },
    freeze: () => void server?.child.kill('SIGSTOP'),
    thaw: () => void server?.child.kill('SIGCONT'),
    async modify(changes) {
      const args = ['-x', '-H', slapd.url, '-D', ADMIN.dn, '-w', ADMIN.password];
      const done = await run('ldapmodify', args, { input: changes });
      if (done.code !== 0) throw new Error(`ldapmodify: ${done.text}`);
    },
    async remove() {
      await slapd.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await slapd.start();
  return slapd;
}

function writeConfig(folder: string, { authority, names, extra = '' }: SlapdOptions): string {
  const data = join(folder, 'data');
  mkdirSync(data);
  const tls = authority?.issue({ names: names ?? ['localhost', '127.0.0.1'], file: `slapd-${Date.now()}` });
  const lines = [
    ...SCHEMAS.map((name) => `include /etc/ldap/schema/${name}.schema`),
    `include ${join(import.meta.dirname, 'slapd', 'sun-mail.schema')}`,
    `pidfile ${join(folder, 'slapd.pid')}`,
    'modulepath /usr/lib/ldap',
    'moduleload back_mdb',
    ...(tls === undefined || authority === undefined
      ? []
      : [
          `TLSCertificateFile ${tls.certFile}`,
          `TLSCertificateKeyFile ${tls.keyFile}`,
          `TLSCACertificateFile ${authority.caFile}`,
        ]),
    'database mdb',
    'suffix "o=internet"',
    `rootdn "${ADMIN.dn}"`,
    `rootpw "${ADMIN.password}"`,
    `directory ${data}`,
    'maxsize 16777216',
    'access to attrs=userPassword by dn.exact="cn=proxy,o=internet" read by anonymous auth by * none',
    'access to * by * read',
    extra,
  ];
  const file = join(folder, 'slapd.conf');
  writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o600 });
  return file;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
