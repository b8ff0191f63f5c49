// The file of users: what its entries mean, and every mistake in it with its line.

import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { readUserMap, type UserMap } from '../../src/config/user-map.ts';
import { SettingsError } from '../../src/errors.ts';
import { fileDirectory } from '../../src/identity/file-directory.ts';
import { NameBook } from '../../src/identity/login-id.ts';
import { isKnownScheme } from '../../src/identity/passwords/password.ts';

function write(t: TestContext, text: string | Buffer): string {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-users-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'users.yaml');
  writeFileSync(file, text, { mode: 0o600 });
  return file;
}

const context = { backends: ['one', 'two'], channels: ['tcp_auth'], isKnownScheme };
const read = (t: TestContext, text: string): UserMap => readUserMap(write(t, text), context);

function mistakes(t: TestContext, text: string | Buffer): string[] {
  const file = write(t, text);
  try {
    readUserMap(file, context);
  } catch (error) {
    if (error instanceof SettingsError) return error.mistakes.map((mistake) => mistake.replaceAll(file, 'F'));
    throw error;
  }
  return [];
}

const TEXT = `
anna@example.com: one
Bob@example.com: { backend: { imap: one, pop3: two }, login: "%U-store", mail: [bob@example.com, rob@example.com] }
carl@example.com: { channel: tcp_auth }
"sales-*@example.com": { server: [imap1.internal, "[2001:db8::1]:143"], status: hold }
"@example.com": two
"*": { server: "192.0.2.1:143", access: "+imap:ALL" }
`;

async function find(
  map: UserMap,
  id: string,
  protocol: 'imap' | 'pop3' = 'imap',
): Promise<Record<string, unknown>> {
  const names = new NameBook({ defaultDomain: 'example.com', delimiters: '@', canonicalDelimiter: '@' });
  const place = { address: '192.0.2.1', port: 1 };
  const login = {
    id,
    service: 'mail',
    protocol,
    tls: false,
    client: place,
    server: place,
    certificateSubject: null,
  };
  const answer = await fileDirectory(map, names).find(login, null);
  return answer.kind === 'account' ? { ...answer.account } : { kind: answer.kind };
}

const FOUND: readonly (readonly [id: string, Record<string, unknown>])[] = [
  [
    'anna',
    { user: 'anna@example.com', backend: 'one', replay: 'anna@example.com', mail: ['anna@example.com'] },
  ],
  ['ANNA@EXAMPLE.COM', { user: 'anna@example.com', backend: 'one' }],
  [
    'bob',
    {
      user: 'Bob@example.com',
      backend: 'one',
      replay: 'bob-store',
      mail: ['bob@example.com', 'rob@example.com'],
    },
  ],
  ['carl', { backend: null, channel: 'tcp_auth', hosts: [], status: 'active' }],
  ['dora', { channel: undefined }],
  ['sales-north', { hosts: ['imap1.internal', '[2001:db8::1]:143'], status: 'hold', mail: [] }],
  ['dora', { user: 'dora@example.com', backend: 'two' }],
  ['x@example.org', { hosts: ['192.0.2.1:143'], access: ['+imap:ALL'] }],
];

for (const [id, expected] of FOUND) {
  test(`${id} is found as the file says`, async (t) => {
    const account = await find(read(t, TEXT), id);
    for (const [key, value] of Object.entries(expected)) assert.deepEqual(account[key], value, key);
  });
}

test('a backend may differ by protocol, and who is in no entry is nobody', async (t) => {
  assert.equal((await find(read(t, TEXT), 'bob', 'pop3'))['backend'], 'two');
  assert.deepEqual(await find(read(t, 'anna: one\n'), 'bob'), { kind: 'nobody' });
  assert.deepEqual(await find(read(t, '# nobody yet\n'), 'bob'), { kind: 'nobody' });
});

test('every mistake is told with its line, and no password with any', (t) => {
  const found = mistakes(
    t,
    `anna: ones
bob: { backend: { imap: one, http: two }, servers: a, channel: tcp_aut }
carl: { server: "a b", login: "%X", status: sleeping, mail: nobody, access: "imap:ALL" }
dora: { password: ["{WHAT}hidden", "{SSHA}x"] }
DORA: one
emil: [one]
anna: two
`,
  );
  assert.deepEqual(found, [
    'F:7: anna: given twice',
    'F:2: bob.servers: unknown key, did you mean server?',
    'F:2: bob.backend.http: expected imap, pop3, smtp',
    'F:2: bob.channel: there is no channel "tcp_aut", did you mean tcp_auth?',
    'F:3: carl.login: expected a login for the store, in which %U is the user and %V the domain',
    'F:3: carl.status: expected active, hold or inactive, found "sleeping"',
    'F:3: carl.access: expected access rules; "imap:ALL": a rule begins with + or -',
    'F:3: carl.server: expected host, host:port or [v6 address]:port, found "a b"',
    'F:3: carl.mail: expected a mail address, found "nobody"',
    'F:4: dora.password: expected a stored password of a known scheme',
    'F:5: DORA: given twice, upper and lower case are the same',
    'F:6: emil: expected the name of a backend, or a map of backend, channel, server, login, password, mail, status, access, found a list',
  ]);
});

test('what is no map of users is refused', (t) => {
  assert.deepEqual(mistakes(t, '- anna\n'), ['F: expected a map of users, found a list']);
  assert.match(mistakes(t, 'a: {').join(), /not YAML/);
  assert.deepEqual(mistakes(t, Buffer.from([0x61, 0x3a, 0x20, 0xff])), [
    'F: expected UTF-8, found other bytes',
  ]);
  assert.match(mistakes(t, Buffer.alloc(3 * 1024 * 1024, 0x20)).join(), /at most 2097152 bytes/);
  assert.throws(() => readUserMap('/nowhere/users.yaml', context), /there is no such file of users/);
});

test('many mistakes are not all told', (t) => {
  const text = Array.from({ length: 50 }, (_, number) => `u${number}: nowhere\n`).join('');
  assert.deepEqual([mistakes(t, text).length, mistakes(t, text).at(-1)], [21, 'F: and 30 more']);
});

test("a file with passwords is its owner's only, one without may be read by others", (t) => {
  const file = write(t, 'anna: { password: "{SSHA}x" }\n');
  chmodSync(file, 0o644);
  assert.throws(() => readUserMap(file, context), /chmod 600/);
  const plain = write(t, 'anna: one\n');
  chmodSync(plain, 0o644);
  assert.equal(readUserMap(plain, context).length, 1);
});
