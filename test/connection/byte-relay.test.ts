// The byte relay: every octet, in order, both ways, with back-pressure and half-close, for any cut of the streams.

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { ByteRelay } from '../../src/connection/byte-relay.ts';
import { GateError } from '../../src/errors.ts';
import { Conversation } from '../support/conversation.ts';
import { cable, type CableEnd, type CableOptions, SEED } from '../support/wire.ts';

interface Stage {
  readonly relay: ByteRelay;
  readonly client: Conversation;
  readonly backend: Conversation;
  /** The relay's own ends. */
  readonly ends: readonly [client: CableEnd, backend: CableEnd];
  readonly run: Promise<string>;
}

interface StageOptions extends CableOptions {
  readonly protocol?: 'imap' | 'pop3';
  readonly rests?: readonly [up: string, down: string];
}

function stage(t: TestContext, options: StageOptions = {}): Stage {
  const [client, left] = cable(options);
  const [backend, right] = cable(options);
  const [up, down] = (options.rests ?? ['', '']).map((text) => Buffer.from(text));
  for (const end of [left, right]) end.on('error', () => undefined);
  const relay = new ByteRelay(
    { socket: left.asSocket(), rest: up ?? Buffer.alloc(0), ended: false },
    { socket: right.asSocket(), rest: down ?? Buffer.alloc(0), ended: false },
    options.protocol ?? 'imap',
  );
  const run = relay.run();
  run.catch(() => undefined);
  t.after(() => [client, left, backend, right].forEach((end) => end.destroy()));
  return {
    relay,
    client: new Conversation(client),
    backend: new Conversation(backend),
    ends: [left, right],
    run,
  };
}

const settle = async (turns = 30): Promise<void> => {
  for (let turn = 0; turn < turns; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
};

test('both directions arrive octet for octet, whatever the cut and whoever ends first', async (t) => {
  const bytes = fc.uint8Array({ maxLength: 5000 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(bytes, { maxLength: 6 }),
      fc.array(bytes, { maxLength: 6 }),
      fc.record({
        seed: fc.nat(),
        bufferBytes: fc.integer({ min: 1, max: 4000 }),
        clientFirst: fc.boolean(),
      }),
      async (up, down, { seed, bufferBytes, clientFirst }) => {
        const { relay, client, backend, run, ends } = stage(t, { seed, bufferBytes });
        for (const part of up) client.send(Buffer.from(part));
        for (const part of down) backend.send(Buffer.from(part));
        (clientFirst ? client : backend).finish();
        const [first, second] = clientFirst ? [backend, client] : [client, backend];
        const firstHeard = await first.end();
        first.finish();
        // The owner closes what is left, as connection/close.ts does.
        if (!clientFirst) void run.then(() => ends[1].end());
        const secondHeard = await second.end();
        const [heardUp, heardDown] = clientFirst ? [firstHeard, secondHeard] : [secondHeard, firstHeard];
        assert.equal(heardUp, Buffer.concat(up).toString('latin1'));
        assert.equal(heardDown, Buffer.concat(down).toString('latin1'));
        assert.equal(await run, clientFirst ? 'client closed' : 'backend lost');
        assert.deepEqual([relay.up, relay.down], [heardUp.length, heardDown.length]);
      },
    ),
    { seed: SEED, numRuns: 60 },
  );
});

test('what the legs had read before goes first', async (t) => {
  const { client, backend } = stage(t, { rests: ['a1 NOOP\r\n', '* 1 EXISTS\r\n'] });
  client.say('a2 NOOP');
  assert.equal(await backend.line(), 'a1 NOOP');
  assert.equal(await backend.line(), 'a2 NOOP');
  assert.equal(await client.line(), '* 1 EXISTS');
});

for (const slow of ['client', 'backend'] as const) {
  test(`a ${slow} that does not read stops the other, and memory stays bounded`, async (t) => {
    const made = stage(t, { bufferBytes: 4096, split: 'whole' });
    const reader = slow === 'client' ? made.client : made.backend;
    const writer = slow === 'client' ? made.backend : made.client;
    reader.socket.removeAllListeners('data').pause();
    const sink = writer.socket as CableEnd;
    let written = 0;
    while (written < 20_000_000 && !sink.writableNeedDrain) {
      sink.write(Buffer.alloc(10_000));
      written += 10_000;
      await settle(5);
    }
    assert.ok(written < 2_000_000, `${written} bytes were taken`);
    const held = made.ends.reduce((sum, end) => sum + end.writableLength + end.undelivered, 0);
    assert.ok(held < 500_000, `${held} bytes are held`);
    const before = slow === 'client' ? made.relay.down : made.relay.up;
    reader.socket.on('data', () => undefined).resume();
    await settle(500);
    assert.ok(
      (slow === 'client' ? made.relay.down : made.relay.up) > before,
      'it goes on when there is room',
    );
  });
}

test('a half that ends is passed on, and the other half goes on', async (t) => {
  const { client, backend, run } = stage(t);
  client.finish();
  await backend.end();
  backend.say('* late news');
  assert.equal(await client.line(), '* late news');
  backend.finish();
  await client.end();
  assert.equal(await run, 'client closed');
});

for (const [who, ending] of [
  ['client', 'client closed'],
  ['backend', 'backend lost'],
] as const) {
  test(`a ${who} that breaks ends the relay`, async (t) => {
    const made = stage(t);
    (made[who].socket as CableEnd).reset();
    assert.equal(await made.run, ending);
  });
}

test('an end from outside lets go of both sockets', async (t) => {
  const { relay, run, ends } = stage(t);
  relay.finish(new GateError('IDLE_TIMEOUT'));
  await assert.rejects(run, { code: 'IDLE_TIMEOUT' });
  for (const end of ends) {
    for (const event of ['data', 'end', 'drain']) assert.equal(end.listenerCount(event), 0, event);
  }
});

test('a side that was gone before the relay began ends it at once', async (t) => {
  const [client, left] = cable();
  const [backend, right] = cable();
  t.after(() => [client, backend].forEach((end) => end.destroy()));
  left.destroy();
  await settle();
  const none = Buffer.alloc(0);
  const relay = new ByteRelay(
    { socket: left.asSocket(), rest: none, ended: false },
    { socket: right.asSocket(), rest: none, ended: false },
    'imap',
  );
  assert.equal(await relay.run(), 'client closed');
});

type Step = readonly ['up' | 'down', string];

const FAREWELLS: readonly (readonly ['imap' | 'pop3', string, readonly Step[], boolean])[] = [
  ['imap', 'fresh from the login', [], true],
  ['imap', 'behind a command of the client', [['up', 'a NOOP\r\n']], false],
  [
    'imap',
    'behind the answer',
    [
      ['up', 'a NOOP\r\n'],
      ['down', 'a OK done\r\n'],
    ],
    true,
  ],
  ['imap', 'in the middle of a line', [['down', '* 5 EXI']], false],
  [
    'imap',
    'behind a line in two pieces',
    [
      ['down', '* 5 EXI'],
      ['down', 'STS\r\na OK done\r\n'],
    ],
    true,
  ],
  ['imap', 'behind the announcement of a literal', [['down', '* 1 FETCH (BODY {9}\r\n']], false],
  ['imap', 'at a line end in a literal', [['down', '* 1 FETCH (BODY {9}\r\none\r\n']], false],
  [
    'imap',
    'in a literal of small pieces',
    [
      ['down', '* 1 FETCH (BODY {9}\r\n'],
      ['down', 'one\r\n'],
      ['down', '\r\n'],
    ],
    false,
  ],
  [
    'imap',
    'behind the answer with a literal in it',
    [['down', '* 1 FETCH (B {3}\r\na\r\n)\r\nf OK done\r\n']],
    true,
  ],
  [
    'imap',
    'behind news in IDLE',
    [
      ['up', 'i IDLE\r\n'],
      ['down', '+ idling\r\n'],
      ['down', '* 9 EXISTS\r\n'],
    ],
    true,
  ],
  [
    'imap',
    'in a compressed stream',
    [
      ['up', 'c COMPRESS DEFLATE\r\n'],
      ['down', 'c OK done\r\n'],
    ],
    false,
  ],
  [
    'imap',
    'behind a line end alone',
    [
      ['down', '* 1 X {3}\r\n'],
      ['down', '\n'],
      ['down', 'a \n'],
    ],
    false,
  ],
  ['pop3', 'fresh from the login', [], true],
  [
    'pop3',
    'behind an answer of one line',
    [
      ['up', 'DELE 1\r\n'],
      ['down', '+OK gone\r\n'],
    ],
    true,
  ],
  [
    'pop3',
    'at the beginning of a message',
    [
      ['up', 'RETR 1\r\n'],
      ['down', '+OK 9\r\n'],
    ],
    false,
  ],
  [
    'pop3',
    'in a message',
    [
      ['up', 'RETR 1\r\n'],
      ['down', '+OK 9\r\nline\r\n'],
    ],
    false,
  ],
  [
    'pop3',
    'behind a message',
    [
      ['up', 'RETR 1\r\n'],
      ['down', '+OK 9\r\nline\r\n.\r\n'],
    ],
    true,
  ],
  [
    'pop3',
    'behind a message whose dot comes alone',
    [
      ['up', 'retr 1\r\n'],
      ['down', '+OK\r\nx\r\n'],
      ['down', '.\r\n'],
    ],
    true,
  ],
  [
    'pop3',
    'behind a stuffed dot',
    [
      ['up', 'RETR 1\r\n'],
      ['down', '+OK 9\r\n..\r\n'],
    ],
    false,
  ],
  [
    'pop3',
    'behind a refused message',
    [
      ['up', 'RETR 9\r\n'],
      ['down', '-ERR no\r\n'],
    ],
    true,
  ],
];

for (const [protocol, where, steps, fits] of FAREWELLS) {
  test(`${protocol}: ${where} a farewell ${fits ? 'fits' : 'does not fit'}`, async (t) => {
    const { relay, client, backend } = stage(t, { protocol, split: 'whole' });
    for (const [direction, text] of steps) {
      (direction === 'up' ? client : backend).send(text);
      await settle();
    }
    assert.equal(relay.farewellFits, fits);
  });
}

test('IDLE is known from its command to DONE', async (t) => {
  const { relay, client } = stage(t, { split: 'whole' });
  for (const [text, inIdle] of [
    ['a1 NOOP\r\n', false],
    ['a2 idle\r\n', true],
    ['DONE\r\n', false],
    ['a3 NOOP\r\na4 IDLE\r\n', true],
    ['DONE\r\na5 IDLE\r\n', true],
    ['done\r\n', false],
  ] as const) {
    client.send(text);
    await settle();
    assert.equal(relay.inIdle, inIdle, text);
  }
});
