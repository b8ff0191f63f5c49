// Logins by challenge: whose secrets they are to be held against, and the rest of the exchange with the client. A script for
// nginx is given the challenge and the digest, and judges them itself. Promises:
// nobody and everybody are asked the same questions; while the client is waited for it is on its own time; a login for
// somebody else is nobody's. What is wrong is a guess like a wrong password, but for what is no matter of guessing: a
// secret that is right on another TLS connection. On failure: the directory's GateError, and that of the client's leg.

import type { Login } from '../identity/directory.ts';
import type { Reception, Ruling } from '../identity/reception.ts';
import { prepared } from '../identity/passwords/saslprep.ts';
import type { Ask, ChallengeCredentials, ChallengeJudge } from '../protocol/dialect.ts';
import { channelBinding } from '../tls/channel-binding.ts';
import type { Client } from './client.ts';

/** The client broke off, and has been told so. */
export interface BrokenOff {
  readonly kind: 'told';
}

export async function proveByChallenge(
  client: Client,
  credentials: ChallengeCredentials,
  login: Login,
): Promise<Ruling | BrokenOff> {
  const { reception, settings } = client.gate;
  if (reception === null || settings.verify.kind !== 'directory')
    return blameless('there is no directory that holds what this takes');
  const { user, authzid, mechanism } = credentials;
  if (!mechanism.startsWith('SCRAM') && reception.judges('digest'))
    return byDirectory(reception, credentials, login);
  // RFC 5802 5.1: names are compared in their prepared form.
  const name = mechanism.startsWith('SCRAM') ? (prepared(user) ?? '') : user;
  const named = { ...login, id: name };
  const found: Ruling =
    name === ''
      ? { kind: 'nobody' }
      : await reception.ask({ login: named, password: null, checker: 'directory' });
  if (found.kind === 'refused') return found;
  const secrets = found.kind === 'account' ? found.account.secrets : null;
  const judge = reception.judge(named, secrets);
  const shown: ChallengeJudge = { ...judge, binding: (type) => channelBinding(client.leg.socket, type) };
  const outcome = await credentials.prove(shown, onOwnTime(client, credentials.ask));
  if (outcome.proof === 'told') return { kind: 'told' };
  if (outcome.proof === 'downgraded')
    return blameless('somebody has taken SCRAM-SHA-256-PLUS out of what it was offered, or it is mistaken');
  if (outcome.proof === 'unbound') return blameless('it is bound to another TLS connection');
  if (outcome.proof === 'wrong') reception.doubt(named);
  if (found.kind !== 'account') return found;
  if (outcome.proof === 'wrong') {
    const reason = `none of the stored passwords can be used for ${mechanism}`;
    return judge.cannot(mechanism) ? { kind: 'nobody', reason } : { ...found, checked: true, proof: 'wrong' };
  }
  if (authzid !== '' && authzid !== user)
    return { kind: 'nobody', reason: 'it is a login for somebody else' };
  const { password } = outcome;
  const known = password === null ? {} : { provenPassword: password };
  return { kind: 'account', account: found.account, checked: true, proof: 'right', ...known };
}

/** The digest, and what it is a digest of, are the directory's business. */
async function byDirectory(
  reception: Reception,
  credentials: ChallengeCredentials,
  login: Login,
): Promise<Ruling> {
  let ruling = blameless('it has shown no digest');
  const judge: ChallengeJudge = {
    ...NO_SCRAM,
    digest: async (mechanism, challenge, digest) => {
      ruling = await reception.present(login, { kind: 'digest', mechanism, challenge, digest });
      const isRight = ruling.kind === 'account' && ruling.proof === 'right';
      return { proof: isRight ? 'right' : 'wrong', password: null };
    },
  };
  await credentials.prove(judge, credentials.ask);
  return ruling;
}

/** For mechanisms that have none of it. */
const NO_SCRAM: Omit<ChallengeJudge, 'digest'> = {
  binding: () => null,
  scram: { salt: Buffer.alloc(0), iterations: 0 },
  scramProof: () => Promise.resolve({ proof: 'wrong', password: null, signature: Buffer.alloc(0) }),
};

function blameless(reason: string): Ruling {
  return { kind: 'nobody', reason, isBlameless: true };
}

/** It is the client that is waited for. */
export function onOwnTime(client: Client, ask: Ask): Ask {
  return async (challenge) => {
    client.enter(client.ownTurn);
    const answer = await ask(challenge);
    client.enter('backend');
    return answer;
  };
}
