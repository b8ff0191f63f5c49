// Whom a certificate stands for where there is no certmap.conf and the users are in a file: whoever has its mail address,
// and nobody as soon as anything about it is odd.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { der, distinguishedName } from '../support/authority.ts';
import {
  ACCEPTED,
  answerTo,
  enter,
  external,
  open,
  REFUSED,
  refusalOf,
  type Scene,
  USER,
} from '../support/certificate-scene.ts';
import { IMAP } from '../support/dialects.ts';

const FOUND: Readonly<Record<string, readonly [Scene, string]>> = {
  'the name of an entry': [{ emails: ['SHJORTH@SUN.COM'] }, USER],
  'a listed address': [{ emails: ['another@sun.com'] }, 'other@sun.com'],
  'several addresses of one user': [{ emails: ['another@sun.com', 'other@sun.com'] }, 'other@sun.com'],
  'an address that is nobody’s beside that of a user': [{ emails: ['x@elsewhere.test', USER] }, USER],
  'a user of a domain that the file names': [{ emails: ['who@domain.test'] }, 'who@domain.test'],
  'E of the subject, where there is no other': [
    { emails: [], subject: distinguishedName([['E', der(0x16, Buffer.from(USER))]]) },
    USER,
  ],
};

for (const [what, [scene, user]] of Object.entries(FOUND)) {
  test(`a certificate stands for the user of ${what}`, async (t) => {
    const opened = await answerTo(t, scene);
    assert.equal(opened.user, user, refusalOf(opened.gateway));
  });
}

test('who is known by the address alone may ask for it in any letter case', async (t) => {
  const { gateway, shown } = open(t, IMAP, { emails: ['Who@domain.test'] });
  const client = await enter(gateway, IMAP, shown);
  await gateway.resume(client, `${external(IMAP, 'bob@domain.test')}\n${REFUSED.imap}`);
  await gateway.resume(client, `${external(IMAP, 'who@DOMAIN.test')}\n${ACCEPTED.imap}`);
});

const hundred = distinguishedName(Array.from({ length: 100 }, (_one, at) => ['OU', `part ${at}`] as const));

const NOBODY: Readonly<Record<string, readonly [Scene, RegExp]>> = {
  'an address that nobody has': [
    { emails: ['nobody@sun.com'] },
    /nobody has its mail address \(nobody@sun\.com\)/,
  ],
  'the name of an entry that has other addresses': [
    { emails: ['anna@sun.com'] },
    /nobody has its mail address/,
  ],
  'addresses of two users': [
    { emails: [USER, 'other@sun.com'] },
    /that of shjorth@sun.com and other@sun.com/,
  ],
  'what only a pattern fits': [{ emails: ['who@pattern.test'] }, /nobody has its mail address/],
  'no address': [{ emails: [] }, /has no mail address/],
  'E of the subject beside an alternative name of somebody else': [
    { emails: ['nobody@sun.com'], subject: distinguishedName([['E', der(0x16, Buffer.from(USER))]]) },
    /nobody has its mail address/,
  ],
  'a NUL in the address': [{ emails: [`${USER}\0.evil.test`] }, /control character/],
  'a line end in the address': [{ emails: [`${USER}\r\nX: y`] }, /control character/],
  'bytes that are no ASCII': [{ emails: [Buffer.from('sh\u00f6@sun.com')] }, /bytes that its type/],
  'a pattern in place of an address': [{ emails: ['*'] }, /is no mail address/],
  'an address with two @': [{ emails: ['a@b@sun.com'] }, /is no mail address/],
  'an empty subject': [{ subject: distinguishedName([]) }, /empty subject/],
  '100 parts in the subject': [{ subject: hundred }, /more than 64 parts/],
  'a subject that is no text': [
    { subject: distinguishedName([['CN', der(0x03, Buffer.of(0, 1))]]) },
    /is no text/,
  ],
  'more addresses than anybody has': [
    { emails: Array.from({ length: 9 }, (_one, at) => `a${at}@sun.com`) },
    /more than 8 mail addresses/,
  ],
  'the address of an inactive user': [{ emails: ['away@sun.com'] }, /inactive/],
  'the address of a user whose rules do not let it in': [
    { emails: ['near@sun.com'] },
    /access rules of the user/,
  ],
};

for (const [what, [scene, reason]] of Object.entries(NOBODY)) {
  test(`a certificate with ${what} lets nobody in`, async (t) => {
    const opened = await answerTo(t, scene);
    assert.equal(opened.user, null);
    assert.match(refusalOf(opened.gateway), reason);
    assert.deepEqual(opened.gateway.dialled, []);
  });
}
