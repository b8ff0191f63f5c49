// Notices in place of mailboxes: read by the supervisor, refused with the file's name where they are none, watched.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { ServiceSettings } from '../../src/config/settings.ts';
import { explain } from '../../src/log.ts';
import { SPOOF_BYTES_MAX } from '../../src/protocol/pop3-spoof.ts';
import { materialFiles } from '../../src/service/material.ts';
import { readSpoofs, spoofOf } from '../../src/service/spoofs.ts';
import { service, settingsOf } from './stub-supervisor.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-spoofs-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function pop3(
  message: string | null,
  when: ServiceSettings['spoof']['when'] = ['unreachable'],
): ServiceSettings {
  return { ...service('pop3'), protocol: 'pop3', spoof: { message, when } };
}

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text, 'latin1');
  return path;
}

function mistakesOf(message: string): string[] {
  const mistakes: string[] = [];
  readSpoofs(settingsOf([pop3(message)]), (error, where) => mistakes.push(`${explain(error)}${where}`));
  return mistakes.map((mistake) => mistake.replace(`${folder}/`, ''));
}

test('a message is read for its service and watched; without one the mailbox is empty; without `when` there is none', () => {
  const away = file('away.eml', 'Subject: away\n\nUntil noon, caf\xe9.\n');
  const settings = settingsOf([pop3(away)]);
  const spoofs = readSpoofs(settings, (error) => {
    throw error;
  });
  const spoof = spoofOf(pop3(away), spoofs);
  assert.equal(spoof?.message?.text, 'Subject: away\r\n\r\nUntil noon, caf\xe9.\r\n');
  assert.ok(materialFiles(settings).includes(away));
  assert.deepEqual(spoofOf(pop3(null), { pop3: null }), { when: ['unreachable'], message: null });
  assert.equal(spoofOf(pop3(away, []), spoofs), null);
});

test('a file that is missing, none, too large or no message is refused by its name', () => {
  const where = '(for services.pop3.spoof.message)';
  const large = file('large.eml', `Subject: x\n\n${'x\n'.repeat(SPOOF_BYTES_MAX / 2)}`);
  assert.match(
    mistakesOf(join(folder, 'no.eml'))[0] ?? '',
    /^no\.eml: the message cannot be read \(.*ENOENT/,
  );
  assert.deepEqual(mistakesOf(large), [
    `large.eml: expected a file of at most ${SPOOF_BYTES_MAX} bytes ${where}`,
  ]);
  assert.match(mistakesOf(folder)[0] ?? '', /expected a file of at most/);
  assert.deepEqual(mistakesOf(file('text.eml', 'We are away.\n')), [
    `text.eml: expected a message that begins with header lines, such as "Subject: …" ${where}`,
  ]);
});
