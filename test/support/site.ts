// A whole site for a live test: one Dovecot, one Postfix and one front before them, one CA that signed all three.
// Every service that a client may want is there; `ports` names them. stop() ends all and removes the folder.
// Several tests of a file share one site, so each looks only for its own messages.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { makeAuthority, type Authority } from './authority.ts';
import { startDovecot, type Dovecot, type DovecotOptions } from './dovecot.ts';
import { startFront, type Front } from './front.ts';
import { startPostfix, type Delivered, type Postfix, type PostfixOptions } from './postfix.ts';
import { until } from './program.ts';

export const anna = { user: 'anna@example.com', password: 'open sesame' };
/** Whose password needs quoting in every dialect. */
export const bob = { user: 'bob@example.com', password: 'a"b\\c {5} %d\u0021' };

export const serviceNames = ['imap', 'imaps', 'pop3', 'pop3s', 'smtp', 'submission', 'submissions'] as const;
export type ServiceName = (typeof serviceNames)[number];

export interface Site {
  readonly folder: string;
  readonly authority: Authority;
  readonly dovecot: Dovecot;
  readonly postfix: Postfix;
  readonly front: Front;
  readonly ports: Readonly<Record<ServiceName, number>>;
  /** The settings that the front started with, for a test that changes some. */
  readonly settings: Record<string, unknown>;
  /** Waits for the next messages to a recipient: all so far once there are `count`. */
  arrived(recipient: string, count: number): Promise<Delivered[]>;
  stop(): Promise<void>;
}

/** The two ways to TLS, by protocol, with the service that has each. */
export const ways = {
  imap: [
    ['STARTTLS', 'imap'],
    ['implicit TLS', 'imaps'],
  ],
  pop3: [
    ['STLS', 'pop3'],
    ['implicit TLS', 'pop3s'],
  ],
  smtp: [
    ['STARTTLS', 'submission'],
    ['implicit TLS', 'submissions'],
  ],
} as const;

export interface SiteOptions {
  readonly postfix?: Pick<PostfixOptions, 'services'>;
  readonly dovecot?: Pick<DovecotOptions, 'extra'>;
  /** Changes the settings before the start. */
  readonly adjust?: (settings: Record<string, unknown>) => Record<string, unknown>;
}

export async function startSite(options: SiteOptions = {}): Promise<Site> {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-live-'));
  const authority = makeAuthority(folder);
  const users = { [anna.user]: anna.password, [bob.user]: bob.password };
  const started: { stop(): Promise<unknown> }[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(started.map((part) => part.stop()));
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const dovecot = await startDovecot({
      folder: join(folder, 'dovecot'),
      users,
      authority,
      ...options.dovecot,
    });
    started.push(dovecot);
    const { authSocket } = dovecot;
    const postfix = await startPostfix({
      folder: join(folder, 'postfix'),
      authority,
      authSocket,
      ...options.postfix,
    });
    started.push(postfix);
    const made = siteSettings({ authority, dovecot, postfix });
    // Everybody comes from one address, and wrong passwords are tried on purpose.
    const open = { ...made, limits: { perAddress: 0, perUser: 0 }, penalties: { remembered: 0 } };
    const settings = options.adjust?.(open) ?? open;
    const front = await startFront({ folder: join(folder, 'front'), settings });
    started.push(front);
    const ports = Object.fromEntries(serviceNames.map((name) => [name, front.port(name)]));
    return {
      folder,
      authority,
      dovecot,
      postfix,
      front,
      settings,
      stop,
      ports: ports as Record<ServiceName, number>,
      arrived: (recipient, count) => waitForMail(postfix, recipient, count),
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function waitForMail(postfix: Postfix, recipient: string, count: number): Promise<Delivered[]> {
  return until(
    () => {
      const mail = postfix.messages(recipient);
      return mail.length >= count && mail;
    },
    20_000,
    () =>
      `mail for ${recipient}: ${postfix.messages(recipient).length} of ${count}\n${postfix.logText().slice(-3000)}`,
  );
}

/** What a site's front is told; the quickstart starts from it too. */
export function siteSettings(parts: {
  authority: Authority;
  dovecot: Pick<Dovecot, 'imapPort' | 'pop3Port'>;
  postfix: Pick<Postfix, 'port'>;
}): Record<string, unknown> {
  const { authority, dovecot, postfix } = parts;
  const names = ['localhost', 'mail.example.com', '127.0.0.1'];
  const rsa = authority.issue({ names, keyType: 'rsa', file: 'front-rsa' });
  const ec = authority.issue({ names, keyType: 'ec', file: 'front-ec' });
  const tls = { mode: 'musttls', ca: authority.caFile, name: 'localhost' };
  const listen = ['127.0.0.1:0'];
  return {
    hostname: 'mail.example.com',
    dataDir: './data',
    workers: 2,
    tls: {
      certificate: [
        { cert: rsa.certFile, key: rsa.keyFile },
        { cert: ec.certFile, key: ec.keyFile },
      ],
    },
    services: {
      imap: { protocol: 'imap', listen, tls: 'musttls', backend: 'stores' },
      imaps: { protocol: 'imap', listen, tls: 'implicit', backend: 'stores' },
      pop3: { protocol: 'pop3', listen, tls: 'musttls', backend: 'popstores' },
      pop3s: { protocol: 'pop3', listen, tls: 'implicit', backend: 'popstores' },
      smtp: { protocol: 'smtp', listen, channel: 'tcp_local' },
      submission: { protocol: 'smtp', listen, channel: 'tcp_submit' },
      submissions: { protocol: 'smtp', listen, tls: 'implicit', channel: 'tcp_submit' },
    },
    channels: {
      tcp_local: { keywords: 'smtp mx maytlsserver maysaslserver', relay: 'mta' },
      tcp_submit: { keywords: 'smtp mx musttlsserver mustsaslserver', relay: 'mta' },
    },
    backends: {
      stores: { servers: [`127.0.0.1:${dovecot.imapPort}`], tls, client: ['id'] },
      popstores: { servers: [`127.0.0.1:${dovecot.pop3Port}`], tls, client: ['xclient'] },
      mta: { servers: [`127.0.0.1:${postfix.port}`], tls, client: ['xclient'] },
    },
  };
}
