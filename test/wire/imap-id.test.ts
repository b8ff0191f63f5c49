import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatId, parseCommand } from '../../src/wire/imap.ts';
import { parseId } from '../../src/wire/imap-id.ts';

function id(argument: string): unknown {
  const command = parseCommand([Buffer.from(`a ID ${argument}`, 'latin1')]);
  assert.ok(command.kind === 'command', argument);
  const parsed = parseId(command.args);
  return parsed.kind === 'id' ? parsed.told : `${parsed.reason} ${parsed.what}`;
}

test("ID tells the client by the names of Dovecot's proxies, in any case, among others", () => {
  assert.deepEqual(
    id(
      '("name" "imap-proxy" "X-Originating-IP" "203.0.113.9" "x-originating-port" "51234" ' +
        '"x-connected-ip" "2001:DB8::1" "x-connected-port" "143" "x-proxy-ttl" "4" "x-session-id" "Zx+/1" ' +
        '"x-forward-x" "y" "version" NIL)',
    ),
    {
      address: '203.0.113.9',
      port: 51234,
      localAddress: '2001:db8::1',
      localPort: 143,
      ttl: 4,
      sessionId: 'Zx+/1',
    },
  );
});

test('ID that says nothing of a client tells nothing', () => {
  for (const argument of ['NIL', '()', '("name" "mutt")', '("x-originating-ip" NIL)']) {
    assert.equal(id(argument), null, argument);
  }
});

test('what formatId writes, parseId reads', () => {
  const fields = new Map([
    ['x-originating-ip', '2001:db8::7'],
    ['x-proxy-ttl', '5'],
  ]);
  assert.deepEqual(id(formatId(fields)), { address: '2001:db8::7', ttl: 5 });
});

for (const [reason, argument] of [
  ['syntax ID', ''],
  ['syntax ID', '"x" "y"'],
  ['syntax ID', '("x-originating-ip")'],
  ['syntax ID', '("a" "b" "c")'],
  ['syntax ID', '(NIL "b")'],
  ['syntax ID', '("a" ("b"))'],
  ['syntax ID', '(a b)'],
  ['syntax ID', '("a" "b"'],
  ['syntax x-originating-ip', '("x-originating-ip" "host.example.org")'],
  ['syntax x-originating-ip', '("x-originating-ip" "192.0.2.1" "X-ORIGINATING-IP" "192.0.2.2")'],
  ['syntax x-originating-port', '("x-originating-port" "99999")'],
  ['syntax x-connected-ip', '("x-connected-ip" "")'],
  ['syntax x-proxy-ttl', '("x-proxy-ttl" "-1")'],
  ['syntax x-session-id', '("x-session-id" "a b")'],
  ['too-long x-session-id', `("x-session-id" "${'s'.repeat(1025)}")`],
  ['too-long ID', `(${'"k" "v" '.repeat(31).trim()})`],
] as const) {
  test(`ID ${argument.slice(0, 50)} is refused as ${reason}`, () => assert.equal(id(argument), reason));
}

test('30 pairs, and names and values of strangers of any size, are passed over', () => {
  assert.deepEqual(id(`("x-proxy-ttl" "3" ${'"k" "v" '.repeat(29).trim()})`), { ttl: 3 });
  assert.deepEqual(id(`("${'k'.repeat(31)}" "${'v'.repeat(1025)}" "x-proxy-ttl" "3")`), { ttl: 3 });
});

test('property: no list of tokens makes it throw', () => {
  const token = fc.oneof(
    fc.constant({ kind: 'nil' } as const),
    fc.constant({ kind: 'open' } as const),
    fc.constant({ kind: 'close' } as const),
    fc.record({ kind: fc.constant('atom' as const), text: fc.string() }),
    fc.record({
      kind: fc.constant('string' as const),
      value: fc
        .oneof(fc.constantFrom('x-originating-ip', 'x-proxy-ttl', 'x-session-id'), fc.string(), fc.ipV6())
        .map((text) => Buffer.from(text, 'latin1')),
    }),
  );
  fc.assert(
    fc.property(fc.array(token), fc.boolean(), (tokens, bracketed) => {
      const args = bracketed ? [{ kind: 'open' } as const, ...tokens, { kind: 'close' } as const] : tokens;
      assert.match(parseId(args).kind, /^(id|malformed)$/);
    }),
  );
});
