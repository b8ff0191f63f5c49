// generate-certDB: the database, its password in sslpassword.conf, and the default self-signed certificate.

import { readdirSync, statSync } from 'node:fs';

import { createDatabase, databaseExists, databaseFile } from '../../certdb/database.ts';
import { makeSelfSigned } from '../../certdb/issue.ts';
import { defaultSettings } from '../../config/load.ts';
import { readPasswordFile } from '../../config/password-file.ts';
import { SettingsError } from '../../errors.ts';
import { DEFAULT_NICKNAME } from '../../service/certificates/keeper.ts';
import { makeFolder } from '../../service/machine.ts';
import { databaseOf, keepBeside, readPasswordLine } from './place.ts';
import { endOf, USUAL_VALIDITY } from './validity.ts';
import { DATABASE_OPTIONS } from './verb.ts';
import type { Desk, Verb } from './verb.ts';

export const generateDatabase: Verb = {
  name: 'generate-certDB',
  summary: 'Makes the certificate database, sslpassword.conf and a default certificate',
  usage: '[-W CERT_PW_FILE] [--database DIR]',
  operands: [],
  options: DATABASE_OPTIONS,
  help:
    `The default certificate is called ${DEFAULT_NICKNAME}, is self-signed for the host name of the settings, and is\n` +
    `valid for three months. The password is kept in sslpassword.conf, from which the server reads it.\n`,
  read: () => generate,
};

async function generate(desk: Desk): Promise<void> {
  const { place, program, prompt } = desk;
  refuseExisting(desk);
  // Before anything is made: a file that cannot be read could not keep the password either.
  readPasswordFile(place.passwordFile);
  const password =
    desk.passwordFile === undefined
      ? await prompt.newPassword(
          'Choose the certificate database password:',
          'Confirm the certificate database password:',
        )
      : readPasswordLine(desk.passwordFile, desk);
  const { hostname } = place.settings ?? defaultSettings();
  const now = program.world.now();
  const { cert, key } = await makeSelfSigned({
    names: [hostname],
    days: (endOf(now, USUAL_VALIDITY) - now) / 86_400_000,
    now,
  });
  const refusal = makeFolder(place.folder);
  if (refusal !== null) throw new SettingsError([`${place.folder}: ${refusal}`]);
  createDatabase(place.folder, password, {
    world: program.world,
    fill(change) {
      change.addKey(key);
      change.addCertificate({ nickname: DEFAULT_NICKNAME, cert });
    },
  });
  keepBeside(desk, password, 'the database is made');
  desk.say(`${databaseOf(desk)}: made the certificate database`);
  desk.say(`${place.passwordFile}: keeps its password, so that the server opens it unattended`);
  desk.say(`${DEFAULT_NICKNAME}: made, self-signed, for ${hostname}; clients will not trust it`);
}

function refuseExisting({ place, tool }: Desk): void {
  if (!databaseExists(place.folder)) return refuseLoose(place.folder);
  const remedy = `${tool} change-password gives it another password`;
  throw new SettingsError([
    `${databaseFile(place.folder)}: there is a certificate database already, it is left as it is; ${remedy}`,
  ]);
}

/** Certificates of versions before 0.3 lie there as PEM files, and the first start of the server takes them in. */
function refuseLoose(folder: string): void {
  const files =
    statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true ? readdirSync(folder) : [];
  const loose = files.filter((name) => name.endsWith('.cert.pem') && !name.startsWith('.'));
  if (loose.length === 0) return;
  const remedy = 'sallyport serve takes them into a database of its own making; or move them away';
  throw new SettingsError([
    `${folder}: holds certificates from before version 0.3 (${loose.join(', ')}): ${remedy}`,
  ]);
}
