// POP3 commands and replies (RFC 1939, RFC 2449, RFC 5034) as values.
// Promises: never throws; takes lines that takeLine has cut, so CR, LF and NUL are already gone.
// On failure: a named malformation, and the text of the line is not repeated in it.

import { isUtf8 } from 'node:buffer';
import { malformed, type Malformed } from './lines.ts';

export interface Pop3Command {
  readonly kind: 'command';
  /** In upper case. */
  readonly verb: string;
  /** Without blanks at either end; behind PASS exactly as sent, because blanks belong to a password. */
  readonly argument: string;
}

export type Pop3Reply =
  | { readonly kind: 'ok' | 'err'; readonly code: string; readonly text: string }
  | { readonly kind: 'continuation'; readonly text: string };

const COMMAND = /^([A-Za-z][A-Za-z0-9]{0,31})(?: (.*))?$/s;
// A tab may be part of a password; no other control character may stand in a command.
const CONTROL = /(?!\t)\p{Cc}/u;

export function parseCommand(line: Buffer): Pop3Command | Malformed {
  if (!isUtf8(line)) return malformed('syntax');
  const text = line.toString('utf8');
  if (CONTROL.test(text)) return malformed('syntax');
  const match = COMMAND.exec(text);
  if (match === null) return malformed('syntax');
  const verb = (match[1] ?? '').toUpperCase();
  const argument = match[2] ?? '';
  // RFC 1939 7: PASS has one argument, and a blank inside is part of it.
  return { kind: 'command', verb, argument: verb === 'PASS' ? argument : argument.trim() };
}

export function parseReply(line: Buffer): Pop3Reply | Malformed {
  const text = line.toString('utf8');
  // RFC 5034 4: a challenge is '+', a blank, base64; the blank is missing from some servers' empty challenge.
  if (text === '+' || text.startsWith('+ ')) return { kind: 'continuation', text: text.slice(2) };
  // RFC 2449 8: the response code stands in brackets right behind the status.
  const match = /^(\+OK|-ERR)(?: +(?:\[([^\]]{0,255})\] ?)?(.*))?$/s.exec(text);
  if (match === null) return malformed('syntax');
  return { kind: match[1] === '+OK' ? 'ok' : 'err', code: match[2] ?? '', text: match[3] ?? '' };
}
