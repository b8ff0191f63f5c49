// Puts a certificate in the place of one that is there, under the same alias and the same trust, in one change. Whoever
// changed it meanwhile is not overruled: SettingsError, and nothing is changed.

import type { KeyObject } from 'node:crypto';

import type { CertificateDatabase, Entry } from '../../certdb/database.ts';
import { SettingsError } from '../../errors.ts';

export interface Replacement {
  readonly old: Entry;
  /** PEM. */
  readonly cert: string;
  readonly extra: readonly string[];
  /** null: there is none in the database, as for a CA. */
  readonly key: KeyObject | null;
}

export function replaceCertificates(
  database: CertificateDatabase,
  replacements: readonly Replacement[],
): void {
  database.change((change) => {
    for (const { old, cert, extra, key } of replacements) {
      const { nickname, keyType } = old;
      const there = database
        .entries()
        .find((entry) => entry.nickname === nickname && entry.keyType === keyType);
      if (there?.cert !== old.cert)
        throw new SettingsError([
          `${database.file}: somebody else changed "${nickname}" meanwhile: try again`,
        ]);
      change.removeCertificate(nickname, keyType);
      if (key !== null) change.addKey(key);
      change.addCertificate({ nickname, cert, extra, trust: there.trust });
    }
  });
}
