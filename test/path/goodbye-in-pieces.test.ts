// A logout is told from a lost backend, however the goodbye was cut, wrapped in other words, or compressed.

import { test } from 'node:test';
import { IMAP } from '../support/dialects.ts';
import { assertLine, openGateway } from '../support/gateway.ts';

const LONG = `x1 UID SEARCH HEADER Subject "${'z'.repeat(80)}"`;

for (const [name, words] of [
  ['in one piece', 'C: z LOGOUT'],
  ['behind a long command', `C~ ${LONG}\\r\\nz LOGOUT\\r\\n`],
  ['cut in two', 'C~ z LOG\nC~ OUT\\r\\n'],
  ['with an empty line behind it', 'C~ z LOGOUT\\r\\n\\r\\n'],
] as const) {
  test(`a LOGOUT ${name} is a logout`, async (t) => {
    const gateway = openGateway(t, { protocol: 'imap', backend: IMAP.store().script });
    const client = await gateway.play(`${IMAP.greeting}\n${IMAP.login}`);
    await gateway.resume(client, `${words}\nS> z OK *\n-- eof\n-- end`);
    assertLine(await gateway.closed(), { code: null, end: 'logout', level: 'info' });
  });
}

test('a backend that goes without a word is lost, and that is a warning', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: IMAP.store().script });
  const client = await gateway.play(`${IMAP.greeting}\n${IMAP.login}`);
  (await gateway.call()).end.reset();
  await client.end();
  assertLine(await gateway.closed(), { code: 'BACKEND_CLOSED', level: 'warn' });
});
