// The exchanges of CRAM-MD5 and SCRAM on our side, message by message, with a judge that is told what to find.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Ask, ChallengeCredentials, ChallengeJudge, Fresh } from '../../src/protocol/dialect.ts';
import {
  apopCredentials,
  type BrokenOff,
  collectCram,
  collectScram,
} from '../../src/protocol/sasl-challenge.ts';
import { scramClient, type ScramOptions } from '../support/challenge-client.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const text = (message: string | undefined): string => Buffer.from(message ?? '', 'base64').toString();
const FRESH: Fresh = { nonce: () => 'ours', stamp: () => '<1.2@mail.test>' };
const DATA = Buffer.from('keys of this connection');

interface Judged {
  readonly judge: ChallengeJudge;
  readonly asked: string[];
}

function judgeWho(finds: 'right' | 'wrong' = 'right'): Judged {
  const asked: string[] = [];
  const password = finds === 'right' ? 'secret' : null;
  const judge: ChallengeJudge = {
    binding: (type) => (type === 'tls-exporter' ? DATA : null),
    async digest(kind, challenge, digest) {
      asked.push(`${kind} ${challenge} ${digest}`);
      return { proof: finds, password };
    },
    scram: { salt: Buffer.from('salt'), iterations: 4096 },
    async scramProof(said) {
      asked.push(said);
      return { proof: finds, password, signature: Buffer.from('signed') };
    },
  };
  return { judge, asked };
}

interface Scene {
  readonly mechanism?: 'SCRAM-SHA-256' | 'SCRAM-SHA-256-PLUS';
  readonly plusOffered?: boolean;
  readonly finds?: 'right' | 'wrong';
  readonly client?: Partial<ScramOptions>;
  /** In place of the client's answers. */
  readonly initial?: string | null;
  readonly second?: string;
  readonly third?: string;
}

interface Ended {
  readonly end: string;
  readonly heard: readonly string[];
  readonly asked: readonly string[];
  readonly broken: readonly BrokenOff[];
  readonly credentials: ChallengeCredentials | null;
}

async function scram(scene: Scene = {}): Promise<Ended> {
  const { mechanism = 'SCRAM-SHA-256', plusOffered = false, second, third = '' } = scene;
  const client = scramClient({ user: 'anna', password: 'secret', ...scene.client });
  const { judge, asked } = judgeWho(scene.finds);
  const heard: string[] = [];
  const broken: BrokenOff[] = [];
  const answers = [
    ...(scene.initial === null ? [() => client.first] : []),
    (challenge: string) => second ?? client.final(challenge),
    () => third,
  ];
  const ask: Ask = async (challenge) => {
    heard.push(challenge);
    return answers.shift()?.(challenge) ?? '*';
  };
  const initial = scene.initial === undefined ? client.first : scene.initial;
  const onBrokenOff = (how: BrokenOff): void => void broken.push(how);
  const start = { initial, bytesMax: 1000, ask, fresh: FRESH, plusOffered, onBrokenOff };
  const collected = await collectScram(mechanism, start);
  if (collected.kind !== 'challenge') return { end: collected.kind, heard, asked, broken, credentials: null };
  const { proof } = await collected.prove(judge, ask);
  return { end: proof, heard, asked, broken, credentials: collected };
}

const NONCE = 'fyko+d2lbbFgONRv9qkxdawLours';

test('SCRAM: salt and iterations are the judge’s, the nonce is the client’s and ours, the end is the signature', async () => {
  const { end, heard, asked, credentials } = await scram();
  assert.equal(end, 'right');
  assert.deepEqual(heard.map(text), [`r=${NONCE},s=c2FsdA==,i=4096`, `v=${base64('signed')}`]);
  assert.deepEqual(asked, [
    `n=anna,r=fyko+d2lbbFgONRv9qkxdawL,r=${NONCE},s=c2FsdA==,i=4096,c=biws,r=${NONCE}`,
  ]);
  assert.deepEqual([credentials?.user, credentials?.authzid], ['anna', '']);
});

test('SCRAM: without an initial response the client is asked for it with nothing', async () => {
  const { end, heard } = await scram({ initial: null });
  assert.deepEqual([end, heard[0], heard.length], ['right', '', 3]);
});

test('SCRAM: a wrong proof is wrong, and no signature is given out', async () => {
  const { end, heard } = await scram({ finds: 'wrong' });
  assert.deepEqual([end, heard.length], ['wrong', 1]);
});

test('SCRAM: an identity to act as is carried', async () => {
  const { end, credentials } = await scram({ client: { gs2Header: 'n,a=bert,' } });
  assert.deepEqual([end, credentials?.authzid], ['right', 'bert']);
});

test('-PLUS: data of the connection bind it', async () => {
  const plus = { mechanism: 'SCRAM-SHA-256-PLUS', plusOffered: true } as const;
  const gs2Header = 'p=tls-exporter,,';
  assert.equal((await scram({ ...plus, client: { gs2Header, binding: DATA } })).end, 'right');
  for (const binding of [Buffer.from('keys of another one'), Buffer.alloc(0)])
    assert.equal((await scram({ ...plus, client: { gs2Header, binding } })).end, 'unbound');
  const unique = { gs2Header: 'p=tls-unique,,', binding: DATA };
  assert.equal((await scram({ ...plus, client: unique })).end, 'unbound');
});

test('a wrong secret with a wrong binding is a wrong secret', async () => {
  const client = { gs2Header: 'p=tls-exporter,,', binding: Buffer.from('x') };
  const { end } = await scram({ mechanism: 'SCRAM-SHA-256-PLUS', finds: 'wrong', client });
  assert.equal(end, 'wrong');
});

for (const [what, scene, end] of [
  [
    'y where -PLUS was offered is a downgrade',
    { plusOffered: true, client: { gs2Header: 'y,,' } },
    'downgraded',
  ],
  ['y where it was not is none', { client: { gs2Header: 'y,,' } }, 'right'],
  ['n where -PLUS was offered is a client that cannot', { plusOffered: true }, 'right'],
  ['p without -PLUS', { client: { gs2Header: 'p=tls-exporter,,', binding: DATA } }, 'malformed'],
  ['-PLUS without p', { mechanism: 'SCRAM-SHA-256-PLUS', plusOffered: true }, 'malformed'],
  [
    'another header in c= than at the beginning',
    { client: { mangle: (final: string) => final.replace('c=biws', 'c=eSws') } },
    'unbound',
  ],
  ['another nonce', { client: { mangle: (final: string) => final.replace(NONCE, 'other') } }, 'wrong'],
  [
    'a nonce that is only the client’s',
    { client: { mangle: (f: string) => f.replace('ours', '') } },
    'wrong',
  ],
  ['no proof', { client: { mangle: (final: string) => final.replace(/,p=.*/, '') } }, 'told'],
  ['an answer that is no base64', { second: '####' }, 'told'],
  ['an empty answer', { second: '' }, 'told'],
  ['a star in place of the proof', { second: '*' }, 'told'],
  ['a star in place of the last word', { third: '*' }, 'told'],
  ['a last word that is not empty', { third: base64('x') }, 'told'],
  ['a last word in the manner of an initial response', { third: '=' }, 'right'],
  ['a star at once', { initial: '*' }, 'cancelled'],
  ['no base64 at once', { initial: 'a b' }, 'malformed'],
  ['nothing at once', { initial: '=' }, 'malformed'],
  ['too much at once', { initial: base64(`n,,n=${'x'.repeat(2000)},r=x`) }, 'malformed'],
] as const) {
  test(`SCRAM: ${what}: ${end}`, async () => {
    const { end: found, broken } = await scram(scene);
    assert.equal(found, end);
    assert.equal(broken.length, end === 'told' ? 1 : 0);
  });
}

async function cram(answer: string, initial: string | null = null) {
  const heard: string[] = [];
  const collected = await collectCram({
    initial,
    bytesMax: 1000,
    fresh: FRESH,
    plusOffered: false,
    onBrokenOff: () => assert.fail('nothing is asked later'),
    ask: async (challenge) => {
      heard.push(text(challenge));
      return answer;
    },
  });
  return { collected, heard };
}

const DIGEST = 'b913a602c7eda7a495b4e6e7334d3890';

test('CRAM-MD5: the challenge is a stamp, and what comes is judged by it', async () => {
  const { collected, heard } = await cram(base64(`tim ${DIGEST}`));
  assert.deepEqual(heard, ['<1.2@mail.test>']);
  if (collected.kind !== 'challenge') return assert.fail();
  const { judge, asked } = judgeWho();
  assert.deepEqual(await collected.prove(judge, collected.ask), { proof: 'right', password: 'secret' });
  assert.deepEqual([collected.user, asked], ['tim', [`CRAM-MD5 <1.2@mail.test> ${DIGEST}`]]);
});

test('CRAM-MD5: a star cancels; an initial response, half an answer and no base64 are malformed', async () => {
  assert.equal((await cram('*')).collected.kind, 'cancelled');
  assert.equal((await cram(base64(`tim ${DIGEST}`), base64(`tim ${DIGEST}`))).collected.kind, 'malformed');
  for (const answer of [base64('tim'), '####', ''])
    assert.equal((await cram(answer)).collected.kind, 'malformed');
});

test('APOP: name and digest, by the stamp of the greeting', async () => {
  const credentials = apopCredentials(`mrose ${DIGEST}`, '<3.4@mail.test>');
  const { judge, asked } = judgeWho('wrong');
  assert.equal((await credentials?.prove(judge, credentials.ask))?.proof, 'wrong');
  assert.deepEqual([credentials?.user, asked], ['mrose', [`APOP <3.4@mail.test> ${DIGEST}`]]);
  for (const argument of ['', 'mrose', DIGEST, `mrose ${DIGEST}0`])
    assert.equal(apopCredentials(argument, '<3.4@mail.test>'), null);
});
