// The path of a connection, one line a step. No step calls the next; a step that fails throws, and close() has the
// last words. The loop: a refused login may be tried again, and SMTP comes back to AUTH or STARTTLS.

import { admit } from '../connection/admit.ts';
import { authenticate } from '../connection/authenticate.ts';
import type { Client } from '../connection/client.ts';
import { close } from '../connection/close.ts';
import { greet } from '../connection/greet.ts';
import { connectBackend } from '../connection/backend.ts';
import { proxyHeader } from '../connection/proxy-header.ts';
import { relay } from '../connection/relay.ts';
import { route } from '../connection/route.ts';
import { secure } from '../connection/secure.ts';
import { asGateError } from '../errors.ts';
import type { Wish } from '../protocol/dialect.ts';

/** Serves one accepted connection to its end; never rejects. */
export async function proxyMail(client: Client): Promise<void> {
  try {
    await proxyHeader(client);
    await admit(client);
    await secure(client);
    await greet(client);
    for (;;) {
      let wish: Wish | null = await authenticate(client);
      if (wish.kind === 'quit') break;
      const target = await route(client, wish);
      const back = target === null ? null : await connectBackend(client, target, wish);
      // The relay goes on for hours; what it began with, a password, is let go.
      wish = null;
      if (back !== null && (await relay(client, back)) === 'over') break;
    }
    close(client, null);
  } catch (error) {
    close(client, asGateError(error));
  }
}
