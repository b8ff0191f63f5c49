import assert from 'node:assert/strict';
import { test } from 'node:test';

import { acmeText } from '../../src/cli/acme.ts';
import type { AcmeStatus } from '../../src/service/acme/keeper.ts';

const found: AcmeStatus = {
  nickname: 'Mail',
  names: ['mail.test', 'imap.test'],
  directory: 'https://ca.test/directory',
  isOrdering: false,
  notAfter: '2030-04-01T00:00:01Z',
  nextAt: '2030-03-02T00:00:01Z',
  failures: 0,
  lastFailure: null,
};

test('one line tells what there is and what comes next', () => {
  assert.equal(
    acmeText(found),
    'acme Mail: mail.test, imap.test; until 2030-04-01; next order 2030-03-02T00:00:01Z',
  );
  assert.equal(
    acmeText({ ...found, isOrdering: true, notAfter: null }),
    'acme Mail: mail.test, imap.test; none of the CA yet; being ordered now',
  );
});

test('a failure is told with its time, how often, and words of the CA that move no cursor', () => {
  const lastFailure = { at: '2030-01-01T00:00:00Z', cause: 'no\u001b[2J\nname' };
  assert.match(
    acmeText({ ...found, failures: 2, lastFailure }),
    /; FAILED 2 times, at 2030-01-01T00:00:00Z: no\\u001b\[2J\\u000aname$/,
  );
});
