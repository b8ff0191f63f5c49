import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Report, checkMap, formatPath } from '../../src/config/check.ts';
import { found } from '../../src/config/misfit.ts';
import { EMPTY_TREE, parseSettings } from '../../src/config/lines.ts';
import type { Group } from '../../src/config/formats.ts';
import { suggest } from '../../src/config/suggest.ts';

test('a near key is suggested, a far one is not', () => {
  const known = ['hostname', 'dataDir', 'user', 'tls'];
  assert.equal(suggest('hostnmae', known), ', did you mean hostname?');
  assert.equal(suggest('datadir', known), ', did you mean dataDir?');
  assert.equal(suggest('uesr', known), ', did you mean user?');
  assert.equal(suggest('redis', known), '');
  assert.equal(suggest('ssh', known), '');
});

test('a path with dots, spaces or list places in it stays readable', () => {
  assert.equal(formatPath(['tls', 'sni', '*.example.org', 1, 'cert']), 'tls.sni."*.example.org"[1].cert');
  assert.equal(formatPath(['a\nb']), '"a\\nb"');
});

test('a value is shown in one short line', () => {
  assert.equal(found('a\nb'), '"a\\nb"');
  assert.ok(found('x'.repeat(5000)).length < 70);
  assert.equal(found(new Map()), 'a map');
  assert.equal(found(null), 'nothing');
});

test('strings that look like numbers or flags are not turned into them', () => {
  const schema = {
    count: { doc: 'A count.', format: 'count', default: 1, min: 0, max: 9 },
    flag: { doc: 'A flag.', format: 'flag', default: true },
  } as const satisfies Group;
  const report = new Report('x.yaml', EMPTY_TREE);
  const given = new Map<string, unknown>([
    ['count', '7'],
    ['flag', 'no'],
  ]);
  const { values, isWrong } = checkMap({ schema, given, path: [] }, report);
  assert.deepEqual([isWrong('count'), isWrong('flag')], [true, true]);
  assert.deepEqual(values, { count: 1, flag: true });
  assert.throws(() => report.throwIfAny(), {
    message: /count: expected a whole number from 0 to 9, found "7"/,
  });
});

test('the line of a key that is not there is that of the nearest one above', () => {
  const tree = parseSettings('a: 1\nb:\n  c:\n    - x\n    - { d: 1 }\n');
  assert.equal(tree.lineOf(['a']), 1);
  assert.equal(tree.lineOf(['b', 'c', 0]), 4);
  assert.equal(tree.lineOf(['b', 'c', 1, 'd']), 5);
  assert.equal(tree.lineOf(['b', 'nothing', 'here']), 2);
  assert.equal(tree.lineOf(['nothing']), null);
});
