// The client's side of APOP, CRAM-MD5 and SCRAM-SHA-256, written from the RFCs and not from our server's side.

import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';

export function cramDigest(password: string, challenge: string): string {
  return createHmac('md5', password).update(challenge).digest('hex');
}

export function apopDigest(password: string, stamp: string): string {
  return createHash('md5')
    .update(stamp + password)
    .digest('hex');
}

export interface ProofParts {
  readonly password: string;
  readonly salt: Buffer;
  readonly iterations: number;
  /** AuthMessage. */
  readonly said: string;
}

export function clientProof({ password, salt, iterations, said }: ProofParts): Buffer {
  const clientKey = createHmac('sha256', pbkdf2Sync(password, salt, iterations, 32, 'sha256'))
    .update('Client Key')
    .digest();
  const storedKey = createHash('sha256').update(clientKey).digest();
  const signature = createHmac('sha256', storedKey).update(said).digest();
  return Buffer.from(clientKey.map((octet, at) => octet ^ (signature[at] ?? 0)));
}

function serverSignature({ password, salt, iterations, said }: ProofParts): Buffer {
  const serverKey = createHmac('sha256', pbkdf2Sync(password, salt, iterations, 32, 'sha256'))
    .update('Server Key')
    .digest();
  return createHmac('sha256', serverKey).update(said).digest();
}

export interface ScramOptions {
  readonly user: string;
  readonly password: string;
  readonly gs2Header?: string;
  /** What the client holds for the data of the channel. */
  readonly binding?: Buffer;
  /** Changes the final message. */
  readonly mangle?: (final: string) => string;
}

/** All messages in base64, as they go over the wire. */
export interface ScramClient {
  readonly first: string;
  final(serverFirst: string): string;
  /** Whether the server has shown that it knows the secret. */
  trusts(serverFinal: string): boolean;
}

const NONCE = 'fyko+d2lbbFgONRv9qkxdawL';

export function scramClient(options: ScramOptions): ScramClient {
  const { user, password, gs2Header = 'n,,', binding = Buffer.alloc(0), mangle = (text) => text } = options;
  const bare = `n=${user},r=${NONCE}`;
  let parts: ProofParts | null = null;
  return {
    first: Buffer.from(gs2Header + bare).toString('base64'),
    final(serverFirst) {
      const text = Buffer.from(serverFirst, 'base64').toString();
      const [, nonce = '', salt = '', iterations] = /^r=([^,]+),s=([^,]+),i=(\d+)$/.exec(text) ?? [];
      if (!nonce.startsWith(NONCE) || nonce === NONCE) throw new Error(`not a first message: ${text}`);
      const channel = Buffer.concat([Buffer.from(gs2Header), binding]).toString('base64');
      const withoutProof = `c=${channel},r=${nonce}`;
      const said = `${bare},${text},${withoutProof}`;
      parts = { password, salt: Buffer.from(salt, 'base64'), iterations: Number(iterations), said };
      const final = `${withoutProof},p=${clientProof(parts).toString('base64')}`;
      return Buffer.from(mangle(final)).toString('base64');
    },
    trusts(serverFinal) {
      const expected = parts === null ? '' : `v=${serverSignature(parts).toString('base64')}`;
      return Buffer.from(serverFinal, 'base64').toString() === expected;
    },
  };
}
