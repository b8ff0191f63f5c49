// Who has a secret without sending it: the examples of the RFCs, stored values of each kind, and what nobody looks like.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ChallengeDesk, ITERATIONS } from '../../../src/identity/passwords/challenge.ts';
import { prepared } from '../../../src/identity/passwords/saslprep.ts';
import { Turns } from '../../../src/identity/turns.ts';
import { clientProof } from '../../support/challenge-client.ts';

const desk = (key = 'k'): ChallengeDesk => new ChallengeDesk(Buffer.from(key), new Turns());
const RIGHT = { proof: 'right' } as const;
const WRONG = { proof: 'wrong', password: null };
/** Of `pencil`, by `doveadm pw -s SCRAM-SHA-256`. */
const VERIFIER =
  '{SCRAM-SHA-256}4096,luPjNvjmrn43X9HwYj+JMQ==,bZ86DvJi40maZ6Taw7YjdzSadH7eRVTU0yknDvP3qS4=,X73f5/f7mDWa1gQ5quVOiOjmJSTLxFaOpy2Y9ipWJ90=';

test('CRAM-MD5: the digest of RFC 2195 2 is right for its password and for no other', async () => {
  const question = '<1896.697170952@postoffice.reston.mci.net>';
  const digest = 'b913a602c7eda7a495b4e6e7334d3890';
  const judge = (password: string): ReturnType<ChallengeDesk['judge']> => desk().judge('tim', [password]);
  assert.deepEqual(await judge('tanstaaftanstaaf').digest('CRAM-MD5', question, digest), {
    ...RIGHT,
    password: 'tanstaaftanstaaf',
  });
  assert.deepEqual(await judge('tanstaaf').digest('CRAM-MD5', question, digest), WRONG);
  assert.deepEqual(await judge('tanstaaftanstaaf').digest('APOP', question, digest), WRONG);
});

test('APOP: the digest of RFC 1939 7 is right for its password and its stamp, and for no other', async () => {
  const stamp = '<1896.697170952@dbc.mtview.ca.us>';
  const digest = 'c4c9334bac560ecc979e58001b3e22fb';
  const judge = desk().judge('mrose', ['{PLAIN}tanstaaf']);
  assert.deepEqual(await judge.digest('APOP', stamp, digest), { ...RIGHT, password: 'tanstaaf' });
  assert.deepEqual(await judge.digest('APOP', '<1897.697170952@dbc.mtview.ca.us>', digest), WRONG);
});

test('any of several plain passwords is right, also for SCRAM', async () => {
  const judge = desk().judge('anna', ['{SSHA}AAAA', 'first', '{CLEARTEXT}second']);
  const { salt, iterations } = judge.scram;
  for (const password of ['first', 'second']) {
    const proof = clientProof({ password, salt, iterations, said: 'x' });
    assert.equal((await judge.scramProof('x', proof)).password, password);
  }
  const guess = clientProof({ password: 'third', salt, iterations, said: 'x' });
  assert.equal((await judge.scramProof('x', guess)).proof, 'wrong');
});

test('stored keys are right for their password, which nobody learns', async () => {
  const judge = desk().judge('anna', [VERIFIER]);
  const { salt, iterations } = judge.scram;
  assert.deepEqual([salt.toString('base64'), iterations], ['luPjNvjmrn43X9HwYj+JMQ==', 4096]);
  const found = await judge.scramProof('x', clientProof({ password: 'pencil', salt, iterations, said: 'x' }));
  assert.deepEqual([found.proof, found.password], ['right', null]);
  const guess = clientProof({ password: 'pen', salt, iterations, said: 'x' });
  assert.equal((await judge.scramProof('x', guess)).proof, 'wrong');
});

test('a plain password counts before keys that stand beside it', async () => {
  const judge = desk().judge('anna', [VERIFIER, 'secret']);
  const { salt, iterations } = judge.scram;
  const proof = clientProof({ password: 'secret', salt, iterations, said: 'x' });
  assert.equal((await judge.scramProof('x', proof)).password, 'secret');
});

test('what is made up looks like what most users have, as far as that is known ahead', () => {
  const others = VERIFIER.replace('4096,luPjNvjmrn43X9HwYj+JMQ==', '8192,luPjNvjmrn43X9Hw');
  const accounts = [['secret'], ['{SSHA}AAAA'], ['{SSHA}BBBB'], [], [others], [others], [VERIFIER]];
  const known = new ChallengeDesk(Buffer.from('k'), new Turns(), accounts);
  for (const secrets of [null, ['{SSHA}AAAA']]) {
    const { salt, iterations } = known.judge('nobody', secrets).scram;
    assert.deepEqual([salt.length, iterations], [12, 8192]);
  }
  known.judge('anna', ['secret']);
  assert.equal(known.judge('nobody', null).scram.iterations, 8192);
});

test('keys cannot be used for a digest, hashes of another kind for nothing', () => {
  const cannot = (secrets: readonly string[] | null): readonly boolean[] => {
    const judge = desk().judge('anna', secrets);
    return ['APOP', 'CRAM-MD5', 'SCRAM-SHA-256', 'SCRAM-SHA-256-PLUS'].map((name) => judge.cannot(name));
  };
  assert.deepEqual(cannot(['secret']), [false, false, false, false]);
  assert.deepEqual(cannot([VERIFIER]), [true, true, false, false]);
  for (const secrets of [['{SSHA512}AAAA'], ['$6$salt$hash'], ['{SCRAM-SHA-256}4096,x'], [], null])
    assert.deepEqual(cannot(secrets), [true, true, true, true]);
});

test('for nobody all answers are wrong, the salt is the same each time and another for each name', async () => {
  const one = desk();
  const nobody = one.judge('nobody', null);
  const { salt, iterations } = nobody.scram;
  assert.deepEqual([salt.length, iterations], [16, ITERATIONS]);
  assert.deepEqual(one.judge('Nobody', null).scram.salt, salt);
  assert.notDeepEqual(one.judge('someone', null).scram.salt, salt);
  assert.notDeepEqual(desk('another key').judge('nobody', null).scram.salt, salt);
  // Also for the one whose password a decoy happens to be.
  const proof = clientProof({ password: 'nobody has this password', salt, iterations, said: 'x' });
  assert.equal((await nobody.scramProof('x', proof)).proof, 'wrong');
  const guess = 'c4c9334bac560ecc979e58001b3e22fb';
  assert.equal((await nobody.digest('APOP', '<1@x>', guess)).proof, 'wrong');
});

test('who has a plain password has the salt that nobody of that name would have', () => {
  const one = desk();
  assert.deepEqual(one.judge('anna', ['secret']).scram, one.judge('anna', null).scram);
});

test('where the first who is asked for has stored keys, nobody is shown as many iterations as those', () => {
  const one = desk();
  one.judge('anna', [VERIFIER.replace('4096', '20000')]);
  assert.equal(one.judge('nobody', null).scram.iterations, 20_000);
});

test('SASLprep: blanks and letters that are the same are one password, what may not be in one is none', async () => {
  // RFC 4013 3.
  assert.equal(prepared('I\u00adX'), 'IX');
  assert.equal(prepared('user'), 'user');
  assert.equal(prepared('USER'), 'USER');
  assert.equal(prepared('\u00aa'), 'a');
  assert.equal(prepared('\u2168'), 'IX');
  assert.equal(prepared('\u0007'), null);
  assert.equal(prepared('\u06271'), null);
  assert.equal(prepared('\ud800'), null);
  const judge = desk().judge('anna', ['\u2168\u00a0x']);
  const { salt, iterations } = judge.scram;
  const proof = clientProof({ password: 'IX x', salt, iterations, said: 'x' });
  assert.equal((await judge.scramProof('x', proof)).proof, 'right');
  assert.equal(desk().judge('anna', ['\u06271']).cannot('SCRAM-SHA-256'), true);
  assert.equal(desk().judge('anna', ['\u06271']).cannot('CRAM-MD5'), false);
});
