// Writes config/reference.md, config/errors.md and config/mmp-options.md from the schema, the error table and the table
// of the MMP's options.
// With --check it writes nothing, names each page that is stale, and exits 1.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expectedOf } from '../src/config/formats.ts';
import type { Leaf } from '../src/config/formats.ts';
import { MMP_OPTIONS } from '../src/config/legacy/mmp-options.ts';
import { SCHEMAS, leavesOf } from '../src/config/schema.ts';
import { ERRORS } from '../src/errors.ts';
import type { ErrorRow } from '../src/errors.ts';

const ROOT = join(import.meta.dirname, '..');
const MADE = '<!-- Made by `npm run docs`. Do not edit. -->';

/** File name → what it should hold. */
export function pages(): Record<string, string> {
  return {
    'config/reference.md': settingsPage(),
    'config/errors.md': errorsPage(),
    'config/mmp-options.md': mmpPage(),
  };
}

/** Names of the pages that are missing or differ. */
export function stalePages(): string[] {
  return Object.entries(pages()).flatMap(([file, text]) =>
    readOrNull(join(ROOT, file)) === text ? [] : [file],
  );
}

function settingsPage(): string {
  const sections = SCHEMAS.map(({ place, title, schema }) => {
    const rows = [...leavesOf(schema)].map(([path, leaf]) =>
      row([`\`${path.join('.')}\``, expectedOf(leaf), defaultOf(leaf), leaf.doc]),
    );
    const heading = place === '' ? `## ${title}` : `## ${title}: \`${place}\``;
    return [heading, '', ...table(['setting', 'takes', 'default', 'meaning']), ...rows, ''].join('\n');
  });
  return `${[
    '# Settings',
    '',
    MADE,
    '',
    'The settings are one YAML file: the one of `--config`, else `./sallyport.yaml`, else',
    '`/etc/sallyport/sallyport.yaml`. Relative names are relative to the folder of the file. Unknown keys are errors.',
    'A secret is a text, `{ file: NAME }` (a file that only its owner may read) or `{ credential: NAME }`',
    '(a systemd credential). A list of one may be written without brackets. `sallyport check` names every mistake.',
    '',
    ...sections,
  ]
    .join('\n')
    .trimEnd()}\n`;
}

function errorsPage(): string {
  const rows = Object.entries<ErrorRow>(ERRORS).map(([code, error]) =>
    row([
      `\`${code}\``,
      error.doc,
      said(error.smtp?.join(' '), error),
      said(
        error.imap && (error.imap[1] === '' ? error.imap[0] : `${error.imap[0]} [${error.imap[1]}]`),
        error,
      ),
      said(error.pop3 === null ? null : error.pop3 === '' ? '-ERR' : `-ERR [${error.pop3}]`, error),
      error.text,
      error.level,
    ]),
  );
  return `${[
    '# Errors',
    '',
    MADE,
    '',
    'What can go wrong on a connection: the code in its log line, what it means, and what the client is told.',
    '',
    ...table(['code', 'meaning', 'SMTP', 'IMAP', 'POP3', 'words to the client', 'logged as']),
    ...rows,
  ].join('\n')}\n`;
}

function mmpPage(): string {
  const rows = MMP_OPTIONS.map(({ name, aliases, places, vdmap, becomes, reason }) =>
    row([
      [name, ...(aliases ?? [])].map((word) => `\`${word}\``).join(' '),
      Array.from(places, (letter) => MMP_PLACES[letter]).join(' '),
      vdmap === undefined ? '' : `\`${vdmap}\``,
      becomes === undefined ? '' : becomes.replaceAll(/[^, ]+/g, '`$&`'),
      reason ?? '',
    ]),
  );
  return `${[
    '# Options of the MMP',
    '',
    MADE,
    '',
    'Every option of the Sun Messaging Multiplexor and what `sallyport import mmp` makes of it; where the second last',
    'column is empty the last one says why. How to go about it: [From the MMP](guide/from-mmp.md).',
    '',
    ...table(['option', 'files', 'in vdmap.cfg', 'becomes', 'remarks']),
    ...rows,
  ].join('\n')}\n`;
}

const MMP_PLACES: Readonly<Record<string, string>> = { A: 'AService', I: 'Imap', P: 'Pop', S: 'Smtp' };

function said(words: string | null | undefined, error: ErrorRow): string {
  return words === null || words === undefined || error.text === '' ? '' : `\`${words}\``;
}

function defaultOf(leaf: Leaf): string {
  if (leaf.required) return 'none, must be given';
  if (leaf.default === null) return 'empty';
  return `\`${typeof leaf.default === 'string' ? leaf.default : JSON.stringify(leaf.default)}\``;
}

function table(titles: readonly string[]): string[] {
  return [row(titles), row(titles.map(() => '---'))];
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function readOrNull(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

if (import.meta.main) {
  if (process.argv.includes('--check')) {
    for (const file of stalePages()) {
      console.error(`${file} is stale: run npm run docs`);
      process.exitCode = 1;
    }
  } else {
    for (const [file, text] of Object.entries(pages())) writeFileSync(join(ROOT, file), text);
  }
}
