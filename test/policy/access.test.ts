// Who may use what: order of the rules, services, clients, and when a name has to be known.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type AccessFacts,
  type AccessRuling,
  type ClientNames,
  judgeAccess,
} from '../../src/policy/access.ts';
import { parseAccessRules } from '../../src/wire/access-rules.ts';

const NOBODY: ClientNames = { claimed: [], confirmed: [] };
const named = (...confirmed: string[]): ClientNames => ({ claimed: confirmed, confirmed });
const SPOOFER: ClientNames = { claimed: ['bank.example'], confirmed: [] };

function judge(text: string, facts: Partial<AccessFacts> = {}): AccessRuling {
  const rules = parseAccessRules(text);
  assert.ok(rules.kind === 'rules', text);
  return judgeAccess(rules, {
    protocol: 'imap',
    implicitTls: false,
    address: '192.0.2.7',
    names: NOBODY,
    ...facts,
  });
}

const CASES: readonly (readonly [rules: string, facts: Partial<AccessFacts>, expected: AccessRuling])[] = [
  // Order: allow, then deny; what fits none.
  ['+imap:ALL', {}, 'allow'],
  ['+pop:ALL', {}, 'deny'],
  ['-pop:ALL', {}, 'allow'],
  ['-imap:ALL', {}, 'deny'],
  ['-imap:ALL$+imap:192.0.2.7', {}, 'allow'],
  ['+imap:192.0.2.8$-pop:ALL', {}, 'allow'],
  ['+imap:192.0.2.8$-imap:ALL', {}, 'deny'],
  // Services. The plain name covers both ports, the other only TLS from the first byte.
  ['+imap:ALL', { implicitTls: true }, 'allow'],
  ['+imaps:ALL', { implicitTls: true }, 'allow'],
  ['+imaps:ALL', {}, 'deny'],
  ['+pop:ALL', { protocol: 'pop3' }, 'allow'],
  ['+pop3:ALL', { protocol: 'pop3' }, 'allow'],
  ['+pops:ALL', { protocol: 'pop3' }, 'deny'],
  ['+smtps:ALL', { protocol: 'smtp', implicitTls: true }, 'allow'],
  ['+ALL EXCEPT pop:ALL', { protocol: 'pop3' }, 'deny'],
  ['+ALL EXCEPT pop:ALL', {}, 'allow'],
  ['+http,smime:ALL', {}, 'deny'],
  // Sun's example: TLS for all, clear text only for the proxy itself.
  ['+imaps,pops:*$+imap,pop:192.0.2.9', {}, 'deny'],
  ['+imaps,pops:*$+imap,pop:192.0.2.9', { implicitTls: true }, 'allow'],
  ['+imaps,pops:*$+imap,pop:192.0.2.9', { address: '192.0.2.9' }, 'allow'],
  // Addresses.
  ['-ALL:192.0.2.', {}, 'deny'],
  ['-ALL:192.0.2.', { address: '192.0.21.7' }, 'allow'],
  ['-ALL:192.0.2.0/24', {}, 'deny'],
  ['-ALL:192.0.2.0|255.255.255.0', { address: '192.0.3.7' }, 'allow'],
  ['-ALL:2001:db8::/32', { address: '2001:db8:1::5' }, 'deny'],
  ['-ALL:2001:db8::/32', { address: '2001:db9::5' }, 'allow'],
  ['-ALL:192.0.?.*', {}, 'deny'],
  ['-ALL:192.0.2.0/24', { address: '' }, 'allow'],
  // Names.
  ['-ALL:.example.org', { names: named('mx.example.org') }, 'deny'],
  ['-ALL:.example.org', { names: named('example.org') }, 'allow'],
  ['-ALL:MX.Example.ORG', { names: named('mx.example.org') }, 'deny'],
  ['-ALL:mx*.example.org', { names: named('mx12.example.org') }, 'deny'],
  ['-ALL:mx?.example.org', { names: named('mx12.example.org') }, 'allow'],
  ['+ALL:ALL EXCEPT .example.org EXCEPT mx.example.org', { names: named('a.example.org') }, 'deny'],
  ['+ALL:ALL EXCEPT .example.org EXCEPT mx.example.org', { names: named('mx.example.org') }, 'allow'],
  ['-ALL:ALL EXCEPT server1.sesta.com', { names: named('server1.sesta.com') }, 'allow'],
  ['-ALL:ALL EXCEPT server1.sesta.com', { names: named('server2.sesta.com') }, 'deny'],
  ['-ALL:KNOWN', { names: named('a.b') }, 'deny'],
  ['-ALL:KNOWN', {}, 'allow'],
  ['-ALL:UNKNOWN', {}, 'deny'],
  ['-ALL:UNKNOWN', { names: named('a.b') }, 'allow'],
  ['-ALL:LOCAL', { names: named('ws7') }, 'deny'],
  ['-ALL:LOCAL', { names: named('ws7.example.org') }, 'allow'],
  ['-ALL:DNSSPOOFER', { names: SPOOFER }, 'deny'],
  ['-ALL:DNSSPOOFER', { names: named('bank.example') }, 'allow'],
  ['-ALL:DNSSPOOFER', {}, 'allow'],
  // A name that does not lead back is no name.
  ['+ALL:bank.example', { names: SPOOFER }, 'deny'],
];

for (const [rules, facts, expected] of CASES) {
  test(`${rules} for ${JSON.stringify(facts)}: ${expected}`, () =>
    assert.equal(judge(rules, facts), expected));
}

const UNASKED: readonly (readonly [string, AccessRuling])[] = [
  ['+imap:192.0.2.7$-ALL:.example.org', 'allow'],
  ['-pop:.example.org', 'allow'],
  ['-ALL:ALL', 'deny'],
  ['-ALL:.example.org,192.0.2.7', 'deny'],
  ['+imap:10.0.0.0/8 EXCEPT .example.org$-pop:ALL', 'allow'],
  ['-ALL:.example.org', 'needs names'],
  ['+imap:ALL EXCEPT .example.org', 'needs names'],
  ['-ALL:.example.org$-ALL:ALL', 'needs names'],
];
for (const [rules, expected] of UNASKED) {
  test(`${rules} without a name: ${expected}`, () => assert.equal(judge(rules, { names: null }), expected));
}

test('a pattern of many stars takes no longer than its length asks for', () => {
  const started = performance.now();
  judge(`-ALL:${'*a'.repeat(100)}b`, { names: named('a'.repeat(250)) });
  assert.ok(performance.now() - started < 200);
});
