// show-cert: what is in a certificate. chain: the way to its root, and whether it holds.

import { certificateFacts, certificateText } from '../../certdb/describe.ts';
import type { Entry } from '../../certdb/database.ts';
import { harmless } from '../../log.ts';
import { nicknameOf } from './home.ts';
import { JSON_OPTION } from './list.ts';
import { withDatabase } from './place.ts';
import { deliver, OUTPUT_OPTION } from './result.ts';
import { dateText } from './table.ts';
import { DATABASE_OPTIONS, oneOf } from './verb.ts';
import type { Verb } from './verb.ts';
import { judgePath } from './verdict.ts';
import type { Verdict } from './verdict.ts';

const FORMATS = ['readable', 'ascii'] as const;

export const showCertificate: Verb = {
  name: 'show-cert',
  summary: 'Displays a certificate',
  usage: '[-W CERT_PW_FILE] [-F FORMAT] [-o OUTPUT_FILE] [--json]',
  operands: ['CERT_ALIAS'],
  options: {
    format: {
      type: 'string',
      short: 'F',
      value: 'FORMAT',
      doc: 'readable (default), or ascii: the certificate itself in PEM, to give to others',
    },
    ...OUTPUT_OPTION,
    ...JSON_OPTION,
    ...DATABASE_OPTIONS,
  },
  read(given) {
    const nickname = nicknameOf(given.words[0] ?? '');
    const format = oneOf('-F', given.text('format'), FORMATS) ?? 'readable';
    const output = given.text('output');
    const isJson = given.flag('json');
    return (desk) =>
      withDatabase(desk, (database) => {
        const entries = database.find(nickname);
        const text = isJson ? jsonText(entries) : entries.map(format === 'ascii' ? pemOf : pageOf).join('\n');
        deliver(desk, Buffer.from(text), { output, kind: 'public' });
      });
  },
};

function pageOf({ cert, trust, hasKey }: Entry): string {
  return certificateText(cert, { trust, hasKey });
}

function jsonText(entries: readonly Entry[]): string {
  const pages = entries.map(({ nickname, cert, trust, hasKey }) => ({
    alias: nickname,
    ...certificateFacts(cert, { trust, hasKey }),
    hasKey,
  }));
  return `${JSON.stringify(pages, null, 2)}\n`;
}

function pemOf({ cert }: Entry): string {
  return `${cert.trimEnd()}\n`;
}

export const showChain: Verb = {
  name: 'chain',
  summary: 'Checks and shows the way of a certificate to its root',
  usage: '[-W CERT_PW_FILE] [--json]',
  operands: ['CERT_ALIAS'],
  options: { ...JSON_OPTION, ...DATABASE_OPTIONS },
  help: 'Exit code 1 where the way is not whole, not trusted, or not valid at the moment.\n',
  read(given) {
    const nickname = nicknameOf(given.words[0] ?? '');
    const isJson = given.flag('json');
    return (desk) =>
      withDatabase(desk, (database) => {
        const now = desk.program.world.now();
        const known = database.entries();
        const verdicts = database
          .find(nickname)
          .map((entry) => judgePath(entry, known, { now, tool: desk.tool }));
        desk.program.out(
          isJson ? chainJson(nickname, verdicts) : verdicts.map((verdict) => chainText(verdict)).join('\n'),
        );
        return verdicts.every(({ problems }) => problems.length === 0) ? undefined : 'failed';
      });
  },
};

function chainText({ steps, end, trustedFor, problems }: Verdict): string {
  const lines = steps.map(({ certificate, subject, alias, trust }, place) => {
    const called = alias === null ? '' : ` (${alias})`;
    const trusted = trust === ',,' || place === 0 ? '' : `, trust ${trust}`;
    return `${'  '.repeat(place)}${subject}${called}, until ${dateText(Date.parse(certificate.validTo))}${trusted}`;
  });
  const last =
    end === 'trusted'
      ? `ends in a CA that is trusted for ${trustedFor.join(' and ')}`
      : end === 'public'
        ? 'ends in a public CA, which systems trust'
        : null;
  return [...lines, ...(last === null ? [] : [last]), ...problems.map((words) => `problem: ${words}`)]
    .map((line) => `${harmless(line)}\n`)
    .join('');
}

function chainJson(alias: string, verdicts: readonly Verdict[]): string {
  const chains = verdicts.map(({ steps, end, trustedFor, problems }) => ({
    ok: problems.length === 0,
    end,
    trustedFor,
    problems,
    certificates: steps.map(({ certificate, ...step }) => ({
      ...step,
      notBefore: new Date(certificate.validFrom).toISOString(),
      notAfter: new Date(certificate.validTo).toISOString(),
      fingerprint256: certificate.fingerprint256,
    })),
  }));
  return `${JSON.stringify({ alias, chains }, null, 2)}\n`;
}
