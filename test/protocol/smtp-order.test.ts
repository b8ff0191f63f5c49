// What a channel's rules make of each command: every combination of TLS rule, SASL rule, secured or not, authenticated
// or not, as one table, asked of the front session itself.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SmtpFront } from '../../src/protocol/smtp-front.ts';
import { refusalOf } from '../../src/protocol/smtp-order.ts';
import { ACCEPTED, frontRules, plainMessage, ScriptedTalk, STRANGER } from '../support/scripted-talk.ts';

const TLS = ['notls', 'maytls', 'musttls'] as const;
const SASL = ['nosasl', 'maysasl', 'mustsasl'] as const;

interface Case {
  readonly tls: (typeof TLS)[number];
  readonly sasl: (typeof SASL)[number];
  readonly secured: boolean;
  readonly authenticated: boolean;
}

const NOT_MATTER = {
  EHLO: ['EHLO client.test', '250'],
  HELO: ['HELO client.test', '250'],
  NOOP: ['NOOP', '250 2.0.0'],
  RSET: ['RSET', '250 2.0.0'],
  HELP: ['HELP', '214 2.0.0'],
  VRFY: ['VRFY anna', '252 2.1.5'],
  RCPT: ['RCPT TO:<b@example.com>', '503 5.5.1'],
  DATA: ['DATA', '503 5.5.1'],
  BDAT: ['BDAT 0 LAST', '503 5.5.1'],
  QUIT: ['QUIT', '221 2.0.0'],
  XCLIENT: ['XCLIENT ADDR=192.0.2.1', '500 5.5.1'],
  XPEHLO: ['XPEHLO client.test', '500 5.5.1'],
} as const;

const PASSES = 'passes';
const STARTTLS_FIRST = '530 5.7.0 Must issue a STARTTLS command first';
const AUTH_FIRST = '530 5.7.0 No AUTH command has been given.';

/** Rows: TLS rule and state. Columns: SASL rule, without and with a login. Letters below. */
const TABLE: Readonly<Record<string, readonly [mail: string, auth: string, starttls: string]>> = {
  //                MAIL    AUTH    STARTTLS
  'notls clear': ['++++A+', '0d+d+d', 'xxxxxx'],
  'notls secured': ['++++A+', '0d+d+d', 'tttttt'],
  'maytls clear': ['++++A+', '0d+d+d', '++++++'],
  'maytls secured': ['++++A+', '0d+d+d', 'tttttt'],
  'musttls clear': ['TTTTTT', '0dTdTd', '++++++'],
  'musttls secured': ['++++A+', '0d+d+d', 'tttttt'],
};
const LETTERS: Readonly<Record<string, string>> = {
  '+': PASSES,
  A: AUTH_FIRST,
  T: STARTTLS_FIRST,
  '0': '503 5.5.1 AUTH is not available here',
  d: '503 5.5.1 Authenticated already',
  x: '502 5.5.1 TLS is not available here',
  t: '503 5.5.1 TLS is active already',
};
/** Which rule refused, for the counters; order of commands is no rule. */
const RULES: Readonly<Record<string, string | null>> = {
  A: 'mustsaslserver',
  T: 'musttlsserver',
  '0': 'nosaslserver',
  x: 'notlsserver',
};

for (const tls of TLS) {
  for (const secured of [false, true]) {
    const row = TABLE[`${tls} ${secured ? 'secured' : 'clear'}`];
    for (const [index, sasl] of SASL.entries()) {
      for (const authenticated of [false, true]) {
        const column = index * 2 + Number(authenticated);
        const name = `${tls} ${sasl}${secured ? ' inside TLS' : ''}${authenticated ? ' behind AUTH' : ''}`;
        test(`${name}: every command is answered as the table says`, async () => {
          const state: Case = { tls, sasl, secured, authenticated };
          assert.ok(row !== undefined);
          for (const [place, verb] of (['MAIL', 'AUTH', 'STARTTLS'] as const).entries()) {
            const letter: string = row[place]?.[column] ?? '';
            const expected: string | undefined = LETTERS[letter];
            assert.deepEqual(await answers(state, verb), [expected, ...countedAs(letter)], verb);
            const refusal = refusalOf(verb, state, { ...state, greeted: true, introduced: false });
            assert.equal(refusal?.rule ?? null, RULES[letter] ?? null, verb);
          }
          for (const [verb, [line, expected]] of Object.entries(NOT_MATTER)) {
            const [said] = await replyTo(state, line);
            assert.ok(said.startsWith(expected), `${verb}: ${said}`);
          }
        });
      }
    }
  }
}

function countedAs(letter: string): string[] {
  const rule = RULES[letter] ?? null;
  return rule === null ? [] : [rule];
}

const LINES = {
  MAIL: 'MAIL FROM:<a@example.org>',
  AUTH: `AUTH PLAIN ${plainMessage('anna', 'secret')}`,
  STARTTLS: 'STARTTLS',
} as const;

/** The refusal, or that it passes; then the rules that were counted. */
async function answers(state: Case, verb: keyof typeof LINES): Promise<string[]> {
  const [said, wish, ...counted] = await replyTo(state, LINES[verb]);
  const passes =
    verb === 'STARTTLS' ? said.startsWith('220 2.0.0 ') : wish === { MAIL: 'mail', AUTH: 'login' }[verb];
  return [passes ? PASSES : said, ...counted];
}

/** What is said to a line behind EHLO, the wish it made, and the rules that refused. */
async function replyTo(state: Case, line: string): Promise<[said: string, wish: string, ...rules: string[]]> {
  const counted: string[] = [];
  const course = {
    settling: null,
    login: null,
    secured: () => undefined,
    refused: (rule: string) => void counted.push(rule),
    switchChannel: () => false,
  };
  const talk = new ScriptedTalk(['EHLO client.test\r\n', `${line}\r\n`], { secured: state.secured });
  const front = new SmtpFront(talk, frontRules({ tls: state.tls, sasl: state.sasl }), {
    ...STRANGER,
    course,
  });
  await front.answer(await front.nextCommand('between'));
  if (state.authenticated) front.admit({ ...ACCEPTED, words: '' });
  talk.saidSince();
  const wish = await front.nextWish().then(
    ({ kind }) => kind,
    () => 'none',
  );
  return [talk.saidSince().split('\r\n')[0] ?? '', wish, ...counted];
}

test('before EHLO nothing that the rules allow goes on either, and STARTTLS does not ask for it', () => {
  const state = { greeted: false, secured: false, introduced: false, authenticated: false };
  const rules = { tls: 'maytls', sasl: 'maysasl' } as const;
  assert.equal(refusalOf('MAIL', rules, state)?.text, 'EHLO first');
  assert.equal(refusalOf('AUTH', rules, state)?.text, 'EHLO first');
  assert.equal(refusalOf('STARTTLS', rules, state), null);
  assert.equal(refusalOf('NOOP', { tls: 'musttls', sasl: 'mustsasl' }, state), null);
});

test('EHLO shows STARTTLS and AUTH where the rules let them be tried, and nowhere else', async () => {
  for (const tls of TLS) {
    for (const sasl of SASL) {
      for (const secured of [false, true]) {
        const talk = new ScriptedTalk(['EHLO client.test\r\n'], { secured });
        const front = new SmtpFront(talk, frontRules({ tls, sasl, mechanisms: ['PLAIN'] }), STRANGER);
        await front.answer(await front.nextCommand('between'));
        const state = { greeted: true, secured, introduced: false, authenticated: false };
        const tried = (verb: string): boolean => refusalOf(verb, { tls, sasl }, state) === null;
        const name = `${tls} ${sasl} ${secured}`;
        assert.equal(/^250[ -]STARTTLS\r$/m.test(talk.said), tried('STARTTLS'), name);
        assert.equal(/^250[ -]AUTH PLAIN\r$/m.test(talk.said), tried('AUTH'), name);
      }
    }
  }
});
