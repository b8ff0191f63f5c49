// A real Postfix 3.7 of the test's own: an MTA on a free loopback port (STARTTLS, AUTH through Dovecot, XCLIENT from
// loopback), a second port with implicit TLS, and virtual(8) delivery of every recipient into one maildir, with
// configuration, queue, state and log under the given folder. /etc/postfix and /var/spool/postfix are not touched,
// no DNS is asked. Postfix only starts as root. The caller removes the folder after stop().
// Mail to example.com is local; elsewhere only for those who logged in. unknown@ is refused (550), later@ deferred (450).

import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Authority } from './authority.ts';
import { mailOwner, makeFolder, makeMaildir, makePassable, readMessages } from './maildir.ts';
import { freePorts } from './ports.ts';
import { greetingOf, run, startProcess, type ServerProcess } from './program.ts';

export interface PostfixOptions {
  readonly folder: string;
  /** Without one there is no TLS. */
  readonly authority?: Authority;
  /** Dovecot's auth socket; without one there is no AUTH. */
  readonly authSocket?: string;
  /** Who may send XCLIENT. Default: 127.0.0.0/8. '' is nobody, and then it is not offered. */
  readonly xclientFrom?: string;
  /** A further port on loopback, on which every connection begins with a PROXY header. */
  readonly proxiedPort?: number;
  /** More lines of master.cf: further ports. */
  readonly services?: readonly string[];
  /** More main.cf parameters; they win. */
  readonly parameters?: Readonly<Record<string, string>>;
}

export interface Delivered {
  /** The octets that came in, CRLF line ends, without what Postfix put before them. */
  readonly message: Buffer;
  /** The trace headers that Postfix put before them. */
  readonly trace: string;
}

export interface Postfix {
  readonly port: number;
  /** Implicit TLS. */
  readonly tlsPort: number;
  logText(): string;
  /** All that was delivered to a recipient, oldest first. */
  messages(recipient: string): Delivered[];
  /** Nothing is on its way any more. */
  queueEmpty(): boolean;
  stop(): Promise<void>;
  /** Starts it again after stop(), on the same ports and with the same queue. */
  restart(): Promise<void>;
}

export async function startPostfix(options: PostfixOptions): Promise<Postfix> {
  if (process.getuid?.() !== 0) throw new Error('Postfix only starts as root: run this test as root');
  for (let attempt = 1; ; attempt++) {
    const [port = 0, tlsPort = 0] = await freePorts(2);
    const logFile = await prepare(options, { port, tlsPort });
    const place: Place = { port, tlsPort, folder: options.folder, logFile };
    const started = await start(place);
    if (typeof started !== 'string') return handle(place, started);
    if (attempt === 3 || !started.includes('Address already in use')) throw new Error(started);
  }
}

async function start(place: Place): Promise<ServerProcess | string> {
  // When it ends, the master signals the process group that bears its own number.
  const server = startProcess(master, ['-c', place.folder, '-d'], { ownGroup: true });
  if (await waitForGreeting(server, place.port)) return server;
  await server.stop();
  return `Postfix did not start: ${server.output()}${readLog(place.logFile)}`;
}

const master = '/usr/lib/postfix/sbin/master';
const queueFolders = [
  'active',
  'bounce',
  'corrupt',
  'defer',
  'deferred',
  'flush',
  'hold',
  'incoming',
  'saved',
  'trace',
];
const onTheirWay = ['incoming', 'active', 'deferred', 'maildrop'];

async function prepare(options: PostfixOptions, ports: { port: number; tlsPort: number }): Promise<string> {
  const { folder } = options;
  const ids = await postfixIds();
  mkdirSync(folder, { recursive: true });
  makePassable(folder);
  const queue = join(folder, 'queue');
  makeFolder(queue, { uid: 0, gid: 0 }, 0o755);
  makeFolder(join(queue, 'pid'), { uid: 0, gid: 0 }, 0o755);
  for (const name of [...queueFolders, 'private'])
    makeFolder(join(queue, name), { uid: ids.user, gid: 0 }, 0o700);
  for (const name of ['public', 'maildrop'])
    makeFolder(join(queue, name), { uid: ids.user, gid: ids.drop }, 0o710);
  makeFolder(join(folder, 'data'), { uid: ids.user, gid: ids.user }, 0o700);
  makeMaildir(join(folder, 'mail'));
  const logFile = join(folder, 'postfix.log');
  const parameters = {
    ...mainParameters(folder, logFile),
    ...optionalParameters(options),
    ...options.parameters,
  };
  const lines = Object.entries(parameters).map(([key, value]) => `${key} = ${value}\n`);
  writeFileSync(join(folder, 'main.cf'), lines.join(''));
  writeFileSync(join(folder, 'master.cf'), masterServices(options, ports));
  writeFileSync(
    join(folder, 'recipients'),
    '/^unknown@/ 550 5.1.1 No such mailbox\n/^later@/ 450 4.2.1 Mailbox busy\n',
  );
  // Postfix reads a file over and over until it is at least a second old.
  const earlier = new Date(Date.now() - 60_000);
  for (const name of ['main.cf', 'master.cf', 'recipients']) utimesSync(join(folder, name), earlier, earlier);
  return logFile;
}

async function postfixIds(): Promise<{ user: number; drop: number }> {
  const id = async (base: string, name: string): Promise<number> =>
    Number((await run('getent', [base, name])).text.split(':')[2]);
  return { user: await id('passwd', 'postfix'), drop: await id('group', 'postdrop') };
}

function mainParameters(folder: string, logFile: string): Record<string, string> {
  return {
    compatibility_level: '3.6',
    queue_directory: join(folder, 'queue'),
    data_directory: join(folder, 'data'),
    daemon_directory: '/usr/lib/postfix/sbin',
    command_directory: '/usr/sbin',
    maillog_file: logFile,
    maillog_file_prefixes: folder,
    myhostname: 'mta.example.com',
    mydestination: '',
    mynetworks: '127.0.0.1/32',
    inet_interfaces: '127.0.0.1',
    inet_protocols: 'ipv4',
    disable_dns_lookups: 'yes',
    smtpd_peername_lookup: 'no',
    alias_maps: '',
    alias_database: '',
    local_recipient_maps: '',
    local_header_rewrite_clients: '',
    // Who said XCLIENT is judged by what it said: only those who logged in may send elsewhere.
    smtpd_relay_restrictions: 'permit_sasl_authenticated, reject_unauth_destination',
    smtpd_recipient_restrictions: `check_recipient_access regexp:${join(folder, 'recipients')}`,
    smtpd_client_restrictions: '',
    virtual_mailbox_domains: 'example.com',
    virtual_mailbox_base: folder,
    virtual_mailbox_maps: 'static:mail/',
    virtual_uid_maps: `static:${mailOwner.uid}`,
    virtual_gid_maps: `static:${mailOwner.gid}`,
    default_transport: 'virtual',
    virtual_mailbox_limit: '0',
    mailbox_size_limit: '0',
    message_size_limit: '52428800',
    smtputf8_enable: 'yes',
    smtpd_error_sleep_time: '0',
    smtpd_soft_error_limit: '1000',
    smtpd_hard_error_limit: '1000',
    smtpd_client_connection_count_limit: '0',
    default_process_limit: '300',
    in_flow_delay: '0',
    virtual_delivery_slot_cost: '0',
    virtual_destination_recipient_limit: '1',
    disable_mime_input_processing: 'yes',
    disable_vrfy_command: 'no',
    smtpd_tls_security_level: 'none',
  };
}

function optionalParameters(options: PostfixOptions): Record<string, string> {
  const parameters: Record<string, string> = {
    smtpd_authorized_xclient_hosts: options.xclientFrom ?? '127.0.0.0/8',
  };
  if (options.authSocket !== undefined) {
    Object.assign(parameters, {
      smtpd_sasl_auth_enable: 'yes',
      smtpd_sasl_type: 'dovecot',
      smtpd_sasl_path: options.authSocket,
    });
  }
  if (options.authority !== undefined) {
    const issued = options.authority.issue({
      names: ['localhost', '127.0.0.1', 'mta.example.com'],
      file: `postfix-${randomBytes(4).toString('hex')}`,
    });
    writeFileSync(join(options.folder, 'tls.pem'), `${issued.key}${issued.cert}`, { mode: 0o600 });
    Object.assign(parameters, {
      smtpd_tls_security_level: 'may',
      smtpd_tls_chain_files: join(options.folder, 'tls.pem'),
      smtpd_tls_loglevel: '1',
      smtpd_tls_received_header: 'yes',
    });
  }
  return parameters;
}

function masterServices(options: PostfixOptions, ports: { port: number; tlsPort: number }): string {
  const services = [
    `127.0.0.1:${ports.port} inet n - n - - smtpd`,
    'cleanup unix n - n - 0 cleanup',
    'qmgr unix n - n 300 1 qmgr',
    'rewrite unix - - n - - trivial-rewrite',
    'tlsmgr unix - - n 1000? 1 tlsmgr',
    'bounce unix - - n - 0 bounce',
    'defer unix - - n - 0 bounce',
    'trace unix - - n - 0 bounce',
    'proxymap unix - - n - - proxymap',
    'flush unix n - n 1000? 0 flush',
    'showq unix n - n - - showq',
    'error unix - - n - - error',
    'retry unix - - n - - error',
    'virtual unix - n n - - virtual',
    'anvil unix - - n - 1 anvil',
    'postlog unix-dgram n - n - 1 postlogd',
  ];
  if (options.authority !== undefined) {
    services.push(`127.0.0.1:${ports.tlsPort} inet n - n - - smtpd\n  -o smtpd_tls_wrappermode=yes`);
  }
  if (options.proxiedPort !== undefined) {
    const proxied = '-o smtpd_upstream_proxy_protocol=haproxy';
    services.push(`127.0.0.1:${options.proxiedPort} inet n - n - - smtpd\n  ${proxied}`);
  }
  services.push(...(options.services ?? []));
  return `${services.join('\n')}\n`;
}

async function waitForGreeting(server: ServerProcess, port: number): Promise<boolean> {
  const end = performance.now() + 20_000;
  while (!server.exited() && performance.now() < end) {
    if ((await greetingOf(port))?.startsWith('220 ') === true) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}

interface Place {
  readonly port: number;
  readonly tlsPort: number;
  readonly folder: string;
  readonly logFile: string;
}

function handle(place: Place, first: ServerProcess): Postfix {
  let server = first;
  return {
    port: place.port,
    tlsPort: place.tlsPort,
    logText: () => readLog(place.logFile),
    messages: (recipient) => delivered(join(place.folder, 'mail'), recipient),
    queueEmpty: () => onTheirWay.every((name) => isEmpty(join(place.folder, 'queue', name))),
    async stop() {
      await server.stop();
    },
    async restart() {
      const started = await start(place);
      if (typeof started === 'string') throw new Error(started);
      server = started;
    },
  };
}

function isEmpty(folder: string): boolean {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).every((entry) => entry.isDirectory());
}

/** virtual(8) stores LF and puts Return-Path, X-Original-To, Delivered-To and Received before the message. */
function delivered(maildir: string, recipient: string): Delivered[] {
  return readMessages(maildir)
    .map(split)
    .filter(({ trace }) => trace.includes(`\r\nDelivered-To: ${recipient}\r\n`));
}

function split(stored: Buffer): Delivered {
  const text = stored.toString('latin1').replaceAll('\n', '\r\n');
  // Up to and with the last line of the one Received header that this Postfix wrote.
  const trace = /^(?:(?!Received:).*\r\n)*Received: .*\r\n(?:[ \t].*\r\n)*/.exec(text)?.[0] ?? '';
  return { trace, message: Buffer.from(text.slice(trace.length), 'latin1') };
}

function readLog(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
