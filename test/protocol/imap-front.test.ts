// IMAP towards the client, before login.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERRORS, type ErrorCode, GateError } from '../../src/errors.ts';
import { ImapFront } from '../../src/protocol/imap-front.ts';
import { IMAP } from '../support/dialects.ts';
import { openGateway } from '../support/gateway.ts';
import { frontRules, legPair } from '../support/legs.ts';
import { STRANGER } from '../support/scripted-talk.ts';
import { imapStore } from '../support/stores.ts';

const ANSWERS = [
  [
    'CAPABILITY lists what is ours and what the store has',
    'C: a1 capability\nS: * CAPABILITY IMAP4rev1 LITERAL- SASL-IR ID IDLE UIDPLUS STARTTLS AUTH=PLAIN AUTH=LOGIN *\nS: a1 OK *',
  ],
  ['ID tells the name and nothing of the version', 'C: a1 ID NIL\nS: * ID ("name" "Sallyport")\nS: a1 OK *'],
  ['NOOP does nothing', 'C: a1 NoOp\nS: a1 OK *'],
  ['commands that need a login are refused', 'C: a1 SELECT INBOX\nS: a1 BAD Log in first'],
  ['an unknown command is refused', 'C: a1 FROBNICATE\nS: a1 BAD *'],
  ['a line without a tag is answered without one', 'C: \nS: * BAD *\nC: (\nS: * BAD *'],
  ['a tag alone is no command', 'C: a1\nS: a1 BAD *'],
  [
    'LOGIN needs two words',
    'C: a1 LOGIN anna\nS: a1 BAD *\nC: a2 LOGIN anna b c\nS: a2 BAD *\nC: a3 LOGIN NIL NIL\nS: a3 BAD *',
  ],
  ['an empty password is refused here', 'C: a1 LOGIN anna ""\nS: a1 NO [AUTHENTICATIONFAILED] *'],
  ['an unclosed quote is refused', 'C: a1 LOGIN "anna secret\nS: a1 BAD *'],
  [
    'AUTHENTICATE needs a mechanism',
    'C: a1 AUTHENTICATE\nS: a1 BAD *\nC: a2 AUTHENTICATE PLAIN a b\nS: a2 BAD *',
  ],
  ['an empty initial response is no PLAIN message', 'C: a1 AUTHENTICATE PLAIN =\nS: a1 BAD *'],
] as const;

for (const [title, script] of ANSWERS) {
  test(title, async (t) => {
    const gateway = openGateway(t, { protocol: 'imap', backend: imapStore().script });
    await gateway.play(`${IMAP.greeting}\n${script}\n${IMAP.logout}`);
    assert.equal(gateway.calls.length, 0);
  });
}

for (const [what, words, user, password] of [
  ['atoms', 'anna secret', 'anna', 'secret'],
  ['quoted strings', '"anna b" "sec\\\\"ret\\\\\\\\"', 'anna b', 'sec"ret\\'],
  ['8-bit in quoted strings', '"\\xc3\\xa4nna" secret', 'änna', 'secret'],
  ['a literal that holds what no string can', 'anna {4+}\\r\\na\\r\\nb', 'anna', 'a\r\nb'],
  ['a wildcard in a password', 'anna se%c*ret', 'anna', 'se%c*ret'],
] as const) {
  test(`LOGIN takes ${what}`, async (t) => {
    const store = imapStore({ accepts: () => true });
    const gateway = openGateway(t, { protocol: 'imap', backend: store.script });
    await gateway.play(`${IMAP.greeting}\nC~ a1 LOGIN ${words}\\r\\n\nS: a1 *`);
    assert.deepEqual(
      store.logins.map((login) => [login.user, login.secret]),
      [[user, password]],
    );
  });
}

test('a NUL in a literal is refused', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: imapStore().script });
  await gateway.play(`${IMAP.greeting}\nC~ a1 LOGIN anna {3+}\\r\\na\\0b\\r\\n\nS: a1 BAD *`);
  assert.equal(gateway.calls.length, 0);
});

test('STARTTLS is not possible twice', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: imapStore().script });
  await gateway.play(`${IMAP.greeting}\n${IMAP.starttls}\nC: a1 STARTTLS\nS: a1 BAD *\n${IMAP.logout}`);
});

test('every error of the table is said in IMAP’s own form', (t) => {
  const front = new ImapFront(legPair(t).leg, frontRules(), STRANGER);
  for (const code of Object.keys(ERRORS) as ErrorCode[]) {
    const words = front.wordsFor(new GateError(code));
    if (ERRORS[code].imap === null) assert.equal(words, '', code);
    else assert.match(words, /^\* BYE (\[[A-Z]+\] )?[^[].*\r\n$/, code);
    assert.ok(front.ends(new GateError(code)), `${code} ends a connection on which no login waits`);
  }
});

test('while a login waits, what is only the backend’s fault is its tagged NO and does not end the connection', async (t) => {
  const { leg, talk } = legPair(t);
  const front = new ImapFront(leg, frontRules(), STRANGER);
  talk.say('x7 LOGIN anna secret');
  assert.equal((await front.nextWish()).kind, 'login');
  const down = new GateError('BACKEND_UNREACHABLE');
  assert.match(front.wordsFor(down), /^x7 NO \[UNAVAILABLE\] .*\r\n$/);
  assert.equal(front.ends(down), false);
  assert.match(front.wordsFor(new GateError('LOGIN_TIMEOUT')), /^\* BYE Too slow/);
  assert.equal(front.ends(new GateError('LOGIN_TIMEOUT')), true);
});
