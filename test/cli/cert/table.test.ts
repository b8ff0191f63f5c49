import assert from 'node:assert/strict';
import { test } from 'node:test';

import { dateText, tableText, widthOf } from '../../../src/cli/cert/table.ts';
import { endOf, readValidity, USUAL_VALIDITY } from '../../../src/cli/cert/validity.ts';

const COLUMNS = [
  { title: ['Name'], least: 6 },
  { title: ['Self-', 'signed?'], least: 3 },
] as const;

test('columns stay in line whatever is in them, and no line ends in spaces', () => {
  assert.equal(
    tableText(COLUMNS, [
      ['a', 'y'],
      ['a long name', 'n'],
    ]),
    [
      'Name         Self-',
      '             signed?',
      '-----------  -------',
      'a            y',
      'a long name  n',
      '',
    ].join('\n'),
  );
});

test('what is wide or has no width on a terminal is counted so', () => {
  assert.equal(widthOf('Müller'), 6);
  assert.equal(widthOf('Mu\u0308ller'), 6);
  assert.equal(widthOf('株式会社'), 8);
});

test('dates are those of the documentation', () => {
  assert.match(dateText(Date.UTC(2006, 6, 28, 12, 58)), /^2006\/07\/2[789] \d\d:\d\d$/);
});

test('three months are those of the calendar, and end with the month where it is short', () => {
  const end = (start: string, text: string): string =>
    new Date(endOf(Date.parse(start), readValidity(text))).toISOString().slice(0, 10);
  assert.equal(endOf(Date.UTC(2006, 6, 28, 7, 47), USUAL_VALIDITY), Date.UTC(2006, 9, 28, 7, 47));
  assert.equal(end('2026-11-30T00:00:00Z', '3m'), '2027-02-28');
  assert.equal(end('2028-02-29T00:00:00Z', '1y'), '2029-02-28');
  assert.equal(end('2026-01-01T00:00:00Z', '90'), '2026-04-01');
  assert.equal(end('2026-01-01T00:00:00Z', '90D'), '2026-04-01');
  assert.equal(end('2026-01-01T00:00:00Z', '2w'), '2026-01-15');
});

test('a validity that is none is refused, one of a hundred years is not', () => {
  for (const text of ['', '0', '-1', '1.5', '3months', 'm', '101y', '999999', '1e3'])
    assert.throws(() => readValidity(text), /--validity is/, text);
  assert.deepEqual(readValidity('100y'), { count: 100, unit: 'y' });
});
