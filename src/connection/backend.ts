// Step 7: the leg to the backend, who the client is, and the login. Promises: where the service proves a login itself
// (verify.ts), no server hears of it before; what `client` requires is told or nothing goes on; no password goes in clear
// where the settings do not say so; a refused client is told in the backend's own words and may try again. The leg is the connection's from here on, or gone.
// Where an accepted login leads to a channel with another relay (saslswitchchannel), that relay has to take it too, and
// only then is the client told: no relay gets mail in the name of a login that it did not check. For this the
// credentials live as long as connectBackend() runs; nothing keeps them afterwards.

import type { BackendSettings, ClientInfo } from '../config/settings.ts';
import { asGateError, GateError } from '../errors.ts';
import type { ClientFacts, IntroductionMethod, Replayable, Verdict, Wish } from '../protocol/dialect.ts';
import { SmtpFront } from '../protocol/smtp-front.ts';
import { formatReply } from '../wire/smtp.ts';
import { isTier, takeBackend, takeUser } from './admit.ts';
import { type Backend, type BackLeg, mayCarryPassword, type Visit, within } from './backend-leg.ts';
import type { Client } from './client.ts';
import { earnGrant, type GrantTold, toldOf } from './grants.ts';
import { beginStay } from './placements.ts';
import { blame, noteActor, noteFailure, noteRefusal, refuse } from './refuse-login.ts';
import type { Target } from './route.ts';
import { proxiedOf } from './proxy-header.ts';
import { type Spoof, spoofFor } from './spoof.ts';
import { adminOf, type Passport, proveLogin, refusalVerdict, type Told } from './verify.ts';

type Errand = Exclude<Wish, { kind: 'quit' }>;

/** Null: the client has been told that it is not logged in. A spoof: it has not been told anything. */
export async function connectBackend(
  client: Client,
  target: Target,
  errand: Errand,
): Promise<BackLeg | Spoof | null> {
  client.enter('backend');
  const journey: Journey = { errand, target, passport: { proof: target.proof } };
  try {
    const first = await call(client, target.backend, journey);
    if (first === null || first.kind === 'spoof') return first;
    if (target.user !== null) await admitUser(client, target.user);
    const last = await goOn(client, first, journey);
    if (last === null || last.kind === 'spoof') {
      client.leave('user');
      return last;
    }
    if (target.user !== null && client.actor === null) await earnGrant(client, target.user);
    if (last.verdict !== null) client.session.admit(last.verdict);
    client.welcome(errand.kind === 'login' ? 'claimed' : 'nobody');
    if (errand.kind === 'login') noteActor(client);
    return last.back;
  } catch (cause) {
    const error = noteFailure(client, cause);
    const spoof = spoofFor(client, journey, error);
    if (spoof !== null) return spoof;
    client.leg.send(client.session.wordsFor(error));
  }
  return null;
}

/** The login is proven: the address is forgiven, and the user takes a place. */
async function admitUser(client: Client, user: string): Promise<void> {
  if (!isTier(client)) client.gate.guard.proved(client.remote.address);
  await takeUser(client, user);
}

/** What a client wants, and what was found out of it on the way. */
interface Journey {
  readonly errand: Errand;
  readonly target: Target;
  readonly passport: Passport;
}

/** A backend that has taken the client: its verdict on the login, null where there was none to give. */
interface Call {
  readonly kind: 'call';
  readonly backend: Backend;
  readonly back: BackLeg;
  readonly verdict: Verdict | null;
}

/** Null: the login was refused, here or by the backend, and the client has been told. */
async function call(client: Client, backend: Backend, journey: Journey): Promise<Call | Spoof | null> {
  const { errand, target } = journey;
  const { user } = target;
  const startedAt = client.gate.world.monotonic();
  const hosts = backend === target.backend ? target.hosts : [];
  if (user !== null) await beginStay(client, backend, { user, isPlaced: hosts.length > 0 });
  const prepared = errand.kind === 'mail' ? null : await prepare(client, backend, journey);
  if (prepared === 'refused') {
    client.leaveBackend();
    return null;
  }
  const told = prepared?.kind === 'told' ? prepared.user : null;
  const credentials = prepared?.kind === 'told' ? null : prepared;
  if (target.onHold) throw new GateError('USER_ON_HOLD', { user: user ?? undefined });
  // Waited for here, so that a slow resolver is not a server's failure.
  const isIntroduced = backend.settings.client.some(isInProtocol);
  const grant = errand.kind === 'mail' ? toldOf(client) : {};
  const facts = isIntroduced ? factsOf(client, await client.name, { ...grant, proven: told }) : null;
  // It may have been ended while it was waited for; nobody is dialled for it then.
  if (client.leg.failure !== null) throw client.leg.failure;
  const visit: Visit = {
    user,
    hosts,
    address: client.remote.address,
    proxied: proxiedOf(client, backend.settings),
    introduce:
      facts === null
        ? null
        : (back) => {
            client.server = back.server;
            return introduce(back, backend.settings, facts);
          },
  };
  await takeBackend(client, backend, hosts[0] ?? null);
  const back = await backend.connect(visit);
  client.back = back;
  if (client.leg.failure !== null) throw client.leg.failure;
  client.server = back.server;
  client.backendName = backend.settings.name;
  client.serverTls = back.leg.facts?.version ?? null;
  if (credentials === null || errand.kind === 'mail') {
    backend.loggedIn(back, visit, null);
    return { kind: 'call', backend, back, verdict: told === null ? null : AUTHENTICATED };
  }
  const verdict = await logIn(client, { backend, back, visit }, { credentials, utf8: errand.utf8 ?? false });
  if (verdict.accepted) return { kind: 'call', backend, back, verdict };
  back.session.quit();
  client.leaveBackend();
  const said = verdict.words.trim();
  const admin = adminOf(client, backend, credentials);
  // Whoever was proven here has no wrong password, and is not to forget the right one.
  if (admin !== null && journey.passport.proof === 'right' && saysWrong(client, verdict))
    throw new GateError('BACKEND_ADMIN_REFUSED', { backend: back.server, admin, said });
  // Where the password was found right before, it is something else that the server refuses.
  if (!verdict.temporary && journey.passport.proof !== 'right') {
    blame(client);
    timeRefusal(client, startedAt);
  }
  const spoof = spoofFor(client, journey, verdict);
  if (spoof === null) refuse(client, likeOurs(client, verdict), said);
  else noteRefusal(client, verdict, said);
  return spoof;
}

// RFC 4954 6
const AUTHENTICATED: Verdict = {
  accepted: true,
  temporary: false,
  words: formatReply(235, '2.7.0', 'Authentication successful'),
  extra: [],
};

/** What a slow store may add to the answer to an unknown user. */
const REFUSAL_MS_MAX = 10_000;

/** An unknown user is refused after as long. */
function timeRefusal({ gate }: Client, startedAt: number): void {
  gate.refusalTime.ms = Math.min(gate.world.monotonic() - startedAt, REFUSAL_MS_MAX);
}

/** Where a directory knows some users and not others, a store's wrong password is told in the words for the others. */
function likeOurs(client: Client, verdict: Verdict): Verdict {
  const { reception, dialect } = client.gate;
  if (reception === null || dialect.protocol === 'smtp' || !saysWrong(client, verdict)) return verdict;
  return { ...refusalVerdict(client, 'wrong password'), extra: verdict.extra };
}

/** A wrong password or an unknown user, as opposed to what a store has against somebody whom it knows. */
function saysWrong({ gate }: Client, { temporary, words }: Verdict): boolean {
  if (temporary) return false;
  if (gate.dialect.protocol === 'smtp') return words.startsWith('535');
  const code = /^\[([^\] ]+)/.exec(words)?.[1]?.toUpperCase() ?? '';
  return code === '' || code === 'AUTHENTICATIONFAILED' || code === 'AUTH';
}

/** saslswitchchannel or the user's own channel, by way of another relay where the new channel has one. */
async function goOn(client: Client, first: Call, journey: Journey): Promise<Call | Spoof | null> {
  const { course } = client;
  if (course === null || journey.errand.kind === 'mail') return first;
  const decision = course.afterLogin(journey.target.channel);
  const { backend } = course.gateAt(decision.standing);
  let last: Call | Spoof | null = first;
  if (backend !== first.backend) {
    first.back.session.quit();
    client.leaveBackend();
    client.enter('backend');
    last = await call(client, backend, journey);
  }
  if (last !== null) course.follow(decision);
  return last;
}

/** What a server is logged in with, once that is proven where this service proves it. */
async function prepare(
  client: Client,
  backend: Backend,
  { errand, target, passport }: Journey,
): Promise<Replayable | Told | 'refused'> {
  if (errand.kind === 'mail') return 'refused';
  const { credentials } = errand;
  const startedAt = client.gate.world.monotonic();
  const proven = await proveLogin(client, backend, { credentials, passport, target });
  if (typeof proven !== 'string') return proven;
  if (proven === 'wrong password') {
    blame(client);
    timeRefusal(client, startedAt);
  }
  const isStranded = proven === 'cannot be checked here' && passport.proof === 'right';
  const said = `backends.${backend.settings.name} has no admin, and no password was shown`;
  refuse(client, refusalVerdict(client, proven), isStranded ? said : proven);
  return 'refused';
}

/** A PROXY header comes before the protocol, and has no name in it. */
function isInProtocol(way: ClientInfo): way is ClientInfo & { readonly method: IntroductionMethod } {
  const { method } = way;
  return method !== 'proxy-v1' && method !== 'proxy-v2';
}

async function introduce(back: BackLeg, settings: BackendSettings, facts: ClientFacts): Promise<void> {
  for (const way of settings.client) {
    if (!isInProtocol(way)) continue;
    if (way.method === 'xpehlo') {
      // It carries a password.
      if (way.required) requireSecrecy(settings, back);
      else if (!mayCarryPassword(back, settings)) continue;
    }
    const told = await back.session.introduce(way.method, facts);
    if (!told && way.required) {
      throw new GateError('BACKEND_NO_CLIENT_INFO', { backend: back.server, method: way.method });
    }
  }
}

async function logIn(
  client: Client,
  { backend, back, visit }: { readonly backend: Backend; readonly back: BackLeg; readonly visit: Visit },
  login: { readonly credentials: Replayable; readonly utf8: boolean },
): Promise<Verdict> {
  const { gate } = client;
  requireSecrecy(backend.settings, back);
  const limit = { leg: back.leg, ms: gate.timeouts.replyMs, server: back.server, what: 'login' };
  const turn: Turn = { client: false };
  const credentials = onOwnTime(client, login.credentials, turn);
  try {
    const { utf8 } = login;
    const verdict = await within(gate.world, limit, () => back.session.login(credentials, { utf8 }));
    if (!verdict.temporary) backend.loggedIn(back, visit, null);
    return verdict;
  } catch (cause) {
    // What a client did not answer is not the server's failure.
    if (!turn.client) backend.loggedIn(back, visit, asGateError(cause));
    throw cause;
  }
}

/** Whether the client was ever waited for. */
interface Turn {
  client: boolean;
}

/** While the client is asked a further question it is the client that is waited for, not the backend. */
function onOwnTime(client: Client, credentials: Replayable, turn: Turn): Replayable {
  if (credentials.kind !== 'bearer') return credentials;
  const ask = async (challenge: string): Promise<string> => {
    turn.client = true;
    client.enter(client.ownTurn);
    const answer = await credentials.ask(challenge);
    client.enter('backend');
    return answer;
  };
  return { ...credentials, ask };
}

function requireSecrecy(settings: BackendSettings, back: BackLeg): void {
  if (mayCarryPassword(back, settings)) return;
  throw new GateError('BACKEND_CLEAR_PASSWORD', {
    backend: back.server,
    setting: `backends.${settings.name}.allowClearBackend`,
  });
}

/** `proven`: by the login that is under way. */
type KnownLogin = GrantTold & { readonly proven: string | null };

function factsOf(client: Client, name: string | null, known: KnownLogin): ClientFacts {
  const { proven } = known;
  const helo = client.session instanceof SmtpFront ? client.session.helo : null;
  // What secures the way from the tier to us says nothing about the client.
  const tls = client.outerTls ?? (client.tier === null ? client.leg.facts : null);
  return {
    sessionId: client.outerId ?? client.id,
    ttl: client.ttl,
    address: client.remote.address,
    port: client.remote.port,
    localAddress: client.local.address,
    localPort: client.local.port,
    name,
    helo: client.outerHelo ?? helo?.name ?? null,
    esmtp: client.outerEsmtp ?? helo?.esmtp ?? true,
    secured: tls !== null,
    tlsVersion: tls?.version ?? null,
    tlsCipher: tls?.cipher ?? null,
    login: client.outerLogin ?? proven ?? known.login ?? null,
    isLoginNeeded: proven !== null,
    channel: known.channel ?? null,
  };
}
