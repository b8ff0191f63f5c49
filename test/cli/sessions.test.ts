// The line of `sallyport sessions`: what a stranger chose in it does nothing to the terminal that shows it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sessionLine } from '../../src/cli/sessions.ts';

function lineOf(user: string, admin: string | null = null): string {
  return sessionLine({
    id: 'ab-1',
    service: 'imap',
    client: '192.0.2.7',
    port: 50_001,
    via: null,
    user,
    admin,
    backend: '127.0.0.1:143',
    tls: 'TLSv1.3',
    phase: 'bytes',
    seconds: 7,
    bytesIn: 1,
    bytesOut: 2,
    worker: 0,
  });
}

test('a user’s name with control characters is one line, and shows them', () => {
  const line = lineOf('a\x1b[2J\r\nb\u202e\x9b');
  assert.match(
    line,
    /^ab-1 {2}imap {2}a\\u001b\[2J\\u000d\\u000ab\\u202e\\u009b {2}from 192\.0\.2\.7:50001 .*\n$/,
  );
});

test('any other name is shown as it is', () => {
  assert.match(lineOf('änna@example.org'), / {2}änna@example\.org {2}/);
});

test('who has logged in for somebody else is shown beside the user', () => {
  assert.match(lineOf('anna', 'ro\x1bot'), / {2}anna \(by ro\\u001bot\) {2}from /);
});
