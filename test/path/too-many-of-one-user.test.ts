// A user with too many logins keeps those he has; the next one is refused after the password was found right and before
// the client hears of it. Only proven logins count, so nobody can lock out somebody else.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL, IMAP, plain, SMTP } from '../support/dialects.ts';
import { assertLine, type LogLine, openGateway } from '../support/gateway.ts';

const TOO_MANY = {
  imap: 'S: a1 NO [LIMIT] Too many connections of this user',
  pop3: 'S: -ERR [IN-USE] Too many connections of this user',
  smtp: 'S: 454 4.7.0 Too many connections of this user',
} as const;

const refused = (line: LogLine): boolean => line['event'] === 'refused';

for (const errands of ALL) {
  const { protocol, greeting, login, tries, logout } = errands;
  test(`${protocol}: the third login of a user with two is refused in dialect, and succeeds once there is room`, async (t) => {
    const store = errands.store();
    const gateway = openGateway(t, { protocol, backend: store.script, limits: { perUser: 2 } });
    const first = await gateway.play(`${greeting}\n${login}`, { from: '192.0.2.1' });
    await gateway.play(`${greeting}\n${login}`, { from: '192.0.2.2' });
    const third = await gateway.play(`${greeting}\n${tries}\n${TOO_MANY[protocol]}`, { from: '192.0.2.3' });
    assertLine(await gateway.logged(refused), { code: 'USER_LIMIT', client: '192.0.2.3', limit: 2 });
    assert.equal(store.logins.length, 3);
    await gateway.resume(first, logout);
    await gateway.closed(1);
    await gateway.settle();
    await gateway.resume(third, `${login}\n${logout}`);
    assertLine(await gateway.closed(2), { code: null, user: 'anna' });
    await gateway.settle();
    assert.equal(gateway.front.counters()['logins'], 3);
  });

  test(`${protocol}: names that were not proven count for nothing`, async (t) => {
    const guesses = { wrong: true };
    const store = errands.store({ accepts: () => !guesses.wrong });
    const gateway = openGateway(t, { protocol, backend: store.script, limits: { perUser: 1 } });
    const guessers = [];
    for (let i = 0; i < 5; i++)
      guessers.push(await gateway.play(`${greeting}\n${tries}\n${errands.refused}`));
    guesses.wrong = false;
    await gateway.play(`${greeting}\n${login}`);
    assert.equal(guessers.length, 5);
  });
}

test('upper and lower case are one user, another user has limits of his own', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: IMAP.store().script, limits: { perUser: 1 } });
  await gateway.play(`${IMAP.greeting}\nC: a LOGIN Anna secret\nS: a OK *`);
  await gateway.play(`${IMAP.greeting}\nC: a LOGIN aNNA secret\nS: a NO [LIMIT] *`);
  await gateway.play(`${IMAP.greeting}\nC: a LOGIN bert secret\nS: a OK *`);
});

test('an administrator who logs in as somebody counts as that one', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: IMAP.store().script, limits: { perUser: 1 } });
  const as = (user: string, answer: string): string =>
    `${IMAP.greeting}\nC: a AUTHENTICATE PLAIN ${plain('admin', 'secret', user)}\nS: a ${answer} *`;
  await gateway.play(as('anna', 'OK'));
  await gateway.play(as('bert', 'OK'));
  await gateway.play(as('anna', 'NO [LIMIT]'));
});

test('a backend with `connections` takes so many and no more, and one more when one has left', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: IMAP.store().script, to: { connections: 1 } });
  const first = await gateway.play(`${IMAP.greeting}\n${IMAP.login}`);
  const second = await gateway.play(`${IMAP.greeting}\n${IMAP.tries}\nS: a1 NO [UNAVAILABLE] * busy*`);
  assertLine(await gateway.logged(refused), { code: 'BACKEND_LIMIT' });
  await gateway.resume(first, IMAP.logout);
  await gateway.closed(1);
  await gateway.settle();
  await gateway.resume(second, `${IMAP.login}\n${IMAP.logout}`);
});

test('smtp: a relay that is full is 421, and a refused login gives its place back', async (t) => {
  const store = SMTP.store();
  const gateway = openGateway(t, { protocol: 'smtp', backend: store.script, to: { connections: 1 } });
  const first = await gateway.play(`${SMTP.greeting}\n${SMTP.login}`);
  await gateway.play(`${SMTP.greeting}\n${SMTP.tries}\nS: 421 4.4.5 *busy*\n-- eof\n-- end`);
  await gateway.resume(first, SMTP.logout);
  await gateway.closed(1);
  await gateway.settle();
  for (let i = 0; i < 3; i++) {
    await gateway.play(
      `${SMTP.greeting}\nC: EHLO x\nS> 250 *\nC: AUTH PLAIN ${plain('anna', 'wrong')}\nS: 535 *`,
    );
  }
  await gateway.play(`${SMTP.greeting}\n${SMTP.login}`);
});
