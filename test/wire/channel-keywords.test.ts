import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACTING_KEYWORDS, parseChannelKeywords } from '../../src/wire/channel-keywords.ts';

const TLS = ['notls', 'maytls', 'musttls'] as const;
const SASL = ['nosasl', 'maysasl', 'mustsasl'] as const;
type Side = 'server' | 'client';
/** A keyword as it may be written, and which halves it speaks of. */
const FORMS: readonly (readonly [write: (rule: string) => string, sides: readonly Side[]])[] = [
  [(rule) => rule, ['server', 'client']],
  [(rule) => `${rule}server`, ['server']],
  [(rule) => `${rule}Server`.toUpperCase(), ['server']],
  [(rule) => `${rule}client`, ['client']],
];

const NOTHING = {
  tls: 'notls',
  sasl: 'nosasl',
  tlsClient: 'notls',
  saslClient: 'nosasl',
  switching: 'allow',
  tlsSwitch: null,
  saslSwitch: null,
  badAuthLimit: null,
  badCommandLimit: null,
  inert: [],
  unknown: [],
} as const;

test('every combination of two TLS and two SASL keywords yields, on each side, what the last one says', () => {
  let rows = 0;
  for (const tls of pairs(TLS)) {
    for (const sasl of pairs(SASL)) {
      const text = `smtp ${tls.text} mx ${sasl.text}`;
      const found = parseChannelKeywords(text);
      assert.deepEqual(
        [found.tls, found.sasl, found.tlsClient, found.saslClient],
        [
          tls.last('server') ?? 'notls',
          sasl.last('server') ?? 'nosasl',
          tls.last('client') ?? 'notls',
          sasl.last('client') ?? 'nosasl',
        ],
        text,
      );
      assert.deepEqual(found.unknown, [], text);
      assert.deepEqual(found.inert, ['smtp', ...tls.inert, 'mx', ...sasl.inert], text);
      rows += 1;
    }
  }
  assert.equal(rows, 144 * 144);
});

interface Pair<Rule> {
  readonly text: string;
  readonly last: (side: Side) => Rule | undefined;
  readonly inert: readonly string[];
}

function* pairs<Rule extends string>(rules: readonly Rule[]): Generator<Pair<Rule>> {
  const words = rules.flatMap((rule) => FORMS.map(([write, sides]) => ({ rule, sides, text: write(rule) })));
  for (const first of words) {
    for (const second of words) {
      const both = [first, second];
      yield {
        text: both.map((word) => word.text).join(' '),
        last: (side) => both.findLast((word) => word.sides.includes(side))?.rule,
        inert: both.filter((word) => !word.sides.includes('server')).map((word) => word.text),
      };
    }
  }
}

test('a channel without keywords has neither TLS nor SASL, and may be switched to', () => {
  assert.deepEqual(parseChannelKeywords(' \n '), NOTHING);
});

test('the last of switchchannel, allowswitchchannel and noswitchchannel holds', () => {
  const says = { switchchannel: 'switch', allowswitchchannel: 'allow', noswitchchannel: 'no' };
  for (const [first] of Object.entries(says)) {
    for (const [second, meaning] of Object.entries(says)) {
      assert.equal(parseChannelKeywords(`${first} ${second.toUpperCase()}`).switching, meaning);
    }
  }
});

test('the last saslswitchchannel holds, and nosaslswitchchannel takes it back', () => {
  const target = (text: string): string | null => parseChannelKeywords(text).saslSwitch;
  assert.equal(target('saslswitchchannel tcp_a SASLswitchChannel tcp_b'), 'tcp_b');
  assert.equal(target('saslswitchchannel tcp_a nosaslswitchchannel'), null);
  assert.equal(target('nosaslswitchchannel saslswitchchannel "tcp_a"'), 'tcp_a');
});

test('a keyword with a value keeps it, even where the value looks like a keyword', () => {
  const text = 'subdirs 20 Pool SMTP_POOL tlsswitchchannel musttls daemon "mx 1" maytlsserver';
  assert.deepEqual(parseChannelKeywords(text), {
    ...NOTHING,
    tls: 'maytls',
    tlsSwitch: 'musttls',
    inert: ['subdirs 20', 'pool SMTP_POOL', 'daemon "mx 1"'],
  });
});

test('limits of a channel count from 1; what Sun takes for "none" takes an earlier one back', () => {
  const limits = parseChannelKeywords('disconnectbadauthlimit 2 disconnectbadcommandlimit 5');
  assert.deepEqual([limits.badAuthLimit, limits.badCommandLimit, limits.inert], [2, 5, []]);
  const none = parseChannelKeywords('disconnectbadauthlimit 2 disconnectbadauthlimit 0');
  assert.deepEqual([none.badAuthLimit, none.inert], [null, ['disconnectbadauthlimit 0']]);
});

test('a word that Sun does not know, and a keyword without its value, are unknown and do not swallow others', () => {
  const text = 'MyTls subdirs musttlsserver disconnectbadauthlimit many maxjobs saslswitchchannel';
  assert.deepEqual(parseChannelKeywords(text), {
    ...NOTHING,
    tls: 'musttls',
    unknown: ['MyTls', 'subdirs', 'disconnectbadauthlimit', 'many', 'maxjobs', 'saslswitchchannel'],
  });
});

test('every keyword that acts here is understood without being called inert', () => {
  assert.ok(ACTING_KEYWORDS.length >= 20);
  for (const keyword of ACTING_KEYWORDS) {
    const value = /^(tls|sasl)switch/.test(keyword) ? ' tcp_a' : keyword.endsWith('limit') ? ' 3' : '';
    const { inert, unknown } = parseChannelKeywords(`${keyword}${value}`);
    assert.deepEqual([inert, unknown], [[], []], keyword);
  }
});
