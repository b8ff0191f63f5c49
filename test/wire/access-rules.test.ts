// TCPAccess rules: what is understood, and what is named when it is not.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { parseAccessRules } from '../../src/wire/access-rules.ts';

test('rules are split at $, sorted by sign, and a list may lose what EXCEPT names', () => {
  const parsed = parseAccessRules(
    '+imap,pop3:ALL$-ALL: .example.net, 192.0.2. EXCEPT mx.example.net EXCEPT LOCAL',
  );
  assert.deepEqual(parsed, {
    kind: 'rules',
    allow: [
      {
        services: { items: ['imap', 'pop'], except: null },
        clients: { items: [{ kind: 'all' }], except: null },
      },
    ],
    deny: [
      {
        services: { items: ['all'], except: null },
        clients: {
          items: [
            { kind: 'domain', suffix: '.example.net' },
            { kind: 'octets', start: '192.0.2.' },
          ],
          except: {
            items: [{ kind: 'name', pattern: 'mx.example.net' }],
            except: { items: [{ kind: 'local' }], except: null },
          },
        },
      },
    ],
  });
});

const NETWORKS: readonly (readonly [string, string, number])[] = [
  ['192.0.2.1', '192.0.2.1', 32],
  ['192.0.2.0/24', '192.0.2.0', 24],
  ['192.0.2.77|255.255.255.0', '192.0.2.0', 24],
  ['192.0.2.77/255.255.255.0', '192.0.2.0', 24],
  ['2001:db8::/32', '2001:db8::', 32],
  ['[2001:db8::]/32', '2001:db8::', 32],
  ['[::1]', '::1', 128],
];
for (const [text, address, prefix] of NETWORKS) {
  test(`${text} is a network, colons and all`, () => {
    const parsed = parseAccessRules(`-smtp:${text}`);
    assert.ok(parsed.kind === 'rules');
    const family = address.includes(':') ? 6 : 4;
    assert.deepEqual(parsed.deny[0]?.clients.items, [
      { kind: 'network', network: { family, address, prefix } },
    ]);
  });
}

for (const text of [
  '+*:*',
  '-ALL:ALL EXCEPT server1.sesta.com',
  '+imaps,pops:*$+imap,pop:192.0.2.9',
  '+smtps:KNOWN unknown,LOCAL DNSSPOOFER',
  '+http:x*',
  '+ imap : all ',
]) {
  test(`${text} is understood`, () => assert.equal(parseAccessRules(text).kind, 'rules'));
}

for (const [text, reason] of [
  ['', /begins with \+ or -/],
  ['imap:ALL', /begins with \+ or -/],
  ['+imap', /a colon/],
  ['+imap:', /empty/],
  ['+:ALL', /empty/],
  ['+imap:ALL EXCEPT', /empty/],
  ['+imap:EXCEPT x', /empty/],
  ['+imap:ALL$', /begins with/],
  ['+ldap:ALL', /"ldap"/],
  ['+constructor:ALL', /"constructor"/],
  ['+imap:joe@host', /"joe@host"/],
  ['+imap:300.1.2.3', /"300\.1\.2\.3"/],
  ['+imap:192.0.2.0/33', /33/],
  ['+imap:10.0.0.0|255.0.255.0', /255\.0\.255\.0/],
  [`+imap:${'x '.repeat(10_000)}`, /at most/],
] as const) {
  test(`${text.slice(0, 40)} is refused and named`, () => {
    const parsed = parseAccessRules(text);
    assert.ok(parsed.kind === 'malformed');
    assert.match(parsed.reason, reason);
    assert.ok(parsed.reason.length < 200);
  });
}

test('no text makes the parser throw', () => {
  fc.assert(fc.property(fc.string({ maxLength: 200 }), (text) => void parseAccessRules(`+imap:${text}`)));
  fc.assert(fc.property(fc.string({ maxLength: 200 }), (text) => void parseAccessRules(text)));
});
