// Which channel a connection comes to: every combination of the rules, as tables.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChannelSettings } from '../../src/config/settings.ts';
import { ChannelBook, type Decision, pathText } from '../../src/policy/channels.ts';
import { parseChannelMatch } from '../../src/wire/channel-match.ts';

function channel(name: string, keywords: string, match: readonly string[] = []): ChannelSettings {
  return { name, keywords, match: match.flatMap((text) => parseChannelMatch(text) ?? []), relay: 'mta' };
}

function book(...channels: readonly ChannelSettings[]): ChannelBook {
  return new ChannelBook(channels);
}

const WORD = { switch: 'switchchannel', allow: 'allowswitchchannel', no: 'noswitchchannel', unsaid: '' };

// Address and name, each: of nobody, the initial channel's own, the target's. `.` stays, A by address, N by name,
// B blocked by the target's noswitchchannel.
const COLUMNS = 'none own target'
  .split(' ')
  .flatMap((address) => 'none own target'.split(' ').map((name) => `${address} ${name}`));
const SWITCHES: Readonly<Record<string, string>> = {
  'switch switch': '..N..NAAA',
  'switch allow': '..N..NAAA',
  'switch unsaid': '..N..NAAA',
  'switch no': '..B..BBBB',
  'allow switch': '.........',
  'allow allow': '.........',
  'allow unsaid': '.........',
  'allow no': '.........',
  'unsaid switch': '.........',
  'unsaid allow': '.........',
  'unsaid unsaid': '.........',
  'unsaid no': '.........',
  'no switch': '.........',
  'no allow': '.........',
  'no unsaid': '.........',
  'no no': '.........',
};
const ADDRESS: Readonly<Record<string, string>> = {
  none: '203.0.113.9',
  own: '198.51.100.9',
  target: '192.0.2.9',
};
const NAMES: Readonly<Record<string, readonly string[]>> = {
  none: ['host.elsewhere.test'],
  own: ['x.test', 'mx.own.test'],
  target: ['x.test', 'mx.target.test'],
};

for (const [rules, outcomes] of Object.entries(SWITCHES)) {
  const [from, to] = rules.split(' ') as (keyof typeof WORD)[];
  test(`initial ${from}, target ${to}: address and name decide as the table says`, () => {
    assert.ok(from !== undefined && to !== undefined);
    const all = book(
      channel('initial', WORD[from], ['198.51.100.0/24', '.own.test']),
      channel('target', WORD[to], ['192.0.2.0/24', '.target.test']),
    );
    for (const [index, column] of COLUMNS.entries()) {
      const [address = '', name = ''] = column.split(' ');
      const byAddress = all.byAddress('initial', ADDRESS[address] ?? '');
      const decision = byAddress.open ? all.byNames(byAddress, NAMES[name] ?? []) : byAddress;
      assert.equal(outcomeOf(decision), outcomes[index], `${column}: ${decision.rule}`);
      // Only a channel with switchchannel has a say, and then what decided is always named.
      assert.equal(decision.rule !== null, from === 'switch', column);
    }
  });
}

function outcomeOf({ standing, rule }: Decision): string {
  if (standing.channel === 'target') {
    assert.equal(rule, standing.moves[0]?.rule);
    return rule === 'switchchannel 192.0.2.0/24' ? 'A' : rule === 'switchchannel .target.test' ? 'N' : '?';
  }
  assert.deepEqual(standing.moves, []);
  return rule === 'noswitchchannel of target' ? 'B' : '.';
}

test('the most specific network decides, a noswitchchannel one by keeping all out; names are then not asked', () => {
  const all = book(
    channel('start', 'switchchannel'),
    channel('wide', '', ['192.0.0.0/8', '2001:db8::/32', '.test']),
    channel('narrow', '', ['192.0.2.0/24']),
    channel('shut', 'noswitchchannel', ['192.0.2.7', '2001:db8::7']),
  );
  const at = (address: string): string[] => {
    const { standing, rule, open } = all.byAddress('start', address);
    return [standing.channel, rule ?? '', String(open)];
  };
  assert.deepEqual(at('192.0.3.1'), ['wide', 'switchchannel 192.0.0.0/8', 'false']);
  assert.deepEqual(at('192.0.2.1'), ['narrow', 'switchchannel 192.0.2.0/24', 'false']);
  assert.deepEqual(at('::ffff:192.0.2.1'), ['narrow', 'switchchannel 192.0.2.0/24', 'false']);
  assert.deepEqual(at('192.0.2.7'), ['start', 'noswitchchannel of shut', 'false']);
  assert.deepEqual(at('2001:db8::8'), ['wide', 'switchchannel 2001:db8::/32', 'false']);
  assert.deepEqual(at('2001:db8::7'), ['start', 'noswitchchannel of shut', 'false']);
  assert.deepEqual(at('203.0.113.1'), ['start', 'switchchannel, no match', 'true']);
});

test('a whole name comes before a domain, the longer domain before the shorter', () => {
  const all = book(
    channel('start', 'switchchannel'),
    channel('wide', '', ['.test']),
    channel('narrow', '', ['.example.test']),
    channel('one', '', ['mx.example.test']),
  );
  const open = all.byAddress('start', '203.0.113.1');
  const at = (...names: string[]): string => all.byNames(open, names).standing.channel;
  assert.deepEqual(
    [at('a.test'), at('a.example.test'), at('mx.example.test'), at('a.test', 'a.example.test'), at()],
    ['wide', 'narrow', 'one', 'narrow', 'start'],
  );
});

test('without a name to be found by, nobody is asked for one', () => {
  const all = book(channel('start', 'switchchannel'), channel('target', '', ['192.0.2.0/24']));
  assert.equal(all.byAddress('start', '203.0.113.1').open, false);
});

// What follows TLS and a login: the keyword of the current channel, never held back by the target's noswitchchannel.
for (const from of Object.values(WORD)) {
  for (const to of Object.values(WORD)) {
    test(`tlsswitchchannel and saslswitchchannel lead from a "${from}" channel to a "${to}" one`, () => {
      const all = book(
        channel('a', `${from} tlsswitchchannel b`),
        channel('b', `${to} saslswitchchannel c`),
        channel('c', to),
      );
      const secured = all.afterTls(all.start('a'));
      assert.deepEqual([secured.standing.channel, secured.rule], ['b', 'tlsswitchchannel']);
      const loggedIn = all.afterLogin(secured.standing);
      assert.deepEqual([loggedIn.standing.channel, loggedIn.rule], ['c', 'saslswitchchannel']);
      assert.equal(pathText(loggedIn.standing), 'a → b (tlsswitchchannel) → c (saslswitchchannel)');
      const ordered = all.byOrder(all.start('a'), 'c', 'XPEHLO');
      assert.equal(ordered === null ? null : pathText(ordered.standing), 'a → c (XPEHLO)');
    });
  }
}

test('a channel without such a keyword, or one that names itself, keeps the connection', () => {
  for (const keywords of [
    '',
    'tlsswitchchannel a saslswitchchannel a',
    'saslswitchchannel b nosaslswitchchannel',
  ]) {
    const all = book(channel('a', keywords), channel('b', ''));
    for (const decide of [all.afterTls.bind(all), all.afterLogin.bind(all)]) {
      assert.deepEqual(decide(all.start('a')), { standing: all.start('a'), rule: null }, keywords);
    }
  }
});

test('targets in a circle are one switch for each event', () => {
  const all = book(
    channel('a', 'tlsswitchchannel b saslswitchchannel b'),
    channel('b', 'tlsswitchchannel a saslswitchchannel a'),
  );
  const { standing } = all.afterTls(all.start('a'));
  assert.equal(pathText(standing), 'a → b (tlsswitchchannel)');
  assert.equal(
    pathText(all.afterLogin(standing).standing),
    'a → b (tlsswitchchannel) → a (saslswitchchannel)',
  );
});

test('STARTTLS behind a login or an order begins anew at the channel of the source (RFC 3207 4.2)', () => {
  const all = book(
    channel('start', 'switchchannel tlsswitchchannel wrong'),
    channel('inside', 'saslswitchchannel users tlsswitchchannel safe', ['192.0.2.0/24']),
    channel('users', 'tlsswitchchannel wrong'),
    channel('safe', ''),
    channel('wrong', ''),
  );
  const source = all.byAddress('start', '192.0.2.1').standing;
  const safe = 'start → inside (switchchannel 192.0.2.0/24) → safe (tlsswitchchannel)';
  assert.equal(pathText(all.afterTls(all.afterLogin(source).standing).standing), safe);
  const ordered = all.byOrder(source, 'users', 'XPEHLO');
  assert.ok(ordered !== null);
  assert.equal(pathText(all.afterTls(ordered.standing).standing), safe);
});

test('an order to a channel that is not there is none; to the current one it is taken and changes nothing', () => {
  const all = book(channel('a', ''));
  assert.equal(all.byOrder(all.start('a'), 'b', 'XPEHLO'), null);
  assert.deepEqual(all.byOrder(all.start('a'), 'a', 'XPEHLO')?.standing, all.start('a'));
});

test('a grant leads to its channel whatever that says of switching, holds over TLS, and a login leads on', () => {
  const all = book(
    channel('initial', 'noswitchchannel tlsswitchchannel elsewhere'),
    channel('elsewhere', ''),
    channel('granted', 'noswitchchannel saslswitchchannel users'),
    channel('users', 'noswitchchannel'),
  );
  const granted = all.byGrant('initial', 'granted');
  assert.equal(granted.rule, 'pop-before-smtp');
  assert.equal(pathText(granted.standing), 'initial → granted (pop-before-smtp)');
  assert.deepEqual(all.afterTls(granted.standing).standing, granted.standing);
  const login = all.afterLogin(granted.standing);
  assert.equal(pathText(login.standing), 'initial → granted (pop-before-smtp) → users (saslswitchchannel)');
  assert.deepEqual(all.afterTls(login.standing).standing, granted.standing);
  const same = all.byGrant('granted', 'granted');
  assert.deepEqual([pathText(same.standing), same.rule], ['granted', 'pop-before-smtp']);
});

test('the channel that the directory names for a user comes before saslswitchchannel, whatever the keywords say', () => {
  const all = book(channel('a', 'saslswitchchannel b'), channel('b', ''), channel('c', 'noswitchchannel'));
  assert.equal(pathText(all.afterLogin(all.start('a'), 'c').standing), 'a → c (mailSMTPSubmitChannel)');
  assert.equal(pathText(all.afterLogin(all.start('a'), null).standing), 'a → b (saslswitchchannel)');
  assert.equal(pathText(all.afterLogin(all.start('a'), 'a').standing), 'a');
});
