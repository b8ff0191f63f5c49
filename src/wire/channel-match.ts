// By which clients a channel is found: a network, a host name, or every name below a domain.
// Promises: never throws, asks no resolver; names are compared without regard to case. On failure: null.

import { type Network, parseNetwork } from './network.ts';

/** Plain data, so that it can be sent to a worker. */
export type ChannelMatch =
  | { readonly kind: 'network'; readonly network: Network }
  /** In lower case; one that begins with a dot stands for every name below that domain, and not for the domain. */
  | { readonly kind: 'name'; readonly pattern: string };

const HOST_NAME =
  /^(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
/** No top-level domain is all digits; what looks so is a mistyped address. */
const NUMERIC_END = /(?:^|\.)\d+$/;

/** `192.0.2.0/24`, `2001:db8::1`, `mail.example.com`, `.example.com` or `*.example.com`. */
export function parseChannelMatch(text: string): ChannelMatch | null {
  const network = parseNetwork(text);
  if (network !== null) return { kind: 'network', network };
  const pattern = text.toLowerCase().replace(/^\*(?=\.)/, '');
  const name = pattern.replace(/^\./, '');
  return HOST_NAME.test(name) && !NUMERIC_END.test(name) ? { kind: 'name', pattern } : null;
}

export function formatChannelMatch(match: ChannelMatch): string {
  return match.kind === 'name' ? match.pattern : formatNetwork(match.network);
}

export function formatNetwork({ family, address, prefix }: Network): string {
  return prefix === (family === 4 ? 32 : 128) ? address : `${address}/${prefix}`;
}

/** Whether a name, with or without the root's dot, is meant by a pattern. */
export function isNamedBy(pattern: string, name: string): boolean {
  const plain = name.toLowerCase().replace(/\.$/, '');
  return pattern.startsWith('.')
    ? plain.length > pattern.length && plain.endsWith(pattern)
    : plain === pattern;
}
