// The settings of TLS: what this server shows and allows, at the top of the file and again in each service.

import type { Group, Leaf } from './formats.ts';

export const TLS_MODES = ['notls', 'maytls', 'musttls', 'implicit'] as const;
export const CLIENT_CERTIFICATES = ['off', 'auto', 'require'] as const;
export const TLS_VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const;

/** One certificate given by its PEM files. */
export const certificateSchema = {
  cert: {
    doc: 'PEM file with the certificate and its chain.',
    format: 'path',
    default: null,
    required: true,
  },
  key: { doc: 'PEM file with the private key.', format: 'path', default: null, required: true },
  passphrase: {
    doc: 'Passphrase of the key file; empty: the key is not encrypted.',
    format: 'secret',
    default: null,
    nullable: true,
    sensitive: true,
  },
} as const satisfies Group;

export const serverTlsLeaves = {
  certificate: {
    doc:
      'What this server shows: a nickname of the certificate database, `module:nickname` of a token, or PEM files as ' +
      '`{ cert, key, passphrase }`, or a list of these, one per key type (RSA and ECDSA); nicknames may also stand in ' +
      'one text with commas between.',
    format: 'certificates',
    default: 'Server-Cert',
    min: 1,
  },
  sni: {
    doc:
      'Host name or `*.domain` that a client asks for → certificates, written as in `certificate`. An exact name wins ' +
      'over a wildcard; a name that is not here gets `certificate`.',
    format: 'sni',
    default: {},
  },
  minVersion: {
    doc: 'Oldest TLS version. Empty: what a preset in `ciphers` means, or TLSv1.2.',
    format: 'choice',
    choices: TLS_VERSIONS,
    default: null,
    nullable: true,
  },
  maxVersion: { doc: 'Newest TLS version.', format: 'choice', choices: TLS_VERSIONS, default: 'TLSv1.3' },
  ciphers: {
    doc:
      'Cipher suites, best first. `intermediate` (the default): TLS 1.2 and 1.3, forward secrecy and authenticated ' +
      'encryption only; `modern`: TLS 1.3 only; `old`: from TLSv1 on, with CBC and without forward secrecy for ' +
      'clients that have nothing else; or an OpenSSL cipher list, TLS 1.3 suites may be among them. A preset also ' +
      'gives the oldest version where minVersion is not said beside it. The names of Sun servers (`rsa_3des_sha`, ' +
      '`+rsa_rc4_128_md5,…`) are read; `sallyport check` tells what became of them.',
    format: 'ciphers',
    default: 'default',
  },
  groups: {
    doc: 'Key exchange groups, separated by colons, best first; `default` begins with X25519MLKEM768.',
    format: 'groups',
    default: 'default',
  },
  stapling: {
    doc:
      'OCSP stapling: ask the responder that a certificate names (http) for its status, and give it to clients. The ' +
      'issuer must be in the chain. Where `certificate` is a list (RSA and ECDSA), those in it get none.',
    format: 'flag',
    default: true,
  },
  clientCertificates: {
    doc:
      'Certificates of clients: `off`; `auto`, asked for where a CA is trusted for clients (trust `T` in the certificate ' +
      'database, or `clientCa`), and who has none may log in with a password; `require`, and who shows none that ' +
      'verifies is turned away, which needs TLS that a client cannot do without. No CA of the system counts here.',
    format: 'choice',
    choices: CLIENT_CERTIFICATES,
    default: 'auto',
  },
  clientCa: {
    doc: 'PEM files with CAs that are trusted for clients besides those of the certificate database; one or several.',
    format: 'paths',
    default: [],
  },
  crl: {
    doc:
      'Revocation lists (PEM or DER): a file, a folder of them, or a list of these; read again when they change. A CA ' +
      'that has one is asked, another is not; one that is past its time still counts, with a warning. Services whose ' +
      'clients are judged by them resume no sessions. Those at the top hold for the certificates of backends too.',
    format: 'paths',
    default: [],
  },
  clientOcsp: {
    doc:
      "Whether the OCSP responder that a client's certificate names is asked (http): `off`; `try`, and only `revoked` " +
      'counts against it; `require`, and it must be called good. Sessions are then not resumed.',
    format: 'choice',
    choices: ['off', 'try', 'require'],
    default: 'off',
  },
} as const satisfies Group;

/** The same settings one level down, where an empty one means: as above. */
type Inherited<S> = { readonly [K in keyof S]: Omit<S[K], 'default'> & { default: null; nullable: true } };

export function inherit<const S extends Readonly<Record<string, Leaf>>>(leaves: S): Inherited<S> {
  const entries = Object.entries(leaves).map(([key, leaf]) => [
    key,
    { ...leaf, doc: `${leaf.doc} Empty: as in the \`tls\` map at the top.`, default: null, nullable: true },
  ]);
  return Object.fromEntries(entries) as Inherited<S>;
}

/** Certificates of one name in an `sni` map. */
export const sniSchema = {
  certificate: { ...serverTlsLeaves.certificate, default: null, required: true },
} as const satisfies Group;
