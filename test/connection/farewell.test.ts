// Where words of ours may be put into a byte relay: behind a whole response and nowhere else, however it was cut.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteRelay, type RelaySide } from '../../src/connection/byte-relay.ts';
import { cable } from '../support/wire.ts';
import { settle } from '../support/gates.ts';

interface Stage {
  readonly relay: ByteRelay;
  up(text: string): Promise<void>;
  /** Each piece arrives by itself. */
  down(...pieces: readonly string[]): Promise<void>;
  end(): void;
}

function stage(protocol: 'imap' | 'pop3'): Stage {
  const [client, clientLeg] = cable({ split: 'whole' });
  const [store, storeLeg] = cable({ split: 'whole' });
  const side = (socket: RelaySide['socket']): RelaySide => ({ socket, rest: Buffer.alloc(0), ended: false });
  const relay = new ByteRelay(side(clientLeg.asSocket()), side(storeLeg.asSocket()), protocol);
  relay.run().catch(() => undefined);
  client.resume();
  store.resume();
  return {
    relay,
    async up(text) {
      client.write(text);
      await settle(3);
    },
    async down(...pieces) {
      for (const piece of pieces) {
        store.write(piece);
        await settle(3);
      }
    },
    end() {
      for (const end of [client, clientLeg, store, storeLeg]) end.destroy();
    },
  };
}

/** The text in pieces, cut at these offsets. */
function cut(text: string, offsets: readonly number[]): string[] {
  const at = [...new Set(offsets.map((offset) => offset % text.length))]
    .filter((o) => o > 0)
    .toSorted((a, b) => a - b);
  return [0, ...at].map((from, index) => text.slice(from, at[index] ?? text.length));
}

const LITERAL =
  '* 1 FETCH (BODY[] {41}\r\nSubject: x\r\n\r\n* OK\r\n1. NOTE: x\r\n- BAKED\r\nx)\r\na1 OK done\r\n';
const MESSAGE = '+OK 30 octets\r\nSubject: x\r\n\r\n+OK or -ERR\r\n..\r\nend.\r\n.\r\n';

for (const [protocol, command, response] of [
  ['imap', 'a1 FETCH 1 BODY[]\r\n', LITERAL],
  ['pop3', 'RETR 1\r\n', MESSAGE],
] as const) {
  test(`${protocol}: inside a message nothing fits, wherever it was cut`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(response.length - 1), { maxLength: 6 }), async (offsets) => {
        const scene = stage(protocol);
        await scene.up(command);
        for (const piece of cut(response, offsets).slice(0, -1)) {
          await scene.down(piece);
          assert.equal(scene.relay.farewellFits, false, JSON.stringify(piece));
        }
        scene.end();
      }),
      { numRuns: 60 },
    );
  });

  test(`${protocol}: behind it words fit, wherever it was cut before its last line`, async () => {
    const lastLine = response.lastIndexOf('\r\n', response.length - 3) + 2;
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(lastLine), { maxLength: 6 }), async (offsets) => {
        const scene = stage(protocol);
        await scene.up(command);
        await scene.down(...cut(response, offsets));
        assert.equal(scene.relay.farewellFits, true, JSON.stringify(cut(response, offsets)));
        scene.end();
      }),
      { numRuns: 60 },
    );
  });
}

type Case = readonly [
  title: string,
  protocol: 'imap' | 'pop3',
  up: readonly string[],
  down: readonly string[],
  fits: boolean,
];

const CASES: readonly Case[] = [
  ['an answer cut in the middle of its line', 'imap', ['a NOOP\r\n'], ['a OK do', 'ne\r\n'], true],
  ['half an answer', 'imap', ['a NOOP\r\n'], ['a OK do'], false],
  ['an untagged response in IDLE, cut', 'imap', ['a IDLE\r\n'], ['+ idling\r\n', '* 5 EX', 'ISTS\r\n'], true],
  ['a literal announced over a cut', 'imap', ['a FETCH 1 X\r\n'], ['* 1 X {5', '}', '\r\n', '1\r\n'], false],
  [
    'a literal announced over a cut in its line end',
    'imap',
    ['a X\r\n'],
    ['* 1 X {5}\r', '\n', '1\r\n'],
    false,
  ],
  [
    'the tagged line by itself behind a literal',
    'imap',
    ['a X\r\n'],
    ['* 1 X {3}\r\nabc)\r\n', 'a OK\r\n'],
    true,
  ],
  ['an answer of one line, cut', 'pop3', ['DELE 1\r\n'], ['+OK go', 'ne\r\n'], true],
  ['a refusal of many lines, cut', 'pop3', ['RETR 9\r\n'], ['-ER', 'R no\r\n'], true],
  ['a line that ends in a dot behind a cut', 'pop3', ['RETR 1\r\n'], ['+OK\r\nthe end', '.\r\n'], false],
  ['LIST with a number', 'pop3', ['LIST 1\r\n'], ['+OK 1 200\r\n'], true],
  ['the first line of LIST without one', 'pop3', ['LIST\r\n'], ['+OK 1 message\r\n'], false],
  ['the whole of LIST', 'pop3', ['LIST\r\n'], ['+OK 1 message\r\n1 200\r\n.\r\n'], true],
  [
    'the first line of one of many messages',
    'pop3',
    ['RETR 1\r\n'.repeat(20)],
    ['+OK\r\nSubject: x\r\n'],
    false,
  ],
  [
    'a message asked for before a shorter command',
    'pop3',
    ['RETR 1\r\n', 'NOOP\r\n'],
    ['+OK\r\nSubject: x\r\n'],
    false,
  ],
  [
    'such a message and the answer to the shorter one',
    'pop3',
    ['RETR 1\r\n', 'NOOP\r\n'],
    ['+OK\r\nx\r\n.\r\n'],
    true,
  ],
  ['a command that waits for its answer', 'imap', ['a NOOP\r\n'], [], false],
  ['a stream that may be compressed', 'imap', ['a COMPRESS DEFLATE\r\n'], ['a OK go\r\n'], false],
];

for (const [title, protocol, up, down, fits] of CASES) {
  test(`${protocol}: behind ${title} words ${fits ? 'fit' : 'do not fit'}`, async () => {
    const scene = stage(protocol);
    for (const text of up) await scene.up(text);
    await scene.down(...down);
    assert.equal(scene.relay.farewellFits, fits);
    scene.end();
  });
}
