// remove-cert: takes a certificate and its key out of the database, unless the settings need it.

import { SettingsError } from '../../errors.ts';
import { nicknameOf } from './home.ts';
import { withDatabase } from './place.ts';
import { referencesTo } from './references.ts';
import { DATABASE_OPTIONS, oneOf } from './verb.ts';
import type { Desk, Verb } from './verb.ts';

export const KEY_TYPE_OPTION = {
  keytype: {
    type: 'string',
    value: 'TYPE',
    doc: 'rsa, ec or ed25519, where several certificates have the alias (default: all of them)',
  },
} as const;

/** As much of a key's name as list-certs shows. */
const KEY_NAME_CHARS = 16;

export const KEY_TYPES = ['rsa', 'ec', 'ed25519'] as const;

export const removeCertificate: Verb = {
  name: 'remove-cert',
  changes: true,
  summary: 'Removes a certificate and its private key from the database',
  usage: '[-W CERT_PW_FILE] [--keytype TYPE] [--force]',
  operands: ['CERT_ALIAS'],
  options: {
    ...KEY_TYPE_OPTION,
    force: { type: 'boolean', doc: 'also one that the settings name' },
    ...DATABASE_OPTIONS,
  },
  help:
    'What request-cert left behind goes by the name of its key, which list-certs shows: remove-cert KEY. There is no\n' +
    'way back from this: export-cert keeps a copy.\n',
  read(given) {
    const nickname = nicknameOf(given.words[0] ?? '');
    const keyType = oneOf('--keytype', given.text('keytype'), KEY_TYPES);
    const isForced = given.flag('force');
    return (desk) =>
      withDatabase(desk, (database) => {
        const request = database
          .unusedKeys()
          .find(({ keyId }) => nickname.length >= KEY_NAME_CHARS && keyId.startsWith(nickname.toLowerCase()));
        const isAlias = database.entries().some((entry) => entry.nickname === nickname);
        if (request !== undefined && !isAlias) {
          database.change((change) => change.removeUnusedKey(request.keyId));
          desk.say(`${nickname}: the key that waited for its certificate is removed`);
          return;
        }
        const entries = database.find(nickname);
        const wanted = entries.filter((entry) => keyType === undefined || entry.keyType === keyType);
        if (wanted.length === 0)
          throw new SettingsError([`${database.file}: "${nickname}" has no certificate of type ${keyType}`]);
        if (wanted.length === entries.length && !isForced) refuseNeeded(nickname, desk);
        database.change((change) => change.removeCertificate(nickname, keyType));
        desk.say(`${nickname}: removed`);
      });
  },
};

function refuseNeeded(nickname: string, { place }: Desk): void {
  const needed = place.settings === null ? [] : referencesTo(nickname, place.settings);
  if (needed.length === 0) return;
  throw new SettingsError(
    needed.map(
      (where) => `${where} names "${nickname}", which is needed there; --force removes it all the same`,
    ),
  );
}
