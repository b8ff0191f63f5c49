// The settings of one entry in `channels` and of one in `backends`.

import type { Group } from './formats.ts';
import { TLS_MODES, TLS_VERSIONS } from './schema-tls.ts';

export const channelSchema = {
  keywords: {
    doc: 'Keywords as in a Sun channel block.',
    format: 'channelKeywords',
    default: null,
    required: true,
  },
  match: {
    doc:
      'Clients that a channel with `switchchannel` sends here: addresses and networks, and names that their address ' +
      'resolves to and that resolve to it, as in `mail.example.com` or `.example.com` for all below.',
    format: 'channelMatch',
    default: [],
  },
  relay: { doc: 'Name of the backend that gets the mail.', format: 'name', default: null, required: true },
} as const satisfies Group;

export const backendSchema = {
  servers: {
    doc: 'The servers, all alike: `host:port`, `[v6 address]:port` or `unix:/path`.',
    format: 'servers',
    default: null,
    required: true,
    min: 1,
  },
  tls: {
    mode: {
      doc: 'TLS with the servers; a word in place of the map is this.',
      format: 'choice',
      choices: TLS_MODES,
      default: 'maytls',
    },
    verify: {
      doc: 'Refuse a server whose certificate cannot be verified.',
      format: 'flag',
      default: true,
    },
    ca: {
      doc: 'PEM file with the CAs to trust; empty: those of the system.',
      format: 'path',
      default: null,
      nullable: true,
    },
    name: {
      doc: 'Host name that the certificate must show; empty: the host in `servers`.',
      format: 'hostname',
      default: null,
      nullable: true,
    },
    minVersion: { doc: 'Oldest TLS version.', format: 'choice', choices: TLS_VERSIONS, default: 'TLSv1.2' },
    ciphers: { doc: 'OpenSSL cipher list.', format: 'ciphers', default: 'default' },
  },
  login: {
    doc: 'How users are logged in: `replay` gives the server what the client gave.',
    format: 'choice',
    choices: ['replay'],
    default: 'replay',
  },
  allowClearBackend: {
    doc: 'A password may go to these servers without TLS (to loopback and Unix sockets it always may).',
    format: 'flag',
    default: false,
  },
  client: {
    doc:
      'How the servers are told who the client is: `none`, or a list of `id` (imap), `xclient` (pop3, smtp), `xpehlo` ' +
      '(smtp) and, in front of the protocol, `proxy-v1` or `proxy-v2`. A server that does not take what is listed gets ' +
      'nothing from us; a question mark makes id, xclient and xpehlo optional. A PROXY header must be what the server ' +
      'expects.',
    format: 'clientInfo',
    default: 'none',
  },
  xpehloPassword: {
    doc:
      'What `client: [xpehlo]` shows: the `frontTier.password` of the Sallyport behind. It goes where a password ' +
      'may go, see `allowClearBackend`.',
    format: 'secret',
    default: null,
    nullable: true,
    sensitive: true,
  },
} as const satisfies Group;
