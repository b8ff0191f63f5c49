// The backend hangs up before it has said yes or no. Nobody is logged in, the client is told "later".

import { test } from 'node:test';
import { ALL, IMAP, POP3, SMTP } from '../support/dialects.ts';
import { assertLine, openGateway } from '../support/gateway.ts';

const STAGES = [
  [IMAP, 'before its greeting', '-- end'],
  [IMAP, 'after its greeting', 'S: * OK hello\n-- end'],
  [
    IMAP,
    'on the password',
    'S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hello\nC: s1 AUTHENTICATE PLAIN *\n-- end',
  ],
  [
    IMAP,
    'on the password, without a goodbye',
    'S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hello\nC: s1 AUTHENTICATE PLAIN *\n-- cut',
  ],
  [
    IMAP,
    'in the middle of its answer',
    'S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hello\nC: s1 AUTHENTICATE PLAIN *\nS~ s1 OK Welc\n-- end',
  ],
  [POP3, 'before its greeting', '-- end'],
  [POP3, 'between USER and PASS', 'S: +OK hello\nC: CAPA\nS~ +OK\\r\\nUSER\\r\\n.\\r\\nC: USER anna\n-- end'],
  [SMTP, 'before its greeting', '-- cut'],
  [
    SMTP,
    'on AUTH',
    'S: 220 hello\nC: EHLO mail.test\nS~ 250-mta\\r\\n250 AUTH PLAIN\\r\\n\nC: AUTH PLAIN *\n-- end',
  ],
] as const;

for (const [errands, when, backend] of STAGES) {
  const { protocol } = errands;
  test(`${protocol}: a backend that hangs up ${when} logs nobody in`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: backend.replace('.\\r\\nC:', '.\\r\\n\nC:') });
    const client = await gateway.play(`${errands.greeting}\n${errands.tries}\n${errands.unavailable}`);
    await gateway.logged((line) => line['code'] === 'BACKEND_CLOSED');
    if (errands !== SMTP) await gateway.resume(client, errands.logout);
    assertLine(await gateway.closed(), { code: errands === SMTP ? 'BACKEND_CLOSED' : null });
  });
}

for (const errands of ALL) {
  const { protocol } = errands;
  test(`${protocol}: a backend that greets with a refusal is out of service for the client`, async (t) => {
    const words = { imap: '* BYE too busy', pop3: '-ERR too busy', smtp: '421 4.3.2 too busy' };
    const gateway = openGateway(t, { protocol, backend: `S: ${words[protocol]}\n-- end` });
    await gateway.play(`${errands.greeting}\n${errands.tries}\n${errands.unavailable}`);
    await gateway.logged((line) => line['code'] === 'BACKEND_REFUSED');
  });
}
