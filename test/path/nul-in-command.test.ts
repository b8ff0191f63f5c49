// Bare CR, bare LF and NUL in a command are refused in every protocol, before and after TLS.

import { test } from 'node:test';
import { ALL } from '../support/dialects.ts';
import { assertLine, openGateway } from '../support/gateway.ts';

const REFUSED = {
  imap: 'S: * BYE Bare CR, bare LF or NUL *\n-- eof',
  pop3: 'S: -ERR Bare CR, bare LF or NUL *\n-- eof',
  smtp: 'S: 521 5.5.2 mail.test Bare CR, bare LF or NUL *\n-- eof',
} as const;

const ATTACKS = [
  ['a NUL', 'NO\\0OP\\r\\n'],
  ['a bare LF', 'NOOP\\nNOOP\\r\\n'],
  ['a bare CR', 'NOOP\\rNOOP\\r\\n'],
  ['CR CR LF', 'NOOP\\r\\r\\n'],
] as const;

for (const errands of ALL) {
  const { protocol } = errands;
  const tag = protocol === 'imap' ? 'a1 ' : '';
  for (const [what, bytes] of ATTACKS) {
    test(`${protocol}: ${what} in a command ends the connection`, async (t) => {
      const gateway = openGateway(t, { protocol, backend: errands.store().script });
      await gateway.play(`${errands.greeting}\nC~ ${tag}${bytes}\n${REFUSED[protocol]}`);
      assertLine(await gateway.closed(), { code: 'BAD_LINE_ENDING', level: 'warn' });
    });
  }

  test(`${protocol}: inside TLS the same is true`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: errands.store().script });
    await gateway.play(
      `${errands.greeting}\n${errands.starttls}\nC~ ${tag}NO\\0OP\\r\\n\n${REFUSED[protocol]}`,
    );
    assertLine(await gateway.closed(), { code: 'BAD_LINE_ENDING' });
  });

  test(`${protocol}: a command whose CRLF comes in two packets is a command`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: errands.store().script, cable: { split: 'bytes' } });
    await gateway.play(`${errands.greeting}\nC: ${tag}NOOP\nS: *\n${errands.logout}`);
    assertLine(await gateway.closed(), { code: null });
  });
}
