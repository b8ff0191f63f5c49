// change-password: another password for the database, in sslpassword.conf too. No key is encrypted anew for it.

import { readPasswordFile } from '../../config/password-file.ts';
import { databaseOf, keepBeside, readPasswordLine, withDatabase } from './place.ts';
import { DATABASE_OPTIONS } from './verb.ts';
import type { Verb } from './verb.ts';

export const changePassword: Verb = {
  name: 'change-password',
  summary: 'Changes the password of the certificate database',
  usage: '[-W CERT_PW_FILE] [-N NEW_PW_FILE]',
  operands: [],
  options: {
    'new-pwd-file': {
      type: 'string',
      short: 'N',
      value: 'NEW_PW_FILE',
      doc: 'reads the new password from this file, one line (default: prompt for it)',
    },
    ...DATABASE_OPTIONS,
  },
  read(given) {
    const file = given.text('new-pwd-file');
    return (desk) =>
      withDatabase(desk, async (database) => {
        // Before anything is changed: a file that cannot be read could not keep the password either.
        readPasswordFile(desk.place.passwordFile);
        const password =
          file === undefined
            ? await desk.prompt.newPassword(
                'Choose the certificate database password:',
                'Confirm the certificate database password:',
              )
            : readPasswordLine(file, desk);
        database.change((change) => change.setPassword(password));
        keepBeside(desk, password, 'the database has its new password all the same');
        desk.say(`${databaseOf(desk)}: the password is changed, and kept in ${desk.place.passwordFile}`);
      });
  },
};
