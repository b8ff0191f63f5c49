// Keys and certificates in tokens by `sallyport token` and `sallyport cert`, against other programs: what we make,
// pkcs11-tool and openssl use, and the reverse; a request from a token is signed by openssl's CA and serves.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { startFront } from '../support/front.ts';
import { run, type Run } from '../support/program.ts';
import { makeNssDatabase, makeSoftToken, must, SOFTHSM } from '../support/tokens.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-token-cert-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const token = await makeSoftToken(join(folder, 'softhsm'), { pin: '271828' });
const file = join(folder, 'sallyport.yaml');
const at = (name: string): string => join(folder, name);
writeFileSync(
  file,
  '# kept\ndataDir: ./data\nhostname: mail.example.com\nbackends:\n  stores: { servers: ["127.0.0.1:1"] } # kept too\n',
  { mode: 0o640 },
);
writeFileSync(at('db.password'), 'database password', { mode: 0o600 });

const main = join(import.meta.dirname, '..', '..', 'src', 'main.ts');

function sallyport(args: readonly string[], input = ''): Promise<Run> {
  return run(process.execPath, [main, ...args, '--config', file], { env: token.env, input });
}

async function done(args: readonly string[], input = ''): Promise<string> {
  const { code, text } = await sallyport(args, input);
  assert.equal(code, 0, `${args.join(' ')}: ${text}`);
  return text;
}

async function refused(args: readonly string[], input = ''): Promise<string> {
  const { code, text } = await sallyport(args, input);
  assert.equal(code, 1, `${args.join(' ')}: ${text}`);
  return text;
}

const request = (name: string): readonly string[] => ['--name', name, '--org', 'Example', '--country', 'us'];
const pin = `${token.pin}\n`;
const softhsm = ['--module', SOFTHSM, '--login', '--pin', token.pin, '--token-label', token.label];

test('a module comes into the settings, is listed, and comments, mode and the rest stay', async () => {
  assert.match(await refused(['token', 'add', 'softhsm', '/etc/passwd']), /is not a PKCS#11 library/);
  await done(['token', 'add', 'softhsm', SOFTHSM]);
  const text = readFileSync(file, 'utf8');
  assert.match(text, /^# kept$/m);
  assert.match(text, /# kept too$/m);
  assert.equal(statSync(file).mode & 0o777, 0o640);
  assert.match(await done(['token', 'list']), /token "mail", SoftHSM project/);
  assert.match(await refused(['token', 'keys', 'softhms'], pin), /did you mean "softhsm"\?/);
});

test('keys that we make are used by pkcs11-tool and cannot be taken out', async () => {
  const words = await done(
    ['token', 'generate', 'softhsm', 'ours', '--keytype', 'rsa', '--keysize', '2048'],
    pin,
  );
  const id = /id ([0-9a-f]{40})/.exec(words)?.[1] ?? '';
  writeFileSync(at('bytes'), 'what is signed');
  await must(
    'pkcs11-tool',
    [
      ...softhsm,
      '--sign',
      '--mechanism',
      'SHA256-RSA-PKCS',
      '--id',
      id,
      '--input-file',
      at('bytes'),
      '--output-file',
      at('signature'),
    ],
    { env: token.env },
  );
  await must(
    'pkcs11-tool',
    [...softhsm, '--read-object', '--type', 'pubkey', '--id', id, '--output-file', at('half.der')],
    { env: token.env },
  );
  const verify = [
    'dgst',
    '-sha256',
    '-verify',
    at('half.der'),
    '-keyform',
    'DER',
    '-signature',
    at('signature'),
    at('bytes'),
  ];
  assert.match(await must('openssl', verify), /Verified OK/);
  const objects = await token.tool(['--list-objects', '--type', 'privkey']);
  assert.match(objects, /Access:.*sensitive.*never extractable/);
  assert.match(await refused(['token', 'generate', 'softhsm', 'ours'], pin), /there is a key "ours" already/);
});

test('a request from a token is signed elsewhere, added, and serves', async () => {
  const command = ['cert', 'request-cert', '--token', 'softhsm', '-F', 'ascii', '-o', at('request.pem')];
  await done([...command, ...request('mail.example.com')], pin);
  await must('openssl', ['req', '-in', at('request.pem'), '-noout', '-verify']);
  await must('openssl', [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '9',
    '-keyout',
    at('ca.key'),
    '-out',
    at('ca.pem'),
    '-subj',
    '/CN=Test CA',
  ]);
  await must('openssl', [
    'x509',
    '-req',
    '-in',
    at('request.pem'),
    '-CA',
    at('ca.pem'),
    '-CAkey',
    at('ca.key'),
    '-days',
    '9',
    '-copy_extensions',
    'copy',
    '-out',
    at('signed.pem'),
  ]);
  await done(['cert', 'add-cert', 'softhsm:mail.example.com', at('signed.pem')], pin);
  assert.match(
    await refused(['cert', 'add-cert', 'softhsm:other', at('signed.pem')], pin),
    /is there already/,
  );
  assert.match(await done(['cert', 'show-cert', 'softhsm:mail.example.com'], pin), /CN=mail\.example\.com/);

  writeFileSync(at('sslpassword.conf'), `softhsm:${token.pin}\n`, { mode: 0o600 });
  const front = await startFront({
    folder: join(folder, 'front'),
    settings: {
      certificates: { modules: { softhsm: SOFTHSM }, passwordFile: at('sslpassword.conf') },
      services: {
        imaps: {
          protocol: 'imap',
          listen: ['127.0.0.1:0'],
          tls: { mode: 'implicit', certificate: 'softhsm:mail.example.com' },
          backend: 'stores',
          capabilities: ['IMAP4rev1'],
        },
      },
      backends: { stores: { servers: ['127.0.0.1:1'] } },
    },
    env: token.env,
  });
  try {
    const client = ['s_client', '-connect', `127.0.0.1:${front.port('imaps')}`, '-CAfile', at('ca.pem')];
    const seen = await must(
      'openssl',
      [...client, '-verify_return_error', '-verify_hostname', 'mail.example.com'],
      { input: '' },
    );
    assert.match(seen, /Verify return code: 0 \(ok\)/);
  } catch (error) {
    throw new Error(JSON.stringify(front.log(), null, 1), { cause: error });
  } finally {
    await front.stop();
    rmSync(at('sslpassword.conf'));
  }
});

test('self-signed certificates are made with keys of ours and of pkcs11-tool, RSA and EC, renewed and removed', async () => {
  for (const [type, size] of [
    ['rsa', '2048'],
    ['ec', '256'],
    ['ec', '384'],
  ] as const) {
    const alias = `softhsm:Self ${type} ${size}`;
    const options = ['--keytype', type, '--keysize', size, ...request('self.example.com')];
    await done(['cert', 'add-selfsign-cert', ...options, alias], pin);
    const pem = at(`${type}${size}.pem`);
    await done(['cert', 'show-cert', '-F', 'ascii', '-o', pem, alias], pin);
    assert.match(await must('openssl', ['verify', '-CAfile', pem, pem]), /: OK/);
    const before = await must('openssl', ['x509', '-in', pem, '-noout', '-serial', '-pubkey']);
    await done(['cert', 'renew-selfsign-cert', '--validity', '1y', alias], pin);
    await done(['cert', 'show-cert', '-F', 'ascii', '-o', pem, alias], pin);
    const after = await must('openssl', ['x509', '-in', pem, '-noout', '-serial', '-pubkey']);
    assert.notEqual(after.split('\n')[0], before.split('\n')[0]);
    assert.equal(after.slice(after.indexOf('-----')), before.slice(before.indexOf('-----')));
  }
  await token.makeKey('77', 'EC:prime256v1');
  await done(['cert', 'add-selfsign-cert', ...request('theirs.example.com'), 'softhsm:key 77'], pin);
  const theirs = await token.tool(['--list-objects', '--type', 'cert', '--id', '77']);
  assert.match(theirs, /label: +key 77/);
  await done(['cert', 'remove-cert', 'softhsm:Self rsa 2048'], pin);
  assert.match(await refused(['cert', 'show-cert', 'softhsm:Self rsa 2048'], pin), /there is .*"key 77"/);
  assert.match(
    await refused(['cert', 'export-cert', '-o', at('no.p12'), 'softhsm:key 77'], pin),
    /never leaves/,
  );
});

test('list-certs shows the certificates of tokens beside those of the database', async () => {
  const password = ['-W', at('db.password')];
  await done(['cert', 'generate-certDB', ...password]);
  const list = await done(['cert', 'list-certs', ...password]);
  assert.match(list, /^Server-Cert /m);
  assert.match(list, /^softhsm:mail\.example\.com .*CN=Test CA/m);
  assert.match(list, /^softhsm:key 77 .*Same as issuer$/m);
});

test('an NSS database is looked at as it is, and what its certutil made is a module', async () => {
  const database = await makeNssDatabase(join(folder, 'nss', 'db'), { 'Server-Cert': 'rsa' });
  await done(['token', 'add', 'nss', '--nss', database.folder]);
  assert.match(
    await done(['token', 'certs', 'nss'], `${database.password}\n`),
    /^nss:Server-Cert .*rsa .*yes/m,
  );
  assert.match(await done(['token', 'keys', 'nss'], `${database.password}\n`), /1 key found/);
  await done(['token', 'remove', 'nss']);
  assert.doesNotMatch(readFileSync(file, 'utf8'), /nss/);
});

test('a wrong PIN is said to be wrong, and no PIN is in any message', async () => {
  const text = await refused(['token', 'keys', 'softhsm'], '31415926\n');
  assert.match(text, /token "mail": the PIN is wrong/);
  assert.doesNotMatch(text, /31415926/);
  await done(['token', 'keys', 'softhsm'], pin);
});
