// How clients of a channel are described, and which names a description means.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatChannelMatch, isNamedBy, parseChannelMatch } from '../../src/wire/channel-match.ts';

const READ: readonly (readonly [text: string, kind: 'network' | 'name', shown: string])[] = [
  ['192.0.2.0/24', 'network', '192.0.2.0/24'],
  ['192.0.2.99/24', 'network', '192.0.2.0/24'],
  ['192.0.2.0|255.255.255.0', 'network', '192.0.2.0/24'],
  ['192.0.2.7', 'network', '192.0.2.7'],
  ['2001:DB8::/32', 'network', '2001:db8::/32'],
  ['2001:db8::1', 'network', '2001:db8::1'],
  ['::ffff:192.0.2.7', 'network', '192.0.2.7'],
  ['.example.com', 'name', '.example.com'],
  ['*.Example.COM', 'name', '.example.com'],
  ['mail.example.com', 'name', 'mail.example.com'],
  ['localhost', 'name', 'localhost'],
  ['_mta.example.com', 'name', '_mta.example.com'],
];

for (const [text, kind, shown] of READ) {
  test(`"${text}" is a ${kind}, shown as ${shown}`, () => {
    const match = parseChannelMatch(text);
    assert.equal(match?.kind, kind);
    assert.equal(match === null ? null : formatChannelMatch(match), shown);
    assert.deepEqual(parseChannelMatch(shown), match);
  });
}

for (const text of [
  '',
  '.',
  '*',
  '*.',
  '*example.com',
  'mail.*.com',
  '192.0.2',
  '192.0.2.256',
  '192.0.2.0/33',
  '.0.2',
  'example..com',
  'exa mple.com',
  'example.com.',
  '-a.example',
  `${'a'.repeat(64)}.example`,
]) {
  test(`"${text}" describes nobody`, () => assert.equal(parseChannelMatch(text), null));
}

const NAMED: readonly (readonly [pattern: string, name: string, fits: boolean])[] = [
  ['.example.com', 'mail.example.com', true],
  ['.example.com', 'a.b.EXAMPLE.com', true],
  ['.example.com', 'mail.example.com.', true],
  ['.example.com', 'example.com', false],
  ['.example.com', '.example.com', false],
  ['.example.com', 'notexample.com', false],
  ['.example.com', 'mail.example.com.evil.test', false],
  ['mail.example.com', 'Mail.Example.com.', true],
  ['mail.example.com', 'x.mail.example.com', false],
  ['mail.example.com', 'xmail.example.com', false],
];

for (const [pattern, name, fits] of NAMED) {
  test(`${pattern} ${fits ? 'means' : 'does not mean'} ${name}`, () => {
    assert.equal(isNamedBy(pattern, name), fits);
  });
}
