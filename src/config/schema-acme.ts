// The settings of ACME (RFC 8555): the map `certificates.acme`.

import type { Group } from './formats.ts';

export const LETS_ENCRYPT = 'https://acme-v02.api.letsencrypt.org/directory';
export const ACME_CHALLENGES = ['http-01', 'tls-alpn-01'] as const;

export const acmeSchema = {
  directory: {
    doc: 'The directory of the CA.',
    format: 'httpsUrl',
    default: LETS_ENCRYPT,
  },
  contact: {
    doc: 'E-mail addresses that the CA may write to, of one who looks after this server; empty: none.',
    format: 'emails',
    default: [],
  },
  agreeTerms: {
    doc: 'That you agree to the terms of service of the CA; without it nothing is ordered.',
    format: 'flag',
    default: false,
  },
  names: {
    doc:
      'Nickname of the certificate database → the public host names that its certificate is ordered for. The nickname ' +
      'is used in `certificate` and `sni` as any other; until the CA has issued, it stands for a self-signed certificate.',
    format: 'hostNames',
    default: null,
    required: true,
    max: 100,
  },
  challenge: {
    doc:
      'How the CA finds out that the names are ours: `http-01` (it connects to port 80), `tls-alpn-01` (to port 443, ' +
      'RFC 8737). Each of the names must lead here.',
    format: 'choice',
    choices: ACME_CHALLENGES,
    default: 'http-01',
  },
  listen: {
    doc:
      'Addresses that answer the CA, bound only while an order is under way; empty: `0.0.0.0` and `[::]`, port 80 for ' +
      '`http-01`, 443 for `tls-alpn-01`.',
    format: 'listeners',
    default: null,
    nullable: true,
    min: 1,
  },
  keyType: {
    doc: 'The keys of the certificates: ECDSA P-256 or RSA with 3072 bits; a new key for each certificate.',
    format: 'choice',
    choices: ['ec', 'rsa'],
    default: 'ec',
  },
  renewBefore: {
    doc:
      'Seconds before the end of a certificate at which the next one is ordered, never before half of its life is ' +
      'over; empty: a third of its life.',
    format: 'seconds',
    min: 1,
    max: 31_536_000,
    default: null,
    nullable: true,
  },
  ca: {
    doc: "PEM file with the CAs trusted for the directory, as a private CA needs it; empty: the runtime's.",
    format: 'path',
    default: null,
    nullable: true,
  },
  eab: {
    kid: {
      doc: 'Key identifier of an account at the CA that the ACME account is bound to; empty: none.',
      format: 'name',
      default: null,
      nullable: true,
    },
    key: {
      doc: 'The MAC key that belongs to it, base64url, as the CA gave it.',
      format: 'secret',
      default: null,
      nullable: true,
      sensitive: true,
    },
  },
} as const satisfies Group;
