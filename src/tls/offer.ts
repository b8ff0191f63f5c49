// What a client is really offered by a server's TLS: asked of OpenSSL itself, by handshakes in memory between the
// contexts that the workers would have and a client that takes everything.
// A client's list is shortened by each suite that was chosen until nothing is chosen any more; so the order is the
// server's, and a suite that the key, the security level or the build forbids is not in it.
// Suites are those of the service's own certificates, not of those by name (SNI). Nothing is dialled, no ticket outlives it.
// Never throws for what a handshake does; what was unexpected stands in `problems`.

import { X509Certificate } from 'node:crypto';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { TlsVersion } from '../config/settings.ts';
import { cipherList, groupList, suitesIn } from './ciphers.ts';
import { buildServerContexts } from './context.ts';
import type { ServerTlsMaterial } from './context.ts';
import { clientFacts, GROUP_NAMES } from './facts.ts';

export interface TlsOffer {
  /** Newest first; with the suites in the server's order. A version without any is offered in vain. */
  readonly versions: readonly { readonly version: TlsVersion; readonly suites: readonly string[] }[];
  /** Best first. */
  readonly groups: readonly string[];
  /** Type and size of each certificate's key, as in `RSA 2048` and `ECDSA P-256`. */
  readonly keys: readonly string[];
  /** The same of the certificates by name; a client that asks for one gets the suites of those keys. */
  readonly names: readonly { readonly name: string; readonly keys: readonly string[] }[];
  /** In the list of ciphers, and never chosen. */
  readonly unusable: readonly { readonly suite: string; readonly reason: string }[];
  readonly problems: readonly string[];
}

const VERSIONS: readonly TlsVersion[] = ['TLSv1.3', 'TLSv1.2', 'TLSv1.1', 'TLSv1'];
/** ChaCha20 last: a client that puts it first gets it first (SSL_OP_PRIORITIZE_CHACHA). */
const ALL_NEW = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_AES_128_CCM_SHA256',
  'TLS_AES_128_CCM_8_SHA256',
  'TLS_CHACHA20_POLY1305_SHA256',
];
const ALL_OLD = ['ALL', 'eNULL', '!PSK', '!SRP', '+CHACHA20', '@SECLEVEL=0'];
/** There are fewer in OpenSSL. */
const MAX_SUITES = 200;
/** How a server says that nothing is left to choose from. */
const NOTHING_LEFT: readonly string[] = [
  'ERR_SSL_NO_SHARED_CIPHER',
  'ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM',
  // At its security level, or without a suite for it, the server does not have the version at all.
  'ERR_SSL_UNSUPPORTED_PROTOCOL',
];

export async function offerOf(material: ServerTlsMaterial): Promise<TlsOffer> {
  const tickets = { ticketKeys: Buffer.alloc(48), sessionIdContext: 'offer' };
  const { initial } = buildServerContexts({ ...material, sni: [] }, tickets);
  const [oldest, newest] = [material.minVersion, material.maxVersion].map((version) =>
    VERSIONS.indexOf(version),
  );
  const versions: { version: TlsVersion; suites: string[] }[] = [];
  const problems: string[] = [];
  for (const version of VERSIONS.slice(newest, (oldest ?? VERSIONS.length) + 1)) {
    const { suites, problem } = await suitesOf(initial, version);
    versions.push({ version, suites });
    if (problem !== null) problems.push(`${version}: ${problem}`);
  }
  const keys = keysOf(material.certificates);
  const list = cipherList(material.ciphers, material.minVersion);
  const offered = new Set(versions.flatMap(({ suites }) => suites));
  return {
    versions,
    groups: await groupsOf(initial, material),
    keys: keys.map(({ text }) => text),
    names: material.sni.map(({ pattern, certificates }) => ({
      name: pattern,
      keys: keysOf(certificates).map(({ text }) => text),
    })),
    unusable: suitesIn(list)
      .filter((suite) => !offered.has(suite))
      .map((suite) => ({ suite, reason: whyUnusable(suite, new Set(keys.map(({ kind }) => kind))) })),
    problems,
  };
}

async function suitesOf(
  context: tls.SecureContext,
  version: TlsVersion,
): Promise<{ suites: string[]; problem: string | null }> {
  const suites: string[] = [];
  while (suites.length < MAX_SUITES) {
    const left =
      version === 'TLSv1.3'
        ? ALL_NEW.filter((suite) => !suites.includes(suite))
        : [...ALL_OLD, ...suites.map((suite) => `!${suite}`)];
    if (left.length === 0) break;
    const range = { minVersion: version, maxVersion: version };
    const result = await shake(context, { ...range, ciphers: left.join(':') }).catch(asProblem);
    if (typeof result === 'string') {
      return { suites, problem: NOTHING_LEFT.includes(result) ? null : result };
    }
    suites.push(result.cipher);
  }
  return { suites, problem: null };
}

/** Each group by itself, in the order of the settings. */
async function groupsOf(context: tls.SecureContext, material: ServerTlsMaterial): Promise<string[]> {
  const { minVersion, maxVersion } = material;
  const order = groupList(material.groups)
    .split(/[:/]/)
    .map((group) => group.replace(/^[*?-]+/, '').toLowerCase());
  const place = (group: string): number => {
    const index = order.indexOf(group.toLowerCase());
    return index < 0 ? order.length : index;
  };
  const ciphers = [...ALL_NEW, ...ALL_OLD].join(':');
  const groups: string[] = [];
  for (const group of GROUP_NAMES) {
    const facts = await shake(context, { minVersion, maxVersion, ciphers, ecdhCurve: group }).catch(
      asProblem,
    );
    if (typeof facts !== 'string' && facts.group === group) groups.push(group);
  }
  return groups.toSorted((a, b) => place(a) - place(b));
}

interface Shaken {
  readonly cipher: string;
  readonly group: string | null;
}

/** One handshake; rejects with what the server says, or else with what the client does. */
function shake(context: tls.SecureContext, wanted: tls.SecureContextOptions): Promise<Shaken> {
  return new Promise((resolve, reject) => {
    const secureContext = tls.createSecureContext(wanted);
    const [near, far] = pipe();
    const server = new tls.TLSSocket(far, { isServer: true, secureContext: context });
    const client = tls.connect({ socket: near, secureContext, rejectUnauthorized: false });
    const end = (): void => {
      for (const stream of [client, server, near, far]) stream.destroy();
    };
    // The server's word comes first, and is the better one.
    server.on('error', (error) => {
      reject(error);
      end();
    });
    client.on('error', (error) => {
      reject(error);
      end();
    });
    client.on('close', () => reject(new Error('the handshake ended without a word')));
    client.on('secureConnect', () => {
      const { cipher, group } = clientFacts(client);
      resolve({ cipher, group });
      end();
    });
  });
}

function asProblem(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
}

/** Two ends; what one writes the other reads, a turn later. */
function pipe(): [Duplex, Duplex] {
  const end = (other: () => Duplex): Duplex =>
    new Duplex({
      read() {},
      write(chunk: Buffer, _encoding, done) {
        setImmediate(() => {
          if (!other().destroyed) other().push(chunk);
          done();
        });
      },
      final(done) {
        setImmediate(() => {
          if (!other().destroyed) other().push(null);
          done();
        });
      },
    });
  const near = end(() => far);
  const far: Duplex = end(() => near);
  return [near, far];
}

type KeyKind = 'RSA' | 'ECDSA' | 'EdDSA' | 'other';

const CURVES: Readonly<Record<string, string>> = {
  prime256v1: 'P-256',
  secp384r1: 'P-384',
  secp521r1: 'P-521',
};

interface Key {
  readonly kind: KeyKind;
  readonly text: string;
}

function keysOf(certificates: ServerTlsMaterial['certificates']): Key[] {
  return certificates.map(({ cert }) => keyOf(new X509Certificate(cert)));
}

function keyOf({ publicKey }: X509Certificate): Key {
  const { asymmetricKeyType: type = 'unknown', asymmetricKeyDetails: details = {} } = publicKey;
  if (type === 'rsa' || type === 'rsa-pss')
    return { kind: 'RSA', text: `RSA ${details.modulusLength ?? ''}` };
  if (type === 'ec') {
    const curve = details.namedCurve ?? '';
    return { kind: 'ECDSA', text: `ECDSA ${CURVES[curve] ?? curve}` };
  }
  if (type === 'ed25519') return { kind: 'EdDSA', text: 'Ed25519' };
  return type === 'ed448' ? { kind: 'EdDSA', text: 'Ed448' } : { kind: 'other', text: type };
}

function whyUnusable(suite: string, kinds: ReadonlySet<KeyKind>): string {
  if (/PSK|SRP/.test(suite)) return 'there are no shared secrets here';
  if (suite.startsWith('DHE-')) return 'there are no Diffie-Hellman parameters here';
  // RFC 8422 5.10: ECDHE-ECDSA serves certificates with EdDSA keys too.
  if (suite.includes('-ECDSA-')) {
    if (!kinds.has('ECDSA') && !kinds.has('EdDSA')) return 'needs a certificate with an ECDSA key';
  } else if (!kinds.has('RSA')) return 'needs a certificate with an RSA key';
  return 'not for these versions and this security level';
}
