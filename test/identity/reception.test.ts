// The cache before a directory: what is remembered, for how long, and what one search is enough for.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CertMapping } from '../../src/config/legacy/certmap.ts';
import { GateError } from '../../src/errors.ts';
import type { Answer, Directory, Login } from '../../src/identity/directory.ts';
import { plainAccount } from '../../src/identity/everyone.ts';
import { splitLoginId } from '../../src/identity/login-id.ts';
import { Reception, type Ruling } from '../../src/identity/reception.ts';
import { createLog } from '../../src/log.ts';
import type { CertificateNames } from '../../src/tls/certificate-names.ts';
import { manualWorld } from '../support/manual-world.ts';

const CACHE = { size: 100, ttlMs: 60_000, missTtlMs: 5000, passwordTtlMs: 30_000 };
const RULES = { defaultDomain: null, delimiters: '@', canonicalDelimiter: '@' };

function login(id: string): Login {
  return {
    id,
    service: 'imap',
    protocol: 'imap',
    tls: false,
    client: { address: '192.0.2.7', port: 1 },
    server: { address: '198.51.100.1', port: 143 },
    certificateSubject: null,
  };
}

interface Scene {
  readonly searches: string[];
  readonly proofs: string[];
  down: boolean;
  secrets: readonly string[];
  readonly events: unknown[];
  readonly reception: Reception;
  readonly ask: (id: string, password?: string | null) => Promise<Ruling>;
  readonly pass: (ms: number) => void;
}

function scene(
  more: Partial<Directory> & { proves?: boolean } = {},
  cache: Partial<typeof CACHE> = {},
): Scene {
  const world = manualWorld();
  const made = {
    searches: [] as string[],
    proofs: [] as string[],
    down: false,
    secrets: ['right'] as readonly string[],
    events: [] as unknown[],
  };
  const { proves = false, ...rest } = more;
  const directory: Directory = {
    async find({ id }, password): Promise<Answer> {
      made.searches.push(password === null ? id : `${id} ${password}`);
      await Promise.resolve();
      if (made.down) throw new GateError('DIRECTORY_DOWN');
      if (id.startsWith('no')) return { kind: 'nobody' };
      const account = { ...plainAccount(splitLoginId(id, RULES)), secrets: made.secrets };
      return {
        kind: 'account',
        account,
        proof: password === null ? null : password === 'right' ? 'right' : 'wrong',
      };
    },
    ...(proves
      ? {
          async prove(_login, _account, password) {
            made.proofs.push(password);
            await Promise.resolve();
            if (made.down) throw new GateError('DIRECTORY_DOWN');
            return password === 'right' ? 'right' : 'wrong';
          },
        }
      : {}),
    close: () => undefined,
    ...rest,
  };
  const log = createLog({
    level: 'info',
    format: 'json',
    write: (line) => void made.events.push((JSON.parse(line) as { event: unknown }).event),
  });
  const reception = new Reception({ directory, cache: { ...CACHE, ...cache }, world, log });
  return Object.assign(made, {
    reception,
    ask: (id: string, password: string | null = null) =>
      reception.ask({ login: login(id), password, checker: password === null ? 'others' : 'directory' }),
    pass: (ms: number) => world.advance(ms),
  });
}

const proofOf = (ruling: Ruling): unknown => (ruling.kind === 'account' ? ruling.proof : ruling.kind);

test('a hundred simultaneous logins of one user are one search, whatever their passwords', async () => {
  const it = scene({ proves: true });
  const asked = Array.from({ length: 100 }, (_, number) =>
    it.ask('anna', number % 2 === 0 ? 'right' : 'guess'),
  );
  const proofs = (await Promise.all(asked)).map(proofOf);
  assert.deepEqual(it.searches, ['anna']);
  assert.deepEqual(it.proofs.toSorted(), ['guess', 'right']);
  assert.equal(proofs.filter((proof) => proof === 'right').length, 50);
});

test('users are remembered for their time, and no longer', async () => {
  const it = scene();
  await it.ask('anna');
  it.pass(59_000);
  await it.ask('anna');
  assert.equal(it.searches.length, 1);
  it.pass(2000);
  await it.ask('anna');
  assert.equal(it.searches.length, 2);
});

test('users that are not there are remembered for a shorter time', async () => {
  const it = scene();
  for (let time = 0; time < 2; time++) assert.equal((await it.ask('nobody')).kind, 'nobody');
  assert.equal(it.searches.length, 1);
  it.pass(6000);
  await it.ask('nobody');
  assert.equal(it.searches.length, 2);
});

test('a changed password works at once where it is compared, and a wrong one is a search where users are remembered', async () => {
  const it = scene();
  assert.equal(proofOf(await it.ask('anna', 'right')), 'right');
  it.secrets = ['changed'];
  assert.equal(proofOf(await it.ask('anna', 'changed')), 'right');
  assert.equal(proofOf(await it.ask('anna', 'changed')), 'right');
  assert.deepEqual(it.searches, ['anna', 'anna']);
  for (const password of ['right', 'guess']) assert.equal(proofOf(await it.ask('anna', password)), 'wrong');
  assert.equal(it.searches.length, 4);
  it.down = true;
  assert.equal(proofOf(await it.ask('anna', 'guess')), 'wrong');
  assert.equal(proofOf(await it.ask('anna', 'changed')), 'right');
});

test('whom a wrong secret has thrown doubt on is searched anew, and so is nobody', async () => {
  const it = scene();
  for (const id of ['anna', 'nobody']) {
    await it.ask(id);
    it.reception.doubt(login(id));
    await it.ask(id);
  }
  assert.deepEqual(it.searches, ['anna', 'anna', 'nobody', 'nobody']);
});

test('a right password is remembered, a wrong one is not', async () => {
  const it = scene({ proves: true });
  for (let time = 0; time < 3; time++) assert.equal(proofOf(await it.ask('anna', 'right')), 'right');
  for (let time = 0; time < 3; time++) assert.equal(proofOf(await it.ask('anna', 'guess')), 'wrong');
  assert.deepEqual(it.proofs, ['right', 'guess', 'guess', 'guess']);
  it.pass(31_000);
  await it.ask('anna', 'right');
  assert.equal(it.proofs.length, 5);
});

test('when the user is searched anew, the password is proven anew', async () => {
  const it = scene({ proves: true }, { ttlMs: 10_000 });
  await it.ask('anna', 'right');
  it.pass(11_000);
  await it.ask('anna', 'right');
  assert.equal(it.proofs.length, 2);
});

test('while the directory is down those who are remembered are let in, others are told to come later', async () => {
  const it = scene({ proves: true });
  await it.ask('anna', 'right');
  it.down = true;
  assert.equal(proofOf(await it.ask('anna', 'right')), 'right');
  for (const id of ['bob', 'carl']) await assert.rejects(it.ask(id, 'right'), { code: 'DIRECTORY_DOWN' });
  await assert.rejects(it.ask('anna', 'guess'), { code: 'DIRECTORY_DOWN' });
  it.down = false;
  await it.ask('bob', 'right');
  assert.deepEqual(it.events, ['directory-down', 'directory-up']);
});

test('a failure is not remembered', async () => {
  const it = scene();
  it.down = true;
  await assert.rejects(it.ask('anna'));
  it.down = false;
  assert.equal((await it.ask('anna')).kind, 'account');
});

test('no more users are remembered than the size says, the longest unused go', async () => {
  const it = scene({}, { size: 2 });
  for (const id of ['a', 'b', 'a', 'c', 'a', 'b']) await it.ask(id);
  assert.deepEqual(it.searches, ['a', 'b', 'c', 'b']);
});

test('stored values are compared where the directory has them, and an empty password is never right', async () => {
  const it = scene();
  assert.deepEqual(
    [
      proofOf(await it.ask('anna', 'right')),
      proofOf(await it.ask('anna', 'guess')),
      proofOf(await it.ask('anna', '')),
    ],
    ['right', 'wrong', 'wrong'],
  );
  assert.deepEqual(it.searches, ['anna', 'anna']);
});

test('a user without stored values is asked for with the password, and is right only if the directory says so', async () => {
  const it = scene();
  it.secrets = [];
  assert.deepEqual(
    [proofOf(await it.ask('anna', 'right')), proofOf(await it.ask('anna', 'guess'))],
    ['right', 'wrong'],
  );
  assert.deepEqual(it.searches, ['anna', 'anna right', 'anna guess']);
});

test('a user without stored values is not let in by the password of somebody else', async () => {
  const it = scene({
    find: async ({ id }) => ({
      kind: 'account',
      account: { ...plainAccount(splitLoginId(id, RULES)), secrets: id === 'anna' ? ['right'] : [] },
      proof: null,
    }),
  });
  assert.equal(proofOf(await it.ask('anna', 'right')), 'right');
  const ruling = await it.ask('bert', 'right');
  assert.deepEqual([proofOf(ruling), ruling.kind === 'account' && ruling.hasNoPassword], ['wrong', true]);
});

test('what a domain says of checks wins over the service', async () => {
  const account = { ...plainAccount(splitLoginId('anna', RULES)), secrets: ['right'] };
  for (const [preAuth, password, expected] of [
    [false, 'guess', null],
    [true, 'guess', 'wrong'],
    [true, 'right', 'right'],
  ] as const) {
    const it = scene({
      find: async () => ({ kind: 'account', account: { ...account, preAuth }, proof: null }),
    });
    const checker = preAuth ? 'others' : 'directory';
    const ruling = await it.reception.ask({ login: login('anna'), password, checker });
    assert.equal(proofOf(ruling), expected);
  }
});

test('a directory that needs the password is asked each time where nothing is to be remembered', async () => {
  const it = scene({ needsPassword: true }, { ttlMs: 0 });
  for (let time = 0; time < 2; time++) assert.equal(proofOf(await it.ask('anna', 'right')), 'right');
  assert.equal(proofOf(await it.ask('anna', 'guess')), 'wrong');
  assert.equal(it.searches.length, 3);
});

test('such answers are remembered by user and password where the settings say so, and wrong ones are not', async () => {
  const it = scene({ needsPassword: true });
  for (const password of ['right', 'right', 'guess', 'guess']) await it.ask('anna', password);
  assert.deepEqual(it.searches, ['anna right', 'anna guess', 'anna guess']);
});

test('what is judged by the directory itself is asked each time, whatever is remembered of others', async () => {
  const asked: string[] = [];
  const account = plainAccount(splitLoginId('anna', RULES));
  const it = scene({
    judges: new Set(['digest'] as const),
    judge: async (_login, shown) => {
      asked.push(shown.mechanism);
      return { kind: 'account', account, proof: 'right' };
    },
  });
  const shown = { kind: 'digest', mechanism: 'APOP', challenge: '<1@x>', digest: '00' } as const;
  for (let time = 0; time < 2; time++)
    assert.equal(proofOf(await it.reception.present(login('anna'), shown)), 'right');
  assert.deepEqual(asked, ['APOP', 'APOP']);
  assert.deepEqual([it.reception.judges('digest'), it.reception.judges('token')], [true, false]);
  assert.equal(scene().reception.judges('digest'), false);
});

function certified(byMail: NonNullable<Directory['byMail']>, cache: Partial<typeof CACHE> = {}) {
  const it = scene({ byMail }, cache);
  const identify = async (der: string, mappings: readonly CertMapping[] | null = null): Promise<string> => {
    const certificate: CertificateNames = {
      kind: 'names',
      subject: [[{ attribute: 'cn', value: 'anna' }]],
      issuer: [],
      mail: { alternative: ['anna@x.com'], subject: [] },
      der: Buffer.from(der),
    };
    return (await it.reception.identify({ login: login(''), certificate, mappings })).kind;
  };
  return { ...it, identify };
}

const anna = { kind: 'account', account: plainAccount(splitLoginId('anna', RULES)), steps: [] } as const;

test('whom a certificate stands for is asked once, by this certificate and these mappings, for its time', async () => {
  let asked = 0;
  const it = certified(async () => {
    asked++;
    return anna;
  });
  await Promise.all(Array.from({ length: 100 }, () => it.identify('one')));
  assert.equal(asked, 1);
  await it.identify('another');
  assert.equal(asked, 2);
  assert.equal(await it.identify('one', []), 'nobody');
  assert.equal(await it.identify('one'), 'account');
  assert.equal(asked, 2);
  it.pass(61_000);
  await it.identify('one');
  assert.equal(asked, 3);
});

test('that a certificate is nobody’s is remembered for a shorter time, what the directory refuses for none', async () => {
  let [asked, refuses] = [0, false];
  const it = certified(async () => {
    asked++;
    return refuses
      ? { kind: 'refused', temporary: true, text: 'later', steps: [] }
      : { kind: 'nobody', reason: 'not here', steps: [] };
  });
  await it.identify('one');
  await it.identify('one');
  assert.equal(asked, 1);
  it.pass(6000);
  refuses = true;
  await it.identify('one');
  await it.identify('one');
  assert.equal(asked, 3);
});

test('a directory that is down is no answer about a certificate, but what is remembered is', async () => {
  let down = false;
  const it = certified(async () => {
    if (down) throw new GateError('DIRECTORY_DOWN');
    return anna;
  });
  await it.identify('one');
  down = true;
  assert.equal(await it.identify('one'), 'account');
  await assert.rejects(it.identify('another'), { code: 'DIRECTORY_DOWN' });
  assert.deepEqual(it.events, ['directory-down']);
});

test('who is listed may act for anybody, of others the directory says it, and one that is down says nothing', async () => {
  const world = manualWorld();
  const asked: string[] = [];
  let down = false;
  const events: string[] = [];
  const reception = new Reception({
    directory: {
      find: () => Promise.reject(new Error('nobody is looked for')),
      async isAdministrator({ account }) {
        asked.push(account.user);
        if (down) throw new GateError('DIRECTORY_DOWN');
        return account.user === 'member';
      },
      close: () => undefined,
    },
    cache: CACHE,
    isAdmin: (_login, user) => user === 'boss',
    world,
    log: createLog({ level: 'info', format: 'text', write: (line) => void events.push(line) }),
  });
  const may = (user: string): Promise<boolean> =>
    reception.mayActFor({
      login: login(user),
      account: plainAccount(splitLoginId(user, RULES)),
      target: plainAccount(splitLoginId('anna', RULES)),
    });
  assert.deepEqual([await may('boss'), await may('member'), await may('anna')], [true, true, false]);
  assert.deepEqual(asked, ['member', 'anna']);
  down = true;
  await assert.rejects(may('member'), { code: 'DIRECTORY_DOWN' });
  await assert.rejects(may('member'), { code: 'DIRECTORY_DOWN' });
  assert.equal(await may('boss'), true);
  assert.equal(events.filter((line) => line.includes('directory-down')).length, 1);
});
