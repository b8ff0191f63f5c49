// Step 7: the leg to the backend, who the client is, and the login. Promises: what `client` requires is told or nothing
// goes on; no password goes in clear where the settings do not say so; a refused client is told in the backend's own
// words and may try again. The leg is the connection's from here on, or gone.

import { asGateError, GateError } from '../errors.ts';
import { explain } from '../log.ts';
import type { ClientFacts, Credentials, Replayable, Wish } from '../protocol/dialect.ts';
import { SmtpFront } from '../protocol/smtp-front.ts';
import { type Backend, type BackLeg, mayCarryPassword, within } from './backend-leg.ts';
import type { Client } from './client.ts';

type Errand = Exclude<Wish, { kind: 'quit' }>;

/** Null: the client has been told that it is not logged in. */
export async function connectBackend(
  client: Client,
  backend: Backend,
  errand: Errand,
): Promise<BackLeg | null> {
  client.enter('backend');
  try {
    const back = await backend.connect();
    client.back = back;
    if (client.leg.failure !== null) throw client.leg.failure;
    client.server = back.server;
    client.backendName = backend.settings.name;
    client.serverTls = back.leg.facts?.version ?? null;
    const limit = { leg: back.leg, ms: client.gate.timeouts.replyMs, server: back.server, what: 'login' };
    const welcome = await within(client.gate.world, limit, async () => {
      await introduce(client, backend, back);
      return errand.kind === 'mail' || (await logIn(client, back, errand));
    });
    if (welcome) {
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

async function introduce(client: Client, backend: Backend, back: BackLeg): Promise<void> {
  const ways = backend.settings.client;
  if (ways.length === 0) return;
  const facts = factsOf(client, await client.name);
  for (const way of ways) {
    if (way.method === 'xpehlo') {
      // It carries a password.
      if (way.required) requireSecrecy(client, back);
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
  back: BackLeg,
  errand: Extract<Wish, { kind: 'login' }>,
): Promise<boolean> {
  const { utf8 = false } = errand;
  const credentials = replayable(errand.credentials, back);
  requireSecrecy(client, back);
  const verdict = await back.session.login(onOwnTime(client, credentials), { utf8 });
  if (verdict.accepted) {
    client.session.admit(verdict);
    return true;
  }
  back.session.quit();
  client.leaveBackend();
  client.loginsFailed++;
  client.gate.log.info('login-refused', {
    ...about(client),
    temporary: verdict.temporary,
    said: verdict.words.trim(),
  });
  client.session.refuse(verdict);
  return false;
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

function requireSecrecy(client: Client, back: BackLeg): void {
  const { settings } = client.gate.backend;
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
