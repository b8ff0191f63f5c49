import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MMP_OPTIONS } from '../../../src/config/legacy/mmp-options.ts';
import { loadSettings } from '../../../src/config/load.ts';
import { settingsFile } from '../settings-file.ts';
import { importFolder, section } from './mmp-folder.ts';

/** `yes` is `1`. */
function meaningOf(line: string): string {
  return line.trim().replace(/ yes$/i, ' 1').replace(/ no$/i, ' 0');
}

test('whatever the options say, the settings reader takes what comes out, and every line is carried or told', (t) => {
  const names = MMP_OPTIONS.map(({ name }) => name).filter(
    (name) => !['ServiceList', 'SmtpRelays'].includes(name),
  );
  const words = [
    'yes',
    'no',
    '0',
    '1',
    '900',
    '70000',
    '-1',
    '@',
    '(uid=%U)',
    '%U@%V',
    'o=x',
    'cn=a',
    'tcp_x',
    '# x',
    'a: b',
    '[x',
    "it's",
  ];
  const files = [
    '192.0.2.0|255.255.255.0:3',
    '993|995',
    'vdmap.cfg',
    'certmap.conf',
    'ldap://far/o=x',
    '+imap:*',
    'simple',
    'Server-Cert',
  ];
  const text = fc.string({ maxLength: 20, unit: 'binary' }).map((any) => any.replaceAll(/[\r\n]/g, ''));
  const value = fc.oneof(text, fc.constantFrom(...words, ...files));
  const options = fc.array(fc.tuple(fc.constantFrom(...names), value), { maxLength: 10 });
  fc.assert(
    fc.property(options, options, options, (imap, pop, smtp) => {
      const lines = (given: readonly (readonly [string, string])[], name: string): string[] =>
        given.map(([option, said]) => `${name}:${option} ${said}`);
      const folder = {
        'AService.cfg': section({
          ServiceList: 'ImapProxyAService@143|993 PopProxyAService@110|995 SmtpProxyAService@25|465',
        }),
        'ImapProxyAService.cfg': lines(imap, 'default'),
        'PopProxyAService.cfg': lines(pop, 'default'),
        'SmtpProxyAService.cfg': [...lines(smtp, 'default'), 'default:SmtpRelays mta'],
        'vdmap.cfg': ['vdmap d 192.0.2.1', ...lines(imap, 'd')],
        'certmap.conf': ['certmap default default'],
      };
      const { yaml, notes } = importFolder(folder);
      assert.ok(yaml !== null);
      loadSettings({ file: settingsFile(t, yaml).file });
      for (const [file, given] of Object.entries(folder)) {
        // A vdmap is read where a proxy names it.
        const isRead = file.endsWith('ProxyAService.cfg') || /^ +# vdmap d /m.test(yaml);
        if (!isRead || file === 'AService.cfg') continue;
        for (const [index, line] of given.entries()) {
          const [, option = '', said = ''] = /^(?:default|d):(\S+) *(.*)$/.exec(line.trim()) ?? [];
          const isSaid: boolean =
            yaml.includes(`${option}, ${file}:${index + 1}`) ||
            notes.some((note) => note.file?.endsWith(file) === true && note.line === index + 1);
          // Another proxy may say the very same.
          const isSame =
            Object.values(folder)
              .flat()
              .filter((other) => meaningOf(other) === meaningOf(line)).length > 1;
          assert.ok(isSaid || isSame || option === '', `${file}:${index + 1} ${option} ${said}\n${yaml}`);
        }
      }
    }),
    { numRuns: 150 },
  );
});
