import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseChannelKeywords } from '../../src/wire/channel-keywords.ts';

const TLS = ['notls', 'maytls', 'musttls'] as const;
const SASL = ['nosasl', 'maysasl', 'mustsasl'] as const;
/** A keyword as it may be written, and whether it speaks of the server half. */
const FORMS: readonly (readonly [write: (rule: string) => string, server: boolean])[] = [
  [(rule) => rule, true],
  [(rule) => `${rule}server`, true],
  [(rule) => `${rule}Server`.toUpperCase(), true],
  [(rule) => `${rule}client`, false],
];

test('every combination of two TLS and two SASL keywords yields what the last server-half one says', () => {
  let rows = 0;
  for (const tls of pairs(TLS)) {
    for (const sasl of pairs(SASL)) {
      const text = `smtp ${tls.text} mx ${sasl.text}`;
      const found = parseChannelKeywords(text);
      assert.deepEqual([found.tls, found.sasl], [tls.last ?? 'notls', sasl.last ?? 'nosasl'], text);
      assert.deepEqual(found.unknown, [], text);
      assert.deepEqual(found.inert, ['smtp', ...tls.inert, 'mx', ...sasl.inert], text);
      rows += 1;
    }
  }
  assert.equal(rows, 144 * 144);
});

interface Pair<Rule> {
  readonly text: string;
  readonly last: Rule | undefined;
  readonly inert: readonly string[];
}

function* pairs<Rule extends string>(rules: readonly Rule[]): Generator<Pair<Rule>> {
  const words = rules.flatMap((rule) =>
    FORMS.map(([write, server]) => ({ rule, server, text: write(rule) })),
  );
  for (const first of words) {
    for (const second of words) {
      const both = [first, second];
      yield {
        text: both.map((word) => word.text).join(' '),
        last: both.findLast((word) => word.server)?.rule,
        inert: both.filter((word) => !word.server).map((word) => word.text),
      };
    }
  }
}

test('a channel without keywords has neither TLS nor SASL', () => {
  assert.deepEqual(parseChannelKeywords(' \n '), { tls: 'notls', sasl: 'nosasl', inert: [], unknown: [] });
});

test('a keyword with a value keeps it, even where the value looks like a keyword', () => {
  const text = 'subdirs 20 Pool SMTP_POOL tlsswitchchannel musttls daemon "mx 1" maytls';
  assert.deepEqual(parseChannelKeywords(text), {
    tls: 'maytls',
    sasl: 'nosasl',
    inert: ['subdirs 20', 'pool SMTP_POOL', 'tlsswitchchannel musttls', 'daemon "mx 1"'],
    unknown: [],
  });
});

test('a word that Sun does not know, and a keyword without its value, are unknown and do not swallow others', () => {
  assert.deepEqual(parseChannelKeywords('MyTls subdirs musttls maxjobs'), {
    tls: 'musttls',
    sasl: 'nosasl',
    inert: [],
    unknown: ['MyTls', 'subdirs', 'maxjobs'],
  });
});
