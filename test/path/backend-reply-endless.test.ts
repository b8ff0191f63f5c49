// A backend that never stops talking costs no more memory than limits.replyBytes and ends the attempt.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL, IMAP, POP3, SMTP } from '../support/dialects.ts';
import { type BackendCall, assertLine, openGateway } from '../support/gateway.ts';

const LIMITS = { replyBytes: 2048 };

async function flood({ talk }: BackendCall, piece: string): Promise<void> {
  for (let sent = 0; sent < 4_000_000 && !talk.ended && talk.socket.writable; sent += piece.length) {
    if (!talk.socket.write(piece)) {
      await new Promise<void>((resolve) => {
        talk.socket.once('drain', resolve).once('close', resolve);
      });
    }
  }
}

const FLOODS = [
  [IMAP, 'a line without end', 'x'.repeat(1000)],
  [IMAP, 'capabilities without end', `* CAPABILITY ${'IMAP4rev1 '.repeat(90)}\r\n`],
  [IMAP, 'literals without end', `* LIST () "/" {900}\r\n${'x'.repeat(900)}\r\n`],
  [IMAP, 'challenges without end', '+ \r\n'.repeat(200)],
  [POP3, 'a line without end', 'x'.repeat(1000)],
  [POP3, 'capabilities without end', 'UIDL\r\n'.repeat(100)],
  [SMTP, 'a line without end', 'x'.repeat(1000)],
  [SMTP, 'a reply of lines without end', '250-AUTH PLAIN\r\n'.repeat(60)],
] as const;

const OPENINGS = { imap: '* OK hello', pop3: '+OK hello', smtp: '220 hello' } as const;

for (const [errands, what, piece] of FLOODS) {
  const { protocol } = errands;
  test(`${protocol}: ${what} from the backend ends the attempt within limits.replyBytes`, async (t) => {
    const gateway = openGateway(t, {
      protocol,
      limits: LIMITS,
      backend: async (call) => {
        call.talk.say(OPENINGS[protocol]);
        await call.talk.line();
        if (protocol === 'pop3' && what.startsWith('cap')) call.talk.say('+OK');
        await flood(call, piece);
      },
    });
    await gateway.play(`${errands.greeting}\n${errands.tries}\n${errands.unavailable}`);
    assertLine(await gateway.logged((line) => line['event'] === 'backend-failed'), {
      code: 'BACKEND_PROTOCOL',
    });
    const { end } = await gateway.call();
    assert.ok(end.bytesWritten < 200_000, `the front took ${end.bytesWritten} bytes`);
  });
}

for (const errands of ALL) {
  test(`${errands.protocol}: bytes that are no reply of the protocol end the attempt`, async (t) => {
    const backend = `S: ${OPENINGS[errands.protocol]}\nC: *\nS: HTTP/1.1 400 Bad Request\n-- eof`;
    const gateway = openGateway(t, { protocol: errands.protocol, backend });
    await gateway.play(`${errands.greeting}\n${errands.tries}\n${errands.unavailable}`);
    await gateway.logged((line) => line['code'] === 'BACKEND_PROTOCOL');
  });
}

test('imap: a long but finite answer of the backend is read to its end', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: async ({ talk }) => {
      talk.say('* OK hello');
      await talk.line();
      talk.say(`* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR ${'X-MORE '.repeat(1000)}`);
      talk.say('s1 OK done');
      await talk.line();
      talk.say('s2 OK [CAPABILITY IMAP4rev1] Welcome anna');
      await talk.end();
    },
  });
  const client = await gateway.play(`${IMAP.greeting}\n${IMAP.login}`);
  client.finish();
  await gateway.scriptsDone();
});
