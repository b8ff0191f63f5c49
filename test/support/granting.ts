// A front with everything of POP before SMTP in memory: service `mail` is smtp and starts on tcp_local, `pop3` and `imap`
// are mailboxes, and the channel of grants, tcp_intranet, has a relay of its own, `inner`.

import type { TestContext } from 'node:test';
import { IMAP, POP3, SEND, SMTP } from './dialects.ts';
import { type ConnectOptions, type Gateway, type GatewayOptions, openGateway } from './gateway.ts';
import { mta, type Mta, type MtaOptions } from './mta.ts';
import { imapStore, pop3Store } from './stores.ts';

export const POP = '127.0.0.110:110';
const STORE = '127.0.0.143:143';

export const CHANNELS = {
  tcp_local: { keywords: 'smtp mx maytlsserver maysaslserver switchchannel' },
  tcp_intranet: { keywords: 'smtp mx maytlsserver maysaslserver noswitchchannel', relay: 'inner' },
} as const;

export interface GrantingOptions extends Partial<GatewayOptions> {
  readonly inner?: MtaOptions;
  readonly outer?: MtaOptions;
  /** Of the services for mailboxes. */
  readonly mailboxes?: Readonly<Record<string, unknown>>;
}

export interface Granting {
  readonly gateway: Gateway;
  readonly outer: Mta;
  readonly inner: Mta;
  /** A login at a mailbox, and its end. */
  readonly logIn: (options?: ConnectOptions & { readonly by?: 'pop3' | 'imap' }) => Promise<void>;
  /** Sends a message without a login; gives the path through the channels. */
  readonly send: (options?: ConnectOptions) => Promise<unknown>;
}

export function openGranting(t: TestContext, options: GrantingOptions = {}): Granting {
  const { inner: innerOptions, outer: outerOptions, mailboxes, ...more } = options;
  const [outer, inner] = [mta(outerOptions), mta(innerOptions)];
  const listen = '127.0.0.1:0';
  const gateway = openGateway(t, {
    protocol: 'smtp',
    backend: outer.script,
    relays: { inner: inner.script },
    channels: CHANNELS,
    plans: { [POP]: pop3Store({ client: true }).script, [STORE]: imapStore({ client: true }).script },
    services: {
      pop3: {
        protocol: 'pop3',
        listen,
        tls: 'maytls',
        backend: 'pops',
        capabilities: ['UIDL'],
        ...mailboxes,
      },
      imap: {
        protocol: 'imap',
        listen,
        tls: 'maytls',
        backend: 'stores',
        capabilities: ['IMAP4rev1'],
        ...mailboxes,
      },
    },
    popBeforeSmtp: { channel: 'tcp_intranet' },
    ...more,
    backends: { pops: { servers: POP }, stores: { servers: STORE }, ...more.backends },
    service: { channel: 'tcp_local', ...more.service },
  });
  const ended = (): number => gateway.lines.filter((line) => line['event'] === 'closed').length;
  return {
    gateway,
    outer,
    inner,
    async logIn({ by = 'pop3', ...from } = {}) {
      const before = ended();
      const { greeting, login, logout } = by === 'pop3' ? POP3 : IMAP;
      await gateway.play(`${greeting}\n${login}\n${logout}`, { service: by, ...from });
      await gateway.closed(before + 1);
    },
    async send(from = {}) {
      const before = ended();
      await gateway.play(`${SMTP.greeting}\n${SEND}\n${SMTP.logout}`, from);
      return (await gateway.closed(before + 1))['rule'];
    },
  };
}

export const GRANTED = 'tcp_local → tcp_intranet (pop-before-smtp)';
export const UNGRANTED = 'tcp_local';
