// The quickstart behind scripts/quickstart: a Dovecot and a Postfix of its own on loopback, Sallyport before them, and
// one real session of each protocol over STARTTLS and one over implicit TLS, printed line by line. Then it waits for
// Ctrl-C. It owns ./quickstart (settings, CA, data, the front's log) and a temporary folder for the two servers, which must be passable
// for their own users; both go at the end, and so does every process that it started.
// --exit: ends after the sessions. --folder F: instead of ./quickstart.

import { appendFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { makeAuthority } from '../test/support/authority.ts';
import { startDovecot } from '../test/support/dovecot.ts';
import { startFront, type Front } from '../test/support/front.ts';
import { freePort, isFree } from '../test/support/ports.ts';
import { startPostfix } from '../test/support/postfix.ts';
import { until } from '../test/support/program.ts';
import { siteSettings } from '../test/support/site.ts';
import { playImap, playPop3, playSubmission, type Stage } from './quickstart-sessions.ts';

const login = { user: 'anna@example.com', password: 'open sesame' };
/** So that the logs can be seen to tell the client from the front. */
const clientAddress = '127.0.0.23';
const wishes = {
  imap: 1143,
  imaps: 1993,
  pop3: 1110,
  pop3s: 1995,
  smtp: 1025,
  submission: 1587,
  submissions: 1465,
};
type Ports = typeof wishes;

const { values: given } = parseArgs({ options: { exit: { type: 'boolean' }, folder: { type: 'string' } } });
const folder = resolve(given.folder ?? join(import.meta.dirname, '..', 'quickstart'));
const caFile = join(folder, 'quickstart-ca.pem');
const logFile = join(folder, 'sallyport.log');
const LOG_COPY_MS = 200;
const servers = mkdtempSync(join(tmpdir(), 'sallyport-quickstart-'));
const running: { stop(): Promise<unknown> }[] = [];

try {
  await main();
} catch (error) {
  console.error(`quickstart: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  await Promise.all(running.map((part) => part.stop()));
  rmSync(servers, { recursive: true, force: true });
  if (isOurs()) rmSync(folder, { recursive: true, force: true });
}

async function main(): Promise<void> {
  const interrupted = new Promise<void>((done) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => done());
  });
  claimFolder();
  const stage = await startEverything();
  say('\nOne session of each protocol over STARTTLS, and one over implicit TLS');
  for (const way of ['starttls', 'implicit'] as const) {
    await playSubmission(stage, way);
    await stage.arrived(way);
    await playImap(stage, way);
    await playPop3(stage, way);
  }
  await showLogs(stage);
  showLogFiles();
  if (given.exit === true) return;
  showNextSteps(stage);
  await interrupted;
  say('\nStopping the front, Dovecot and Postfix.');
}

/** The CA's file is what tells a folder of the quickstart from somebody's own. */
function isOurs(): boolean {
  return existsSync(caFile);
}

function claimFolder(): void {
  if (existsSync(folder) && !isOurs())
    throw new Error(`${folder} is not of the quickstart's making: move it away`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(caFile, '');
}

interface Scene extends Stage {
  readonly ports: Ports;
  readonly pid: number;
  arrived(way: 'starttls' | 'implicit'): Promise<void>;
  logs(): { dovecot: string; postfix: string; front: readonly Readonly<Record<string, unknown>>[] };
}

async function startEverything(): Promise<Scene> {
  const authority = makeAuthority(folder, 'Sallyport Quickstart CA');
  writeFileSync(caFile, authority.ca);
  const dovecot = await startDovecot({
    folder: join(servers, 'dovecot'),
    users: { [login.user]: login.password },
    authority,
  });
  running.push(dovecot);
  say(`Dovecot runs: IMAP on 127.0.0.1:${dovecot.imapPort}, POP3 on 127.0.0.1:${dovecot.pop3Port}`);
  const postfix = await startPostfix({
    folder: join(servers, 'postfix'),
    authority,
    authSocket: dovecot.authSocket,
    parameters: {
      virtual_mailbox_base: join(servers, 'dovecot', 'mail'),
      virtual_mailbox_maps: `inline:{{${login.user}=${login.user}/Maildir/}}`,
    },
  });
  running.push(postfix);
  say(`Postfix runs: SMTP on 127.0.0.1:${postfix.port}, delivers into Dovecot's mailboxes`);
  const ports = await choosePorts();
  const front = await startFront({
    folder,
    settings: settingsFor(siteSettings({ authority, dovecot, postfix }), ports),
  });
  running.push(copyLog(front), front);
  say(
    `Sallyport runs: ${Object.entries(ports)
      .map(([name, port]) => `${name} ${port}`)
      .join(', ')}`,
  );
  say(`Its settings are in ${show(front.settingsFile)}, the CA of all certificates in ${show(caFile)}`);
  return {
    login,
    clientAddress,
    ca: authority.ca,
    ports,
    pid: front.pid,
    say,
    logs: () => ({ dovecot: dovecot.logText(), postfix: postfix.logText(), front: front.log() }),
    async arrived(way) {
      const count = way === 'starttls' ? 1 : 2;
      await until(
        () => dovecot.messages(login.user).length >= count,
        10_000,
        () => postfix.logText(),
      );
    },
  };
}

/** Appends what the front logs to a file, so that it can be followed. */
function copyLog(front: Front): { stop(): Promise<void> } {
  let copied = 0;
  const copy = (): void => {
    const lines = front.log().slice(copied);
    copied += lines.length;
    appendFileSync(logFile, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  };
  copy();
  const timer = setInterval(copy, LOG_COPY_MS);
  return {
    stop() {
      clearInterval(timer);
      copy();
      return Promise.resolve();
    },
  };
}

async function choosePorts(): Promise<Ports> {
  const ports = { ...wishes };
  for (const name of Object.keys(ports) as (keyof Ports)[]) {
    if (!(await isFree(ports[name], '127.0.0.1'))) ports[name] = await freePort();
  }
  return ports;
}

function settingsFor(settings: Record<string, unknown>, ports: Ports): Record<string, unknown> {
  const services = settings['services'] as Record<string, Record<string, unknown>>;
  const listening = Object.entries(ports).map(([name, port]) => [
    name,
    { ...services[name], listen: [`127.0.0.1:${port}`] },
  ]);
  return { ...settings, services: Object.fromEntries(listening) as unknown };
}

async function showLogs(scene: Scene): Promise<void> {
  await until(
    () => scene.logs().front.filter((line) => line['user'] === login.user).length >= 6,
    5000,
    () => JSON.stringify(scene.logs().front, null, 1),
  );
  const { dovecot, postfix, front } = scene.logs();
  const pick = (text: string, pattern: RegExp): string[] =>
    text.split('\n').filter((line) => pattern.test(line));
  const seen = {
    Dovecot: pick(dovecot, /Login: user=<anna@example\.com>/),
    Postfix: pick(postfix, /: client=/),
  };
  for (const [name, lines] of Object.entries(seen)) {
    const told = lines.length > 0 && lines.every((line) => line.includes(clientAddress));
    if (!told) throw new Error(`${name} did not learn the client's address: ${lines.join('\n')}`);
    say(`\n${name}'s own log shows the client's address, ${clientAddress}, not Sallyport's:`);
    for (const line of lines) say(`   ${line}`);
  }
  say("\nSallyport's log has one line for every connection, such as:");
  say(`   ${JSON.stringify(front.findLast((line) => line['user'] === login.user))}`);
}

function showLogFiles(): void {
  say(`
The logs, as they go on:

  tail -f ${show(logFile)}
  tail -f ${join(servers, 'dovecot', 'dovecot.log')}
  tail -f ${join(servers, 'postfix', 'postfix.log')}`);
}

function showNextSteps({ ports, pid }: Scene): void {
  const ca = show(caFile);
  const settings = show(join(folder, 'sallyport.yaml'));
  say(`
Everything keeps running until Ctrl-C. In another terminal, from this folder, try:

  curl --cacert ${ca} --ssl-reqd -u '${login.user}:${login.password}' 'imap://localhost:${ports.imap}/INBOX;MAILINDEX=1'
  curl --cacert ${ca} -u '${login.user}:${login.password}' 'pop3s://localhost:${ports.pop3s}/1'
  openssl s_client -connect localhost:${ports.imaps} -CAfile ${ca} -verify_return_error -crlf -quiet
  openssl s_client -connect localhost:${ports.submission} -starttls smtp -CAfile ${ca} -brief </dev/null
  swaks --server localhost --port ${ports.submission} --tls --tls-verify --tls-ca-path ${ca} \\
        --auth PLAIN --auth-user ${login.user} --auth-password '${login.password}' \\
        --from ${login.user} --to ${login.user}
  node_modules/.bin/node src/main.ts status --config ${settings}
  kill -HUP ${pid}      # after a change of ${settings}`);
}

function show(file: string): string {
  return relative(process.cwd(), file);
}

function say(text: string): void {
  console.log(text);
}
