// The lines of the log, as text and as JSON.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createLog } from '../../src/log.ts';
import type { Fields } from '../../src/log.ts';

function written(format: 'json' | 'text', fields: Fields, event = 'closed'): string[] {
  let text = '';
  createLog({ level: 'info', format, write: (line) => (text += line) }).info(event, fields);
  assert.ok(text.endsWith('\n'));
  return text.slice(0, -1).split('\n');
}

const start = /^\d{4}-\d\d-\d\dT[\d:.]+Z INFO closed /;

test('what moves a terminal, breaks a line or turns its direction is escaped in both formats', () => {
  const evil = [
    '\n',
    '\r',
    '\u001b',
    '\u007f',
    '\u0085',
    '\u009b',
    '\u2028',
    '\u2029',
    '\u202e',
    '\u2066',
    '\u200f',
  ];
  for (const format of ['json', 'text'] as const) {
    for (const character of evil) {
      const [line = '', ...rest] = written(format, { user: `a${character}b`, [`k${character}`]: 1 });
      assert.deepEqual(rest, []);
      // oxlint-disable-next-line no-control-regex
      assert.doesNotMatch(line, /[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/u);
      if (format === 'json') assert.equal((JSON.parse(line) as { user: string }).user, `a${character}b`);
    }
  }
});

test('letters of every script are left as they are', () => {
  const user = 'józef@例え.テスト';
  for (const format of ['json', 'text'] as const) assert.ok(written(format, { user }).join().includes(user));
});

test('as text, a map is words with dots, a list is one word, and what is empty is left out', () => {
  const [line = ''] = written('text', {
    tls: { version: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256', group: null },
    services: { imap: ['127.0.0.1:143', '[::]:143'] },
    bytes: 0,
    user: undefined,
    cause: 'no "answer"',
  });
  assert.match(line, start);
  assert.equal(
    line.replace(start, ''),
    'tls.version=TLSv1.3 tls.cipher=TLS_AES_128_GCM_SHA256 services.imap=127.0.0.1:143,[::]:143 bytes=0 ' +
      'cause="no \\"answer\\""',
  );
});

test('as text, mistakes are one line each, every one with its event; as JSON they are one line', () => {
  const mistakes = ['a.yaml:1: x: wrong', 'a.yaml:2: y: wrong'];
  const lines = written('text', { file: '/a.yaml', mistakes });
  assert.deepEqual(
    lines.map((line) => line.replace(start, '')),
    ['file=/a.yaml mistake="a.yaml:1: x: wrong"', 'file=/a.yaml mistake="a.yaml:2: y: wrong"'],
  );
  assert.equal(written('json', { mistakes }).length, 1);
});

test('a map within a map within a map ends somewhere', () => {
  const deep = JSON.parse(`${'{"a":'.repeat(200)}1${'}'.repeat(200)}`) as Fields;
  const [line = ''] = written('text', deep);
  assert.ok(line.length < 2000);
});
