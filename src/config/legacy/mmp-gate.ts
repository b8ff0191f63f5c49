// The options of the MMP about who may log in, as settings of a service or of one address of it (vdmap). Pure.

import { parseAccessRules } from '../../wire/access-rules.ts';
import type { Protocol } from '../settings.ts';
import { parseCertmap } from './certmap.ts';
import { hasOption, type Migration, sourced, sourceOf } from './mmp-files.ts';
import type { Scope } from './mmp-scope.ts';
import { type Line, ON } from './option-table.ts';
import { type SettingsMap, Sourced } from './yaml-text.ts';

/** What is offered by itself. */
const USUAL = ['PLAIN', 'LOGIN', 'XOAUTH2', 'OAUTHBEARER', 'EXTERNAL'] as const;
const EVERYBODY = ['0.0.0.0/0', '::/0'];

export interface GateRules {
  readonly protocol: Protocol;
  readonly migration: Migration;
  /** Whether somebody has grants that could be asked for. */
  readonly hasGrants: boolean;
  /** Of an address: the options of its service. */
  readonly service: Scope | null;
}

export function gateOf(scope: Scope, rules: GateRules): SettingsMap {
  const has = (name: string): boolean => hasOption(rules.protocol, name);
  return {
    ...(has('PreAuth') ? verifyOf(scope, rules) : {}),
    ...flag(scope, has('RestrictPlainPasswords') && 'RestrictPlainPasswords', 'restrictPlainPasswords'),
    ...accessOf(scope, rules),
    ...(has('AuthService') ? authServiceOf(scope, rules) : {}),
    ...flag(scope, has('ClientLookup') && 'ClientLookup', 'clientLookup'),
  };
}

function flag(scope: Scope, name: string | false, key: string): SettingsMap {
  const line = name === false ? null : scope.take(name);
  const isOn = line === null ? null : scope.table.flagOf(line);
  return line === null || isOn === null ? {} : { [key]: sourced(line, isOn) };
}

/** Whether PreAuth and CRAMs are on, as far as something is said. */
interface Checks {
  readonly preAuth: boolean | null;
  readonly challenges: boolean | null;
}

const NOTHING_SAID: Checks = { preAuth: null, challenges: null };

function isOn(scope: Scope, line: Line | null): boolean | null {
  return line === null ? null : scope.table.flagOf(line);
}

/** CRAMs compare with passwords of the directory, so it is the directory that verifies. */
function verifyOf(scope: Scope, { protocol, service }: GateRules): SettingsMap {
  const [preAuth, challenge] = [scope.take('PreAuth'), scope.take('CRAMs')];
  const own: Checks = { preAuth: isOn(scope, preAuth), challenges: isOn(scope, challenge) };
  if (own.preAuth === null && own.challenges === null) return {};
  const above: Checks = service === null ? NOTHING_SAID : checksOf(service);
  const isFirst = own.preAuth ?? above.preAuth ?? false;
  const isOffered = own.challenges ?? above.challenges ?? false;
  const lines = [preAuth, challenge].flatMap((line) => line ?? []);
  const verify = new Sourced(isFirst || isOffered ? 'directory' : 'backend', lines.map(sourceOf).join('; '));
  if (isOffered && !isFirst)
    for (const line of lines)
      scope.table.note(
        line,
        'answers to CRAMs are compared here, so passwords are checked here too, as by PreAuth',
      );
  if (challenge === null || own.challenges === null) return { verify };
  if (!own.challenges)
    return { verify, ...(above.challenges === true ? { mechanisms: sourced(challenge, USUAL) } : {}) };
  scope.table.note(
    challenge,
    'carried (DIGEST-MD5 is gone, RFC 6331); BindDN must be allowed to read userPassword, and the values must be plain',
  );
  const apop = protocol === 'pop3' ? ['APOP'] : [];
  return { verify, mechanisms: sourced(challenge, [...USUAL, 'CRAM-MD5', ...apop]) };
}

function checksOf(scope: Scope): Checks {
  return { preAuth: isOn(scope, scope.take('PreAuth')), challenges: isOn(scope, scope.take('CRAMs')) };
}

export function wantsCompare(scope: Scope): Line | null {
  const line = scope.take('CRAMs');
  return line !== null && ON.test(line.value) ? line : null;
}

function accessOf(scope: Scope, { service }: GateRules): SettingsMap {
  const line = scope.take('TCPAccess');
  if (line === null || line.value === '') return {};
  const parsed = parseAccessRules(line.value);
  if (parsed.kind === 'rules') return { access: sourced(line, line.value) };
  const isOpen = service === null || (service.take('TCPAccess')?.value ?? '') === '';
  scope.table.note(
    line,
    `${parsed.reason}; left out, so ${isOpen ? 'EVERYBODY is let in' : 'the rules of its service hold there'}`,
  );
  return {};
}

function authServiceOf(scope: Scope, { hasGrants }: GateRules): SettingsMap {
  const line = scope.take('AuthService');
  if (line === null) return {};
  const isOn = scope.table.flagOf(line);
  if (isOn !== true) return isOn === null ? {} : { authService: { from: sourced(line, []) } };
  if (!hasGrants) {
    scope.table.note(line, 'left out: without popBeforeSmtp nobody has a grant that could be asked for');
    return {};
  }
  scope.table.note(line, 'carried: anybody may ask, as before; name those who should in authService.from');
  return { authService: { from: sourced(line, EVERYBODY) } };
}

/** The store administrator; null: none, or no password of it. */
export function adminOf(scope: Scope, migration: Migration, secret = 'storeadmin'): SettingsMap | null {
  const user = scope.take('StoreAdmin');
  const password = scope.take('StoreAdminPass');
  if (user === null && password === null) return null;
  if (user === null || password === null || user.value === '' || password.value === '') {
    const given = user ?? password;
    if (given !== null)
      scope.table.note(given, 'StoreAdmin and StoreAdminPass go together; left out, the other is missing');
    return null;
  }
  const file = migration.secret(password, secret);
  return { user: sourced(user, user.value), passwordFile: sourced(password, file) };
}

export function adminPolicyOf(scope: Scope, { hasAdmin }: { readonly hasAdmin: boolean }): SettingsMap {
  const line = scope.take('adminpolicy');
  if (line === null) return {};
  const policy = line.value.toLowerCase();
  if (policy === 'simple' && hasAdmin) return { adminPolicy: sourced(line, policy) };
  if (policy === 'simple') {
    scope.table.note(line, 'left out: it is for StoreAdmin, and there is none');
    return {};
  }
  if (policy === 'group') {
    scope.table.note(
      line,
      'carried; who is an administrator (store.admins, store.serviceadmingroupdn) is in no file of the MMP: fill in directory.admins or directory.ldap.adminGroup',
    );
    return { adminPolicy: sourced(line, policy) };
  }
  scope.table.note(line, 'expected simple or group');
  return {};
}

/** The certmap.conf that is named, by its whole path; null: none that can be read. */
export function certmapOf(scope: Scope, migration: Migration): Sourced | null {
  const line = scope.take('CertMapFile');
  if (line === null || line.value === '') return null;
  const found = migration.files.read(line.value);
  if (found === null) {
    scope.table.note(line, 'the file is not there; left out');
    return null;
  }
  const parsed = parseCertmap(found.text);
  if (parsed.kind === 'certmap') {
    migration.stays.add(found.path);
    return sourced(line, found.path);
  }
  for (const { line: number, text } of parsed.mistakes)
    migration.notes.push({ file: found.path, line: number, option: null, reason: text });
  scope.table.note(line, 'left out, for the file has mistakes');
  return null;
}
