import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';

import { createLog } from '../../src/log.ts';
import type { CheckReport } from '../../src/service/backends/checks.ts';
import type { FromWorker, ToWorker } from '../../src/service/messages.ts';
import { restartDelay, WorkerProcess } from '../../src/service/worker-process.ts';
import { manualWorld } from '../support/manual-world.ts';

class StubChild extends EventEmitter {
  readonly sent: ToWorker[] = [];
  readonly signals: string[] = [];
  readonly pid: number | undefined;
  connected = true;

  constructor(pid: number | undefined) {
    super();
    this.pid = pid;
  }

  send(message: ToWorker): void {
    this.sent.push(message);
  }

  kill(signal: string): void {
    this.signals.push(signal);
  }

  say(message: FromWorker): void {
    this.emit('message', message);
  }

  die(code: number | null, signal: string | null = null): void {
    this.connected = false;
    this.emit('close', code, signal);
  }
}

function startWorker(fork?: () => ChildProcess) {
  const clock = manualWorld();
  const children: StubChild[] = [];
  const events: Record<string, unknown>[] = [];
  const makeChild = (): ChildProcess => {
    const child = new StubChild(1000 + children.length);
    children.push(child);
    return child as unknown as ChildProcess;
  };
  let ready = 0;
  const reports: CheckReport[] = [];
  const worker = new WorkerProcess({
    index: 1,
    fork: fork ?? makeChild,
    introduce: (send) => send({ kind: 'begin' }),
    onReady: () => ready++,
    onListenFailed: () => {},
    onChecked: (_worker, report) => reports.push(report),
    log: createLog({ level: 'debug', format: 'json', write: (line) => events.push(JSON.parse(line)) }),
    world: clock,
  });
  worker.start();
  const last = (): StubChild => children.at(-1)!;
  return { worker, clock, children, events, reports, last, ready: () => ready };
}

test('the waits between restarts are 0, 100 ms, and then double to 30 s', () => {
  const waits: number[] = [];
  for (let i = 0, last: number | null = null; i < 12; i++) waits.push((last = restartDelay(last)));
  assert.deepEqual(waits, [0, 100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
});

test('a worker that dies is started again and introduced anew', () => {
  const { worker, children, events } = startWorker();
  children[0]!.say({ kind: 'ready' });
  assert.equal(worker.state, 'ready');
  children[0]!.die(null, 'SIGKILL');
  assert.equal(children.length, 2);
  assert.deepEqual(children[1]!.sent, [{ kind: 'begin' }]);
  assert.deepEqual([worker.restarts, worker.pid, worker.state], [1, 1001, 'starting']);
  assert.deepEqual([events[0]?.['event'], events[0]?.['cause']], ['worker-died', 'SIGKILL']);
});

test('a worker that keeps dying is waited for, and one that lived long is not', () => {
  const { clock, children, last } = startWorker();
  last().die(1);
  last().die(1);
  assert.equal(children.length, 2);
  clock.advance(99);
  assert.equal(children.length, 2);
  clock.advance(1);
  assert.equal(children.length, 3);
  last().say({ kind: 'ready' });
  clock.advance(10_000);
  last().die(1);
  assert.equal(children.length, 4);
});

test('a worker that is not ready in time is killed', () => {
  const { clock, last } = startWorker();
  clock.advance(30_000);
  assert.deepEqual(last().signals, ['SIGKILL']);
});

test('a worker that was ready in time is left alone', () => {
  const { clock, last, ready } = startWorker();
  last().say({ kind: 'ready' });
  clock.advance(60_000);
  assert.deepEqual([last().signals, ready()], [[], 1]);
});

test('a question is answered by its reply, and by nothing after the limit or a death', async () => {
  const { worker, clock, last } = startWorker();
  const answered = worker.ask((id) => ({ kind: 'counters', id }), 1000);
  const id = (last().sent.at(-1) as { id: number }).id;
  last().say({ kind: 'reply', id, answer: { open: 7 } });
  assert.deepEqual(await answered, { open: 7 });
  const late = worker.ask((next) => ({ kind: 'counters', id: next }), 1000);
  clock.advance(1000);
  assert.equal(await late, null);
  const orphaned = worker.ask((next) => ({ kind: 'counters', id: next }), 1000);
  last().die(1);
  assert.equal(await orphaned, null);
});

test('a drained worker is not started again', async () => {
  const { worker, children, last } = startWorker();
  const drained = worker.drain(5000);
  assert.deepEqual(last().sent.at(-1), { kind: 'drain', graceMs: 5000, newcomersMs: 0 });
  last().say({ kind: 'drained', cut: 3 });
  last().die(0);
  assert.deepEqual(await drained, { cut: 3 });
  assert.equal(children.length, 1);
});

test('a worker that overstays its grace is killed and counts as lost', async () => {
  const { worker, clock, last } = startWorker();
  const drained = worker.drain(5000);
  clock.advance(5000);
  assert.deepEqual(last().signals, []);
  clock.advance(5000);
  assert.deepEqual(last().signals, ['SIGKILL']);
  last().die(null, 'SIGKILL');
  assert.deepEqual(await drained, { cut: null });
});

test('a drain while no process lives ends at once and stops the restart', async () => {
  const { worker, clock, children, last } = startWorker();
  last().die(1);
  last().die(1);
  assert.equal(worker.state, 'waiting');
  await worker.drain(5000);
  clock.advance(60_000);
  assert.equal(children.length, 2);
});

test('a fork that fails is tried again later', () => {
  let forks = 0;
  const { clock, events } = startWorker(() => {
    forks++;
    throw new Error('spawn EAGAIN');
  });
  assert.equal(forks, 2);
  clock.advance(100);
  assert.equal(forks, 3);
  assert.equal(events[0]?.['cause'], 'spawn EAGAIN');
});

test('a message that is none is ignored', () => {
  const { worker, last } = startWorker();
  for (const value of [null, 1, 'ready', {}, { kind: 'nonsense' }, []]) last().emit('message', value);
  assert.equal(worker.state, 'starting');
});

test('what a worker says is looked at: nonsense is dropped, and a report comes through, shortened', () => {
  const { children, reports } = startWorker();
  const report = { backend: 'stores', server: 'one:143', mark: 'down', cause: 'x'.repeat(10_000) };
  const nonsense: unknown[] = [
    null,
    'ready',
    { kind: 'checked' },
    { kind: 'checked', report: null },
    { kind: 'checked', report: { ...report, backend: { toString: 1 } } },
    { kind: 'checked', report: { ...report, server: 143 } },
    { kind: 'checked', report: { ...report, mark: 'drained' } },
    { kind: 'listen-failed', key: 1, code: null },
    { kind: 'reply', id: '1', answer: 1 },
    { kind: 'drained', cut: 'many' },
  ];
  for (const message of nonsense) children[0]!.emit('message', message);
  assert.deepEqual(reports, []);
  children[0]!.emit('message', { kind: 'checked', report: { ...report, more: 1 } });
  assert.deepEqual(reports, [{ ...report, cause: 'x'.repeat(500) }]);
});
