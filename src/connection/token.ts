// Logins by token (XOAUTH2, OAUTHBEARER): a token is its issuer's, and of no use to most directories, which say where the
// mail is while the store judges. Where the service checks logins by the directory, and that is one which judges tokens, it
// is shown the token. Promises: no other is; nothing of it is remembered. On failure: the directory's GateError.

import type { Login } from '../identity/directory.ts';
import type { Ruling } from '../identity/reception.ts';
import type { Credentials } from '../protocol/dialect.ts';
import { bearerToken } from '../wire/sasl.ts';
import { onOwnTime } from './challenge.ts';
import type { Client } from './client.ts';

type Bearer = Extract<Credentials, { readonly kind: 'bearer' }>;

/** null: there is no directory. */
export async function askByToken(client: Client, credentials: Bearer, login: Login): Promise<Ruling | null> {
  const { reception, settings } = client.gate;
  if (reception === null) return null;
  const { mechanism, message } = credentials;
  const checker = settings.verify.kind === 'directory' ? 'directory' : 'others';
  const token =
    checker === 'directory' && reception.judges('token') ? bearerToken(Buffer.from(message, 'base64')) : null;
  if (token !== null) {
    const ruling = await reception.present(login, { kind: 'token', mechanism, token });
    // RFC 7628 3.2.3: whatever the client says to that, it is refused.
    if (ruling.kind === 'refused' && ruling.saslError !== undefined)
      await onOwnTime(client, credentials.ask)(ruling.saslError);
    return ruling;
  }
  return reception.ask({ login: { ...login, byToken: mechanism }, password: null, checker });
}
