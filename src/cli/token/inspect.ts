// token list, keys and certs: what modules there are and what is in their tokens. Changes nothing.

import { X509Certificate } from 'node:crypto';

import { certificateNames } from '../../certdb/distinguished-name.ts';
import { tokenCertificates, tokenKeys } from '../../certdb/token-objects.ts';
import type { TokenFacts } from '../../certdb/token-facts.ts';
import { SettingsError } from '../../errors.ts';
import { harmless } from '../../log.ts';
import { dateText, tableText } from '../cert/table.ts';
import type { Desk, Verb } from '../cert/verb.ts';
import { counted } from '../usage.ts';
import { moduleOf, modulesOf, withToken } from './open.ts';
import { JSON_OPTION, TOKEN_OPTIONS } from './options.ts';

export const listModules: Verb = {
  name: 'list',
  summary: 'Lists the modules, their slots and tokens',
  usage: '[--json]',
  operands: ['[MODULE]'],
  options: { ...JSON_OPTION, config: TOKEN_OPTIONS.config },
  help: 'No PIN is asked for. Exit code 1 where a module cannot be used.\n',
  read(given) {
    const [only] = given.words;
    const isJson = given.flag('json');
    return async (desk) => {
      const names = only === undefined ? modulesOf(desk).map(({ name }) => name) : [only];
      const reports = names.map((name) => reportOf(desk, name));
      if (isJson) desk.program.out(`${JSON.stringify({ modules: reports }, null, 2)}\n`);
      else printModules(reports, desk);
      return reports.every(({ error }) => error === null) ? undefined : 'failed';
    };
  },
};

interface Report {
  readonly name: string;
  readonly library: string | null;
  readonly description: string | null;
  readonly error: string | null;
  readonly tokens: readonly TokenFacts[];
}

function reportOf(desk: Desk, name: string): Report {
  const nothing = { name, library: null, description: null, tokens: [] };
  try {
    const module = moduleOf(desk, { module: name, access: 'read' });
    const { library, description } = module;
    const tokens = module.tokens();
    try {
      module.token();
      return { name, library, description, error: null, tokens };
    } catch (error) {
      return { name, library, description, error: wordsOf(error), tokens };
    }
  } catch (error) {
    return { ...nothing, error: wordsOf(error) };
  }
}

function wordsOf(error: unknown): string {
  if (error instanceof SettingsError) return error.mistakes.join('; ');
  throw error;
}

function printModules(reports: readonly Report[], { say }: Desk): void {
  if (reports.length === 0) say('no modules: sallyport token add NAME LIBRARY puts one into the settings');
  for (const { name, library, description, error, tokens } of reports) {
    say(library === null ? name : `${name}: ${library} (${description})`);
    for (const token of tokens) say(`  slot ${token.slot}: ${tokenText(token)}`);
    if (error !== null) say(`  problem: ${error}`);
  }
}

function tokenText(token: TokenFacts): string {
  if (!token.isInitialized) return 'a token that is not initialised';
  const flags = [
    token.needsLogin ? 'PIN wanted' : 'no PIN',
    ...(token.isWriteProtected ? ['write-protected'] : []),
    ...(token.pin === 'fine' ? [] : [`PIN ${token.pin}`]),
  ];
  return `token "${token.label}", ${token.manufacturer} ${token.model}, serial ${token.serial}; ${flags.join(', ')}`;
}

export const listKeys: Verb = {
  name: 'keys',
  summary: 'Lists the private keys in a token',
  usage: '[-W PIN_FILE] [--force] [--json]',
  operands: ['MODULE'],
  options: {
    force: { type: 'boolean', doc: 'log in although one more wrong PIN locks the token' },
    ...JSON_OPTION,
    ...TOKEN_OPTIONS,
  },
  read(given) {
    const [module = ''] = given.words;
    const finalTry = given.flag('force') ? 'risk' : 'refuse';
    return (desk) =>
      withToken(desk, { module, access: 'read', finalTry }, (session) => {
        const keys = tokenKeys(session);
        if (given.flag('json')) {
          const plain = keys.map(({ publicKey: _half, ...key }) => key);
          desk.program.out(`${JSON.stringify({ keys: plain }, null, 2)}\n`);
          return;
        }
        const rows = keys.map(({ label, keyType, bits, id, isExtractable }) => [
          harmless(label),
          `${keyType}${bits === null ? '' : ` ${bits}`}`,
          isExtractable ? 'yes' : 'no',
          id,
        ]);
        const columns = [
          { title: ['Label'], least: 12 },
          { title: ['Key'], least: 8 },
          { title: ['Extractable'], least: 3 },
          { title: ['Id'], least: 8 },
        ] as const;
        desk.program.out(`${tableText(columns, rows)}${counted(keys.length, 'key')} found\n`);
      });
  },
};

export const listTokenCertificates: Verb = {
  name: 'certs',
  summary: 'Lists the certificates in a token',
  usage: '[-W PIN_FILE] [--json]',
  operands: ['MODULE'],
  options: { ...JSON_OPTION, ...TOKEN_OPTIONS },
  read(given) {
    const [module = ''] = given.words;
    return (desk) =>
      withToken(desk, { module, access: 'read' }, (session) => {
        const found = tokenCertificates(session).map(({ cert, ...facts }) => {
          const certificate = new X509Certificate(cert);
          const [notBefore, notAfter] = [certificate.validFrom, certificate.validTo].map((text) =>
            Date.parse(text),
          );
          return { ...facts, ...certificateNames(certificate), notBefore, notAfter };
        });
        if (given.flag('json')) {
          desk.program.out(`${JSON.stringify({ certificates: found }, null, 2)}\n`);
          return;
        }
        const rows = found.map(({ nickname, keyType, hasKey, notAfter = 0, issuer, subject, id }) => [
          harmless(`${module}:${nickname}`),
          keyType,
          hasKey ? 'yes' : 'no',
          dateText(notAfter),
          harmless(subject),
          subject === issuer ? 'Same as issuer' : harmless(issuer),
          id,
        ]);
        const titles = ['Alias', 'Type', 'Key', 'Expires on', 'Issued to', 'Issued by', 'Id'];
        const columns = titles.map((title) => ({ title: [title] as const, least: 4 }));
        desk.program.out(`${tableText(columns, rows)}${counted(found.length, 'certificate')} found\n`);
      });
  },
};
