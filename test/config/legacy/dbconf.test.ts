import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseSections, parseVdmaps } from '../../../src/config/legacy/dbconf.ts';

const sections = (text: string): ReturnType<typeof parseSections> => parseSections({ path: 'X.cfg', text });
const vdmaps = (text: string): ReturnType<typeof parseVdmaps> => parseVdmaps({ path: 'vdmap.cfg', text });

test('an option is section:Option value; blanks, comments and CRLF count for nothing, quotes hold blanks together', () => {
  const { sections: found, notes } = sections(
    '\uFEFF# comment\r\n\r\n  default:BindDN "cn=Directory Manager"  \r\ndefault : LogLevel\t5\nother:SSLEnable yes\n  # another\ndefault Banner hello you',
  );
  assert.deepEqual(notes, []);
  assert.deepEqual(
    [...found].map(([name, lines]) => [
      name,
      lines.map(({ name: option, value, line }) => [option, value, line]),
    ]),
    [
      [
        'default',
        [
          ['BindDN', 'cn=Directory Manager', 3],
          ['LogLevel', '5', 4],
          ['Banner', 'hello you', 7],
        ],
      ],
      ['other', [['SSLEnable', 'yes', 5]]],
    ],
  );
});

test('names of sections are taken letter by letter', () => {
  assert.deepEqual([...sections('default:A 1\nDefault:A 2').sections.keys()], ['default', 'Default']);
});

test('an option without a value is there and empty, which is not the same as not there', () => {
  const lines = sections('default:SSLKeyPasswdFile ""\ndefault:DefaultDomain').sections.get('default');
  assert.deepEqual(
    lines?.map(({ value }) => value),
    ['', ''],
  );
});

test('lines that are none are told with their numbers, and the others are read', () => {
  const long = `default:Banner ${'x'.repeat(1020)}`;
  const { sections: found, notes } = sections(
    `:nothing\ndefault:\n${long}\ndefault:encoded BindPass x\ndefault:A 1`,
  );
  assert.deepEqual(
    notes.map(({ file, line }) => [file, line]),
    [1, 2, 3, 4].map((line) => ['X.cfg', line]),
  );
  assert.match(notes[3]?.reason ?? '', /encoded/);
  assert.equal(found.get('default')?.length, 1);
});

test('vdmap names an address of ours, and options of it follow', () => {
  const { vdmaps: found, notes } = vdmaps(
    '# hosted\nvdmap dom1 192.0.2.10\ndom1:DefaultDomain example.com\nvdmap six 2001:DB8::1\nsix:AuthService yes',
  );
  assert.deepEqual(notes, []);
  assert.deepEqual(
    found.map(({ name, address, lines }) => [name, address, lines.map(({ value }) => value)]),
    [
      ['dom1', '192.0.2.10', ['example.com']],
      ['six', '2001:db8::1', ['yes']],
    ],
  );
});

test('a vdmap without an address, twice, or of an option that comes before it, is told with its line', () => {
  const { vdmaps: found, notes } = vdmaps(
    'dom1:PreAuth yes\nvdmap dom1\nvdmap dom2 mail.example.com\ndom2:PreAuth yes\nvdmap dom3 192.0.2.3\nvdmap dom3 192.0.2.4',
  );
  assert.deepEqual(
    notes.map(({ line }) => line),
    [1, 2, 3, 6],
  );
  assert.deepEqual(
    found.map(({ name, address }) => [name, address]),
    [['dom3', '192.0.2.3']],
  );
});

test('a section may be called vdmap', () => {
  const { vdmaps: found } = vdmaps('vdmap vdmap 192.0.2.1\nvdmap:PreAuth yes');
  assert.deepEqual(found[0]?.lines[0]?.name, 'PreAuth');
});

test('no text makes it throw', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), (text) => {
      sections(text);
      vdmaps(text);
    }),
  );
});
