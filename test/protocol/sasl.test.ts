// SASL messages to credentials, the same for all three protocols.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collectCredentials, type SaslResult } from '../../src/protocol/sasl.ts';
import { FRESH } from '../support/scripted-talk.ts';

const ALL = ['PLAIN', 'LOGIN', 'XOAUTH2', 'OAUTHBEARER', 'EXTERNAL'] as const;
const START = {
  initial: null,
  mechanisms: ALL,
  standing: { secured: true, certified: true, bindable: true, restricted: false },
  fresh: FRESH,
  bytesMax: 1000,
  onBrokenOff: () => assert.fail('these give credentials or nothing'),
} as const;
const base64 = (text: string): string => Buffer.from(text).toString('base64');

async function collect(
  mechanism: string,
  answers: readonly string[],
  initial: string | null = null,
): Promise<SaslResult> {
  const queue = [...answers];
  return collectCredentials({
    ...START,
    mechanism,
    initial,
    ask: () => Promise.resolve(queue.shift() ?? '*'),
  });
}

const anna = { kind: 'password', authzid: '', user: 'anna', password: 'secret' } as const;

test('PLAIN gives name, password and the identity to act as', async () => {
  assert.deepEqual(await collect('PLAIN', [base64('bert\0anna\0secret')]), {
    kind: 'credentials',
    credentials: { ...anna, mechanism: 'PLAIN', authzid: 'bert' },
  });
});

test('LOGIN asks twice, or once with the name in the command', async () => {
  const expected = { kind: 'credentials', credentials: { ...anna, mechanism: 'LOGIN' } };
  assert.deepEqual(await collect('LOGIN', [base64('anna'), base64('secret')]), expected);
  assert.deepEqual(await collect('login', [base64('secret')], base64('anna')), expected);
});

test('LOGIN asks with the prompts that old clients compare letter by letter', async () => {
  const prompts: string[] = [];
  await collectCredentials({
    ...START,
    mechanism: 'LOGIN',
    ask: (challenge) => {
      prompts.push(Buffer.from(challenge, 'base64').toString());
      return Promise.resolve(base64('anna'));
    },
  });
  assert.deepEqual(prompts, ['Username:', 'Password:']);
});

test('LOGIN with a NUL in the name is no way to a PLAIN message', async () => {
  assert.deepEqual(await collect('LOGIN', [base64('anna\0x'), base64('secret')]), { kind: 'malformed' });
});

for (const [mechanism, message] of [
  ['XOAUTH2', 'user=anna\x01auth=Bearer token\x01\x01'],
  ['OAUTHBEARER', 'n,a=anna,\x01auth=Bearer token\x01\x01'],
] as const) {
  test(`${mechanism} is passed on as it came, and only its name is read`, async () => {
    const result = await collect(mechanism, [], base64(message));
    assert.equal(result.kind, 'credentials');
    if (result.kind !== 'credentials' || result.credentials.kind !== 'bearer') return assert.fail();
    assert.deepEqual([result.credentials.user, result.credentials.message], ['anna', base64(message)]);
  });
}

test('EXTERNAL gives the identity to act as, or none', async () => {
  assert.deepEqual(await collect('EXTERNAL', [], '='), {
    kind: 'credentials',
    credentials: { kind: 'external', mechanism: 'EXTERNAL', user: '' },
  });
  assert.deepEqual(await collect('EXTERNAL', [], base64('a\0b')), { kind: 'malformed' });
});

test('a star cancels at the first and at the second question', async () => {
  assert.deepEqual(await collect('PLAIN', ['*']), { kind: 'cancelled' });
  assert.deepEqual(await collect('LOGIN', [base64('anna'), '*']), { kind: 'cancelled' });
});

test('what is larger than allowed, or no base64, is malformed', async () => {
  assert.deepEqual(await collect('PLAIN', [base64(`\0anna\0${'x'.repeat(2000)}`)]), { kind: 'malformed' });
  assert.deepEqual(await collect('PLAIN', ['a b c']), { kind: 'malformed' });
  assert.deepEqual(await collect('LOGIN', [base64('anna'), '####']), { kind: 'malformed' });
});

test('what is not offered is unknown, also where it is known', async () => {
  const result = await collectCredentials({
    ...START,
    mechanism: 'PLAIN',
    mechanisms: ['XOAUTH2'],
    ask: () => assert.fail('nothing may be asked'),
  });
  assert.deepEqual(result, { kind: 'unknown' });
});
