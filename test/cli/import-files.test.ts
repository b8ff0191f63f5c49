import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../service/stub-supervisor.ts';
import { run, type Run } from '../support/program.ts';

const main = join(import.meta.dirname, '../../src/main.ts');
const sallyport = (...args: string[]): Promise<Run> => run(process.execPath, [main, ...args]);
const TOO_LARGE = 17 * 1_048_576;

/** A folder of an MMP with one IMAP proxy, and one to write to. */
function site(path: string, imap: readonly string[]): { dir: string; output: string } {
  const dir = join(path, 'mmp');
  mkdirSync(dir);
  mkdirSync(join(path, 'out'));
  writeFileSync(join(dir, 'AService.cfg'), 'default:ServiceList ImapProxyAService@143\n');
  writeFileSync(join(dir, 'ImapProxyAService.cfg'), `${imap.join('\n')}\n`, 'latin1');
  return { dir, output: join(path, 'out', 'sallyport.yaml') };
}

test('no other file stands in for one that is there and cannot be read', async () => {
  using folder = temporaryFolder();
  const { dir, output } = site(folder.path, ['default:PreAuth yes']);
  writeFileSync(join(dir, 'ImapProxyAService-def.cfg'), 'default:PreAuth no\n');
  truncateSync(join(dir, 'ImapProxyAService.cfg'), TOO_LARGE);
  const { code, text } = await sallyport('import', 'mmp', dir, '-o', output);
  assert.equal(code, 1);
  assert.match(text, /^.*\/ImapProxyAService\.cfg: cannot be read \(more than \d+ bytes\)$/m);
  assert.deepEqual(readdirSync(join(folder.path, 'out')), []);
});

test('an option that names a file which cannot be read fails, and one that names none is told', async () => {
  using folder = temporaryFolder();
  const long = `/${'x'.repeat(700)}.cfg`;
  const { dir, output } = site(folder.path, [
    'default:BGExcluded round.cfg',
    `default:ConnLimits ${long}`,
    'default:CertMapFile \0.conf',
  ]);
  symlinkSync('round.cfg', join(dir, 'round.cfg'));
  const refused = await sallyport('import', 'mmp', dir, '-o', output);
  assert.equal(refused.code, 1);
  assert.match(refused.text, /^.*\/round\.cfg: cannot be read \(ELOOP\)$/m);
  writeFileSync(
    join(dir, 'ImapProxyAService.cfg'),
    `default:ConnLimits ${long}\ndefault:CertMapFile \0.conf\n`,
  );
  const told = await sallyport('import', 'mmp', dir, '-o', output);
  assert.equal(told.code, 0, told.text);
  assert.match(told.text, /\.cfg:1: ConnLimits: the file is not there/);
  assert.match(told.text, /\.cfg:2: there are control characters/);
});

test('a device without an end is not read to its end', async () => {
  const { code, text } = await sallyport('import', 'imta', '/dev/zero', '--relay', 'mta');
  assert.equal(code, 1);
  assert.match(text, /^\/dev\/zero: cannot be read \(more than \d+ bytes\)$/m);
});

test('what is not in UTF-8 is read as Latin-1, and its lines are told; comments are not', async () => {
  using folder = temporaryFolder();
  const { dir, output } = site(folder.path, [
    '# Gr\u00fc\u00dfe',
    'default:Banner Gr\u00fc\u00dfe',
    'default:BindDN cn=x',
    'default:BindPass p\u00e4ss',
  ]);
  const { code, text } = await sallyport('import', 'mmp', dir, '-o', output);
  assert.equal(code, 0, text);
  const lines = [...text.matchAll(/ImapProxyAService\.cfg:(\d+): not in UTF-8/g)].map(([, line]) => line);
  assert.deepEqual(lines, ['2', '4']);
  assert.match(readFileSync(output, 'utf8'), /banner: Gr\u00fc\u00dfe /);
  assert.equal(readFileSync(join(folder.path, 'out', 'ldap.secret'), 'utf8'), 'p\u00e4ss\n');
});

test('of settings that cannot be written whole nothing is left', async () => {
  using folder = temporaryFolder();
  const { dir, output } = site(folder.path, [
    'default:BindDN cn=x',
    'default:BindPass y',
    ...Array.from({ length: 60 }, (_, index) => `default:NoSuchOption${index} ${'x'.repeat(200)}`),
  ]);
  const limited = await run('bash', [
    '-c',
    `ulimit -f 1 && exec "$0" "$@"`,
    process.execPath,
    main,
    'import',
    'mmp',
    dir,
    '-o',
    output,
  ]);
  assert.equal(limited.code, 1);
  assert.match(limited.text, /sallyport\.yaml: cannot be written \(EFBIG\)/);
  assert.deepEqual(readdirSync(join(folder.path, 'out')), []);
});

test('nothing is written through a link that leads nowhere yet', async () => {
  using folder = temporaryFolder();
  const { dir, output } = site(folder.path, ['default:BindDN cn=x', 'default:BindPass y']);
  const elsewhere = join(folder.path, 'elsewhere');
  symlinkSync(elsewhere, join(folder.path, 'out', 'ldap.secret'));
  const { code, text } = await sallyport('import', 'mmp', dir, '-o', output);
  assert.equal(code, 1);
  assert.match(text, /ldap\.secret: cannot be written \(EEXIST\)/);
  assert.deepEqual(readdirSync(folder.path).toSorted(), ['mmp', 'out']);
});
