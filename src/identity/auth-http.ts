// nginx's auth_http contract as text: the headers of a request about a login, what the headers of an answer mean. Pure.
// Promises: a script written for nginx cannot tell the difference but by what it does not know (Client-Port,
// Auth-Server-Address, Auth-Server-Port); tokens go as freenginx has them go; of a certificate that is not believed
// nothing is sent but that; an answer that nginx would not understand is an Outcome `unusable`.

import { createHash } from 'node:crypto';

import { parseHostPort, formatHostPort, ipOf } from '../wire/address.ts';
import { decodeBase64 } from '../wire/sasl.ts';
import type { Login, Refusal, Shown, ShownCertificate } from './directory.ts';

export interface Attempt {
  readonly login: Login;
  /** null: proven otherwise. */
  readonly password: string | null;
  /** What there is in place of a password. */
  readonly shown?: Shown | undefined;
  /** A certificate goes whole (nginx's auth_http_pass_client_cert). */
  readonly passClientCert?: boolean;
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

type Header = [name: string, value: string];

/** Header names and values; bytes that are no ASCII go as UTF-8. */
export function requestHeaders(asked: Attempt): Header[] {
  const { login, attempt } = asked;
  const { client, server, protocol, tls } = login;
  return [
    ['Auth-Method', methodOf(asked)],
    ['Auth-User', escaped(login.id)],
    ...secretHeaders(asked),
    ['Auth-Protocol', protocol],
    ['Auth-Login-Attempt', String(attempt)],
    ['Client-IP', client.address === '' ? 'unix:' : client.address],
    ...(protocol === 'smtp' ? [header('Client-Host', hostOf(login))] : []),
    ...proxyHeaders(login),
    ...(tls ? tlsHeaders(asked) : []),
    ['Client-Port', String(client.port)],
    ['Auth-Server-Address', server.address],
    ['Auth-Server-Port', String(server.port)],
  ];
}

/** none: for where the mailbox is, that somebody else has proven to be allowed to see; nginx has the word in SMTP. */
function methodOf({ login, password, shown }: Attempt): string {
  if (login.byCertificate === true) return 'external';
  return (shown?.mechanism ?? login.byToken ?? (password === null ? 'none' : 'plain')).toLowerCase();
}

function secretHeaders({ password, shown }: Attempt): Header[] {
  switch (shown?.kind) {
    case 'digest':
      return [header('Auth-Pass', shown.digest), header('Auth-Salt', shown.challenge)];
    case 'token':
      return [header('Auth-Pass', escaped(shown.token))];
    case undefined:
      return [header('Auth-Pass', escaped(password ?? ''))];
  }
}

function proxyHeaders({ proxied }: Login): Header[] {
  if (proxied === undefined) return [];
  const { source, destination } = proxied;
  return [
    ['Proxy-Protocol-Addr', source.address],
    ['Proxy-Protocol-Port', String(source.port)],
    ['Proxy-Protocol-Server-Addr', destination.address],
    ['Proxy-Protocol-Server-Port', String(destination.port)],
  ];
}

function tlsHeaders({ login, passClientCert = false }: Attempt): Header[] {
  const { certificateSubject: subject, certificate, tlsFacts } = login;
  const { version = null, cipher = null } = tlsFacts ?? {};
  const facts = [
    ['Auth-SSL-Protocol', version],
    ['Auth-SSL-Cipher', cipher],
  ] as const;
  const verify = verifyWord(login);
  return [
    ['Auth-SSL', 'on'],
    ...facts.flatMap(([name, value]) => (isWord(value) ? [header(name, value)] : [])),
    ...(verify === null ? [] : [header('Auth-SSL-Verify', verify)]),
    ...(subject === null ? [] : [header('Auth-SSL-Subject', nameForScripts(subject))]),
    ...(certificate === undefined ? [] : certificateHeaders(certificate)),
    ...(certificate === undefined || !passClientCert
      ? []
      : [header('Auth-SSL-Cert', escaped(pemOf(certificate)))]),
  ];
}

function verifyWord({ certificateSubject, certificateWord }: Login): string | null {
  if (certificateSubject !== null) return 'SUCCESS';
  if (typeof certificateWord === 'object') return `FAILED:${certificateWord.fault}`;
  return certificateWord === undefined ? null : 'NONE';
}

/** As nginx: the fingerprint is by SHA-1, since that is what scripts have in their lists. */
function certificateHeaders({ issuer, serial, der }: ShownCertificate): Header[] {
  return [
    ['Auth-SSL-Issuer', nameForScripts(issuer)],
    ['Auth-SSL-Serial', serial],
    ['Auth-SSL-Fingerprint', createHash('sha1').update(der).digest('hex')],
  ];
}

function pemOf({ der }: ShownCertificate): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}

/** As OpenSSL has a name in the form of RFC 2253: `+` without blanks, the last first, bytes that are no ASCII in hex. */
function nameForScripts(name: string): string {
  const parts = name.match(/(?:\\.|[^,\\])+/gsu) ?? [];
  return parts
    .map((part) => part.split(' + ').toReversed().join('+'))
    .join(',')
    .replaceAll(/[^\x20-\x7e]/gu, inHex);
}

function inHex(character: string): string {
  return [...Buffer.from(character)].map((byte) => `\\${hexOf(byte)}`).join('');
}

function hostOf({ clientName = null }: Login): string {
  return isWord(clientName) ? clientName : '[UNAVAILABLE]';
}

/** What a tier or balancer has said may be anything. */
function isWord(text: string | null): text is string {
  return text !== null && /^[\x21-\x7e]{1,255}$/.test(text);
}

function header(name: string, value: string): Header {
  return [name, value];
}

/** As nginx does for mail: blanks, percent signs and control characters. */
function escaped(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return Buffer.from(text.replaceAll(/[\x00-\x20%\x7f]/g, percent)).toString('latin1');
}

function percent(character: string): string {
  return `%${hexOf(character.charCodeAt(0))}`;
}

function hexOf(byte: number): string {
  return byte.toString(16).toUpperCase().padStart(2, '0');
}

const TEXT_MAX = 400;
const SASL_ERROR_MAX = 1024;
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
  if (said !== null && said !== 'OK')
    return refusal(said, { waitMs, code: text('auth-error-code'), sasl: text('auth-error-sasl') });
  const server = readServer(text('auth-server'), text('auth-port'));
  if (server === undefined) return { kind: 'unusable', reason: 'Auth-Server or Auth-Port is malformed' };
  if (said === null && server === null)
    return { kind: 'unusable', reason: 'neither Auth-Status nor Auth-Server' };
  // Empty is as good as not said: nobody's store takes that.
  return { kind: 'ok', server, user: text('auth-user') || null, password: text('auth-pass') || null };
}

function readWait(text: string | null): number | null {
  if (text === null || !/^\d{1,9}$/.test(text)) return null;
  return Math.min(Number(text) * 1000, WAIT_MAX_MS);
}

function refusal(
  said: string,
  {
    waitMs,
    code,
    sasl,
  }: { readonly waitMs: number | null; readonly code: string | null; readonly sasl: string | null },
): Refusal {
  // What goes to the client is one line of printable ASCII.
  const text = said.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, TEXT_MAX);
  const smtpCode = code !== null && /^[45]\d\d( [45]\.\d{1,3}\.\d{1,3})?$/.test(code) ? code : null;
  return {
    kind: 'refused',
    temporary: smtpCode?.startsWith('4') ?? false,
    text,
    ...(smtpCode === null ? {} : { smtpCode }),
    ...(sasl === null || !isBase64(sasl) ? {} : { saslError: sasl }),
    // Without a time to wait, or with none, nginx ends the connection.
    waitMs: waitMs === 0 ? null : waitMs,
  };
}

function isBase64(text: string): boolean {
  return text !== '' && decodeBase64(text, SASL_ERROR_MAX) !== null;
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
