import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { matchesGlob } from '../../src/wire/glob.ts';

test('stars stand for any text, question marks for one character, all else for itself', () => {
  for (const [pattern, text, fits] of [
    ['*', '', true],
    ['a*c', 'abbc', true],
    ['a*c', 'abbd', false],
    ['a?c', 'abc', true],
    ['a?c', 'ac', false],
    ['*.example.com', 'mx.example.com', true],
    ['*.example.com', 'example.com', false],
    ['*a*b*', 'xxaxxbxx', true],
    ['.*', 'x', false],
  ] as const) {
    assert.equal(matchesGlob(pattern, text), fits, `${pattern} ${text}`);
  }
});

test('it says what the same pattern as a regular expression says', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 8 });
  const words = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 8 });
  fc.assert(
    fc.property(letters, words, (pattern, text) => {
      const same = new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`);
      assert.equal(matchesGlob(pattern, text), same.test(text));
    }),
  );
});
