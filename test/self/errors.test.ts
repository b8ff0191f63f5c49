// The error table holds together, and the page about it tells the truth.

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { ERRORS, type ErrorRow, GateError } from '../../src/errors.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const rows = Object.entries(ERRORS) as (readonly [keyof typeof ERRORS, ErrorRow])[];
const read = (pattern: string): string =>
  globSync(pattern, { cwd: ROOT })
    .map((file) => readFileSync(resolve(ROOT, file), 'utf8'))
    .join('\n');

test('a temporary failure has a 4xx code and 4.x.x, a permanent one 5xx and 5.x.x', () => {
  for (const [code, { smtp }] of rows) {
    if (smtp !== null) assert.ok(smtp[1].startsWith(`${String(smtp[0])[0]}.`), code);
  }
});

/** Said to proxies, which know them and are not surprised by the end of the connection. */
const TO_PROXIES: Readonly<Record<string, number>> = {
  BAD_INTRODUCTION: 501,
  INTRODUCTION_DENIED: 550,
  PROXY_LOOP: 554,
};

/** 554 stands in place of a greeting (RFC 5321 3.1), after 454 and 450 a client may go on. */
const OTHERS: Readonly<Record<string, number>> = {
  ACCESS_DENIED: 554,
  USER_LIMIT: 454,
  USER_MOVING: 454,
  MESSAGE_LIMIT: 450,
  RECIPIENT_LIMIT: 450,
  DIRECTORY_DOWN: 454,
  DIRECTORY_AMBIGUOUS: 454,
  DIRECTORY_TARGET: 454,
  USER_ON_HOLD: 454,
  BACKEND_ADMIN_REFUSED: 454,
};

test('an SMTP error row ends the connection with 421 or 521, but for proxies, strangers and logins', () => {
  for (const [code, { smtp }] of rows) {
    assert.ok(smtp === null || [421, 521, TO_PROXIES[code], OTHERS[code]].includes(smtp[0]), code);
  }
});

test('what is temporary in SMTP is temporary in POP3, and the reverse', () => {
  for (const [code, { smtp, pop3 }] of rows) {
    if (pop3 === 'SYS/TEMP') assert.equal(smtp?.[0], OTHERS[code] ?? 421, code);
  }
});

test('every code is raised somewhere, and every code is in the generated page', () => {
  const source = read('src/**/*.ts').replace(read('src/error-table.ts'), '');
  const page = readFileSync(resolve(ROOT, 'config/errors.md'), 'utf8');
  for (const [code] of rows) {
    assert.match(source, new RegExp(`'${code}'`), `${code} is never raised`);
    assert.match(page, new RegExp(`\`${code}\``), `${code} is not in config/errors.md`);
  }
});

test('every code is met by a test', () => {
  const tests = read('test/**/*.test.ts');
  for (const [code] of rows) assert.match(tests, new RegExp(`\\b${code}\\b`), `no test mentions ${code}`);
});

test('the message of an error names its context, and the words for clients do not', () => {
  const error = new GateError('BACKEND_UNREACHABLE', { backend: 'imap1.internal:143', nothing: undefined });
  assert.match(error.message, /backend: imap1\.internal:143/);
  assert.doesNotMatch(error.message, /nothing/);
  assert.doesNotMatch(error.row.text, /imap1/);
});
