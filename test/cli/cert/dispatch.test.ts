import assert from 'node:assert/strict';
import { test } from 'node:test';

import { cert } from '../../../src/cli/cert.ts';
import { VERBS } from '../../../src/cli/cert/verbs.ts';
import { run } from '../../support/program.ts';
import { manualWorld } from '../../support/manual-world.ts';
import { certTool, toolWithDatabase } from '../../support/cert-tool.ts';

/** What the tool says before it touches anything, without a process of its own. */
async function said(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const code = await cert.runArguments(words, {
    version: '0',
    entry: '',
    world: manualWorld(),
    out: (text) => void (out += String(text)),
    err: (text) => void (err += text),
    exit: (ended) => assert.fail(`exit ${ended}`),
  });
  return { code, out, err };
}

const DOCUMENTED = [
  'add-cert',
  'add-selfsign-cert',
  'export-cert',
  'generate-certDB',
  'import-cert',
  'import-selfsign-cert',
  'list-certs',
  'remove-cert',
  'renew-cert',
  'renew-selfsign-cert',
  'request-cert',
  'show-cert',
];

test('the help names the twelve documented verbs in their order, then ours', async () => {
  for (const word of ['--help', '-?', '-help', '\u2013help', 'help']) {
    const { code, out, err } = await said(word);
    assert.deepEqual([code, err], [0, ''], word);
    const listed = [...out.matchAll(/^([a-z-]+[A-Z]*)  +[A-Z]/gm)].map((match) => match[1]);
    assert.deepEqual(listed, [...DOCUMENTED, 'chain', 'change-password', 'sign-request', 'trust']);
    assert.match(out, /^Usage: sallyport cert SUBCMD \[GLOBAL_OPTS\]/);
    assert.match(out, /^-\?, --help  /m);
  }
});

test('every verb has a page of its own, by any spelling of the help', async () => {
  for (const { name, options } of VERBS) {
    const { code, out } = await said(name, '-?');
    assert.equal(code, 0);
    assert.match(out, new RegExp(`^Usage: sallyport cert ${name} `));
    for (const option of Object.keys(options)) assert.match(out, new RegExp(`--${option}\\b`));
    for (const line of out.split('\n')) assert.ok(line.length <= 120, line);
  }
  for (const words of [
    ['request-cert', '--help'],
    ['request-cert', '-help'],
    ['request-cert', '\u2013help'],
    ['--help', 'request-cert'],
    ['help', 'Request_Cert'],
    ['request-cert', '-W', 'nowhere', '--help'],
  ]) {
    const { code, out } = await said(...words);
    assert.equal(code, 0, words.join(' '));
    assert.match(out, /^Usage: sallyport cert request-cert /);
  }
});

test('msgcert is the same tool as sallyport cert, and each calls itself by its name', async () => {
  using tool = certTool();
  const main = new URL('../../../src/main.ts', import.meta.url).pathname;
  const long = await run(process.execPath, [main, 'cert', 'trust', '--help']);
  const short = await tool.msgcert(['trust', '--help']);
  assert.deepEqual([long.code, short.code], [0, 0]);
  assert.match(short.stdout.toString(), /^Usage: msgcert trust /);
  assert.match((await tool.msgcert(['--version'])).stdout.toString(), /^msgcert \d+\.\d+\.\d+\n$/);
  assert.equal(long.stdout.toString(), short.stdout.toString().replace('msgcert', 'sallyport cert'));
});

test('a verb is known in any letter case, with hyphens or underscores', async () => {
  for (const verb of ['generate_certdb', 'generate-CertDB', 'GENERATE-CERTDB']) {
    using tool = certTool();
    assert.match(await tool.ok(verb), /made the certificate database/);
  }
  using tool = await toolWithDatabase();
  assert.match(await tool.ok('List-Certs'), /1 certificate found\n$/);
});

test('dashes of a printed manual do for those of a keyboard', async () => {
  using tool = await toolWithDatabase();
  assert.match(await tool.ok('list-certs', '\u2013C'), /0 certificates found\n$/);
  assert.match(await tool.ok('add-selfsign-cert', '\u2013name', 'siroe', 'Mine'), /CN=siroe/);
});

test('wrong usage is 64, and what was nearly right is named', async () => {
  const cases: [words: string[], wanted: RegExp][] = [
    [[], /^Usage: /],
    [['list-cert'], /^sallyport cert: there is no list-cert, did you mean list-certs\?/],
    [['frobnicate'], /^sallyport cert: there is no frobnicate\n/],
    [['list-certs', '--jsn'], /there is no option --jsn, did you mean --json\?/],
    [['list-certs', '-c'], /there is no option -c, did you mean -C\?/],
    [['list-certs', '-W'], /argument missing/],
    [['list-certs', 'extra'], /expected nothing behind the options, found extra/],
    [['show-cert'], /expected CERT_ALIAS behind the options, found nothing/],
    [['add-cert'], /expected \[CERT_ALIAS\] CERT_FILE behind the options/],
    [['request-cert'], /expected -S DN or --name NAME/],
    [['request-cert', '--org', 'x'], /expected -S DN or --name NAME/],
    [['request-cert', '-S', 'CN=a', '--name', 'b'], /-S has the whole name/],
    [['request-cert', '-S', 'siroe'], /"siroe" in the name is no NAME=VALUE/],
    [['request-cert', '--name', 'a', '-F', 'pem'], /-F is one of ascii, binary, found pem/],
    [['request-cert', '--name', 'a', '--keytype', 'dsa'], /--keytype is one of ec, rsa, ed25519, found dsa/],
    [['request-cert', '--name', 'a', '--keytype', 'rsa', '--keysize', '1024'], /2048 to 8192/],
    [['request-cert', '--name', 'a', '--ip', 'mail.test'], /mail\.test/],
    [['request-cert', '--name', 'a', '--dns', 'no host'], /no host/],
    [['add-selfsign-cert', '--name', 'a', '--validity', '0', 'x'], /--validity is a number of days/],
    [['add-selfsign-cert', '--name', 'a', '--keytype', 'ed25519', 'a:b'], /in a token keys are rsa or ec/],
    [['request-cert', '--name', 'a', '--key', 'k'], /--key is for keys in tokens, with --token MODULE/],
    [['trust', 'a:b', 'C,,'], /token/],
    [['trust', 'x', 'Z,,'], /the flag "Z"/],
    [['sign-request', 'x'], /expected --ca CA_ALIAS/],
  ];
  for (const [words, wanted] of cases) {
    const { code, out, err } = await said(...words);
    assert.deepEqual([code, out], [64, ''], `${words.join(' ')}: ${err}`);
    assert.match(err, wanted);
  }
  using tool = certTool();
  assert.equal((await tool.msgcert(['list-cert'])).code, 64);
});

test('wrong settings are 78, and a folder by name gets past them', async () => {
  using tool = certTool('hostnam: x\n');
  const { code, stderr } = await tool.msgcert(['list-certs', '-W', tool.passwordFile]);
  assert.equal(code, 78);
  assert.match(stderr.toString(), /sallyport\.yaml:1: /);
  await tool.ok('generate-certDB', '--database', 'elsewhere');
  assert.match(await tool.ok('list-certs', '--database', 'elsewhere'), /^Server-Cert /m);
  assert.match(
    await tool.refused(1, 'list-certs', '--database', 'nowhere'),
    /nowhere\/cert\.db: the certificate database does not exist, make one/,
  );
});
