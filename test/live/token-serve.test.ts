// The front serves with keys that exist only in tokens: SoftHSM (RSA, EC, both at once) and an NSS database, as
// `openssl s_client` sees it. A token that goes takes its own certificates with it and no others, and serves again when it
// is back, without anybody's help. A wrong PIN is tried once.

import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import tls from 'node:tls';

import { makeAuthority } from '../support/authority.ts';
import { scramClient } from '../support/challenge-client.ts';
import { Conversation } from '../support/conversation.ts';
import { startFront, type Front } from '../support/front.ts';
import { run } from '../support/program.ts';
import { makeNssDatabase, makeSoftToken, SOFTHSM } from '../support/tokens.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-token-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const token = await makeSoftToken(join(folder, 'softhsm'), { pin: '48151623' });
await token.makeKey('01', 'rsa:2048');
await token.makeKey('02', 'EC:prime256v1');
await token.makeKey('03', 'EC:secp384r1');
const rsaFile = await token.certify('01', 'Server-Cert');
const ecFile = await token.certify('02', 'Server-Cert');
const p384File = await token.certify('03', 'Strong-Cert');
const authority = makeAuthority(folder);
const soft = authority.issue({ names: ['soft.example.com'] });

const imaps = (certificate: unknown, more: object = {}): Record<string, unknown> => ({
  protocol: 'imap',
  listen: ['127.0.0.1:0'],
  tls: { mode: 'implicit', certificate, ...more },
  backend: 'stores',
  capabilities: ['IMAP4rev1'],
});

function settingsOf(services: object, certificates: object, more: object = {}): Record<string, unknown> {
  return {
    hostname: 'mail.example.com',
    workers: 2,
    certificates: { watch: 0.2, ...certificates },
    services,
    backends: { stores: { servers: ['127.0.0.1:1'] } },
    ...more,
  };
}

function keepPins(name: string, lines: string): string {
  const file = join(folder, `${name}.sslpassword.conf`);
  writeFileSync(file, lines, { mode: 0o600 });
  return file;
}

async function shake(
  front: Front,
  service: string,
  more: readonly string[],
): Promise<{ code: number | null; text: string }> {
  const args = ['s_client', '-connect', `127.0.0.1:${front.port(service)}`, '-verify_return_error', ...more];
  return run('openssl', args, { input: '' });
}

async function verified(front: Front, service: string, more: readonly string[]): Promise<string> {
  const { code, text } = await shake(front, service, more);
  assert.equal(code, 0, `${service} ${more.join(' ')}: ${text}${JSON.stringify(front.log(), null, 1)}`);
  assert.match(text, /Verify return code: 0 \(ok\)/);
  return text;
}

/** What others of this machine could read: argv of our processes, and what they wrote. */
function assertUntold(front: Front, secret: string): void {
  assert.ok(!JSON.stringify(front.log()).includes(secret), 'the log tells the PIN');
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    let told = '';
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
      if (!command.includes('sallyport')) continue;
      told = command + readFileSync(`/proc/${pid}/environ`, 'latin1');
    } catch {
      continue;
    }
    assert.ok(!told.includes(secret), `process ${pid} tells the PIN`);
  }
}

const softhsm = { softhsm: SOFTHSM };
const RSA = ['-tls1_2', '-cipher', 'ECDHE-RSA-AES128-GCM-SHA256'];
const ECDSA = ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256'];

test('keys that exist only in SoftHSM serve IMAPS: RSA and EC of one nickname, P-384, and beside a key of a file', async () => {
  const passwordFile = keepPins('serve', `softhsm:${token.pin}\n`);
  const settings = settingsOf(
    {
      imaps: imaps('softhsm:Server-Cert'),
      strong: imaps('softhsm:Strong-Cert'),
      sni: imaps(
        { cert: soft.certFile, key: soft.keyFile },
        { sni: { 'mail.example.com': 'softhsm:Server-Cert' } },
      ),
    },
    { passwordFile, modules: softhsm },
  );
  const front = await startFront({ folder: join(folder, 'serve'), settings, env: token.env });
  try {
    for (const [sigalgs, file, old] of [
      ['RSA-PSS+SHA256:RSA+SHA256', rsaFile, RSA],
      ['ECDSA+SHA256', ecFile, ECDSA],
    ] as const) {
      await verified(front, 'imaps', ['-CAfile', file, ...old]);
      for (const version of ['-tls1_2', '-tls1_3']) {
        const client = ['-CAfile', file, version, '-sigalgs', sigalgs];
        await verified(front, 'imaps', client);
        await verified(front, 'sni', ['-servername', 'mail.example.com', ...client]);
      }
    }
    assert.match(await verified(front, 'strong', ['-CAfile', p384File]), /CN = mail.example.com/);
    await verified(front, 'sni', ['-CAfile', authority.caFile, '-noservername']);
    assertUntold(front, token.pin);
    assert.ok(!JSON.stringify(front.log()).includes('bad engine id'));
  } finally {
    await front.stop();
  }
});

test('a token that is taken away fails its own handshakes only, and serves again when it is back', async () => {
  const passwordFile = keepPins('gone', `${token.label}:${token.pin}\n`);
  const settings = settingsOf(
    { imaps: imaps('softhsm:Strong-Cert'), other: imaps({ cert: soft.certFile, key: soft.keyFile }) },
    { passwordFile, modules: { softhsm: { library: SOFTHSM, token: token.label } } },
  );
  const front = await startFront({ folder: join(folder, 'gone'), settings, env: token.env });
  try {
    await verified(front, 'imaps', ['-CAfile', p384File]);
    token.remove();
    await front.waitForLog(({ event }) => event === 'token-lost');
    assert.notEqual((await shake(front, 'imaps', ['-CAfile', p384File])).code, 0);
    await front.waitForLog(({ code, level }) => code === 'TOKEN_FAILED' && level === 'error');
    await verified(front, 'other', ['-CAfile', authority.caFile]);
    token.putBack();
    await front.waitForLog(({ event }) => event === 'token-back');
    await front.waitForLog(({ event }) => event === 'workers-replaced');
    for (let round = 0; round < 6; round++) await verified(front, 'imaps', ['-CAfile', p384File]);
    assert.equal(front.log().filter(({ event }) => event === 'token-lost').length, 1);
    assertUntold(front, token.pin);
  } finally {
    await front.stop();
  }
});

test('a wrong PIN is tried once, and again when it is another one', async () => {
  const passwordFile = keepPins('wrong', `softhsm:${token.pin}\n`);
  const settings = settingsOf({ imaps: imaps('softhsm:Strong-Cert') }, { passwordFile, modules: softhsm });
  const front = await startFront({ folder: join(folder, 'wrong'), settings, env: token.env });
  try {
    keepPins('wrong', 'softhsm:99999999\n');
    const refused = await front.waitForLog(({ event }) => event === 'certificates-refused');
    assert.match(
      JSON.stringify(refused['mistakes']),
      /token \\"mail\\": the PIN is wrong \(from .*sslpassword.conf\)/,
    );
    const again = await front.reload();
    assert.match(JSON.stringify(again['mistakes']), /is not tried again until it is another one/);
    await verified(front, 'imaps', ['-CAfile', p384File]);
    keepPins('wrong', `softhsm:${token.pin}\n`);
    await front.waitForLog(({ event }) => event === 'certificates-reloaded');
    await verified(front, 'imaps', ['-CAfile', p384File]);
    assertUntold(front, '99999999');
  } finally {
    await front.stop();
  }
});

test('an NSS database made by certutil serves as it is, RSA and EC', async () => {
  const database = await makeNssDatabase(join(folder, 'nss', 'db'), {
    'Server-Cert': 'rsa',
    'Ec-Cert': 'ec',
  });
  const passwordFile = keepPins('nss', `NSS Certificate DB:${database.password}\n`);
  const settings = settingsOf(
    { imaps: imaps(['nss:Server-Cert', 'nss:Ec-Cert']) },
    { passwordFile, modules: { nss: { nss: database.folder } } },
  );
  const front = await startFront({ folder: join(folder, 'nss', 'front'), settings });
  try {
    await verified(front, 'imaps', ['-CAfile', await database.export('Server-Cert'), ...RSA]);
    await verified(front, 'imaps', ['-CAfile', await database.export('Ec-Cert'), ...ECDSA]);
    assertUntold(front, database.password);
  } finally {
    await front.stop();
  }
});

test('modules change under a running server: other tokens are served by new workers, two libraries at once are refused', async () => {
  const database = await makeNssDatabase(join(folder, 'switch', 'db'), { 'Server-Cert': 'rsa' });
  const passwordFile = keepPins('switch', `nss:${database.password}\nsofthsm:${token.pin}\n`);
  const modules = { softhsm: SOFTHSM, nss: { nss: database.folder } };
  const settings = (certificate: unknown): Record<string, unknown> =>
    settingsOf({ imaps: imaps(certificate) }, { passwordFile, modules });
  const front = await startFront({
    folder: join(folder, 'switch', 'front'),
    settings: settings('softhsm:Strong-Cert'),
    env: token.env,
  });
  try {
    await verified(front, 'imaps', ['-CAfile', p384File]);
    front.writeSettings(settings(['softhsm:Strong-Cert', 'nss:Server-Cert']));
    const refused = await front.reload();
    assert.match(JSON.stringify(refused['mistakes']), /modules softhsm and nss cannot be used at once/);
    await verified(front, 'imaps', ['-CAfile', p384File]);
    front.writeSettings(settings('nss:Server-Cert'));
    assert.equal((await front.reload())['event'], 'reloaded');
    await front.waitForLog(({ event }) => event === 'workers-replaced');
    for (let round = 0; round < 4; round++)
      await verified(front, 'imaps', ['-CAfile', await database.export('Server-Cert')]);
  } finally {
    await front.stop();
  }
});

test('what is wrong with a token at the start is said in words, and ends the start', async () => {
  const right = keepPins('right', `softhsm:${token.pin}\n`);
  const cases: readonly (readonly [certificates: object, certificate: string, words: RegExp])[] = [
    [
      { modules: softhsm, passwordFile: keepPins('bad', 'softhsm:77777777\n') },
      'softhsm:Strong-Cert',
      /the PIN is wrong/,
    ],
    [
      { modules: softhsm, passwordFile: keepPins('none', '# nothing\n') },
      'softhsm:Strong-Cert',
      /it wants a PIN, expected a line "softhsm:PIN" in /,
    ],
    [{ modules: softhsm, passwordFile: right }, 'softhsm:Strng-Cert', /did you mean "Strong-Cert"/],
    [
      { modules: { softhsm: { library: SOFTHSM, token: 'mial' } }, passwordFile: right },
      'softhsm:A',
      /no token "mial", did you mean "mail"/,
    ],
    [{ modules: { softhsm: '/etc/passwd' }, passwordFile: right }, 'softhsm:A', /is not a PKCS#11 library/],
    [
      { modules: { softhsm: '/nowhere.so' }, passwordFile: right },
      'softhsm:A',
      /there is no file \/nowhere\.so/,
    ],
  ];
  const file = join(folder, 'check.yaml');
  const check = [
    join(import.meta.dirname, '..', '..', 'src', 'main.ts'),
    'check',
    '--json',
    '--config',
    file,
  ];
  for (const [certificates, certificate, words] of cases) {
    writeFileSync(
      file,
      JSON.stringify({ dataDir: './data', ...settingsOf({ imaps: imaps(certificate) }, certificates) }),
    );
    const { code, text } = await run(process.execPath, check, { env: token.env });
    assert.equal(code, 78, text);
    assert.match(text, words);
    assert.doesNotMatch(text, /77777777/);
  }
  await token.tool(['--list-objects']);
});

test('check tells what clients of a service with its keys in a token are offered', async () => {
  const passwordFile = keepPins('offer', `softhsm:${token.pin}\n`);
  const file = join(folder, 'offer.yaml');
  const settings = settingsOf({ imaps: imaps('softhsm:Server-Cert') }, { modules: softhsm, passwordFile });
  writeFileSync(file, JSON.stringify({ dataDir: './data', ...settings }));
  const main = join(import.meta.dirname, '..', '..', 'src', 'main.ts');
  const { code, text } = await run(process.execPath, [main, 'check', '--config', file], { env: token.env });
  assert.equal(code, 0, text);
  assert.match(text, /TLSv1\.3: TLS_AES_128_GCM_SHA256/);
  assert.match(text, /TLSv1\.2: .*ECDHE-ECDSA-AES128-GCM-SHA256.*ECDHE-RSA-AES128-GCM-SHA256/);
  assert.doesNotMatch(text, /no cipher suite|no suite|48151623/);
});

test('a backend that asks for a certificate is shown one whose key is in the token', async () => {
  const shown = Promise.withResolvers<string>();
  const ca = readFileSync(ecFile);
  const store = tls.createServer({ cert: soft.cert, key: soft.key, requestCert: true, ca }, (socket) => {
    socket.on('error', () => {});
    const { subject } = socket.getPeerCertificate();
    shown.resolve(`${socket.authorized} ${String(subject.CN)}`);
    socket.end('* BYE\r\n');
  });
  await new Promise<void>((resolve) => store.listen(0, '127.0.0.1', resolve));
  const { port } = store.address() as AddressInfo;
  const passwordFile = keepPins('backend', `softhsm:${token.pin}\n`);
  const mode = { mode: 'implicit', verify: false, certificate: 'softhsm:Server-Cert' };
  const settings = settingsOf(
    { imaps: { ...imaps({ cert: soft.certFile, key: soft.keyFile }), capabilities: 'probe' } },
    { passwordFile, modules: softhsm },
    { backends: { stores: { servers: [`127.0.0.1:${port}`], check: { every: 0.2 }, tls: mode } } },
  );
  const front = await startFront({ folder: join(folder, 'backend'), settings, env: token.env });
  try {
    assert.equal(await shown.promise, 'true mail.example.com');
  } finally {
    await front.stop();
    store.close();
  }
});

test('an engine as accelerator is loaded by the workers, one that cannot be is refused', async () => {
  const settings = (engine: string): Record<string, unknown> =>
    settingsOf({ imaps: imaps({ cert: soft.certFile, key: soft.keyFile }) }, { engine });
  const front = await startFront({ folder: join(folder, 'engine'), settings: settings('dynamic') });
  try {
    await verified(front, 'imaps', ['-CAfile', authority.caFile]);
    front.writeSettings(settings('nonesuch'));
    const refused = await front.reload();
    assert.match(
      JSON.stringify(refused['mistakes']),
      /certificates\.engine: the OpenSSL of this Node cannot load the engine nonesuch/,
    );
    await verified(front, 'imaps', ['-CAfile', authority.caFile]);
  } finally {
    await front.stop();
  }
});

test('a login by SCRAM-SHA-256-PLUS is bound to the very certificate of the pair that was shown', async () => {
  const users = join(folder, 'users.yaml');
  writeFileSync(users, 'anna: { password: secret }\n', { mode: 0o600 });
  const own = { verify: 'directory', mechanisms: ['SCRAM-SHA-256-PLUS'] };
  const front = await startFront({
    folder: join(folder, 'binding'),
    settings: settingsOf(
      { imaps: { ...imaps('softhsm:Server-Cert'), ...own } },
      { modules: softhsm, passwordFile: keepPins('binding', `softhsm:${token.pin}\n`) },
      { directory: { type: 'file', file: users }, penalties: { remembered: 0 } },
    ),
    env: token.env,
  });
  const logIn = async (sigalgs: string, file: string): Promise<string> => {
    const options = { port: front.port('imaps'), host: '127.0.0.1', sigalgs, rejectUnauthorized: false };
    const talk = new Conversation(tls.connect(options));
    assert.match(await talk.line(), /AUTH=SCRAM-SHA-256-PLUS/);
    const { raw } = new X509Certificate(readFileSync(file));
    const client = scramClient({
      user: 'anna',
      password: 'secret',
      gs2Header: 'p=tls-server-end-point,,',
      binding: createHash('sha256').update(raw).digest(),
    });
    const first = await talk.ask(`a AUTHENTICATE SCRAM-SHA-256-PLUS ${client.first}`);
    const end = await talk.ask(client.final(first.slice(2)));
    const answer = end.startsWith('+ ') && client.trusts(end.slice(2)) ? await talk.ask('') : end;
    talk.socket.destroy();
    return answer;
  };
  try {
    // Proven, and then there is no store.
    assert.match(await logIn('RSA-PSS+SHA256', rsaFile), /^a NO \[UNAVAILABLE\]/);
    assert.match(await logIn('ECDSA+SHA256', ecFile), /^a NO \[UNAVAILABLE\]/);
    assert.match(await logIn('ECDSA+SHA256', rsaFile), /^a NO \[AUTHENTICATIONFAILED\]/);
  } finally {
    await front.stop();
  }
});
