// A server that turns one client away once it knows who it is: that client is told to come later, or is served by the
// next server where all are alike; the server stays in use for everybody else. Three clients of different addresses that
// meet the same, with nobody served in between, are a broken server.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL, IMAP, POP3, SMTP } from '../support/dialects.ts';
import type { BackendCall, Gateway } from '../support/gateway.ts';
import { assertLine, openGateway } from '../support/gateway.ts';
import { imapStore, pop3Store } from '../support/stores.ts';
import { mta } from '../support/mta.ts';

const BANNED = '192.0.2.66';
const FIRST = '127.0.0.2:1001';
const NEXT = '127.0.0.3:1002';
const TELLS = { imap: 'id', pop3: 'xclient', smtp: 'xclient' } as const;

type Bans = (address: string) => boolean;

/** A polite store but for those that it turns away as soon as it is told of them, each in the protocol's own way. */
function store(protocol: 'imap' | 'pop3' | 'smtp', bans: Bans): (call: BackendCall) => Promise<void> {
  const polite = {
    imap: () => imapStore({ client: true }),
    pop3: () => pop3Store({ client: true }),
    smtp: () => mta({ xclient: 'ADDR PORT' }),
  }[protocol]();
  const farewell = { imap: '* BYE you again', pop3: '-ERR you again', smtp: '421 4.7.0 you again' }[protocol];
  return async (call) => {
    const { talk } = call;
    const line = talk.line.bind(talk);
    talk.line = async () => {
      const said = await line();
      const told = /(?:^XCLIENT .*ADDR=|x-originating-ip" ")([^ "]+)/i.exec(said)?.[1];
      if (told !== undefined && bans(told)) {
        talk.say(farewell);
        talk.finish();
      }
      return said;
    };
    if (typeof polite.script === 'function') await polite.script(call);
  };
}

const isDown = (gateway: Gateway): boolean => gateway.lines.some(({ event }) => event === 'backend-down');

for (const errands of ALL) {
  const { protocol } = errands;

  test(`${protocol}: with hash the banned client comes later, others are served by the same server meanwhile`, async (t) => {
    const gateway = openGateway(t, {
      protocol,
      backend: store(protocol, () => false),
      plans: { [FIRST]: store(protocol, (address) => address === BANNED) },
      to: { servers: [FIRST], balance: 'hash', client: [TELLS[protocol]] },
    });
    for (let number = 0; number < 5; number++) {
      const banned = await gateway.play(`${errands.greeting}\n${errands.tries}\n${errands.unavailable}`, {
        from: BANNED,
      });
      if (errands !== SMTP) await gateway.resume(banned, errands.logout);
    }
    await gateway.play(`${errands.greeting}\n${errands.login}\n${errands.logout}`);
    assertLine(await gateway.closed(), { code: null, user: 'anna', backend: FIRST });
    assert.equal(isDown(gateway), false);
  });

  test(`${protocol}: with roundRobin the next server serves the banned client, and the first one stays in use`, async (t) => {
    const gateway = openGateway(t, {
      protocol,
      backend: store(protocol, () => false),
      plans: { [FIRST]: store(protocol, (address) => address === BANNED) },
      to: { servers: [FIRST, NEXT], balance: 'priority', client: [TELLS[protocol]] },
    });
    for (let number = 0; number < 5; number++) {
      await gateway.play(`${errands.greeting}\n${errands.login}\n${errands.logout}`, { from: BANNED });
      assertLine(await gateway.closed(), { code: null, user: 'anna', backend: NEXT });
    }
    await gateway.play(`${errands.greeting}\n${errands.login}\n${errands.logout}`);
    assertLine(await gateway.closed(), { code: null, user: 'anna', backend: FIRST });
    assert.equal(isDown(gateway), false);
  });
}

for (const errands of ALL) {
  test(`${errands.protocol}: a server that is told by a PROXY header may ban before it greets, and stays in use too`, async (t) => {
    const polite = errands.store().script;
    const walled = async (call: BackendCall): Promise<void> => {
      const header = await call.talk.line();
      if (header.includes(` ${BANNED} `)) call.talk.finish();
      else if (typeof polite === 'function') await polite(call);
    };
    const gateway = openGateway(t, {
      protocol: errands.protocol,
      backend: walled,
      to: { servers: [FIRST], balance: 'hash', client: ['proxy-v1'] },
    });
    for (let number = 0; number < 5; number++) {
      const banned = await gateway.play(`${errands.greeting}\n${errands.tries}\n${errands.unavailable}`, {
        from: BANNED,
      });
      if (errands !== SMTP) await gateway.resume(banned, errands.logout);
    }
    await gateway.play(`${errands.greeting}\n${errands.login}\n${errands.logout}`);
    assertLine(await gateway.closed(), { code: null, user: 'anna', backend: FIRST });
    assert.equal(isDown(gateway), false);
  });
}

test('three clients of different addresses that are turned away are a server that is down', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: store('imap', () => false),
    plans: { [FIRST]: store('imap', () => true) },
    to: { servers: [FIRST, NEXT], balance: 'priority', client: ['id'] },
  });
  for (const from of ['192.0.2.1', '192.0.2.2', '192.0.2.2', '192.0.2.3', '192.0.2.4']) {
    await gateway.play(`${IMAP.greeting}\n${IMAP.login}\n${IMAP.logout}`, { from });
    await gateway.closed();
  }
  assert.deepEqual(gateway.dialled.slice(-3), [FIRST, NEXT, NEXT], 'the fifth is not brought to it');
  const down = await gateway.logged(({ event }) => event === 'backend-down');
  assert.deepEqual([down['because'], down['clients']], ['clients', ['192.0.2.1', '192.0.2.2', '192.0.2.3']]);
});

test('addresses of one IPv6 network are one client', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: store('imap', () => true),
    to: { servers: [FIRST], client: ['id'] },
  });
  for (let number = 1; number <= 5; number++) {
    await gateway.play(`${IMAP.greeting}\n${IMAP.tries}\n${IMAP.unavailable}\n${IMAP.logout}`, {
      from: `2001:db8::${number}`,
    });
  }
  assert.equal(isDown(gateway), false);
});

for (const errands of [IMAP, POP3]) {
  test(`${errands.protocol}: a server that hangs up on a password is not followed by another that gets it too`, async (t) => {
    const hangsUp = {
      imap: 'S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hello\nC: s1 AUTHENTICATE PLAIN *\n-- end',
      pop3: 'S: +OK hello\nC: CAPA\nS: +OK\nS: USER\nS: .\nC: USER anna\nS: +OK\nC: PASS secret\n-- end',
      smtp: '',
    }[errands.protocol];
    const gateway = openGateway(t, {
      protocol: errands.protocol,
      backend: errands.store().script,
      plans: { [FIRST]: hangsUp },
      to: { servers: [FIRST, NEXT], balance: 'priority' },
    });
    await gateway.play(`${errands.greeting}\n${errands.tries}\n${errands.unavailable}\n${errands.logout}`);
    assert.deepEqual(gateway.dialled, [FIRST]);
    assert.equal(isDown(gateway), false);
    assertLine(await gateway.logged(({ event }) => event === 'login-failed'), { code: 'BACKEND_CLOSED' });
  });
}

test('a wrong password says nothing against a server', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: imapStore({ accepts: () => false }).script,
    to: { servers: [FIRST] },
  });
  for (const from of ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4']) {
    await gateway.play(`${IMAP.greeting}\n${IMAP.tries}\n${IMAP.refused}\n${IMAP.logout}`, { from });
  }
  assert.equal(isDown(gateway), false);
});
