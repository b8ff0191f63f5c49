// Certificates in tokens as the verbs of the database know them. For lists nobody logs in: certificates are there for
// everybody to see, and a PIN is not spent on a look.

import { X509Certificate } from 'node:crypto';

import type { Entry } from '../../certdb/database.ts';
import { keyIdOf } from '../../certdb/pem.ts';
import { tokenCertificates } from '../../certdb/token-objects.ts';
import type { TokenCertificate } from '../../certdb/token-objects.ts';
import { NO_TRUST } from '../../certdb/database.ts';
import { SettingsError } from '../../errors.ts';
import { moduleOf, modulesOf } from '../token/open.ts';
import type { Desk } from './verb.ts';

export function tokenEntry(module: string, found: TokenCertificate): Entry {
  return {
    nickname: `${module}:${found.nickname}`,
    keyType: found.keyType,
    cert: found.cert,
    extra: [],
    trust: NO_TRUST,
    hasKey: found.hasKey,
    keyId: keyIdOf(new X509Certificate(found.cert).publicKey),
    addedAt: 0,
  };
}

/** All of them; a module that cannot be used is a warning. */
export function tokenEntries(desk: Desk): readonly Entry[] {
  return modulesOf(desk).flatMap(({ name }) => {
    try {
      const session = moduleOf(desk, { module: name, access: 'read' }).open(null);
      try {
        return tokenCertificates(session).map((found) => tokenEntry(name, found));
      } finally {
        session.close();
      }
    } catch (error) {
      if (!(error instanceof SettingsError)) throw error;
      for (const mistake of error.mistakes) desk.note(`warning: ${mistake}`);
      return [];
    }
  });
}
