// Tokens for the verbs of `sallyport token` and `sallyport cert`: the module that the settings name, and the login: by the
// file of -W, by sslpassword.conf, or by the PIN that is asked for. Each is tried once.
// On failure: SettingsError with module and token. A PIN is in no message.

import { openModule } from '../../certdb/token.ts';
import type { TokenModule, TokenSession } from '../../certdb/token.ts';
import { nearOrAll, pinOf } from '../../certdb/token-values.ts';
import { readPasswordFile } from '../../config/password-file.ts';
import { resolveSecret } from '../../config/secret.ts';
import type { TokenModuleSettings } from '../../config/settings.ts';
import { SettingsError } from '../../errors.ts';
import type { Desk } from '../cert/verb.ts';

export interface Wish {
  readonly module: string;
  readonly access: 'read' | 'write';
  /** `risk`: the last try before the token locks is taken. */
  readonly finalTry?: 'refuse' | 'risk';
}

export function modulesOf({ place }: Desk): readonly TokenModuleSettings[] {
  return Object.values(place.settings?.certificates.modules ?? {});
}

export function moduleOf(desk: Desk, { module: name, access }: Wish): TokenModule {
  const known = modulesOf(desk);
  const source = known.find((one) => one.name === name);
  if (source !== undefined) return openModule(source, access);
  const file = desk.place.settings?.file ?? 'the settings';
  const near = nearOrAll(
    name,
    known.map((one) => one.name),
  );
  const hint = known.length === 0 ? ': sallyport token add NAME LIBRARY' : near;
  throw new SettingsError([`${file}: there is no module "${name}" in certificates.modules${hint}`]);
}

/** The token, logged in, for as long as `work` lasts. */
export async function withToken<T>(
  desk: Desk,
  wish: Wish,
  work: (session: TokenSession) => Promise<T> | T,
): Promise<T> {
  const module = moduleOf(desk, wish);
  const { label, needsLogin } = module.token();
  const login = needsLogin ? await pinFor(desk, { module: wish.module, label }) : { pin: null, source: '' };
  const session = module.open({ ...login, finalTry: wish.finalTry ?? 'refuse' }, wish.access);
  try {
    return await work(session);
  } finally {
    session.close();
  }
}

interface TokenName {
  readonly module: string;
  readonly label: string;
}

async function pinFor(
  desk: Desk,
  name: TokenName,
): Promise<{ readonly pin: string; readonly source: string }> {
  const { passwordFile, place, prompt } = desk;
  if (passwordFile !== undefined) return { pin: pinIn(passwordFile, name), source: passwordFile };
  const kept = pinOf(readPasswordFile(place.passwordFile), name);
  if (kept !== null) return { pin: kept, source: place.passwordFile };
  return {
    pin: await prompt.password(`Enter the PIN of the token "${name.label}":`),
    source: 'what was typed',
  };
}

/** One line with the PIN, or a file as sslpassword.conf. */
function pinIn(file: string, name: TokenName): string {
  const text = resolveSecret({ kind: 'file', path: file });
  if (!text.includes('\n') && !text.startsWith(`${name.module}:`) && !text.startsWith(`${name.label}:`))
    return text;
  const pin = pinOf(readPasswordFile(file), name);
  if (pin !== null) return pin;
  throw new SettingsError([`${file}: expected one line with the PIN, or "${name.module}:PIN"`]);
}
