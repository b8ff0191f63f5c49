// Step 7: the leg to the backend, who the client is, and the login. Promises: what `client` requires is told or nothing
// goes on; no password goes in clear where the settings do not say so; a refused client is told in the backend's own
// words and may try again. The leg is the connection's from here on, or gone.
// Where an accepted login leads to a channel with another relay (saslswitchchannel), that relay has to take it too, and
// only then is the client told: no relay gets mail in the name of a login that it did not check. For this the
// credentials live as long as connectBackend() runs; nothing keeps them afterwards.

import { asGateError, GateError } from '../errors.ts';
import { explain } from '../log.ts';
import type { ClientFacts, Credentials, Replayable, Verdict, Wish } from '../protocol/dialect.ts';
import { SmtpFront } from '../protocol/smtp-front.ts';
import { type Backend, type BackLeg, mayCarryPassword, within } from './backend-leg.ts';
import type { Client } from './client.ts';
import { proxiedOf } from './proxy-header.ts';

type Errand = Exclude<Wish, { kind: 'quit' }>;

/** Null: the client has been told that it is not logged in. */
export async function connectBackend(
  client: Client,
  backend: Backend,
  errand: Errand,
): Promise<BackLeg | null> {
  client.enter('backend');
  try {
    const visit = await call(client, backend, errand);
    const last = errand.kind === 'login' && visit !== null ? await goOn(client, visit, errand) : visit;
    if (last === null) return null;
    if (last.verdict !== null) client.session.admit(last.verdict);
    client.welcome(errand.kind === 'login' ? 'claimed' : 'nobody');
    return last.back;
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

/** A backend that has taken the client: its verdict on the login, null where there was none to give. */
interface Visit {
  readonly backend: Backend;
  readonly back: BackLeg;
  readonly verdict: Verdict | null;
}

/** Null: the backend has refused the login, and the client has been told. */
async function call(client: Client, backend: Backend, errand: Errand): Promise<Visit | null> {
  const back = await backend.connect({ proxied: proxiedOf(client, backend.settings) });
  client.back = back;
  if (client.leg.failure !== null) throw client.leg.failure;
  client.server = back.server;
  client.backendName = backend.settings.name;
  client.serverTls = back.leg.facts?.version ?? null;
  const limit = { leg: back.leg, ms: client.gate.timeouts.replyMs, server: back.server, what: 'login' };
  const verdict = await within(client.gate.world, limit, async () => {
    await introduce(client, backend, back);
    return errand.kind === 'mail' ? null : logIn(client, { backend, back }, errand);
  });
  if (verdict === null || verdict.accepted) return { backend, back, verdict };
  refuse(client, back, verdict);
  return null;
}

/** saslswitchchannel, by way of another relay where the new channel has one. */
async function goOn(client: Client, visit: Visit, errand: Errand): Promise<Visit | null> {
  const { course } = client;
  if (course === null) return visit;
  const decision = course.afterLogin();
  const { backend } = course.gateAt(decision.standing);
  let last: Visit | null = visit;
  if (backend !== visit.backend) {
    visit.back.session.quit();
    client.leaveBackend();
    client.enter('backend');
    last = await call(client, backend, errand);
  }
  if (last !== null) course.follow(decision);
  return last;
}

async function introduce(client: Client, backend: Backend, back: BackLeg): Promise<void> {
  const ways = backend.settings.client;
  if (ways.length === 0) return;
  const facts = factsOf(client, await client.name);
  for (const way of ways) {
    // That was the first that it heard.
    if (way.method === 'proxy-v1' || way.method === 'proxy-v2') continue;
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
  { backend, back }: { readonly backend: Backend; readonly back: BackLeg },
  errand: Extract<Wish, { kind: 'login' }>,
): Promise<Verdict> {
  const { utf8 = false } = errand;
  const credentials = replayable(errand.credentials, back);
  requireSecrecy(backend, back);
  return back.session.login(onOwnTime(client, credentials), { utf8 });
}

function refuse(client: Client, back: BackLeg, verdict: Verdict): void {
  back.session.quit();
  client.leaveBackend();
  client.loginsFailed++;
  client.gate.log.info('login-refused', {
    ...about(client),
    temporary: verdict.temporary,
    said: verdict.words.trim(),
  });
  client.session.refuse(verdict);
}

/** While the client is asked a further question it is the client that is waited for, not the backend. */
function onOwnTime(client: Client, credentials: Replayable): Replayable {
  if (credentials.kind !== 'bearer') return credentials;
  const ask = async (challenge: string): Promise<string> => {
    client.enter(client.ownTurn);
    const answer = await credentials.ask(challenge);
    client.enter('backend');
    return answer;
  };
  return { ...credentials, ask };
}

/** SASL EXTERNAL comes in here: who turns a certificate into a login at the store takes it from this place. */
function replayable(credentials: Credentials, back: BackLeg): Replayable {
  if (credentials.kind !== 'external') return credentials;
  throw new GateError('BACKEND_NO_MECHANISM', { backend: back.server, mechanism: credentials.mechanism });
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
