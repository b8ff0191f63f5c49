// A gateway with a file of users and a CA that is trusted for clients, and a client that has a certificate of it: what it
// says to log in by it, and what it hears.

import type { TestContext } from 'node:test';
import type { Issued } from './authority.ts';
import { BALANCER } from './balancer.ts';
import { clientAuthority, trustIn } from './certified.ts';
import type { Conversation } from './conversation.ts';
import { type Errands, IMAP, plain } from './dialects.ts';
import { clientTls, type Gateway, type GatewayOptions, openGateway } from './gateway.ts';

export const USER = 'shjorth@sun.com';
const USERS = `
${USER}:
other@sun.com: { mail: [other@sun.com, another@sun.com] }
away@sun.com: { status: inactive }
held@sun.com: { status: hold }
near@sun.com: { access: "+imap,pop,smtp:192.0.2.200" }
"anna@sun.com": { mail: anna@example.com }
bert: { mail: [bert@sun.com, twin@sun.com] }
twin: { mail: twin@sun.com }
"*@pattern.test":
"@domain.test":
`;

export interface Scene {
  readonly subject?: Buffer;
  readonly gateway?: Partial<GatewayOptions>;
  readonly emails?: readonly (string | Buffer)[];
  readonly isRevoked?: boolean;
  /** The certificate is of a CA that nobody trusts. */
  readonly isForeign?: boolean;
}

export interface Opened {
  readonly gateway: Gateway;
  readonly shown: Issued;
  readonly logins: readonly { readonly authzid: string; readonly user: string; readonly secret: string }[];
}

export function open(t: TestContext, errands: Errands, scene: Scene = {}): Opened {
  const authority = clientAuthority(t);
  const signer = scene.isForeign === true ? clientAuthority(t, 'Foreign CA') : authority;
  const shown = signer.issue({
    names: ['pc.sun.com'],
    purpose: 'client',
    emails: scene.emails ?? [USER],
    ...(scene.subject === undefined ? {} : { subject: scene.subject }),
  });
  const behind = errands.store({ accepts: ({ user, secret }) => user === 'admin' || secret === 'own' });
  const crls = scene.isRevoked === true ? [authority.crl([shown.serial])] : [];
  const gateway = openGateway(t, {
    protocol: errands.protocol,
    backend: behind.script,
    tls: 'implicit',
    clients: trustIn([authority], { crls }),
    users: USERS,
    world: { now: () => Date.now() },
    ...scene.gateway,
    to: { admin: { user: 'admin', password: 'secret' }, ...scene.gateway?.to },
  });
  return { gateway, shown, logins: behind.logins };
}

/** TLS with the certificate, and the greeting. */
export async function enter(gateway: Gateway, errands: Errands, shown?: Issued): Promise<Conversation> {
  const client = gateway.connect();
  await client.startTls(clientTls(shown === undefined ? {} : { shown }));
  const hello = errands.protocol === 'smtp' ? '\nC: EHLO client.test\nS> 250 *' : '';
  await gateway.resume(client, `${errands.greeting}${hello}`);
  return client;
}

/** IMAP: the same behind a balancer, with its PROXY header. */
export async function enterBehind(gateway: Gateway, shown: Issued, header: Buffer): Promise<Conversation> {
  const client = gateway.connect({ from: BALANCER });
  client.send(header);
  await client.startTls(clientTls({ shown }));
  await gateway.resume(client, IMAP.greeting);
  return client;
}

const START = { imap: 'a1 AUTHENTICATE', pop3: 'AUTH', smtp: 'AUTH' };
export const ACCEPTED = { imap: 'S: a1 OK *', pop3: 'S: +OK Welcome*', smtp: 'S: 235 *' };
export const REFUSED = {
  imap: 'S: a1 NO [AUTHENTICATIONFAILED] Wrong user name or password',
  pop3: 'S: -ERR [AUTH] Wrong user name or password',
  smtp: 'S: 535 5.7.8 Wrong user name or password',
};

export const UNKNOWN = {
  imap: 'S: a1 NO [CANNOT] Mechanism not offered',
  pop3: 'S: -ERR [AUTH] Mechanism not offered',
  smtp: 'S: 504 5.5.4 Mechanism not offered',
};
const base64 = (text: string): string => (text === '' ? '=' : Buffer.from(text).toString('base64'));

export function external({ protocol }: Errands, identity = ''): string {
  return `C: ${START[protocol]} EXTERNAL ${base64(identity)}`;
}

export function withPassword({ protocol }: Errands, user: string): string {
  return `C: ${START[protocol]} PLAIN ${plain(user, 'own')}\n${ACCEPTED[protocol]}`;
}

export const refusalOf = ({ lines }: Gateway): string =>
  JSON.stringify(lines.find(({ event }) => event === 'login-refused') ?? 'nothing was refused');

/** IMAP: gives the answer to EXTERNAL. */
export async function answerTo(t: TestContext, scene: Scene): Promise<Opened & { readonly user: unknown }> {
  const opened = open(t, IMAP, scene);
  const client = await enter(opened.gateway, IMAP, opened.shown);
  await opened.gateway.resume(client, `${external(IMAP)}\nS: a1 *\n${IMAP.logout}`);
  return { ...opened, user: (await opened.gateway.closed())['user'] };
}
