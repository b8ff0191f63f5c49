// Step 6: which backend a wish leads to. Without a directory everyone belongs to the service's own backend.

import type { Backend } from './backend-leg.ts';
import type { Client } from './client.ts';

export function route(client: Client): Backend {
  return client.gate.backend;
}
