// A sallyport.yaml in a temporary folder of its own that goes when the test ends.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

export function settingsFile(t: TestContext, text: string | Uint8Array): { file: string; folder: string } {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-settings-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'sallyport.yaml');
  writeFileSync(file, text);
  return { file, folder };
}
