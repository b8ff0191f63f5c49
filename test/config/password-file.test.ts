import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import {
  databasePassword,
  DOCUMENTED_PASSWORD,
  INTERNAL_MODULE,
  keepPassword,
  readPasswordFile,
} from '../../src/config/password-file.ts';
import { SettingsError } from '../../src/errors.ts';

function passwordFile(t: TestContext, text: string, mode = 0o600): string {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-passwords-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'sslpassword.conf');
  writeFileSync(file, text, { mode });
  chmodSync(file, mode);
  return file;
}

function mistakeIn(file: string): string {
  try {
    readPasswordFile(file);
  } catch (error) {
    if (error instanceof SettingsError) return error.message;
    throw error;
  }
  return 'no mistake';
}

test('the documented default line gives the password of the certificate database', (t) => {
  const passwords = readPasswordFile(passwordFile(t, 'Internal (Software) Token:netscape!\n'));
  assert.equal(passwords.get(INTERNAL_MODULE), DOCUMENTED_PASSWORD);
  assert.equal(databasePassword(passwords), 'netscape!');
});

test('a password may hold colons and blanks, lines may end with CRLF and be empty or comments', (t) => {
  const text = '# tokens\r\n\r\nInternal (Software) Token:a:b: c \r\n  \r\nsofthsm:1234';
  const passwords = readPasswordFile(passwordFile(t, text));
  assert.deepEqual(
    [...passwords],
    [
      [INTERNAL_MODULE, 'a:b: c '],
      ['softhsm', '1234'],
    ],
  );
});

test('a line without a colon, a module or a password is named, and its text is not', (t) => {
  for (const wrong of ['secret-without-colon', ':secret', 'softhsm:']) {
    const file = passwordFile(t, `Internal (Software) Token:netscape!\n\n${wrong}\n`);
    assert.equal(mistakeIn(file), `${file}:3: expected moduleName:password`);
  }
});

test('the database is known by the name of FIPS mode too, and another token’s password does not open it', (t) => {
  const of = (text: string): string | null => databasePassword(readPasswordFile(passwordFile(t, text)));
  assert.equal(of('Internal (FIPS 140-1) Token:x\n'), 'x');
  assert.equal(of('softhsm:1234\n'), null);
  assert.equal(databasePassword(readPasswordFile(join(tmpdir(), 'there-is-no-such-file'))), null);
});

test('a file that others may read is refused with the command that mends it', (t) => {
  const file = passwordFile(t, 'Internal (Software) Token:netscape!\n', 0o644);
  assert.match(mistakeIn(file), /chmod/);
  assert.doesNotMatch(mistakeIn(file), /netscape/);
  chmodSync(file, 0o600);
  assert.equal(mistakeIn(file), 'no mistake');
});

test('a kept password takes the place of the old line, others stay, and nobody else may read the file', (t) => {
  const file = passwordFile(t, 'softhsm:1234\nInternal (Software) Token:netscape!\n');
  keepPassword(file, INTERNAL_MODULE, 'new:one');
  assert.equal(readFileSync(file, 'utf8'), 'softhsm:1234\nInternal (Software) Token:new:one\n');
  assert.equal(statSync(file).mode & 0o777, 0o600);
});

test('what somebody wrote beside the passwords stays when one is changed, in its place', (t) => {
  const file = passwordFile(
    t,
    '# tokens of the HSM\n\nsofthsm:1234\n#the rest\ninternal:old\nInternal (Software) Token:old\n# end',
  );
  keepPassword(file, INTERNAL_MODULE, 'new');
  assert.equal(
    readFileSync(file, 'utf8'),
    '# tokens of the HSM\n\nsofthsm:1234\n#the rest\nInternal (Software) Token:new\n# end\n',
  );
  keepPassword(file, 'softhsm', '5678');
  assert.deepEqual(
    [...readPasswordFile(file)],
    [
      ['softhsm', '5678'],
      [INTERNAL_MODULE, 'new'],
    ],
  );
});
