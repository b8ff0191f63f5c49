// What a worker's collector goes by: the memory that buffers hold, not all that was ever allocated in them.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

import { memoryFlag } from '../../src/cli/collector.ts';

const COLLECTOR = join(import.meta.dirname, '../../src/cli/collector.ts');

/** Full collections while a gibibyte goes through buffers of which none is kept, beside a heap that is. */
function fullCollections(before: string): number {
  const program = `
    ${before}
    const { PerformanceObserver, constants } = await import('node:perf_hooks');
    let full = 0;
    const count = (list) => {
      for (const { detail } of list.getEntries()) if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) full++;
    };
    const observer = new PerformanceObserver(count);
    observer.observe({ entryTypes: ['gc'] });
    const kept = Array.from({ length: 200_000 }, (_, i) => ({ i }));
    for (let i = 0; i < 16_384; i++) {
      Buffer.allocUnsafeSlow(65_536);
      if (i % 64 === 0) await new Promise(setImmediate);
    }
    count({ getEntries: () => observer.takeRecords() });
    console.log(kept.length > 0 ? full : -1);
  `;
  const output = execFileSync(process.execPath, ['--input-type=module', '--eval', program], {
    encoding: 'utf8',
  });
  return Number(output);
}

test('a V8 before 14.8 is told, a later one does so by itself and knows the flag no more', () => {
  for (const version of ['13.6.233.10-node.28', '14.6.202.34-node.34', '14.7.1']) {
    assert.equal(memoryFlag(version), '--external-memory-accounted-in-global-limit');
  }
  for (const version of ['14.8.1', '14.10.2', '15.0.3-node.1']) assert.equal(memoryFlag(version), null);
});

/** Of three runs, since one alone may mark a few times more or less, as the machine is busy with other things. */
const ofThree = (before: string): number => [1, 2, 3].reduce((sum) => sum + fullCollections(before), 0);

test('buffers that nobody keeps make the whole heap be marked over and over where a V8 that has to be told is not', (t) => {
  const told = ofThree(`(await import(${JSON.stringify(COLLECTOR)})).countMemoryThatIsHeld();`);
  assert.ok(told <= 15, `${told} times in three runs`);
  if (memoryFlag(process.versions.v8) === null) return t.diagnostic('this V8 needs no flag');
  const untold = ofThree('');
  assert.ok(untold > told, `${untold} times untold, ${told} told`);
});
