// IMAP towards the store, up to the login.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BackPlan, ClientFacts, Replayable, Verdict } from '../../src/protocol/dialect.ts';
import { ImapBack } from '../../src/protocol/imap-back.ts';
import { LIMITS, legPair } from '../support/legs.ts';
import { play } from '../support/transcript.ts';

const PLAN: BackPlan = { tls: 'notls', limits: LIMITS, host: 'store.test:143', hostname: 'mail.test' };

const ANNA: Replayable = {
  kind: 'password',
  mechanism: 'LOGIN',
  authzid: '',
  user: 'anna',
  password: 'secret',
};

export const FACTS: ClientFacts = {
  sessionId: 's-1',
  ttl: 5,
  address: '192.0.2.7',
  port: 4711,
  localAddress: '198.51.100.1',
  localPort: 143,
  name: null,
  helo: null,
  esmtp: true,
  secured: false,
  tlsVersion: null,
  tlsCipher: null,
  login: null,
};

const HELLO = 'S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR ID] hello';

/** Runs `work` against a store that follows `script`. */
async function against<T>(
  t: Parameters<typeof legPair>[0],
  script: string,
  work: (back: ImapBack) => Promise<T>,
): Promise<T> {
  const { leg, talk } = legPair(t, { role: 'backend' });
  const played = play(script, talk, { as: 'server' });
  const [result] = await Promise.all([
    (async () => {
      const back = new ImapBack(leg);
      await back.open(PLAN);
      return work(back);
    })(),
    played,
  ]);
  return result;
}

test('capabilities in the greeting save a question', async (t) => {
  const capabilities = await against(t, HELLO, (back) => Promise.resolve(back.capabilities));
  assert.deepEqual(capabilities, ['IMAP4REV1', 'AUTH=PLAIN', 'SASL-IR', 'ID']);
});

test('literals in a response are read over', async (t) => {
  const script = `
    ${HELLO}
    C: s1 AUTHENTICATE PLAIN *
    S~ * LIST () "/" {9}\\r\\ns1 NO no\\n\\r\\n
    S: s1 OK [CAPABILITY IMAP4rev1] in`;
  const verdict = await against(t, script, (back) => back.login(ANNA));
  assert.equal(verdict.accepted, true);
});

test('ID carries the client’s address, and a NO to it means that it was not taken', async (t) => {
  for (const [answer, taken] of [
    ['OK', true],
    ['NO', false],
    ['BAD', false],
  ] as const) {
    const script = `
      ${HELLO}
      C: s1 ID ("x-session-id" "s-1" "x-originating-ip" "192.0.2.7" "x-originating-port" "4711" *)
      S: * ID NIL
      S: s1 ${answer} done`;
    assert.equal(await against(t, script, (back) => back.introduce('id', FACTS)), taken);
  }
});

test('a store without ID is not sent one', async (t) => {
  const script = 'S: * OK [CAPABILITY IMAP4rev1] hello';
  assert.equal(await against(t, script, (back) => back.introduce('id', FACTS)), false);
});

test('where PLAIN is missing the command LOGIN is used, with quotes in place', async (t) => {
  const script = `
    S: * OK [CAPABILITY IMAP4rev1] hello
    C: s1 LOGIN "anna" "se\\"c\\\\ret"
    S: s1 OK [CAPABILITY IMAP4rev1] in`;
  const verdict = await against(t, script, (back) => back.login({ ...ANNA, password: 'se"c\\ret' }));
  assert.deepEqual(verdict, {
    accepted: true,
    temporary: false,
    words: '[CAPABILITY IMAP4rev1] in',
    extra: [],
  });
});

test('what no quoted string can hold goes in literals, one after the other', async (t) => {
  const script = `
    S: * OK [CAPABILITY IMAP4rev1] hello
    C: s1 LOGIN {4}
    S: + go
    C: anna {3}
    S: + go
    C~ a\\xc3\\xa4\\r\\n
    S: s1 OK [CAPABILITY IMAP4rev1] in`;
  const verdict = await against(t, script, (back) => back.login({ ...ANNA, password: 'aä' }));
  assert.equal(verdict.accepted, true);
});

test('LOGINDISABLED without a mechanism that fits is BACKEND_NO_MECHANISM, and nothing is sent', async (t) => {
  const script = 'S: * OK [CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=GSSAPI] hello';
  await assert.rejects(
    against(t, script, (back) => back.login(ANNA)),
    { code: 'BACKEND_NO_MECHANISM' },
  );
});

test('codes that are not about the password make a refusal temporary (RFC 5530)', async (t) => {
  for (const [code, temporary] of [
    ['[UNAVAILABLE] ', true],
    ['[INUSE] ', true],
    ['[LIMIT] ', true],
    ['[AUTHENTICATIONFAILED] ', false],
    ['', false],
  ] as const) {
    const script = `${HELLO}\nC: s1 AUTHENTICATE PLAIN *\nS: s1 NO ${code}no`;
    const verdict: Verdict = await against(t, script, (back) => back.login(ANNA));
    assert.deepEqual(verdict, { accepted: false, temporary, words: `${code}no`, extra: [] });
  }
});

for (const [what, script, code] of [
  ['a BYE in the middle of the login', `${HELLO}\nC: s1 *\nS: * BYE going down`, 'BACKEND_REFUSED'],
  ['an answer to another tag', `${HELLO}\nC: s1 *\nS: s2 OK done`, 'BACKEND_PROTOCOL'],
  ['a line that is no response', `${HELLO}\nC: s1 *\nS: what?`, 'BACKEND_PROTOCOL'],
  ['a tagged greeting', 'S: s1 OK hello', 'BACKEND_PROTOCOL'],
  ['a greeting of another protocol', 'S: 220 mta.test ESMTP', 'BACKEND_PROTOCOL'],
  ['a NO as the greeting', 'S: * NO go away', 'BACKEND_PROTOCOL'],
  ['a literal larger than limits.replyBytes', `${HELLO}\nC: s1 *\nS: * X {999999}`, 'BACKEND_PROTOCOL'],
  ['a bare LF', `${HELLO}\nC: s1 *\nS~ s1 OK in\\n`, 'BACKEND_PROTOCOL'],
] as const) {
  test(`${what} is ${code}`, async (t) => {
    await assert.rejects(
      against(t, script, (back) => back.login(ANNA)),
      { code },
    );
  });
}
