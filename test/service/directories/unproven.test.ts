// A password that nobody checks logs nobody in: every pairing of who verifies, how the backend is logged in to, which
// directory there is and how the service comes to the backend, with what `check` says of it.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { stringify } from 'yaml';
import { SettingsError } from '../../../src/errors.ts';
import { createConfigurationSource } from '../../../src/service/configuration.ts';
import { realWorld } from '../../../src/world.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-unproven-'));
after(() => rmSync(folder, { recursive: true, force: true }));
writeFileSync(join(folder, 'plain.yaml'), 'anna: {}\n', { mode: 0o600 });
writeFileSync(join(folder, 'leading.yaml'), '"*": { backend: { imap: apart, pop3: apart } }\n', {
  mode: 0o600,
});

const VERIFY = { backend: 'backend', directory: 'directory', store: { store: 'store' } } as const;
const DIRECTORIES = {
  none: { type: 'none' },
  file: { type: 'file', file: 'plain.yaml' },
  http: { type: 'http', http: { url: 'http://127.0.0.1:9/auth' } },
} as const;
/** How the service comes to the backend in question. */
const WAYS = ['its own', 'a switch of channels', 'the file of users'] as const;
const ADMIN = { login: 'proxy', admin: { user: 'admin', password: 'secret' } };

interface Row {
  readonly verify: keyof typeof VERIFY;
  readonly login: 'replay' | 'proxy';
  readonly directory: keyof typeof DIRECTORIES;
  readonly way: (typeof WAYS)[number];
}

const ROWS: readonly Row[] = Object.keys(VERIFY).flatMap((verify) =>
  (['replay', 'proxy'] as const).flatMap((login) =>
    Object.keys(DIRECTORIES).flatMap((directory) =>
      WAYS.filter((way) => way !== 'the file of users' || directory === 'file').map(
        (way) => ({ verify, login, directory, way }) as Row,
      ),
    ),
  ),
);

/** What is open: nobody would check. */
function isOpen({ verify, login, directory }: Row): boolean {
  return (verify === 'backend' && login === 'proxy') || (verify === 'directory' && directory === 'none');
}

function settingsOf({ verify, login, directory, way }: Row): string {
  const target = login === 'proxy' ? ADMIN : {};
  const smtp = way === 'a switch of channels';
  return stringify({
    directory: way === 'the file of users' ? { type: 'file', file: 'leading.yaml' } : DIRECTORIES[directory],
    services: {
      mail: {
        protocol: smtp ? 'smtp' : 'imap',
        listen: '127.0.0.1:0',
        verify: VERIFY[verify],
        ...(smtp ? { channel: 'first' } : { backend: way === 'its own' ? 'apart' : 'other', tls: 'notls' }),
      },
    },
    ...(smtp
      ? {
          channels: {
            first: { keywords: 'notlsserver maysaslserver saslswitchchannel second', relay: 'other' },
            second: { keywords: 'notlsserver maysaslserver', relay: 'apart' },
          },
        }
      : {}),
    backends: {
      apart: { servers: '127.0.0.1:1', ...target },
      other: { servers: '127.0.0.1:2' },
      store: { servers: '127.0.0.1:3' },
    },
  });
}

for (const [index, row] of ROWS.entries()) {
  const { verify, login, directory, way } = row;
  const open = isOpen(row);
  test(`verify: ${verify}, login: ${login} by ${way}, directory ${directory}: ${open ? 'refused' : 'taken'}`, async () => {
    const file = join(folder, `row${index}.yaml`);
    writeFileSync(file, settingsOf(row));
    const loading = createConfigurationSource({ file, world: realWorld, missing: 'foresee' }).load();
    if (!open) return void (await loading);
    await assert.rejects(loading, (error: unknown) => {
      assert.ok(error instanceof SettingsError);
      assert.match(error.message, /nobody would check the password/);
      assert.equal(error.mistakes.length, 1, error.message);
      return true;
    });
  });
}

/** By what the service says and what the address does: the place that is named, null: it is taken. */
const ADDRESSES = [
  ['directory', 'backend', 'services.mail.domains."127.0.0.2".verify'],
  ['backend', 'directory', 'services.mail.verify'],
  ['directory', { store: 'store' }, null],
  ['directory', null, null],
  ['backend', null, 'services.mail.verify'],
] as const;

for (const [index, [verify, own, place]] of ADDRESSES.entries()) {
  for (const named of [true, false]) {
    const way = named ? 'the file of users' : 'its own';
    test(`verify: ${verify}, at an address ${JSON.stringify(own)}, login: proxy by ${way}: ${place ?? 'taken'}`, async () => {
      const file = join(folder, `address${index}${named}.yaml`);
      const mail = {
        protocol: 'imap',
        listen: '127.0.0.1:0',
        tls: 'notls',
        backend: named ? 'other' : 'apart',
        verify,
        domains: { '127.0.0.2': { ...(own === null ? {} : { verify: own }), mechanisms: ['PLAIN'] } },
      };
      const backends = {
        apart: { servers: '127.0.0.1:1', ...ADMIN },
        other: { servers: '127.0.0.1:2' },
        store: { servers: '127.0.0.1:3' },
      };
      const directory = { type: 'file', file: named ? 'leading.yaml' : 'plain.yaml' };
      writeFileSync(file, stringify({ directory, services: { mail }, backends }));
      const loading = createConfigurationSource({ file, world: realWorld, missing: 'foresee' }).load();
      if (place === null) return void (await loading);
      await assert.rejects(loading, (error: unknown) => {
        assert.ok(error instanceof SettingsError);
        assert.match(error.message, /nobody would check the password/);
        assert.equal(error.mistakes.length, 1, error.message);
        assert.ok(error.message.includes(`${place}:`), error.message);
        return true;
      });
    });
  }
}
