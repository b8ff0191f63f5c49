import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { importImta } from '../../../src/config/legacy/imta.ts';
import { loadSettings } from '../../../src/config/load.ts';
import { settingsFile } from '../settings-file.ts';
import { filesOf, type Folder, type Loaded, told } from './mmp-folder.ts';

function load(t: TestContext, text: readonly string[], beside: Folder = {}): Loaded {
  const file = { path: '/imta/imta.cnf', text: text.join('\n') };
  const { yaml, notes, companions, problems } = importImta({
    file,
    files: filesOf(beside),
    relay: 'mta.internal',
  });
  assert.ok(yaml !== null, problems.join('\n'));
  return {
    yaml,
    settings: loadSettings({ file: settingsFile(t, yaml).file }),
    notes: notes.map(
      ({ file: path, line, option, reason }) => `${path?.split('/').at(-1)}:${line} ${option}: ${reason}`,
    ),
    secrets: Object.fromEntries(companions.map(({ name, text: secret }) => [name, secret])),
  };
}

const LOCAL = 'tcp_local smtp mx maytlsserver maysaslserver';
const keywordsOf = ({ settings }: Loaded, channel = 'tcp_local'): string | undefined =>
  settings.channels[channel]?.keywords;

test('blocks of SMTP become channels with their keywords; the others are told', (t) => {
  const result = load(t, [
    '! rules',
    '$* $U@tcp_local-daemon',
    '',
    LOCAL,
    'tcp-daemon',
    '',
    'tcp_submit submit smtp mx mustsaslserver maytlsserver',
    'tcp_submit-daemon',
    '',
    'ims-ms defragment subdirs 20',
    'ims-ms-daemon',
    '',
    'tcp_lmtp lmtp mx',
    'tcp_lmtp-daemon',
    '',
    'tcp_off smtp nosmtp',
  ]);
  assert.deepEqual(Object.keys(result.settings.channels), ['tcp_local', 'tcp_submit']);
  assert.equal(keywordsOf(result), 'smtp mx maytlsserver maysaslserver');
  assert.deepEqual(
    Object.values(result.settings.services).map(({ name, channel, listen }) => [
      name,
      channel,
      listen[0]?.kind === 'tcp' && listen[0].port,
    ]),
    [
      ['smtp', 'tcp_local', 25],
      ['submission', 'tcp_submit', 587],
    ],
  );
  assert.deepEqual(result.settings.backends['mta']?.servers, [
    { kind: 'tcp', host: 'mta.internal', port: 25 },
  ]);
  assert.match(told(result, 'imta.cnf:2'), /1 rewrite rule:/);
  for (const line of [10, 13, 16]) assert.match(told(result, `imta.cnf:${line}`), /without SMTP/);
});

test('a file may begin with a channel, without rules before it', (t) => {
  assert.deepEqual(Object.keys(load(t, [LOCAL, 'tcp-daemon']).settings.channels), ['tcp_local']);
});

test('defaults stand before the keywords of the blocks behind them, until nodefaults', (t) => {
  const result = load(t, [
    '',
    'defaults smtp noswitchchannel',
    '',
    'tcp_a maytlsserver',
    '',
    'defaults mx',
    '',
    'tcp_b switchchannel',
    '',
    'nodefaults',
    '',
    'tcp_c smtp',
    '',
    'tcp_d maytlsserver',
  ]);
  const { settings } = result;
  assert.equal(keywordsOf(result, 'tcp_a'), 'smtp noswitchchannel maytlsserver');
  assert.equal(keywordsOf(result, 'tcp_b'), 'smtp noswitchchannel mx switchchannel');
  assert.equal(keywordsOf(result, 'tcp_c'), 'smtp');
  assert.ok(!('tcp_d' in settings.channels));
});

test('words that are not known are left out and told; known ones keep their values, whatever these look like', (t) => {
  const result = load(t, [
    'tcp_local smtp notices 1 2 4 7 maxjobs 7 frobnicate mx "no keyword" pool frobnicate disconnectbadauthlimit 3 subdirs',
  ]);
  assert.equal(keywordsOf(result), 'smtp maxjobs 7 mx pool frobnicate disconnectbadauthlimit 3');
  assert.match(told(result, 'imta.cnf:1'), /left out: notices 1 2 4 7 frobnicate "no keyword" subdirs/);
});

test('a line with control characters is left out and told, and the blocks around it stay', (t) => {
  const result = load(t, [LOCAL, 'tcp-daemon', '', 'tcp_x smtp pool \0', '', 'tcp_y smtp\tmx']);
  assert.deepEqual(Object.keys(result.settings.channels), ['tcp_local', 'tcp_y']);
  assert.match(told(result, 'imta.cnf:4'), /control characters/);
});

test('a way to a channel that is not carried is left out, one to a channel that is stays', (t) => {
  const result = load(t, [
    'tcp_local smtp saslswitchchannel tcp_auth tlsswitchchannel tcp_gone mx',
    '',
    'tcp_auth smtp mustsaslserver noswitchchannel',
  ]);
  assert.equal(keywordsOf(result), 'smtp saslswitchchannel tcp_auth mx');
  assert.match(told(result, 'imta.cnf:1'), /tlsswitchchannel tcp_gone/);
});

test('a line goes on behind a backslash', (t) => {
  assert.equal(
    keywordsOf(load(t, ['tcp_local smtp \\', '  mx \\', '  maytlsserver', 'tcp-daemon'])),
    'smtp mx maytlsserver',
  );
});

test('files are included from the folder alone, each line with its own place; no circle has no end', (t) => {
  const result = load(
    t,
    ['', '<IMTA_TABLE:channels.inc', '', '</etc/passwd', '', '<round.inc', '', '<deep0.inc'],
    {
      'channels.inc': ['', LOCAL, '', 'tcp_x frob'],
      'round.inc': ['tcp_y smtp', '', '<other.inc'],
      'other.inc': ['<round.inc'],
      ...Object.fromEntries(
        Array.from({ length: 12 }, (_, depth) => [`deep${depth}.inc`, [`<deep${depth + 1}.inc`]]),
      ),
    },
  );
  assert.equal(keywordsOf(result), 'smtp mx maytlsserver maysaslserver');
  assert.match(told(result, 'channels.inc:4'), /without SMTP/);
  assert.match(told(result, 'imta.cnf:4'), /no such file in the folder/);
  assert.match(told(result, 'other.inc:1'), /includes itself/);
  assert.equal(told(result, 'round.inc:1'), '');
  assert.match(told(result, 'deep7.inc:1'), /8 files deep/);
});

test('PROXY_PASSWORD beside it is what the relay is shown, and stands in a file of its own', (t) => {
  const result = load(t, [LOCAL], {
    tcp_local_option: ['! options', 'PROXY_PASSWORD=shown', 'LOG_BANNER=1', 'PROXY_PASSWORD shown', ''],
  });
  const { mta } = result.settings.backends;
  assert.deepEqual(mta?.client, [{ method: 'xpehlo', required: true }]);
  assert.deepEqual(result.secrets, { 'smtpproxy.secret': 'shown\n' });
  assert.doesNotMatch(result.yaml + result.notes.join(), /shown/);
  assert.match(told(result, 'tcp_local_option:3'), /LOG_BANNER: .*only PROXY_PASSWORD/);
  assert.match(told(result, 'tcp_local_option:4'), /expected OPTION=value/);
  assert.equal(told(result, 'tcp_local_option:5'), '');
  assert.deepEqual(load(t, [LOCAL]).settings.backends['mta']?.client, []);
});

test('INTERNAL_IP says which clients are sent to tcp_intranet; without it the match is to be filled in', (t) => {
  const blocks = ['tcp_local smtp switchchannel', '', 'tcp_intranet smtp allowswitchchannel'];
  const result = load(t, blocks, {
    mappings: [
      'OTHER',
      '  10.0.0.1 $Y',
      '',
      'INTERNAL_IP',
      '',
      '  $(192.0.2.0/24) $Y',
      '  10.0.0.7 $N',
      '  198.51.100.9  $Y',
      '  mail.example.com $Y',
      '  * $N',
      '  10.0.0.8 $Y',
    ],
  });
  assert.match(result.yaml, /match: \[ 192\.0\.2\.0\/24, 198\.51\.100\.9 \] # INTERNAL_IP, mappings:4/);
  assert.match(told(result, 'mappings:9'), /left out of `match`/);
  assert.match(told(load(t, blocks), 'imta.cnf:1'), /fill in `match`/);
});

test('an address that INTERNAL_IP keeps out of a network of its own, as that of the front, is not sent to tcp_intranet', (t) => {
  const matchOf = (...lines: string[]): unknown => {
    const blocks = ['tcp_local smtp switchchannel', '', 'tcp_intranet smtp allowswitchchannel'];
    const result = load(t, blocks, { mappings: ['INTERNAL_IP', ...lines.map((line) => `  ${line}`)] });
    return /match: \[ (.*) \]/.exec(result.yaml)?.[1];
  };
  assert.equal(matchOf('$(192.0.2.0/30) $Y', '192.0.2.1 $N'), '192.0.2.0/30');
  assert.equal(matchOf('192.0.2.1 $N', '$(192.0.2.0/30) $Y'), '192.0.2.0, 192.0.2.2/31');
  assert.equal(matchOf('$(10.0.0.0/8) $N', '10.1.* $Y', '172.16.*.* $Y'), '172.16.0.0/16');
  assert.equal(matchOf('127.0.0.1 $Y', '192.0.2.%* $N', '$(192.0.2.0/24) $Y'), '127.0.0.1');
});

test('where the MTA is must be said, and a file without channels of SMTP gives no settings', () => {
  const problems = (text: string, relay: string | null): string =>
    importImta({ file: { path: '/imta.cnf', text }, files: filesOf({}), relay }).problems.join('\n');
  assert.match(problems(LOCAL, null), /--relay HOST:PORT/);
  assert.match(problems(LOCAL, 'a:b:c'), /^--relay: expected HOST:PORT/);
  assert.match(problems('', 'mta'), /expected channel blocks/);
  assert.equal(problems(LOCAL, 'mta'), '');
});

test('whatever the blocks are, the settings reader takes what comes out', (t) => {
  const word = fc.oneof(
    fc.constantFrom(
      'smtp',
      'mx',
      'maytlsserver',
      'saslswitchchannel',
      'tcp_a',
      'maxjobs',
      '7',
      '"x y"',
      'pool',
      'switchchannel',
      '#',
      ': {',
      '$A',
    ),
    fc.string({ maxLength: 8, unit: 'binary' }).map((any) => any.replaceAll(/[\r\n]/g, '')),
  );
  const block = fc.array(word, { maxLength: 8 }).map((words) => `tcp_a smtp ${words.join(' ')}`);
  fc.assert(
    fc.property(fc.array(block, { maxLength: 4 }), (blocks) => {
      const text = `tcp_local smtp mx\n\n${blocks.join('\n\n')}`;
      const { yaml } = importImta({ file: { path: '/imta.cnf', text }, files: filesOf({}), relay: 'mta' });
      assert.ok(yaml !== null);
      loadSettings({ file: settingsFile(t, yaml).file });
    }),
    { numRuns: 150 },
  );
});
