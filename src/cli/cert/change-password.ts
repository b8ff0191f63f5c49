// change-password: another password for the database, in sslpassword.conf too. No key is encrypted anew for it.

import { INTERNAL_MODULE, keepPassword } from '../../config/password-file.ts';
import { SettingsError } from '../../errors.ts';
import { databaseOf, readPasswordLine, withDatabase } from './place.ts';
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
        const password =
          file === undefined
            ? await desk.prompt.newPassword(
                'Choose the certificate database password:',
                'Confirm the certificate database password:',
              )
            : readPasswordLine(file, desk);
        database.change((change) => change.setPassword(password));
        const { passwordFile } = desk.place;
        try {
          keepPassword(passwordFile, INTERNAL_MODULE, password);
        } catch (error) {
          if (!(error instanceof SettingsError)) throw error;
          const remedy = `the database has its new password all the same; write it as "${INTERNAL_MODULE}:password"`;
          throw new SettingsError([...error.mistakes, `${passwordFile}: ${remedy}`]);
        }
        desk.say(`${databaseOf(desk)}: the password is changed, and kept in ${passwordFile}`);
      });
  },
};
