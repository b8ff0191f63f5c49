// Step 9: every ending. The client gets its last words in its dialect where they can be said, both sockets end, and one
// line tells the whole connection. Promises: one line for each connection, whatever happened, but for those that are not
// wanted (refusals.ts); a client that does not close is cut after timeouts.close.

import type { GateError } from '../errors.ts';
import { explain } from '../log.ts';
import { pathText } from '../policy/channels.ts';
import type { ClientCertificate } from '../tls/client-certificate.ts';
import type { Client } from './client.ts';
import { isRefusal } from './refusals.ts';

/** Misconfigured clients that an operator can help. */
const WRONG_PORT: ReadonlySet<string> = new Set(['TLS_ON_PLAIN_PORT', 'PLAIN_ON_TLS_PORT']);

export function close(client: Client, error: GateError | null): void {
  const { leg, gate } = client;
  if (error !== null && isRefusal(error) && !client.welcomed) {
    client.leaveBackend();
    client.onClose(client);
    gate.refusals.turnAway(client, error);
    return;
  }
  const socket = leg.socket;
  const live = !socket.destroyed && socket.writable;
  const words = error === null || !live || !wordsFit(client) ? '' : client.session.wordsFor(error);
  leg.finish(words);
  client.leaveBackend();
  client.enter('closing');
  if (socket.closed) client.onClose(client);
  else socket.once('close', () => client.onClose(client));
  gate.log.at(error?.row.level ?? 'info', 'closed', closingLine(client, error));
}

/** After login the stream is the backend's: words go in only at the end of a whole line (and never compressed). */
function wordsFit(client: Client): boolean {
  if (client.dismissed) return false;
  // In clear text they would only spoil the handshake.
  if (client.gate.implicitTls && client.leg.facts === null) return false;
  return client.relayed === null || client.relayed.farewellFits;
}

function closingLine(client: Client, error: GateError | null): Readonly<Record<string, unknown>> {
  const { leg, gate } = client;
  const quiet = error === null || error.row.level === 'info';
  return {
    service: gate.name,
    session: client.id,
    client: client.remote.address,
    port: client.remote.port,
    via: client.via?.address,
    tls: leg.facts,
    clientCertificate: certificateText(leg.clientCertificate),
    outerTls: client.outerTls ?? undefined,
    outerSession: client.outerId ?? undefined,
    user: client.user,
    tried: client.user === null ? (client.claimed ?? undefined) : undefined,
    admin: client.actor ?? undefined,
    mechanism: client.mechanism,
    channel: client.course?.standing.channel,
    rule: client.course === null ? undefined : pathText(client.course.standing),
    grant: client.course?.grant?.user,
    backend: client.server,
    backendTls: client.serverTls,
    messages: gate.dialect.protocol === 'smtp' ? client.messages : undefined,
    bytesIn: client.bytesIn,
    bytesOut: client.bytesOut,
    ms: Math.round(gate.world.monotonic() - client.startedAt),
    end: error === null ? client.ending : 'error',
    said: client.said,
    code: error?.code ?? null,
    failure: client.failure ?? undefined,
    hint: error !== null && WRONG_PORT.has(error.code) ? error.row.doc : undefined,
    cause: quiet ? contextOf(error) : explain(error),
    stack: error?.code === 'INTERNAL' && error.cause instanceof Error ? error.cause.stack : undefined,
  };
}

const SUBJECT_MAX = 256;
// RFC 5280 4.1.2.2: 20 octets.
const SERIAL_MAX = 40;

function certificateText(
  certificate: ClientCertificate | null,
): Readonly<Record<string, unknown>> | undefined {
  if (certificate === null) return undefined;
  const { subject, verified, fault, detail, serial } = certificate;
  return {
    subject: shortened(subject, SUBJECT_MAX),
    serial: shortened(serial, SERIAL_MAX),
    verified,
    fault: fault ?? undefined,
    detail: detail ?? undefined,
  };
}

function shortened(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max)}…`;
}

function contextOf(error: GateError | null): string | undefined {
  const facts = Object.entries(error?.context ?? {}).filter(([, value]) => value !== undefined);
  return facts.length === 0 ? undefined : facts.map(([key, value]) => `${key}: ${value}`).join(', ');
}
