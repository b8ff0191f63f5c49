import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CertMapping, parseCertmap } from '../../../src/config/legacy/certmap.ts';

function mappingsOf(...lines: string[]): readonly CertMapping[] {
  const parsed = parseCertmap(`${lines.join('\n')}\n`);
  return parsed.kind === 'certmap' ? parsed.mappings : assert.fail(JSON.stringify(parsed.mistakes));
}

function mistakesOf(...lines: string[]): string[] {
  const parsed = parseCertmap(lines.join('\r\n'));
  return parsed.kind === 'wrong' ? parsed.mistakes.map(({ line, text }) => `${line}: ${text}`) : [];
}

const FIRST = 'certmap default default';

test('the file as it is shipped is the default mapping with nothing set', () => {
  const shipped = [
    '# Copyright and comments',
    FIRST,
    '#default:DNComps',
    '#default:FilterComps    e, uid',
    '#default:verifycert     on',
    '#default:CmapLdapAttr   certSubjectDN',
    '#default:library        <path_to_shared_lib_or_dll>',
    "#default:InitFn         <Init function's name>",
  ];
  assert.deepEqual(mappingsOf(...shipped), [
    { name: 'default', issuer: null, dnComps: null, filterComps: [], verify: false, attribute: null },
  ]);
});

test('a property without a value is not one that is missing', () => {
  const [mapping] = mappingsOf(FIRST, 'default:DNComps', 'default:verifycert', 'default:FilterComps  ');
  assert.deepEqual([mapping?.dnComps, mapping?.verify, mapping?.filterComps], [[], true, []]);
});

test('several mappings by issuer, names of properties in any letter case, e is mail in the directory', () => {
  const mappings = mappingsOf(
    FIRST,
    'default:DNComps',
    'default:FILTERCOMPS e, uid',
    '',
    '  certmap usps ou=United States Postal Service, o=usps, c=US  ',
    'usps:dncomps ou,o,c',
    'usps FilterComps e',
    'usps::verifycert on',
  );
  const [, usps] = mappings;
  assert.equal(mappings.length, 2);
  assert.deepEqual(
    usps?.issuer?.flat().map(({ value }) => value),
    ['United States Postal Service', 'usps', 'US'],
  );
  assert.deepEqual(
    usps?.dnComps?.map(({ from }) => from),
    ['ou', 'o', 'c'],
  );
  assert.deepEqual(usps?.filterComps, [{ from: 'e', to: 'mail' }]);
  assert.equal(usps?.verify, true);
});

test('nothing is inherited from the default', () => {
  const [, other] = mappingsOf(FIRST, 'default:DNComps', 'default:verifycert on', 'certmap a o=a');
  assert.deepEqual([other?.dnComps, other?.verify], [null, false]);
});

test("the MMP's from=to names the attribute to look in", () => {
  const [mapping] = mappingsOf(FIRST, 'default:DNComps', 'default:FilterComps e=mail ou=uid');
  assert.deepEqual(mapping?.filterComps, [
    { from: 'e', to: 'mail' },
    { from: 'ou', to: 'uid' },
  ]);
});

for (const [title, lines, expected] of [
  [
    'a file that starts with something else',
    ['default:DNComps', FIRST],
    ['1: the first line must be "certmap default default"'],
  ],
  [
    'a first mapping of another name',
    ['certmap usps o=usps'],
    ['1: the first mapping must be "certmap default default"'],
  ],
  ['an empty file', ['# nothing'], ['1: expected "certmap default default", found nothing']],
  [
    'a plug-in',
    [FIRST, 'default:library /opt/plugin.so', 'default:InitFn plugin_init'],
    [
      '2: library: plug-ins of certmap.conf are not run here, as in the MMP',
      '3: InitFn: plug-ins of certmap.conf are not run here, as in the MMP',
    ],
  ],
  [
    'a verifycert that is neither',
    [FIRST, 'default:verifycert maybe'],
    ['2: verifycert is on or off, found "maybe"'],
  ],
  [
    'a component that nobody knows, which would make the filter wider',
    [FIRST, 'default:FilterComps e, usid'],
    ['2: "usid" is no component, expected cn, ou, o, c, l, st, e, mail, uid, dc'],
  ],
  [
    'a property that nobody knows',
    [FIRST, 'default:verifycrt on'],
    ['2: "verifycrt" is no property of a mapping'],
  ],
  ['a mapping that is not there', [FIRST, 'Default:DNComps'], ['2: there is no mapping "Default" above']],
  [
    'a property twice',
    [FIRST, 'default:DNComps', 'default:DNComps o'],
    ['3: DNComps is there twice for "default"'],
  ],
  ['a mapping twice', [FIRST, 'certmap a o=a', 'certmap a o=b'], ['3: the mapping "a" is there twice']],
  [
    'an issuer twice',
    [FIRST, 'certmap a o=A, c=US', 'certmap b O=a,C=us'],
    ['3: the issuer is that of "a" already'],
  ],
  [
    'an issuer that is no name',
    [FIRST, 'certmap a nobody'],
    ['2: the issuer is no name: "nobody" is no attribute=value'],
  ],
  [
    'an encoded value',
    [FIRST, 'default:encoded DNComps 6f'],
    ['2: encoded values are not read, write it as text'],
  ],
  [
    'a line without end',
    [FIRST, `default:DNComps ${'o,'.repeat(600)}`],
    ['2: a line has at most 1024 bytes'],
  ],
] as const) {
  test(`${title} is a mistake with its line`, () => assert.deepEqual(mistakesOf(...lines), expected));
}
