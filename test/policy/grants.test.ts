// What a login is worth: for how long, for whom, and which grants an operator means.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultSettings } from '../../src/config/load.ts';
import type { PopBeforeSmtpSettings } from '../../src/config/settings.ts';
import {
  earns,
  endOf,
  formatGrant,
  grantChannelOf,
  grantFor,
  isAsGood,
  isLive,
  isMeant,
  isTellable,
  parseGrant,
} from '../../src/policy/grants.ts';
import { parseNetwork } from '../../src/wire/network.ts';
import { manualWorld } from '../support/manual-world.ts';

const RULES: PopBeforeSmtpSettings = {
  channel: 'tcp_intranet',
  ttlMs: 900_000,
  protocols: ['pop3'],
  prefix6: 64,
  tell: [],
  excluded: [],
};
const POP3 = { name: 'pop3', grantTtlMs: null };
const anna = { user: 'anna', service: 'pop3', at: 1_000_000 };

test('a grant holds for ttl from the login on, and not a millisecond longer', () => {
  const world = manualWorld();
  const grant = grantFor('anna', POP3, world.now());
  assert.ok(grant !== null);
  world.advance(RULES.ttlMs - 1);
  assert.equal(isLive(grant, world.now(), RULES), true);
  world.advance(1);
  assert.equal(isLive(grant, world.now(), RULES), false);
  assert.equal(endOf(grant, RULES), world.now());
});

test('a name with control characters or without end earns nothing, one with a blank does and is not told', () => {
  for (const user of ['', 'a\r\nb', 'a\u0000', 'a'.repeat(256)]) assert.equal(grantFor(user, POP3, 1), null);
  const blank = grantFor('anna smith', POP3, 1);
  assert.ok(blank !== null && !isTellable(blank));
  const long = grantFor('ä'.repeat(255), POP3, 1);
  assert.ok(long !== null && isTellable(long));
});

test('a second login of the same user at once changes nothing, a later one or another user’s does', () => {
  assert.equal(isAsGood(null, anna, RULES), false);
  assert.equal(isAsGood(anna, { ...anna, at: anna.at + 8999 }, RULES), true);
  assert.equal(isAsGood(anna, { ...anna, at: anna.at + 9000 }, RULES), false);
  assert.equal(isAsGood(anna, { ...anna, user: 'bert' }, RULES), false);
  assert.equal(isAsGood(anna, { ...anna, service: 'pop3s' }, RULES), false);
});

test('POP3 earns grants, IMAP where the setting says so, SMTP never', () => {
  const both: PopBeforeSmtpSettings = { ...RULES, protocols: ['pop3', 'imap'] };
  assert.deepEqual(
    (['pop3', 'imap', 'smtp'] as const).map((protocol) => [earns(protocol, RULES), earns(protocol, both)]),
    [
      [true, true],
      [false, true],
      [false, false],
    ],
  );
});

test('sessions of an SMTP service start on the channel, unless it takes no part or there are no grants', () => {
  const settings = { ...defaultSettings(), popBeforeSmtp: RULES };
  const smtp = { protocol: 'smtp', grants: true } as const;
  assert.equal(grantChannelOf(smtp, settings), 'tcp_intranet');
  assert.equal(grantChannelOf({ ...smtp, grants: false }, settings), null);
  assert.equal(grantChannelOf({ ...smtp, protocol: 'pop3' }, settings), null);
  assert.equal(grantChannelOf(smtp, defaultSettings()), null);
});

test('an operator means grants by user in any letter case, by address, by network and by what is in a block', () => {
  const of = (key: string, user: string | null, address: string | null): boolean =>
    isMeant([key, { ...anna, user: 'Anna' }], {
      user,
      network: address === null ? null : parseNetwork(address),
    });
  assert.equal(of('192.0.2.7', null, null), true);
  assert.equal(of('192.0.2.7', 'anna', null), true);
  assert.equal(of('192.0.2.7', 'ann', null), false);
  assert.equal(of('192.0.2.7', null, '192.0.2.0/24'), true);
  assert.equal(of('192.0.2.7', 'bert', '192.0.2.7'), false);
  assert.equal(of('192.0.2.7', null, '192.0.2.8'), false);
  assert.equal(of('2001:db8:1:2::/64', null, '2001:db8:1:2::99'), true);
  assert.equal(of('2001:db8:1:2::/64', null, '2001:db8:1:2::/64'), true);
  assert.equal(of('2001:db8:1:2::/64', null, '2001:db8::/32'), true);
  assert.equal(of('2001:db8:1:2::/64', null, '2001:db8:1:3::99'), false);
});

test('a grant is read as it was written; a clock that is ahead makes none longer; nonsense is none', () => {
  const grant = { user: 'ä "b"', service: 'pop3', at: 1000 };
  assert.deepEqual(parseGrant(formatGrant(grant), 5000), grant);
  assert.deepEqual(parseGrant(formatGrant({ ...grant, at: 9000 }), 5000), { ...grant, at: 5000 });
  for (const text of ['', '{', '{}', '[]', '["a","b"]', '["a","b","c"]', '[1,"b",1]', 'null']) {
    assert.equal(parseGrant(text, 1), null, text);
  }
});

test('a grant of an address with a time of its own ends then, and never after that of all', () => {
  const short = grantFor('anna', { name: 'pop3', grantTtlMs: 60_000 }, 1_000_000);
  const long = grantFor('anna', { name: 'pop3', grantTtlMs: 9_000_000 }, 1_000_000);
  assert.ok(short !== null && long !== null);
  assert.deepEqual([endOf(short, RULES), endOf(long, RULES)], [1_060_000, 1_900_000]);
  assert.deepEqual(parseGrant(formatGrant(short), 2_000_000), short);
  // Another time is news, however soon it comes.
  assert.equal(isAsGood(anna, short, RULES), false);
  assert.equal(isAsGood(short, { ...short, at: 1_000_500 }, RULES), true);
  assert.equal(isAsGood(short, { ...short, at: 1_000_700 }, RULES), false);
});
