// What a balancer at 192.0.2.250 writes before the protocol, for a client at 203.0.113.9 who had connected to
// 198.51.100.25 port 993.

import type { Proxied } from '../../src/wire/proxy-header.ts';
import { formatProxyHeader } from '../../src/wire/proxy-header-out.ts';

export const BALANCER = '192.0.2.250';
export const CLIENT = '203.0.113.9';

export const PROXIED: Proxied = {
  source: { address: CLIENT, port: 4711 },
  destination: { address: '198.51.100.25', port: 993 },
  tls: undefined,
  alpn: null,
  authority: null,
  uniqueId: null,
};

/** The same client, with TLS as far as the balancer. */
export const PROXIED_TLS: Proxied = {
  ...PROXIED,
  tls: {
    version: 'TLSv1.3',
    cipher: 'TLS_AES_128_GCM_SHA256',
    certificate: 'verified',
    clientName: 'anna',
    signature: null,
    key: null,
  },
  authority: 'imap.example.com',
  uniqueId: 'B-0815',
};

export const HEADERS: readonly (readonly [name: string, header: Buffer])[] = [
  ['version 1', formatProxyHeader(1, PROXIED)],
  ['version 2', formatProxyHeader(2, PROXIED)],
];
export const [[, V1] = ['', Buffer.alloc(0)], [, V2] = ['', Buffer.alloc(0)]] = HEADERS;
export const V2_TLS = formatProxyHeader(2, PROXIED_TLS);

/** The service's setting: that balancer and no other. */
export function believed(mode: 'optional' | 'require'): Readonly<Record<string, unknown>> {
  return { proxyProtocol: { from: [BALANCER], mode } };
}
