// Step 6: where a wish leads. SMTP goes to the relay of the channel that the connection is on. A login of IMAP and POP3
// goes where the directory says, and so does the question who it is: SMTP asks it only where the service checks passwords
// by the directory. Promises: an unknown user is answered with the words of a wrong password and after about its time;
// what the directory says of an account is told to nobody who has not proven to be its user, as far as that is proven
// here; a directory that cannot be asked is no wrong password. Null: the client has been told that it is not logged in.

import { GateError } from '../errors.ts';
import type { Account, Login } from '../identity/directory.ts';
import type { Ruling } from '../identity/reception.ts';
import type { Credentials, Wish } from '../protocol/dialect.ts';
import type { Endpoint } from '../config/settings.ts';
import { type Actor, actingFor, judgeActor, judgeOf } from './administrator.ts';
import { passesRules } from './admit.ts';
import type { Backend } from './backend-leg.ts';
import { namedServer } from './backend-hosts.ts';
import { identify, ownCertificate } from './certificate.ts';
import { proveByChallenge } from './challenge.ts';
import type { Client } from './client.ts';
import { waitOut } from './penance.ts';
import { blame, refuse, turnDown } from './refuse-login.ts';
import { surroundings } from './surroundings.ts';
import { askByToken } from './token.ts';
import { type Refusal, refusalVerdict, spokenVerdict } from './verify.ts';

/** Where a login or a mail goes, and as whom. */
export interface Target {
  readonly backend: Backend;
  /** In the directory's order; none: the servers of the backend. */
  readonly hosts: readonly Endpoint[];
  /** Whose mailbox it is, in the one spelling that limits and logs go by; null: mail without a login. */
  readonly user: string | null;
  /** The login at the store; null: as the client gave it. */
  readonly replay: string | null;
  /** What the store is given in place of the client's password; null: that. */
  readonly replayPassword: string | null;
  /** The user's own password, which the client has proven to know without showing it. */
  readonly provenPassword: string | null;
  /** Whether the directory checks the password, and what it found. */
  readonly checked: boolean;
  readonly proof: 'right' | 'wrong' | null;
  /** The directory has the account wait: whoever has proven to be its user is told to come again. */
  readonly onHold: boolean;
  /** smtp: the channel that the login leads to; null: that of saslswitchchannel. */
  readonly channel: string | null;
  /** Who logs in for the user, as was proven here; null: nobody else, or it is for the store to judge. */
  readonly actor: Actor | null;
}

type Errand = Exclude<Wish, { kind: 'quit' }>;

export async function route(client: Client, wish: Errand): Promise<Target | null> {
  const own: Target = {
    backend: client.backend,
    hosts: [],
    user: null,
    replay: null,
    replayPassword: null,
    provenPassword: null,
    checked: false,
    proof: null,
    onHold: false,
    channel: null,
    actor: null,
  };
  if (wish.kind === 'mail') return own;
  const { gate } = client;
  const { credentials } = wish;
  const mailbox = mailboxOf(credentials);
  const isProvenHere = credentials.kind === 'external' || credentials.kind === 'challenge';
  const byDirectory = gate.settings.verify.kind === 'directory';
  const isForRelay = gate.dialect.protocol === 'smtp' && !byDirectory;
  const acting = actingFor(credentials);
  // A mailbox is its owner's, whoever reads it; mail counts as sent by whoever has shown a password.
  const isMailbox = gate.dialect.protocol !== 'smtp';
  client.actor = isMailbox ? (acting?.user ?? null) : null;
  if (isMailbox && acting !== null) client.claimed = mailbox;
  const isJudged = acting !== null && judgeOf(client, null, client.backend) !== 'by the store';
  if ((gate.reception === null || isForRelay) && !isProvenHere && !isJudged) return { ...own, user: mailbox };
  client.enter('backend');
  try {
    return await seek(client, { ...own, user: mailbox }, credentials);
  } catch (cause) {
    turnDown(client, cause);
    return null;
  }
}

/** `own`: where it goes where nobody is asked. */
async function seek(client: Client, own: Target, credentials: Credentials): Promise<Target | null> {
  const startedAt = client.gate.world.monotonic();
  const found = await findOut(client, credentials);
  if (client.leg.failure !== null) throw client.leg.failure;
  if (found?.kind === 'told') return null;
  const led = found?.kind === 'account' ? targetOf(client, own, found) : own;
  // That it leads nowhere is told once it is proven who asks.
  const target = led instanceof GateError ? own : led;
  const acting = actingFor(credentials);
  let { actor } = target;
  const judge = acting === null ? null : judgeOf(client, found, target.backend);
  if (judge === 'by nobody') {
    const rule = client.gate.dialect.protocol === 'smtp' ? 'there is none in SMTP' : 'adminPolicy is none';
    no(client, { words: 'for somebody else', reason: `it is a login for somebody else, and ${rule}` });
    return null;
  }
  if (acting !== null && judge === 'here') {
    const ruling = await judgeActor(client, {
      acting,
      login: await loginOf(client, acting.user),
      backend: target.backend,
      target: found?.kind === 'account' ? found.account : null,
    });
    if (client.leg.failure !== null) throw client.leg.failure;
    if (ruling.kind === 'no') return disallow(client, ruling);
    if (ruling.kind !== 'actor') return turnAway(client, ruling, startedAt);
    ({ actor } = ruling);
    client.actor = actor.user;
  }
  if (found !== null && found.kind !== 'account') return turnAway(client, found, startedAt);
  const proven = actor === null ? {} : ({ checked: true, proof: 'right' } as const);
  const whole: Target = { ...target, ...proven, actor };
  if (found === null) return whole;
  if (!(await passes(client, { ...found, ...proven }))) return null;
  if (led instanceof GateError) throw led;
  return whole;
}

/** Whoever tries to act for others without being allowed to is guessing, whatever of it was right. */
function disallow(
  client: Client,
  { words, reason }: { readonly words: Refusal; readonly reason: string },
): null {
  blame(client);
  refuse(client, refusalVerdict(client, words), reason);
  return null;
}

/** null: there is nobody to be asked. */
async function findOut(client: Client, credentials: Credentials): Promise<Ruling | { kind: 'told' } | null> {
  const { reception, settings } = client.gate;
  const mailbox = mailboxOf(credentials);
  const login = await loginOf(client, mailbox);
  if (credentials.kind === 'external') return identify(client, login);
  if (credentials.kind === 'challenge') return proveByChallenge(client, credentials, login);
  if (reception === null) return null;
  if (credentials.kind === 'bearer') return askByToken(client, credentials, login);
  const isShown = credentials.kind === 'password' && mailbox === credentials.user;
  return reception.ask({
    login,
    password: isShown ? credentials.password : null,
    checker: settings.verify.kind === 'directory' ? 'directory' : 'others',
  });
}

/** Whose mailbox a login asks for. */
export function mailboxOf(credentials: Credentials): string {
  const acting = credentials.kind === 'password' ? credentials.authzid : '';
  return acting === '' ? credentials.user : acting;
}

async function loginOf(client: Client, id: string): Promise<Login> {
  const { gate, remote, local, leg } = client;
  const certificate = ownCertificate(client);
  return {
    id,
    service: gate.name,
    protocol: gate.dialect.protocol,
    tls: leg.secured,
    client: { address: remote.address, port: remote.port },
    server: { address: local.address, port: local.port },
    certificateSubject: certificate?.subject ?? null,
    ...(certificate === null ? {} : { certificate }),
    attempt: client.loginsFailed + 1,
    ...(await surroundings(client)),
  };
}

/** Nobody of that name, or the directory's own no. */
async function turnAway(
  client: Client,
  found: Exclude<Ruling, { kind: 'account' }>,
  startedAt: number,
): Promise<null> {
  const { gate } = client;
  if (found.kind === 'nobody' && found.isBlameless === true) {
    refuse(client, refusalVerdict(client, 'wrong password'), found.reason ?? '');
    return null;
  }
  if (found.kind === 'nobody') {
    blame(client);
    // A store takes its time for a wrong password; so does this.
    if (gate.settings.verify.kind !== 'directory') {
      await waitOut(client, gate.refusalTime.ms - (gate.world.monotonic() - startedAt));
    }
    refuse(client, refusalVerdict(client, 'wrong password'), found.reason ?? 'no such user');
    return null;
  }
  if (!found.temporary) blame(client);
  refuse(client, spokenVerdict(client, found), found.text);
  if (found.waitMs === null) client.loginsFailed = client.limits.authAttempts;
  else if (found.waitMs !== undefined) await waitOut(client, found.waitMs);
  return null;
}

type Found = Extract<Ruling, { kind: 'account' }>;

/** Password, status and rules, in this order. */
async function passes(client: Client, { account, checked, proof, hasNoPassword }: Found): Promise<boolean> {
  client.claimed = account.user;
  const proven = checked && proof === 'right';
  if (checked && proof === 'wrong') {
    const reason = hasNoPassword ? 'the directory has no password of this user' : 'wrong password';
    return no(client, { words: 'wrong password', reason });
  }
  const hidden: Refusal = 'wrong password';
  if (account.status === 'inactive') {
    return no(client, { words: proven ? 'inactive' : hidden, reason: 'the account is inactive' });
  }
  for (const rules of account.access) {
    if (await passesRules(client, rules)) continue;
    return no(client, {
      words: proven ? 'access denied' : hidden,
      reason: `access rules of the user: ${rules}`,
    });
  }
  return true;
}

function no(client: Client, { words, reason }: { readonly words: Refusal; readonly reason: string }): false {
  if (words === 'wrong password') blame(client);
  refuse(client, refusalVerdict(client, words), reason);
  return false;
}

function targetOf(client: Client, own: Target, found: Found): Target | GateError {
  const { gate } = client;
  const { account, checked, proof, provenPassword } = found;
  const target: Target = {
    ...own,
    user: account.user,
    replay: account.replay,
    replayPassword: account.replayPassword ?? null,
    provenPassword: provenPassword ?? null,
    checked,
    proof,
    onHold: account.status === 'hold',
  };
  return gate.dialect.protocol === 'smtp'
    ? channelled(client, target, account)
    : placed(client, target, account);
}

/** The channel that the account names. */
function channelled({ gate }: Client, target: Target, { user, channel }: Account): Target | GateError {
  if (channel === undefined) return target;
  if (gate.channels?.gates.has(channel) !== true) return new GateError('DIRECTORY_TARGET', { user, channel });
  return { ...target, channel };
}

/** The backend and the hosts that the account names. */
function placed(client: Client, target: Target, account: Account): Target | GateError {
  const { gate } = client;
  const { user } = account;
  const backend = account.backend === null ? target.backend : gate.backendNamed(account.backend);
  if (backend === null)
    return new GateError('DIRECTORY_TARGET', { user, backend: account.backend ?? undefined });
  const hosts: Endpoint[] = [];
  for (const host of account.hosts) {
    const server = namedServer(host, backend.settings, gate.dialect.protocol);
    if (server !== null) hosts.push(server);
    else {
      const setting = `backends.${backend.settings.name}.hosts`;
      return new GateError('DIRECTORY_TARGET', { user, host, setting });
    }
  }
  return { ...target, backend, hosts };
}
