// Step 5: answers the client until it asks to log in, to send mail, or to leave. Nothing is proven yet: what a password
// or token is worth, the backend says in step 7.

import { GateError } from '../errors.ts';
import type { Wish } from '../protocol/dialect.ts';
import { readmit } from './admit.ts';
import type { Client } from './client.ts';
import { doPenance } from './penance.ts';

export async function authenticate(client: Client): Promise<Wish> {
  if (client.loginsFailed >= client.limits.authAttempts) throw new GateError('TOO_MANY_LOGINS');
  client.enter(client.ownTurn);
  const wish = await client.session.nextWish();
  if (wish.kind !== 'quit') await readmit(client);
  if (wish.kind === 'login') {
    // EXTERNAL may name nobody.
    client.claimed = wish.credentials.user === '' ? null : wish.credentials.user;
    client.mechanism = wish.credentials.mechanism;
    await doPenance(client);
  }
  return wish;
}
