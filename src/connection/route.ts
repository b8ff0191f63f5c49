// Step 6: which backend a wish leads to: SMTP to the relay of the channel that the connection is on; IMAP and POP3,
// without a directory, to the service's own.

import type { Backend } from './backend-leg.ts';
import type { Client } from './client.ts';

export function route(client: Client): Backend {
  return client.backend;
}
