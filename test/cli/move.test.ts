// `sallyport move`: its lines, its requests, and what it refuses; answered by a control socket of the test's own.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { listLine, move } from '../../src/cli/move.ts';
import { type Program, runCommand } from '../../src/cli/usage.ts';
import type { ControlAnswer, ControlCommands, ControlRequest } from '../../src/service/control.ts';
import { openControl } from '../../src/service/control.ts';
import { realWorld } from '../../src/world.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-cli-'));
const settingsFile = join(folder, 'sallyport.yaml');
writeFileSync(settingsFile, 'dataDir: ./data\n');
const unasked = (): Promise<ControlAnswer> => assert.fail('another command was asked');
const asked: ControlRequest[] = [];
let answer: ControlAnswer = { ok: true };
const commands: ControlCommands = {
  status: unasked,
  reload: unasked,
  restart: unasked,
  drain: unasked,
  backend: unasked,
  sessions: unasked,
  kick: unasked,
  grants: unasked,
  acme: unasked,
  move: async (request) => {
    asked.push(request);
    return answer;
  },
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
  const code = await runCommand(move, [...args, '--config', settingsFile], program);
  return { code, ...said };
}

test('a move says where the user is now, for people and as JSON', async () => {
  answer = { ok: true, user: 'anna', moved: [{ backend: 'stores', to: 'store2.internal' }] };
  const { code, out } = await run('anna', 'store2.internal', '--backend', 'stores', '--wait', '5');
  assert.deepEqual([code, out], [0, 'anna: stores: now on store2.internal\n']);
  const { command, ...request } = asked.at(-1) ?? {};
  assert.equal(command, 'move');
  assert.deepEqual(request, {
    user: 'anna',
    server: 'store2.internal',
    backend: 'stores',
    back: false,
    wait: 5,
  });
  assert.deepEqual(JSON.parse((await run('anna', 'store2.internal', '--json')).out), {
    user: 'anna',
    moved: [{ backend: 'stores', to: 'store2.internal' }],
  });
  answer = { ok: true, user: 'anna', moved: [{ backend: 'stores', to: null }] };
  assert.equal((await run('anna', '--back')).out, 'anna: stores: back to where hashing puts it\n');
});

test('what the supervisor has to say besides goes to standard error', async () => {
  answer = {
    ok: true,
    user: 'anna',
    moved: [{ backend: 'stores', to: 'store2' }],
    note: 'but mind the step',
  };
  const { code, out, err } = await run('anna', 'store2');
  assert.deepEqual([code, out, err], [0, 'anna: stores: now on store2\n', 'but mind the step\n']);
});

test('a move that failed fails, in the words of the supervisor', async () => {
  answer = { ok: false, error: 'anna was not moved and is where it was: it took too long' };
  const { code, out, err } = await run('anna', 'store2');
  assert.deepEqual([code, out, err], [1, '', 'anna was not moved and is where it was: it took too long\n']);
});

test('the list shows who is where, who is being moved, and whose server is gone; a name does nothing to the terminal', async () => {
  const since = '2026-01-02T03:04:05.000Z';
  const one = { user: 'anna', backend: 'stores', server: 'store2', since, isMoving: false, isKnown: true };
  answer = { ok: true, count: 1, moves: [one] };
  const { code, out, err } = await run('--list');
  assert.deepEqual([code, out, err], [0, `anna  stores: store2  since ${since}\n`, '1 place\n']);
  assert.deepEqual(asked.at(-1), { command: 'move', list: true });
  assert.deepEqual(JSON.parse((await run('--list', '--json')).out), { count: 1, moves: [one] });
  assert.match(listLine({ ...one, isMoving: true }), / {2}being moved\n$/);
  assert.match(listLine({ ...one, isKnown: false }), / {2}the settings do not have it: hashing decides\n$/);
  assert.equal(listLine({ ...one, user: 'a\u001b[2J' }).includes('\u001b'), false);
});

test('other words are wrong usage', async () => {
  const before = asked.length;
  for (const args of [
    [],
    ['anna'],
    ['anna', 'store2', '--back'],
    ['anna', '--list'],
    ['anna', 'store2', '--wait', '0'],
    ['anna', 'store2', '--wait', 'long'],
  ]) {
    const { code, out, err } = await run(...args);
    assert.deepEqual([code, out], [64, ''], args.join(' '));
    assert.match(err, /^sallyport move: expected /);
  }
  assert.equal(asked.length, before);
});
