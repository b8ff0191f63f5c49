// The sessions that the quickstart plays: a client that sends a message, one that reads it by IMAP, one by POP3. Each
// line is printed as it goes over the wire, passwords masked. A wrong answer ends the quickstart with the dialogue.

import { Dialogue } from '../test/support/dialogue.ts';

export interface Stage {
  readonly login: { readonly user: string; readonly password: string };
  readonly clientAddress: string;
  /** PEM. */
  readonly ca: string;
  readonly ports: Readonly<
    Record<'imap' | 'imaps' | 'pop3' | 'pop3s' | 'submission' | 'submissions', number>
  >;
  readonly say: (text: string) => void;
}

export type Way = 'starttls' | 'implicit';

const number = { starttls: 1, implicit: 2 };

export async function playSubmission(stage: Stage, way: Way): Promise<void> {
  const { user, password } = stage.login;
  await using session = await open(stage, way === 'starttls' ? 'submission' : 'submissions');
  await session.expect(/^220 /);
  await session.ask('EHLO client.example.com', /^250 /);
  if (way === 'starttls') {
    await session.ask('STARTTLS', /^220 /);
    await session.startTls();
    await session.ask('EHLO client.example.com', /^250 /);
  }
  const secret = Buffer.from(`\0${user}\0${password}`).toString('base64');
  await session.ask(`AUTH PLAIN ${secret}`, /^235 /, 'AUTH PLAIN ********');
  await session.ask(`MAIL FROM:<${user}>`, /^250 /);
  await session.ask(`RCPT TO:<${user}>`, /^250 /);
  await session.ask('DATA', /^354 /);
  for (const line of letter(user, way)) session.send(line);
  await session.ask('.', /^250 /);
  await session.ask('QUIT', /^221 /);
}

export async function playImap(stage: Stage, way: Way): Promise<void> {
  const { user, password } = stage.login;
  await using session = await open(stage, way === 'starttls' ? 'imap' : 'imaps');
  await session.expect(/^\* OK /);
  if (way === 'starttls') {
    await session.ask('a1 STARTTLS', /^a1 OK/);
    await session.startTls();
  }
  await session.ask(`a2 LOGIN ${user} "${password}"`, /^a2 OK/, `a2 LOGIN ${user} ********`);
  await session.ask('a3 SELECT INBOX', /^a3 OK/);
  await session.ask(`a4 FETCH ${number[way]} (BODY.PEEK[])`, /^a4 OK/);
  await session.ask('a5 LOGOUT', /^a5 OK/);
}

export async function playPop3(stage: Stage, way: Way): Promise<void> {
  const { user, password } = stage.login;
  await using session = await open(stage, way === 'starttls' ? 'pop3' : 'pop3s');
  await session.expect(/^\+OK/);
  if (way === 'starttls') {
    await session.ask('STLS', /^\+OK/);
    await session.startTls();
  }
  await session.ask(`USER ${user}`, /^\+OK/);
  await session.ask(`PASS ${password}`, /^\+OK/, 'PASS ********');
  await session.ask(`RETR ${number[way]}`, /^\.$/);
  await session.ask('QUIT', /^\+OK/);
}

async function open(stage: Stage, service: keyof Stage['ports']): Promise<Dialogue> {
  const { clientAddress, ca, say } = stage;
  const port = stage.ports[service];
  say(`\n--- ${service}: a client at ${clientAddress} connects to 127.0.0.1:${port}`);
  const options = {
    port,
    ca,
    localAddress: clientAddress,
    onLine: (side: 'C' | 'S' | '-', line: string): void =>
      say(side === '-' ? `   -- ${line}` : `   ${side}: ${line}`),
  };
  return service.endsWith('s') ? Dialogue.connectTls(options) : Dialogue.connect(options);
}

function letter(user: string, way: Way): string[] {
  return [
    `From: <${user}>`,
    `To: <${user}>`,
    `Subject: Sent with ${way === 'starttls' ? 'STARTTLS' : 'implicit TLS'}`,
    `Date: ${new Date().toUTCString().replace('GMT', '+0000')}`,
    `Message-ID: <quickstart.${number[way]}@example.com>`,
    '',
    'Out through one door, in through the other.',
  ];
}
