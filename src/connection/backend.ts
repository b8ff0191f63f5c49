// Step 7: the leg to the backend, who the client is, and the login. Promises: where the service proves a login itself
// (verify.ts), no server hears of it before; what `client` requires is told or nothing goes on; no password goes in clear
// where the settings do not say so; a refused client is told in the backend's own words and may try again. The leg is the connection's from here on, or gone.

import { asGateError, GateError } from '../errors.ts';
import { explain } from '../log.ts';
import type { ClientFacts, Replayable, Verdict, Wish } from '../protocol/dialect.ts';
import { SmtpFront } from '../protocol/smtp-front.ts';
import { type Backend, type BackLeg, mayCarryPassword, type Visit, within } from './backend-leg.ts';
import type { Client } from './client.ts';
import { proveLogin, refusalVerdict } from './verify.ts';

type Errand = Exclude<Wish, { kind: 'quit' }>;

/** Null: the client has been told that it is not logged in. */
export async function connectBackend(
  client: Client,
  backend: Backend,
  errand: Errand,
): Promise<BackLeg | null> {
  client.enter('backend');
  try {
    const login = errand.kind === 'mail' ? null : await prepareLogin(client, backend, errand);
    if (login === 'refused') return null;
    const visit: Visit = {
      user: login === null ? null : userOf(errand),
      address: client.remote.address,
      introduce: (back) => introduce(client, backend, back),
    };
    const back = await backend.connect(visit);
    client.back = back;
    if (client.leg.failure !== null) throw client.leg.failure;
    client.server = back.server;
    client.backendName = backend.settings.name;
    client.serverTls = back.leg.facts?.version ?? null;
    if (login === null) backend.loggedIn(back, visit, null);
    if (login === null || (await logIn(client, backend, { back, visit, login }))) {
      client.welcome(errand.kind === 'login' ? 'claimed' : 'nobody');
      return back;
    }
  } catch (cause) {
    const error = asGateError(cause);
    client.leaveBackend();
    if (client.session.ends(error)) throw error;
    client.loginsFailed++;
    client.failure = error.code;
    client.gate.log.at(error.row.level, 'login-failed', {
      ...about(client),
      code: error.code,
      cause: explain(error),
    });
    client.leg.send(client.session.wordsFor(error));
  }
  return null;
}

/** Whose mailbox it is that a login leads to. */
function userOf(errand: Errand): string | null {
  if (errand.kind === 'mail') return null;
  const { credentials } = errand;
  const acting = credentials.kind === 'password' ? credentials.authzid : '';
  return acting === '' ? credentials.user : acting;
}

/** What a server is logged in with, once it is proven where this service proves it. */
interface Login {
  readonly credentials: Replayable;
  readonly utf8: boolean;
}

async function prepareLogin(
  client: Client,
  backend: Backend,
  { credentials, utf8 = false }: Extract<Wish, { kind: 'login' }>,
): Promise<Login | 'refused'> {
  if (credentials.kind === 'external') {
    // SASL EXTERNAL comes in here: who turns a certificate into a login at the store takes it from this place.
    const { mechanism } = credentials;
    throw new GateError('BACKEND_NO_MECHANISM', { backend: backend.settings.name, mechanism });
  }
  const proven = await proveLogin(client, backend, credentials);
  if (typeof proven !== 'string') return { credentials: proven, utf8 };
  refuse(client, { temporary: false, said: proven });
  client.session.refuse(refusalVerdict(client, proven));
  return 'refused';
}

async function introduce(client: Client, backend: Backend, back: BackLeg): Promise<void> {
  client.server = back.server;
  const ways = backend.settings.client;
  if (ways.length === 0) return;
  const facts = factsOf(client, await client.name);
  for (const way of ways) {
    if (way.method === 'xpehlo') {
      // It carries a password.
      if (way.required) requireSecrecy(backend, back);
      else if (!mayCarryPassword(back, backend.settings)) continue;
    }
    const told = await back.session.introduce(way.method, facts);
    if (!told && way.required) {
      throw new GateError('BACKEND_NO_CLIENT_INFO', { backend: back.server, method: way.method });
    }
  }
}

async function logIn(
  client: Client,
  backend: Backend,
  { back, visit, login }: { readonly back: BackLeg; readonly visit: Visit; readonly login: Login },
): Promise<boolean> {
  const { gate } = client;
  requireSecrecy(backend, back);
  const limit = { leg: back.leg, ms: gate.timeouts.replyMs, server: back.server, what: 'login' };
  const turn: Turn = { client: false };
  const credentials = onOwnTime(client, login.credentials, turn);
  let verdict: Verdict;
  try {
    verdict = await within(gate.world, limit, () => back.session.login(credentials, { utf8: login.utf8 }));
  } catch (cause) {
    // What a client did not answer is not the server's failure.
    if (!turn.client) backend.loggedIn(back, visit, asGateError(cause));
    throw cause;
  }
  if (!verdict.temporary) backend.loggedIn(back, visit, null);
  if (verdict.accepted) {
    client.session.admit(verdict);
    return true;
  }
  back.session.quit();
  client.leaveBackend();
  refuse(client, { temporary: verdict.temporary, said: verdict.words.trim() });
  client.session.refuse(verdict);
  return false;
}

function refuse(client: Client, why: { readonly temporary: boolean; readonly said: string }): void {
  client.loginsFailed++;
  client.gate.log.info('login-refused', { ...about(client), ...why });
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

function requireSecrecy({ settings }: Backend, back: BackLeg): void {
  if (mayCarryPassword(back, settings)) return;
  throw new GateError('BACKEND_CLEAR_PASSWORD', {
    backend: back.server,
    setting: `backends.${settings.name}.allowClearBackend`,
  });
}

function factsOf(client: Client, name: string | null): ClientFacts {
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
    login: client.outerLogin,
  };
}

function about(client: Client): Readonly<Record<string, unknown>> {
  return {
    service: client.gate.name,
    session: client.id,
    client: client.remote.address,
    user: client.claimed,
    mechanism: client.mechanism,
    backend: client.server,
  };
}
