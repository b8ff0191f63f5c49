// Another proxy behind us: XPEHLO with our password, what is told beyond Postfix's XCLIENT, and a loop that it finds.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BackSession, ClientFacts, IntroductionMethod } from '../../src/protocol/dialect.ts';
import { ImapBack } from '../../src/protocol/imap-back.ts';
import { Pop3Back } from '../../src/protocol/pop3-back.ts';
import { SmtpBack } from '../../src/protocol/smtp-back.ts';
import { parseXpehlo, XCLIENT_NAMES } from '../../src/wire/introduction.ts';
import { backPlan, ScriptedTalk } from '../support/scripted-talk.ts';

const CLIENT: ClientFacts = {
  sessionId: 'ab12-1',
  ttl: 5,
  address: '2001:db8::7',
  port: 50_001,
  localAddress: '198.51.100.1',
  localPort: 587,
  name: null,
  helo: 'client.test',
  esmtp: true,
  secured: true,
  tlsVersion: 'TLSv1.3',
  tlsCipher: 'TLS_AES_128_GCM_SHA256',
  login: null,
};

const BACKS = {
  imap: [ImapBack, '* OK [CAPABILITY IMAP4rev1 ID] hello\r\n'],
  pop3: [Pop3Back, '+OK [XCLIENT] hello\r\n+OK\r\n.\r\n'],
  smtp: [SmtpBack, '220 mta.test ESMTP\r\n'],
} as const;

interface Told {
  readonly said: string;
  readonly result: boolean | { readonly code: string; readonly message: string };
  readonly back: BackSession;
}

async function tell(
  way: { protocol: keyof typeof BACKS; method: IntroductionMethod; password?: string },
  replies: readonly string[],
  client: Partial<ClientFacts> = {},
): Promise<Told> {
  const [Back, greeting] = BACKS[way.protocol];
  const talk = new ScriptedTalk([greeting, ...replies], { side: 'backend' });
  const back: BackSession = new Back(talk);
  await back.open(backPlan({ xpehloPassword: way.password ?? null }));
  talk.saidSince();
  const result = await back
    .introduce(way.method, { ...CLIENT, ...client })
    .catch((error: { code: string; message: string }) => error);
  return { said: talk.saidSince(), result, back };
}

const xpehlo = { protocol: 'smtp', method: 'xpehlo', password: 'op en' } as const;
const OFFERED = '250-mta.test\r\n250 XPEHLO\r\n';
const TAKEN = '250-mta.test\r\n250 SIZE 10\r\n';

test('XPEHLO stands for EHLO, shows the password and tells everything; what it answers is what the relay can do', async () => {
  const { said, result, back } = await tell(xpehlo, [OFFERED, TAKEN]);
  assert.equal(result, true);
  assert.equal(
    said,
    'XPEHLO client.test PASSWORD=op+20en NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::7 PORT=50001 PROTO=ESMTP ' +
      'LOGIN=[UNAVAILABLE] DESTADDR=198.51.100.1 DESTPORT=587 TTL=5 SESSION=ab12-1 ' +
      'TLS=TLSv1.3:TLS_AES_128_GCM_SHA256\r\n',
  );
  assert.deepEqual(back.capabilities, ['SIZE 10']);
});

test('what we say in XPEHLO is what we understand', async () => {
  const told = { helo: 'a=b+c\u00e9', login: 'anna ADDR=1.2.3.4', name: 'h.example.org', tlsVersion: null };
  const { said } = await tell(xpehlo, [OFFERED, TAKEN], { ...told, login: 'anna' });
  const line = Buffer.from(said, 'latin1').toString('utf8').trimEnd();
  const parsed = parseXpehlo(line.slice('XPEHLO '.length));
  assert.ok(parsed.kind === 'xpehlo');
  assert.deepEqual(
    [parsed.helo, parsed.password, parsed.channel, parsed.told.login, parsed.told.name, parsed.told.tls],
    ['a=b+c\u00e9', 'op en', null, 'anna', 'h.example.org', undefined],
  );
  const odd = await tell(xpehlo, [OFFERED, TAKEN], told);
  assert.match(odd.said, / LOGIN=anna\+20ADDR\+3D1\.2\.3\.4 /);
});

test('a relay that does not offer XPEHLO never sees the password, nor does one for which there is none', async () => {
  const without = await tell(xpehlo, ['250-mta.test\r\n250 XCLIENT ADDR\r\n']);
  assert.deepEqual([without.said, without.result], ['', false]);
  const nothing = await tell({ protocol: 'smtp', method: 'xpehlo' }, [OFFERED]);
  assert.deepEqual([nothing.said, nothing.result], ['', false]);
});

test('a relay that refuses XPEHLO gets no mail, and its words do not get into the log', async () => {
  const { result } = await tell(xpehlo, [OFFERED, '550 5.7.1 PASSWORD=op+20en is wrong\r\n']);
  assert.ok(typeof result === 'object' && result.code === 'BACKEND_NO_CLIENT_INFO');
  assert.match(result.message, /550/);
  assert.doesNotMatch(result.message, /op/);
});

test('TTL and SESSION are told in XCLIENT where they are listed, as another Sallyport does', async () => {
  const offer = `250-mta.test\r\n250 XCLIENT ${XCLIENT_NAMES}\r\n`;
  const { said } = await tell({ protocol: 'smtp', method: 'xclient' }, [offer, '220 hi\r\n', TAKEN], {
    ttl: 3,
  });
  assert.match(said, / DESTPORT=587 TTL=3 SESSION=ab12-1\r\nEHLO client\.test\r\n$/);
});

for (const [protocol, method, offer, loop, otherwise, code] of [
  ['imap', 'id', [], '* BYE [CANNOT] a loop\r\n', '* BYE [UNAVAILABLE] later\r\n', 'BACKEND_REFUSED'],
  ['pop3', 'xclient', [], '-ERR [SYS/PERM] a loop\r\n', '-ERR [SYS/TEMP] later\r\n', false],
  [
    'smtp',
    'xclient',
    ['250-mta.test\r\n250 XCLIENT ADDR\r\n'],
    '554 5.4.6 a loop\r\n',
    '554 5.7.1 no\r\n',
    'BACKEND_NO_CLIENT_INFO',
  ],
  ['smtp', 'xpehlo', [OFFERED], '554 5.4.6 a loop\r\n', '554 5.4.0 no\r\n', 'BACKEND_NO_CLIENT_INFO'],
] as const) {
  test(`${protocol}: a loop that the proxy behind finds is a loop here, told by ${method}; another refusal is not`, async () => {
    const way = { protocol, method, password: 'x' };
    const found = await tell(way, [...offer, loop]);
    assert.ok(
      typeof found.result === 'object' && found.result.code === 'PROXY_LOOP',
      JSON.stringify(found.result),
    );
    const { result } = await tell(way, [...offer, otherwise]);
    assert.equal(typeof result === 'object' ? result.code : result, code);
  });
}
