import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  attributesOf,
  hasPlaceholder,
  parseReplayTemplate,
  parseSearchTemplate,
} from '../../src/wire/login-template.ts';

const problemOf = (read: object): string | null => ('problem' in read ? String(read.problem) : null);

const SEARCH = ['%s', '%U', '%V', '%o', '%C', '%S', '%D'];
const ATTRIBUTE = ['%A[uid]', '%[uid]'];

for (const code of [...SEARCH, ...ATTRIBUTE, '%Q', '%u', '%', '%A', '%A[]', '%A[u d]', '%é']) {
  test(`${code} is taken where it belongs and nowhere else`, () => {
    const search = problemOf(parseSearchTemplate(`(uid=${code})`, 'searchFormat'));
    const domain = problemOf(parseSearchTemplate(`(uid=${code})`, 'inetDomainSearchFilter'));
    const replay = problemOf(parseReplayTemplate(`x${code}`));
    assert.equal(search === null, SEARCH.includes(code), `searchFormat: ${search}`);
    assert.equal(domain === null, ['%U', '%V', '%o'].includes(code), `inetDomainSearchFilter: ${domain}`);
    assert.equal(
      replay === null,
      ['%s', '%U', '%V', '%o', ...ATTRIBUTE].includes(code),
      `replayFormat: ${replay}`,
    );
  });
}

test('two percent signs are one', () => {
  assert.deepEqual(parseReplayTemplate('100%%U'), {
    pieces: [
      { kind: 'text', text: '100' },
      { kind: 'text', text: '%' },
      { kind: 'text', text: 'U' },
    ],
  });
});

for (const text of [
  '(%U=x)',
  '(%U)',
  '%U',
  '(&%U)',
  String.raw`(uid=\%U)`,
  String.raw`(uid=\2%U)`,
  '(uid=%U',
  '(uid=(%U))',
  '(uid>=%U*)',
  '(u%Ud=x)',
]) {
  test(`${text} is refused: what is put in could be more than a value`, () => {
    assert.notEqual(problemOf(parseSearchTemplate(text, 'searchFormat')), null);
  });
}

test('a filter that has nothing of the login in it is told', () => {
  const [fixed, open] = ['(uid=joe)', '(|(a=b)(uid=*%U))'].map((text) =>
    parseSearchTemplate(text, 'searchFormat'),
  );
  assert.ok(fixed !== undefined && 'filter' in fixed && !hasPlaceholder(fixed.filter));
  assert.ok(open !== undefined && 'filter' in open && hasPlaceholder(open.filter));
});

test('attributes come out in lower case', () => {
  const read = parseReplayTemplate('%A[mailHost]+%[UID]');
  assert.ok('pieces' in read);
  assert.deepEqual(attributesOf(read.pieces), ['mailhost', 'uid']);
});
