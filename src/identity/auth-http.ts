// nginx's auth_http contract as text: the headers of a request about a login, what the headers of an answer mean. Pure.
// Promises: a script written for nginx cannot tell the difference but by what it does not know (Client-Port,
// Auth-Server-Address, Auth-Server-Port); an answer that nginx would not understand is an Outcome `unusable`.

import { createHash } from 'node:crypto';

import { parseHostPort, formatHostPort, ipOf } from '../wire/address.ts';
import type { Login, Refusal, ShownCertificate } from './directory.ts';

export interface Attempt {
  readonly login: Login;
  /** null: proven otherwise (EXTERNAL). */
  readonly password: string | null;
  /** How often this connection has tried. */
  readonly attempt: number;
}

export type Outcome =
  | {
      readonly kind: 'ok';
      /** `host:port`; null: the servers of the backend. */
      readonly server: string | null;
      readonly user: string | null;
      readonly password: string | null;
    }
  | Refusal
  /** To be asked again after a while. */
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'unusable'; readonly reason: string };

/** Header names and values; bytes that are no ASCII go as UTF-8. */
export function requestHeaders({ login, password, attempt }: Attempt): [string, string][] {
  const { client, server, protocol, tls } = login;
  return [
    // Only a certificate takes the place of a password.
    ['Auth-Method', login.byCertificate === true ? 'external' : 'plain'],
    ['Auth-User', escaped(login.id)],
    ['Auth-Pass', escaped(password ?? '')],
    ['Auth-Protocol', protocol],
    ['Auth-Login-Attempt', String(attempt)],
    ['Client-IP', client.address === '' ? 'unix:' : client.address],
    ...(protocol === 'smtp' ? [['Client-Host', '[UNAVAILABLE]'] as [string, string]] : []),
    ['Client-Port', String(client.port)],
    ['Auth-Server-Address', server.address],
    ['Auth-Server-Port', String(server.port)],
    ...(tls ? secured(login) : []),
  ];
}

function secured({ certificateSubject: subject, certificate }: Login): [string, string][] {
  return [
    ['Auth-SSL', 'on'],
    ['Auth-SSL-Verify', subject === null ? 'NONE' : 'SUCCESS'],
    ...(subject === null ? [] : [['Auth-SSL-Subject', escaped(subject)] as [string, string]]),
    ...(certificate === undefined ? [] : shown(certificate)),
  ];
}

/** As nginx: the fingerprint is by SHA-1, since that is what scripts have in their lists. */
function shown({ issuer, serial, der }: ShownCertificate): [string, string][] {
  return [
    ['Auth-SSL-Issuer', escaped(issuer)],
    ['Auth-SSL-Serial', serial],
    ['Auth-SSL-Fingerprint', createHash('sha1').update(der).digest('hex')],
  ];
}

/** As nginx does for mail: blanks, percent signs and control characters. */
function escaped(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return Buffer.from(text.replaceAll(/[\x00-\x20%\x7f]/g, hex)).toString('latin1');
}

function hex(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}

const TEXT_MAX = 400;
const WAIT_MAX_MS = 600_000;

export function readAnswer(headers: Readonly<Record<string, string | undefined>>, status: number): Outcome {
  const text = (name: string): string | null => {
    const value = headers[name];
    return value === undefined ? null : Buffer.from(value.trim(), 'latin1').toString('utf8');
  };
  const said = text('auth-status');
  const waitMs = readWait(text('auth-wait'));
  if (said === null && (status < 200 || status > 299))
    return { kind: 'unusable', reason: `HTTP status ${status}, no Auth-Status` };
  if (said === 'WAIT') return { kind: 'wait', ms: waitMs ?? 0 };
  if (said !== null && said !== 'OK') return refusal(said, { waitMs, code: text('auth-error-code') });
  const server = readServer(text('auth-server'), text('auth-port'));
  if (server === undefined) return { kind: 'unusable', reason: 'Auth-Server or Auth-Port is malformed' };
  if (said === null && server === null)
    return { kind: 'unusable', reason: 'neither Auth-Status nor Auth-Server' };
  return { kind: 'ok', server, user: text('auth-user'), password: text('auth-pass') };
}

function readWait(text: string | null): number | null {
  if (text === null || !/^\d{1,9}$/.test(text)) return null;
  return Math.min(Number(text) * 1000, WAIT_MAX_MS);
}

function refusal(
  said: string,
  { waitMs, code }: { readonly waitMs: number | null; readonly code: string | null },
): Refusal {
  // What goes to the client is one line of printable ASCII.
  const text = said.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, TEXT_MAX);
  const smtpCode = code !== null && /^[45]\d\d( [45]\.\d{1,3}\.\d{1,3})?$/.test(code) ? code : null;
  return {
    kind: 'refused',
    temporary: smtpCode?.startsWith('4') ?? false,
    text,
    ...(smtpCode === null ? {} : { smtpCode }),
    // Without a time to wait, or with none, nginx ends the connection.
    waitMs: waitMs === 0 ? null : waitMs,
  };
}

/** undefined: malformed. nginx takes addresses only; names are taken too. */
function readServer(host: string | null, port: string | null): string | null | undefined {
  if (host === null || host === '') return null;
  const number = Number(port);
  if (port === null || !/^\d{1,5}$/.test(port) || number < 1 || number > 65_535) return undefined;
  const bare = /^\[(.*)\]$/.exec(host)?.[1] ?? host;
  const text = formatHostPort(ipOf(bare)?.address ?? bare, number);
  return parseHostPort(text) === null ? undefined : text;
}
