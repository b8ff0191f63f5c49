// token add and remove: PKCS#11 modules in the settings file, after the module was tried.

import { resolve } from 'node:path';

import { openModule } from '../../certdb/token.ts';
import { nearOrAll } from '../../certdb/token-values.ts';
import { addModule, moduleNameProblem, removeModule } from '../../config/edit-modules.ts';
import type { ModuleEntry } from '../../config/edit-modules.ts';
import type { CertificateRef, Settings } from '../../config/settings.ts';
import { SettingsError } from '../../errors.ts';
import type { Desk, Given, Verb } from '../cert/verb.ts';
import { modulesOf } from './open.ts';
import { TOKEN_OPTIONS } from './options.ts';

const AFTERWARDS = 'a running server takes it up with `sallyport reload`';

export const addModuleVerb: Verb = {
  name: 'add',
  summary: 'Puts a PKCS#11 module into the settings',
  usage: '[--nss DIR] [--token LABEL] [--slot NUMBER] [--force]',
  operands: ['NAME', '[LIBRARY]'],
  options: {
    nss: {
      type: 'string',
      value: 'DIR',
      doc: 'the NSS database (cert9.db, key4.db) that it opens; LIBRARY can be left out',
    },
    token: { type: 'string', value: 'LABEL', doc: 'the token, where the module has several' },
    slot: { type: 'string', value: 'NUMBER', doc: 'the slot, where labels do not tell tokens apart' },
    force: { type: 'boolean', doc: 'also a module that cannot be used at the moment' },
    config: TOKEN_OPTIONS.config,
  },
  help: 'Certificates in its token are called NAME:NICKNAME. The PIN is a line "NAME:PIN" of sslpassword.conf.\n',
  read(given) {
    const [name = '', library] = given.words;
    const problem = moduleNameProblem(name);
    if (problem !== null) throw new Error(problem);
    const entry = entryOf(given, library);
    return async (desk) => {
      const file = fileOf(desk);
      if (modulesOf(desk).some((module) => module.name === name))
        throw new SettingsError([`${file}: there is a module "${name}" already`]);
      const refusal = tryModule(name, entry);
      if (refusal !== null && !given.flag('force'))
        throw new SettingsError([refusal, 'the settings are as they were; --force adds it all the same']);
      if (refusal !== null) desk.note(`warning: ${refusal}`);
      addModule(file, name, entry);
      desk.say(`${file}: added the module "${name}"; ${AFTERWARDS}`);
    };
  },
};

function entryOf(given: Given, library: string | undefined): ModuleEntry {
  const [nss, token, slot] = ['nss', 'token', 'slot'].map((option) => given.text(option));
  if (library === undefined && nss === undefined) throw new Error('expected LIBRARY or --nss DIR');
  if (slot !== undefined && !/^\d{1,10}$/.test(slot)) throw new Error('--slot is a number');
  return {
    ...(library === undefined ? {} : { library: resolve(library) }),
    ...(nss === undefined ? {} : { nss: resolve(nss) }),
    ...(token === undefined ? {} : { token }),
    ...(slot === undefined ? {} : { slot: Number(slot) }),
  };
}

/** Why it cannot be used; null: it can. */
function tryModule(name: string, entry: ModuleEntry): string | null {
  const { library = null, nss = null, token = null, slot = null } = entry;
  try {
    openModule({ name, library, nss, token, slot }).token();
    return null;
  } catch (error) {
    if (error instanceof SettingsError) return error.mistakes.join('; ');
    throw error;
  }
}

export const removeModuleVerb: Verb = {
  name: 'remove',
  summary: 'Takes a PKCS#11 module out of the settings; its token stays as it is',
  usage: '',
  operands: ['NAME'],
  options: { config: TOKEN_OPTIONS.config },
  read(given) {
    const [name = ''] = given.words;
    return async (desk) => {
      const file = fileOf(desk);
      const known = modulesOf(desk).map((module) => module.name);
      if (!known.includes(name))
        throw new SettingsError([
          `${file}: there is no module "${name}" in certificates.modules${nearOrAll(name, known)}`,
        ]);
      const [needed] = namesOf(name, desk.place.settings);
      if (needed !== undefined) throw new SettingsError([`${file}: ${needed}, change that first`]);
      removeModule(file, name);
      desk.say(`${file}: removed the module "${name}"; ${AFTERWARDS}`);
    };
  },
};

/** Where certificates of the module are named. */
function namesOf(module: string, settings: Settings | null): readonly string[] {
  const uses = (refs: readonly CertificateRef[], key: string): string[] =>
    refs.flatMap((ref) =>
      ref.kind === 'token' && ref.module === module ? [`${key} names "${module}:${ref.nickname}"`] : [],
    );
  const services = Object.values(settings?.services ?? {});
  const backends = Object.values(settings?.backends ?? {});
  return [
    ...services.flatMap(({ name, tls }) =>
      uses([...tls.certificates, ...Object.values(tls.sni).flat()], `services.${name}.tls`),
    ),
    ...backends.flatMap(({ name, tls }) => uses(tls.certificates, `backends.${name}.tls`)),
  ];
}

function fileOf({ place }: Desk): string {
  const file = place.settings?.file ?? null;
  if (file !== null) return file;
  throw new SettingsError(['there is no settings file to change: --config F names one']);
}
