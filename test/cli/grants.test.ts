// `sallyport grants`: its lines, its requests, and what it refuses; answered by a control socket of the test's own.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { grantLine, grants } from '../../src/cli/grants.ts';
import { type Program, runCommand } from '../../src/cli/usage.ts';
import type { PopBeforeSmtpSettings } from '../../src/config/settings.ts';
import type { Grant, GrantFilter } from '../../src/policy/grants.ts';
import { isMeant } from '../../src/policy/grants.ts';
import type { ControlAnswer, ControlCommands, ControlRequest } from '../../src/service/control.ts';
import { openControl } from '../../src/service/control.ts';
import { askGrants } from '../../src/service/grants/answers.ts';
import { realWorld } from '../../src/world.ts';

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);
const rules: PopBeforeSmtpSettings = {
  channel: 'tcp_intranet',
  ttlMs: 900_000,
  protocols: ['pop3'],
  prefix6: 64,
  tell: [],
  excluded: [],
};
const table: (readonly [string, Grant])[] = [
  ['192.0.2.7', { user: 'anna', service: 'pop3', at: NOW - 60_000 }],
  ['2001:db8:1:2::/64', { user: 'Bert\u001b[2J', service: 'pop3s', at: NOW }],
];
let pending = false;
let isOn = true;
const state = {
  now: NOW,
  get grantRules() {
    return isOn ? rules : null;
  },
  listGrants: async (filter: GrantFilter) => table.filter((one) => isMeant(one, filter)),
  revokeGrants: async (filter: GrantFilter) => ({
    revoked: table.filter((one) => isMeant(one, filter)).length,
    isPending: pending,
  }),
};

const folder = mkdtempSync(join(tmpdir(), 'sallyport-cli-'));
const settingsFile = join(folder, 'sallyport.yaml');
writeFileSync(settingsFile, 'dataDir: ./data\n');
const unasked = (): Promise<ControlAnswer> => assert.fail('another command was asked');
const commands: ControlCommands = {
  status: unasked,
  reload: unasked,
  restart: unasked,
  drain: unasked,
  backend: unasked,
  sessions: unasked,
  kick: unasked,
  move: unasked,
  acme: unasked,
  grants: (request: ControlRequest) => askGrants(state, request),
};
const control = await openControl(join(folder, 'data'), commands, realWorld);
if (typeof control === 'string') assert.fail(control);
after(async () => {
  await control.close();
  rmSync(folder, { recursive: true, force: true });
});

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const said = { out: '', err: '' };
  const program: Program = {
    version: '0',
    entry: '',
    world: realWorld,
    out: (text) => (said.out += text),
    err: (text) => (said.err += text),
    exit: () => assert.fail('it ended'),
  };
  const code = await runCommand(grants, [...args, '--config', settingsFile], program);
  return { code, ...said };
}

test('the list shows who earned what, newest first, and what a stranger chose does nothing to the terminal', async () => {
  const { code, out, err } = await run();
  assert.deepEqual([code, err], [0, '2 grants\n']);
  const [bert = '', anna] = out.split('\n');
  assert.equal(anna, '192.0.2.7  anna  by pop3  2026-01-02T03:03:05.000Z  840 s left');
  assert.match(bert, /^2001:db8:1:2::\/64 {2}Bert/);
  assert.equal(bert.includes('\u001b'), false);
  const line = { address: 'a', user: 'u', service: 's', since: 't', secondsLeft: 1 };
  assert.equal(grantLine(line), 'a  u  by s  t  1 s left\n');
});

test('it is filtered by user and by address, and told as JSON', async () => {
  const byUser = await run('--user', 'ANNA', '--json');
  assert.deepEqual(JSON.parse(byUser.out), {
    count: 1,
    channel: 'tcp_intranet',
    grants: [
      {
        address: '192.0.2.7',
        user: 'anna',
        service: 'pop3',
        since: '2026-01-02T03:03:05.000Z',
        secondsLeft: 840,
      },
    ],
  });
  assert.match((await run('--address', '2001:db8:1:2::5')).out, /^2001:db8:1:2::\/64 /);
  assert.equal((await run('--address', '198.51.100.1')).out, '');
});

test('revoke takes an address, a user or --all, and nothing less', async () => {
  assert.equal((await run('revoke', '192.0.2.7')).out, 'revoked 1 grant\n');
  assert.equal((await run('revoke', '--user', 'anna')).out, 'revoked 1 grant\n');
  assert.equal((await run('revoke', '--all')).out, 'revoked 2 grants\n');
  const bare = await run('revoke');
  assert.deepEqual([bare.code, bare.err], [1, 'expected what to revoke: an address, a user, or all\n']);
  const wrong = await run('revoke', 'anna');
  assert.match(wrong.err, /address: expected an address or a network/);
  assert.equal(wrong.code, 1);
});

test('a revocation that the store has not heard of is done, and said to be half done', async () => {
  pending = true;
  const { code, out, err } = await run('revoke', '--all');
  pending = false;
  assert.deepEqual([code, out], [1, 'revoked 2 grants\n']);
  assert.match(err, /the store is not reached/);
});

test('other words, an address twice and --all without revoke are wrong usage', async () => {
  for (const args of [['remove'], ['revoke', '192.0.2.7', '--address', '192.0.2.7'], ['--all']]) {
    const { code, out, err } = await run(...args);
    assert.deepEqual([code, out], [64, ''], args.join(' '));
    assert.match(err, /^sallyport grants: /);
  }
});

test('without popBeforeSmtp it says so', async () => {
  isOn = false;
  const { code, err } = await run();
  isOn = true;
  assert.deepEqual([code, err], [1, 'there are no grants: popBeforeSmtp.channel is not set\n']);
});
