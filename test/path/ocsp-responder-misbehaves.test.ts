// A certificate names an OCSP responder. Whatever that one does, clients get in; they are given a status only where it
// is good, current and signed. The answers are made by `openssl ocsp`.

import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { realWorld } from '../../src/world.ts';
import { makeAuthority, type Issued } from '../support/authority.ts';
import { ALL, IMAP, type Errands } from '../support/dialects.ts';
import { assertLine, clientTls, openGateway, testMaterial, type Gateway } from '../support/gateway.ts';
import { ocspAnswer, Responder } from '../support/ocsp.ts';

type Mode = 'implicit' | 'musttls';

interface Scene {
  readonly gateway: Gateway;
  readonly responder: Responder;
}

interface Setting {
  readonly errands?: Errands;
  readonly mode?: Mode;
  /** The front's clock, in front of that of the answers. */
  readonly aheadMs?: number;
  readonly service?: Readonly<Record<string, unknown>>;
  /** What the responder will say. */
  readonly prepare: (responder: Responder, issued: Issued) => void | Promise<void>;
}

async function openScene(t: TestContext, setting: Setting): Promise<Scene> {
  const { errands = IMAP, mode = 'implicit', aheadMs = 0, service = {}, prepare } = setting;
  const responder = await Responder.start();
  t.after(() => responder.close());
  const issued = testMaterial().authority.issue({ names: ['mail.test'], responder: responder.url });
  await prepare(responder, issued);
  const gateway = openGateway(t, {
    protocol: errands.protocol,
    backend: 'silent',
    tls: mode,
    service,
    certificate: issued,
    // Nobody is dialled but the responder.
    world: { now: () => Date.now() + aheadMs, dial: (target) => realWorld.dial(target) },
  });
  return { gateway, responder };
}

const isOcsp = (line: Readonly<Record<string, unknown>>): boolean =>
  String(line['event']).startsWith('ocsp-');

/** The status that a client is given in its handshake, after which it is greeted or asked for more. */
async function statusOf(gateway: Gateway, errands: Errands, mode: Mode): Promise<Buffer | null> {
  const client = gateway.connect();
  if (mode === 'musttls') {
    const first = errands.protocol === 'smtp' ? 'C: EHLO client.test\nS> 250 *\n' : '';
    await gateway.resume(client, `${errands.greeting}\n${first}${errands.starttls.replace('-- tls', '')}`);
  }
  let status: Buffer | null = null;
  await client.startTls(clientTls({ onStaple: (response) => (status = response) }));
  await gateway.resume(client, mode === 'implicit' ? errands.greeting : 'C: QUIT\nS> *');
  client.socket.destroy();
  return status;
}

for (const errands of ALL) {
  for (const mode of ['implicit', 'musttls'] as const) {
    test(`${errands.protocol}, ${mode}: a good answer is given to clients, octet for octet`, async (t) => {
      let answer: Buffer | null = null;
      const prepare: Setting['prepare'] = (responder, issued) => {
        answer = ocspAnswer(testMaterial().authority, issued);
        responder.answer = answer;
      };
      const { gateway, responder } = await openScene(t, { errands, mode, prepare });
      assertLine(await gateway.logged(isOcsp), {
        event: 'ocsp-stapled',
        level: 'info',
        responder: responder.url,
      });
      assert.deepEqual(await statusOf(gateway, errands, mode), answer);
      assert.deepEqual(await statusOf(gateway, errands, mode), answer);
      assert.equal(responder.asked.length, 1);
    });
  }
}

test('a service that wants no stapling asks nobody', async (t) => {
  const { gateway, responder } = await openScene(t, {
    service: { tls: { mode: 'implicit', stapling: false } },
    prepare: () => {},
  });
  assert.equal(await statusOf(gateway, IMAP, 'implicit'), null);
  assert.equal(responder.asked.length, 0);
  assert.equal(gateway.lines.filter(isOcsp).length, 0);
});

interface Misdeed {
  readonly cause: string | null;
  readonly event?: string;
  readonly aheadMs?: number;
  /** The front's patience has to end. */
  readonly waits?: true;
  readonly prepare: Setting['prepare'];
}

const { authority } = testMaterial();

const MISDEEDS: Readonly<Record<string, Misdeed>> = {
  'is down': { cause: 'unreachable', prepare: (responder) => responder.close() },
  'says nothing': {
    cause: 'unreachable',
    waits: true,
    prepare: (responder) => void (responder.answer = () => {}),
  },
  'answers without an end': {
    cause: 'unreachable',
    prepare(responder) {
      responder.answer = (response) => {
        const pump = (): void => {
          while (response.write(Buffer.alloc(16_384, 0x30)));
        };
        response.on('drain', pump);
        pump();
      };
    },
  },
  'answers an octet now and then': {
    cause: 'unreachable',
    waits: true,
    prepare: (responder) => void (responder.answer = (response) => response.write('0')),
  },
  'sends somewhere else': {
    cause: 'unreachable',
    prepare(responder) {
      responder.answer = (response) => response.writeHead(302, { location: responder.url }).end();
    },
  },
  'answers garbage': {
    cause: 'malformed',
    prepare: (responder) => void (responder.answer = Buffer.from('<html>Welcome to the hotel</html>')),
  },
  'wants to be asked later': {
    cause: 'not-successful',
    prepare: (responder) => void (responder.answer = Buffer.from('30030a0103', 'hex')),
  },
  'answers for another certificate': {
    cause: 'other-certificate',
    prepare(responder) {
      const other = authority.issue({ names: ['mail.test'], responder: responder.url });
      responder.answer = ocspAnswer(authority, other);
    },
  },
  'answers what is no longer current': {
    cause: 'not-current',
    aheadMs: 120_000,
    prepare: (responder, issued) => void (responder.answer = ocspAnswer(authority, issued, { minutes: 1 })),
  },
  'answers what is not yet current': {
    cause: 'not-current',
    aheadMs: -3_600_000,
    prepare: (responder, issued) => void (responder.answer = ocspAnswer(authority, issued)),
  },
  'is a stranger': {
    cause: 'bad-signature',
    prepare(responder, issued) {
      const stranger = makeAuthority(mkdtempSync(path.join(testMaterial().folder, 'stranger-')));
      const signer = stranger.issue({ names: ['responder.test'], purpose: 'ocsp' });
      responder.answer = ocspAnswer(authority, issued, { signer });
    },
  },
  'does not know the certificate': {
    cause: 'unknown',
    prepare: (responder, issued) =>
      void (responder.answer = ocspAnswer(authority, issued, { status: 'unknown' })),
  },
  'says that the certificate is revoked': {
    cause: null,
    event: 'ocsp-revoked',
    prepare: (responder, issued) =>
      void (responder.answer = ocspAnswer(authority, issued, { status: 'revoked' })),
  },
};

for (const [what, { cause, event = 'ocsp-failed', aheadMs = 0, waits, prepare }] of Object.entries(
  MISDEEDS,
)) {
  for (const mode of ['implicit', 'musttls'] as const) {
    test(`${mode}: a responder that ${what} is told in one line; clients get in without a status`, async (t) => {
      const { gateway, responder } = await openScene(t, { mode, aheadMs, prepare });
      if (waits) {
        await responder.question(1);
        assert.equal(await statusOf(gateway, IMAP, mode), null, 'while it is waited for');
        await gateway.advance(10_000);
      }
      assertLine(await gateway.logged(isOcsp), { event, cause, responder: responder.url });
      assert.equal(await statusOf(gateway, IMAP, mode), null);
      assert.equal(gateway.lines.filter(isOcsp).length, 1);
    });
  }
}
