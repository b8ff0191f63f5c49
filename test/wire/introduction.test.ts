import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parsePop3Xclient, parseXclient, parseXpehlo } from '../../src/wire/introduction.ts';
import { encodeXtext } from '../../src/wire/smtp.ts';

function told(argument: string): unknown {
  const xclient = parseXclient(argument);
  return xclient.kind === 'xclient' ? xclient.told : `${xclient.reason} ${xclient.what}`;
}

function toldByPop3(argument: string): unknown {
  const xclient = parsePop3Xclient(argument);
  return xclient.kind === 'xclient' ? xclient.told : `${xclient.reason} ${xclient.what}`;
}

function xpehlo(argument: string): unknown {
  const parsed = parseXpehlo(argument);
  return parsed.kind === 'xpehlo' ? parsed : `${parsed.reason} ${parsed.what}`;
}

test('XCLIENT tells every attribute that Postfix has, and TTL and SESSION', () => {
  assert.deepEqual(
    told(
      'NAME=host.example.org ADDR=203.0.113.9 PORT=51234 PROTO=ESMTP HELO=lap+2Etop LOGIN=anna+40example.org ' +
        'DESTADDR=IPV6:2001:DB8::1 DESTPORT=25 TTL=4 SESSION=a-1',
    ),
    {
      name: 'host.example.org',
      address: '203.0.113.9',
      port: 51234,
      esmtp: true,
      helo: 'lap.top',
      login: 'anna@example.org',
      localAddress: '2001:db8::1',
      localPort: 25,
      ttl: 4,
      sessionId: 'a-1',
    },
  );
});

test('an IPv6 address may have the prefix of Postfix or none, as from Dovecot, and comes out the same', () => {
  for (const text of ['IPV6:2001:0db8::1', 'ipv6:2001:db8::1', '2001:DB8:0::1']) {
    assert.deepEqual(told(`ADDR=${text}`), { address: '2001:db8::1' }, text);
  }
  assert.deepEqual(told('ADDR=IPV6:::ffff:192.0.2.1'), { address: '192.0.2.1' });
});

test('what is unavailable is told apart from what is not said', () => {
  const nothing = { name: null, address: '', port: 0, helo: null, login: null };
  assert.deepEqual(
    told('NAME=[UNAVAILABLE] ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE] HELO=[TEMPUNAVAIL] LOGIN=[unavailable]'),
    nothing,
  );
  assert.deepEqual(told('PROTO=[UNAVAILABLE]'), {});
  assert.deepEqual(told('proto=smtp'), { esmtp: false });
});

for (const [what, argument] of [
  ['XCLIENT', ''],
  ['ADDR', 'ADDR'],
  ['ADDR', 'ADDR='],
  ['ADDR', 'ADDR=host.example.org'],
  ['ADDR', 'ADDR=192.0.2.1 ADDR=192.0.2.2'],
  ['ADDR', 'ADDR=192.0.2.256'],
  ['PORT', 'ADDR=192.0.2.1 PORT=65536'],
  ['PORT', 'PORT=-1'],
  ['DESTPORT', 'DESTPORT=0x19'],
  ['PROTO', 'PROTO=LMTP'],
  ['NAME', 'NAME=a+0D+0Ab'],
  ['NAME', 'NAME=a+20b'],
  ['NAME', 'NAME=a+b'],
  ['HELO', `HELO=${'h'.repeat(256)}`],
  ['LOGIN', 'LOGIN=anna+00'],
  ['LOGIN', 'LOGIN=+FF'],
  ['TTL', 'TTL=five'],
  ['TTL', 'TTL=1000'],
  ['SESSION', 'SESSION=a+20ADDR=1'],
  ['SESSION', `SESSION=${'s'.repeat(129)}`],
  ['FORWARD', 'ADDR=192.0.2.1 FORWARD=x'],
  ['PASSWORD', 'ADDR=192.0.2.1 PASSWORD=x'],
  ['name', '__PROTO__=x'],
] as const) {
  test(`XCLIENT ${argument.slice(0, 40)} is refused, and ${what} is named`, () => {
    assert.equal(told(argument), `syntax ${what}`);
  });
}

test('POP3 XCLIENT takes the words of Dovecot and passes over what it does not know', () => {
  assert.deepEqual(toldByPop3('ADDR=2001:db8::7 PORT=40000 SESSION=Zx+/1 TTL=5 FORWARD=Zm9v x'), {
    address: '2001:db8::7',
    port: 40000,
    sessionId: 'Zx+/1',
    ttl: 5,
  });
  assert.deepEqual(toldByPop3(''), {});
  for (const [what, argument] of [
    ['ADDR', 'ADDR=IPV6:2001:db8::7'],
    ['ADDR', 'ADDR=[UNAVAILABLE]'],
    ['PORT', 'PORT=x'],
    ['TTL', 'TTL=-1'],
    ['SESSION', 'SESSION='],
    ['SESSION', 'SESSION=a SESSION=b'],
  ] as const) {
    assert.equal(toldByPop3(argument), `syntax ${what}`, argument);
  }
});

test('XPEHLO tells the name, the password, the channel, TLS, and what XCLIENT tells', () => {
  assert.deepEqual(
    xpehlo(
      'laptop PASSWORD=op+20en+3D+2B ADDR=203.0.113.9 PORT=51234 CHANNEL=tcp_intranet LOGIN=anna ' +
        'TLS=TLSv1.3:TLS_AES_128_GCM_SHA256',
    ),
    {
      kind: 'xpehlo',
      helo: 'laptop',
      password: 'op en=+',
      channel: 'tcp_intranet',
      told: {
        address: '203.0.113.9',
        port: 51234,
        login: 'anna',
        helo: 'laptop',
        tls: { version: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256', sni: null, clientName: null },
      },
    },
  );
  const { told: clear } = parseXpehlo('x ADDR=192.0.2.1 TLS=[UNAVAILABLE]') as { told: { tls: unknown } };
  assert.equal(clear.tls, null);
});

for (const [what, argument] of [
  ['XPEHLO', ''],
  ['ADDR', 'laptop'],
  ['ADDR', 'laptop PASSWORD=x'],
  ['HELO', 'laptop PASSWORD=x ADDR=192.0.2.1 HELO=x'],
  ['PASSWORD', 'laptop PASSWORD=a+b ADDR=192.0.2.1'],
  ['CHANNEL', 'laptop CHANNEL=tcp+20x ADDR=192.0.2.1'],
  ['TLS', 'laptop TLS=a:b:c ADDR=192.0.2.1'],
] as const) {
  test(`XPEHLO ${argument} is refused, and ${what} is named`, () => {
    assert.equal(xpehlo(argument), `syntax ${what}`);
  });
}

test('property: no argument makes a parser throw, and what they tell is bounded and plain', () => {
  const word = fc.tuple(
    fc.constantFrom(
      'NAME',
      'ADDR',
      'PORT',
      'HELO',
      'LOGIN',
      'SESSION',
      'TTL',
      'TLS',
      'PASSWORD',
      'constructor',
    ),
    fc.constantFrom('=', '', '=='),
    fc.oneof(fc.string({ unit: 'binary' }), fc.ipV4(), fc.ipV6(), fc.string().map(encodeXtext)),
  );
  const argument = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(word).map((words) => words.map((parts) => parts.join('')).join(' ')),
  );
  fc.assert(
    fc.property(argument, (text) => {
      for (const parsed of [parseXclient(text), parsePop3Xclient(text), parseXpehlo(`x ${text}`)]) {
        if (parsed.kind === 'malformed') continue;
        for (const value of [parsed.told.name, parsed.told.login, parsed.told.helo, parsed.told.sessionId]) {
          assert.match(value ?? 'none', /^[^\s\p{Cc}]{1,255}$/u);
        }
      }
    }),
  );
});

test('property: every login and name that xtext can carry is told as it was', () => {
  const plain = fc.string({ minLength: 1, maxLength: 60 }).filter((text) => /^[^\s\p{Cc}]+$/u.test(text));
  fc.assert(
    fc.property(plain, plain, (login, name) => {
      if (/^\[(temp)?unavail/i.test(login + name)) return;
      assert.deepEqual(told(`LOGIN=${encodeXtext(login)} NAME=${encodeXtext(name)}`), { login, name });
    }),
  );
});
