// The systemd unit that is shipped fits the settings that are shipped.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { defaultSettings } from '../../src/config/load.ts';

const unit = readFileSync(join(import.meta.dirname, '../../config/sallyport.service'), 'utf8');
const valueOf = (key: string): string => new RegExp(`^${key}=(.*)$`, 'm').exec(unit)?.[1] ?? '';

test('systemd waits longer than a drain may take, and reloads with the signal that we know', () => {
  assert.ok(Number(valueOf('TimeoutStopSec')) * 1000 > defaultSettings().timeouts.drainMs);
  assert.match(valueOf('ExecReload'), / -HUP \$MAINPID$/);
  assert.match(valueOf('ExecStart'), /sallyport serve --config \/etc\/sallyport\/sallyport\.yaml$/);
});

test('the unit has the data folder, the open files and the core files that the settings and warnings speak of', () => {
  assert.equal(`/var/lib/${valueOf('StateDirectory')}`, defaultSettings().dataDir);
  assert.ok(Number(valueOf('LimitNOFILE')) >= 4096);
  assert.equal(valueOf('LimitCORE'), '0');
  assert.equal(valueOf('MemoryDenyWriteExecute'), '', 'the runtime could not compile');
});
