// Plays a written conversation. The same text serves for either side: a client sends its C lines and expects the S
// lines, a scripted backend the other way round. A failure names the line of the script.
//   S: text      a line of the server (expected: `*` stands for anything)    C: text   a line of the client
//   S~ bytes     exactly these bytes, no CRLF added; \r \n \0 \t \\ \xNN     C~ bytes  the same
//   S> text      lines of the other side are taken until one fits
//   -- tls       TLS handshake now            -- eof    the other side ends
//   -- end       our half ends                -- cut    our end is destroyed
// Blank lines and lines that begin with # are skipped.

import assert from 'node:assert/strict';
import type tls from 'node:tls';
import type { ClientTls, Conversation } from './conversation.ts';

export interface PlayOptions {
  /** Default: 'client'. */
  readonly as?: 'client' | 'server';
  readonly clientTls?: ClientTls;
  readonly serverTls?: tls.SecureContext;
}

export async function play(script: string, talk: Conversation, options: PlayOptions = {}): Promise<void> {
  const mine = options.as === 'server' ? 'S' : 'C';
  for (const [index, raw] of script.split('\n').entries()) {
    const step = raw.trimStart();
    if (step === '' || step.startsWith('#')) continue;
    try {
      await playStep(step, { talk, mine, options });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error(`line ${index + 1} of the transcript, "${step}": ${reason}`, { cause: error });
    }
  }
}

interface Player {
  readonly talk: Conversation;
  readonly mine: 'C' | 'S';
  readonly options: PlayOptions;
}

async function playStep(step: string, player: Player): Promise<void> {
  const { talk, mine } = player;
  const match = /^([CS])([:~>]) ?(.*)$/s.exec(step);
  if (match === null) return playMark(step, player);
  const [, side, kind, text = ''] = match;
  if (kind === '~') {
    const bytes = unescapeBytes(text);
    if (side === mine) talk.send(bytes);
    else assert.equal(await talk.bytes(bytes.length), bytes.toString('latin1'));
  } else if (side === mine) talk.say(text);
  else if (kind === '>') await expectLineSoon(talk, text);
  else expectLine(await talk.line(), text);
}

async function expectLineSoon(talk: Conversation, expected: string): Promise<void> {
  while (!patternOf(expected).test(await talk.line()));
}

async function playMark(step: string, { talk, options, mine }: Player): Promise<void> {
  switch (step) {
    case '-- tls':
      if (mine === 'C') {
        assert.ok(options.clientTls !== undefined, 'clientTls is missing');
        return talk.startTls(options.clientTls);
      }
      assert.ok(options.serverTls !== undefined, 'serverTls is missing');
      return talk.answerTls(options.serverTls);
    case '-- eof':
      return assert.equal(await talk.end(), '', 'more came before the end');
    case '-- end':
      return talk.finish();
    case '-- cut':
      talk.socket.destroy();
      return;
    default:
      throw new Error('not a line of a transcript');
  }
}

export function expectLine(line: string, expected: string): void {
  assert.match(line, patternOf(expected), `came: ${JSON.stringify(line)}`);
}

/** An untagged IMAP response begins with a star; the wildcard takes that as well. */
function patternOf(expected: string): RegExp {
  const literals = expected.split('*').map((text) => text.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${literals.join('.*')}$`, 's');
}

export function unescapeBytes(text: string): Buffer {
  const plain: Readonly<Record<string, string>> = { r: '\r', n: '\n', '0': '\0', t: '\t', '\\': '\\' };
  const bytes = text.replaceAll(/\\(?:x([0-9a-f]{2})|([rn0t\\]))/gi, (_, hex?: string, letter?: string) =>
    hex === undefined ? (plain[letter ?? ''] ?? '') : String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(bytes, 'latin1');
}
