// token generate: a key pair that is made in the token and stays there. token remove-key: takes one away for good.

import { generateTokenKey, removeTokenKey } from '../../certdb/token-changes.ts';
import { findTokenKey, tokenCertificates } from '../../certdb/token-objects.ts';
import { SettingsError } from '../../errors.ts';
import { KEY_OPTIONS, readKeyWish } from '../cert/subject.ts';
import type { Given, Verb } from '../cert/verb.ts';
import { quoted } from '../cert/verb.ts';
import { withToken } from './open.ts';
import { TOKEN_OPTIONS } from './options.ts';

const ID_BYTES = 20;
const USUAL_BITS = { rsa: 3072, ec: 256 } as const;

export interface PlainKeyWish {
  readonly type: 'rsa' | 'ec';
  readonly bits: number;
}

/** An Error for what tokens do not make. */
export function readTokenKeyWish(given: Given): PlainKeyWish {
  const { type, bits } = readKeyWish(given);
  if (type === 'ed25519') throw new Error('--keytype: in a token keys are rsa or ec');
  return { type, bits: bits ?? USUAL_BITS[type] };
}

export const generateKeyVerb: Verb = {
  name: 'generate',
  summary: 'Makes a key pair in a token; the private key can neither be read nor copied',
  usage: '[-W PIN_FILE] [--keytype TYPE] [--keysize BITS]',
  operands: ['MODULE', 'NICKNAME'],
  options: {
    keytype: { ...KEY_OPTIONS.keytype, doc: 'the type of the new key: ec (default) or rsa' },
    keysize: {
      ...KEY_OPTIONS.keysize,
      doc: 'its size: 256 (default) or 384 for ec, 2048 and more for rsa (default 3072)',
    },
    ...TOKEN_OPTIONS,
  },
  help: 'A request for its certificate: sallyport cert request-cert --token MODULE --key NICKNAME --name HOST\n',
  read(given) {
    const [module = '', nickname = ''] = given.words;
    const wish = readTokenKeyWish(given);
    return (desk) =>
      withToken(desk, { module, access: 'write' }, (session) => {
        const id = desk.program.world.random(ID_BYTES);
        const key = generateTokenKey(session, wish, { label: nickname, id });
        desk.say(
          `${module}: made the key "${key.label}", ${key.keyType} ${key.bits ?? wish.bits}, id ${key.id}`,
        );
      });
  },
};

export const removeKeyVerb: Verb = {
  name: 'remove-key',
  summary: 'Removes a key pair from a token, for good',
  usage: '[-W PIN_FILE]',
  operands: ['MODULE', 'NICKNAME'],
  options: TOKEN_OPTIONS,
  help: 'NICKNAME is the label of the key, or its id as `token keys` shows it.\n',
  read(given) {
    const [module = '', nickname = ''] = given.words;
    return (desk) =>
      withToken(desk, { module, access: 'write' }, (session) => {
        const key = findTokenKey(session, nickname);
        const user = tokenCertificates(session).find(({ id }) => id === key.id);
        if (user !== undefined) {
          const remedy = `${desk.tool.replace(/token$/, 'cert')} remove-cert ${quoted(`${module}:${user.nickname}`)}`;
          throw new SettingsError([
            `the certificate "${user.nickname}" needs this key, take it away first: ${remedy}`,
          ]);
        }
        removeTokenKey(session, key.id);
        desk.say(`${module}: the key "${nickname}" is removed`);
      });
  },
};
