// trust: what a certificate of the database is trusted for.

import { isClientAuthority, isServerAuthority, parseTrust, trustText } from '../../certdb/trust.ts';
import { SettingsError } from '../../errors.ts';
import { nicknameOf } from './home.ts';
import { factsOf } from './list.ts';
import { withDatabase } from './place.ts';
import { DATABASE_OPTIONS } from './verb.ts';
import type { Verb } from './verb.ts';

export const setTrust: Verb = {
  name: 'trust',
  changes: true,
  summary: 'Says what a certificate authority is trusted for',
  usage: '[-W CERT_PW_FILE]',
  operands: ['CERT_ALIAS', 'FLAGS'],
  options: DATABASE_OPTIONS,
  help:
    'FLAGS as NSS writes them, three fields for TLS, e-mail and object signing, of which the first counts here:\n' +
    '  C,,   a CA whose servers are believed       T,,   a CA whose clients may log in by certificate\n' +
    '  CT,,  both                                  ,,    neither\n',
  read(given) {
    const [alias = '', flags = ''] = given.words;
    const nickname = nicknameOf(alias);
    const trust = parseTrust(flags);
    if ('problem' in trust) throw new Error(trust.problem);
    const text = trustText(trust);
    return (desk) =>
      withDatabase(desk, (database) => {
        for (const { certificate, subject } of database.find(nickname).map(factsOf)) {
          if (!certificate.ca && (isServerAuthority(text) || isClientAuthority(text)))
            throw new SettingsError([notAuthority(`${database.file}: "${nickname}"`, subject)]);
        }
        database.change((change) => change.setTrust(nickname, text));
        desk.say(`${nickname}: ${trustWordsOf(text)} (${text})`);
      });
  },
};

export function notAuthority(source: string, subject: string): string {
  return `${source}: ${subject} is no certificate authority, its CA flag is missing (basicConstraints CA:TRUE)`;
}

function trustWordsOf(trust: string): string {
  const whom = [
    ...(isServerAuthority(trust) ? ['servers'] : []),
    ...(isClientAuthority(trust) ? ['clients'] : []),
  ];
  return whom.length === 0 ? 'trusted for neither servers nor clients' : `trusted for ${whom.join(' and ')}`;
}
