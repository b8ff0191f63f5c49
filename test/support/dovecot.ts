// A real Dovecot 2.3 of the test's own: IMAP, POP3 (each in clear with STARTTLS, and with implicit TLS) and an auth
// socket for Postfix, all on free loopback ports, with configuration, state, log and mail under the given folder.
// Nothing in /etc or /run is read or written. Users are virtual; mail belongs to nobody. Loopback is a trusted
// network, so that ID and XCLIENT may say who the client is. Tokens for XOAUTH2 and OAUTHBEARER are JWTs that
// `token()` signs and Dovecot checks by itself. The folder must not hold spaces; the caller removes it after stop().

import { createHmac, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Authority } from './authority.ts';
import { mailOwner, makeFolder, makeMaildir, makePassable, putMessage, readMessages } from './maildir.ts';
import { freePorts } from './ports.ts';
import { greetingOf, run, startProcess, type ServerProcess } from './program.ts';

export interface DovecotOptions {
  readonly folder: string;
  /** User name → password. */
  readonly users: Readonly<Record<string, string>>;
  /** Without one there is no TLS: imapsPort and pop3sPort answer nobody. */
  readonly authority?: Authority;
  /** Default: plain login xoauth2 oauthbearer. */
  readonly mechanisms?: readonly string[];
  /** Default: 127.0.0.0/8. '' trusts nobody. */
  readonly trustedNetworks?: string;
  /** Names in the certificate. Default: localhost and 127.0.0.1. */
  readonly names?: readonly string[];
  /** More lines of dovecot.conf, last. */
  readonly extra?: string;
}

export interface Dovecot {
  readonly imapPort: number;
  readonly imapsPort: number;
  readonly pop3Port: number;
  readonly pop3sPort: number;
  /** Unix socket for Postfix's smtpd_sasl_path. */
  readonly authSocket: string;
  logText(): string;
  stop(): Promise<void>;
  /** Starts it again after stop(), on the same ports and with the same mail. */
  restart(): Promise<void>;
  /** Stops all its processes where they are: the kernel accepts, nobody answers. */
  hang(): void;
  /** Ends hang(). */
  goOn(): void;
  /** PEM; '' without an authority. */
  readonly certificate: string;
  /** Writes into the user's inbox. */
  deliver(user: string, message: Buffer): void;
  /** The user's inbox, oldest first, as stored. */
  messages(user: string): Buffer[];
  /** A token that proves `user` to XOAUTH2 and OAUTHBEARER for an hour. */
  token(user: string): string;
}

export async function startDovecot(options: DovecotOptions): Promise<Dovecot> {
  for (let attempt = 1; ; attempt++) {
    const place = prepare(options, await freePorts(4));
    const started = await start(place);
    if (typeof started !== 'string') return handle(place, started);
    if (attempt === 3 || !started.includes('Address already in use')) throw new Error(started);
  }
}

async function start(place: Place): Promise<ServerProcess | string> {
  const server = startProcess('dovecot', ['-F', '-c', place.configFile], { ownGroup: true });
  if (await waitForGreeting(server, [place.ports.imap, place.ports.pop3])) return server;
  await server.stop();
  const { text: version } = await run('dovecot', ['--version']);
  return `Dovecot ${version.trim()} (2.3 is needed) did not start: ${server.output()}${readLog(place.logFile)}`;
}

interface Place {
  readonly folder: string;
  readonly configFile: string;
  readonly logFile: string;
  readonly authSocket: string;
  readonly tokenKey: Buffer;
  readonly ports: {
    readonly imap: number;
    readonly imaps: number;
    readonly pop3: number;
    readonly pop3s: number;
  };
  inbox(user: string): string;
}

function prepare(options: DovecotOptions, ports: readonly number[]): Place {
  const { folder } = options;
  const [imap = 0, imaps = 0, pop3 = 0, pop3s = 0] = ports;
  mkdirSync(folder, { recursive: true });
  makePassable(folder);
  mkdirSync(join(folder, 'run'), { recursive: true, mode: 0o755 });
  mkdirSync(join(folder, 'state'), { recursive: true });
  makeFolder(join(folder, 'mail'), mailOwner, 0o700);
  const place: Place = {
    folder,
    configFile: join(folder, 'dovecot.conf'),
    logFile: join(folder, 'dovecot.log'),
    authSocket: join(folder, 'run', 'auth-postfix'),
    tokenKey: randomBytes(32),
    ports: { imap, imaps, pop3, pop3s },
    inbox: (user) => join(folder, 'mail', user.toLowerCase(), 'Maildir'),
  };
  const passwords = Object.entries(options.users).map(([user, password]) => `${user}:{PLAIN}${password}\n`);
  writeFileSync(join(folder, 'users'), passwords.join(''), { mode: 0o644 });
  for (const user of Object.keys(options.users)) {
    makeFolder(join(folder, 'mail', user.toLowerCase()), mailOwner, 0o700);
    makeMaildir(place.inbox(user));
  }
  writeTokenKey(place);
  writeFileSync(place.configFile, configuration(options, place));
  return place;
}

/** Where Dovecot's local validation looks for the key of an HS256 token without `azp` and `kid`. */
function writeTokenKey(place: Place): void {
  const keys = join(place.folder, 'keys', 'default', 'HS256');
  mkdirSync(keys, { recursive: true });
  writeFileSync(join(keys, 'default'), place.tokenKey.toString('base64'), { mode: 0o644 });
  writeFileSync(
    join(place.folder, 'oauth2.conf'),
    [
      'introspection_mode = local',
      `local_validation_key_dict = fs:posix:prefix=${join(place.folder, 'keys')}/`,
      'username_attribute = sub',
      '',
    ].join('\n'),
  );
}

function configuration(options: DovecotOptions, place: Place): string {
  const { folder, ports } = place;
  return `# written by test/support/dovecot.ts
protocols = imap pop3
listen = 127.0.0.1
base_dir = ${folder}/run
state_dir = ${folder}/state
log_path = ${place.logFile}
log_timestamp = "%Y-%m-%d %H:%M:%S "
login_log_format_elements = user=<%u> method=%m rip=%r rport=%b real=%{real_rip} lip=%l lport=%a %c session=<%{session}>
imap_id_log = *
auth_verbose = yes
login_trusted_networks = ${options.trustedNetworks ?? '127.0.0.0/8'}
disable_plaintext_auth = no
auth_failure_delay = 0
auth_mechanisms = ${(options.mechanisms ?? ['plain', 'login', 'xoauth2', 'oauthbearer']).join(' ')}
passdb {
  driver = passwd-file
  mechanisms = plain login
  args = ${folder}/users
}
passdb {
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = ${folder}/oauth2.conf
}
userdb {
  driver = static
  args = uid=${mailOwner.uid} gid=${mailOwner.gid} home=${folder}/mail/%u allow_all_users=yes
}
mail_location = maildir:~/Maildir
mail_save_crlf = yes
mail_fsync = never
mail_max_userip_connections = 0
first_valid_uid = 1
${tlsLines(options, folder)}
default_client_limit = 4096
default_process_limit = 1024
service imap-login {
  service_count = 0
  process_min_avail = 1
  inet_listener imap { port = ${ports.imap} }
  inet_listener imaps { port = ${ports.imaps} }
}
service pop3-login {
  service_count = 0
  process_min_avail = 1
  inet_listener pop3 { port = ${ports.pop3} }
  inet_listener pop3s { port = ${ports.pop3s} }
}
service auth {
  client_limit = 8192
  unix_listener auth-postfix { mode = 0666 }
}
service anvil {
  client_limit = 8192
  # no growing delay for an address whose passwords are wrong
  unix_listener anvil-auth-penalty { mode = 0 }
}
service stats { client_limit = 8192 }
${options.extra ?? ''}
`.replaceAll(/\{ (\w+ = \w+) \}/g, '{\n    $1\n  }');
}

function tlsLines(options: DovecotOptions, folder: string): string {
  if (options.authority === undefined) return 'ssl = no';
  const issued = options.authority.issue({
    names: options.names ?? ['localhost', '127.0.0.1'],
    file: `dovecot-${randomBytes(4).toString('hex')}`,
  });
  writeFileSync(join(folder, 'tls.pem'), issued.cert);
  writeFileSync(join(folder, 'tls.key'), issued.key, { mode: 0o600 });
  return `ssl = yes\nssl_cert = <${folder}/tls.pem\nssl_key = <${folder}/tls.key`;
}

async function waitForGreeting(server: ServerProcess, ports: readonly number[]): Promise<boolean> {
  const end = performance.now() + 20_000;
  for (const port of ports) {
    while ((await greetingOf(port)) === undefined) {
      if (server.exited() || performance.now() > end) return false;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  return true;
}

function handle(place: Place, first: ServerProcess): Dovecot {
  let server = first;
  return {
    imapPort: place.ports.imap,
    imapsPort: place.ports.imaps,
    pop3Port: place.ports.pop3,
    pop3sPort: place.ports.pop3s,
    authSocket: place.authSocket,
    logText: () => readLog(place.logFile),
    async stop() {
      await server.stop();
    },
    async restart() {
      const started = await start(place);
      if (typeof started === 'string') throw new Error(started);
      server = started;
    },
    hang: () => void process.kill(-server.pid, 'SIGSTOP'),
    goOn: () => void process.kill(-server.pid, 'SIGCONT'),
    get certificate() {
      const file = join(place.folder, 'tls.pem');
      return existsSync(file) ? readFileSync(file, 'utf8') : '';
    },
    deliver: (user, message) => putMessage(place.inbox(user), message),
    messages: (user) => readMessages(place.inbox(user)),
    token: (user) => signToken(place.tokenKey, user),
  };
}

// RFC 7519: header, claims and signature, each in base64url.
function signToken(key: Buffer, user: string): string {
  const now = Math.floor(Date.now() / 1000);
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ typ: 'JWT', alg: 'HS256' })}.${part({ sub: user, iat: now - 5, nbf: now - 5, exp: now + 3600 })}`;
  return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`;
}

function readLog(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
