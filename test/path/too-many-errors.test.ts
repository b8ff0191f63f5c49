// A client that says only nonsense is borne with for limits.badCommands answers.

import { test } from 'node:test';
import { ALL } from '../support/dialects.ts';
import { assertLine, openGateway } from '../support/gateway.ts';

const WORDS = {
  imap: ['a1 BAD *', '* BYE Too many errors*', 'a1 FROB'],
  pop3: ['-ERR *', '-ERR Too many errors*', 'FROB'],
  smtp: ['500 5.5.1 *', '421 4.7.0 *Too many errors*', 'FROB'],
} as const;

for (const errands of ALL) {
  const { protocol } = errands;
  const [bad, goodbye, nonsense] = WORDS[protocol];
  const one = `C: ${nonsense}\nS: ${bad}\n`;

  test(`${protocol}: past limits.badCommands the connection ends`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: errands.store().script, limits: { badCommands: 3 } });
    await gateway.play(`${errands.greeting}\n${one.repeat(3)}C: ${nonsense}\nS: ${goodbye}\n-- eof`);
    assertLine(await gateway.closed(), { code: 'TOO_MANY_ERRORS' });
  });

  test(`${protocol}: up to limits.badCommands a client may still log in`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: errands.store().script, limits: { badCommands: 3 } });
    await gateway.play(`${errands.greeting}\n${one.repeat(3)}${errands.login}\n${errands.logout}`);
    assertLine(await gateway.closed(), { code: null, user: 'anna' });
  });
}
