// Step 4: the greeting, with the capabilities the backends have in common.

import type { Client } from './client.ts';

export async function greet(client: Client): Promise<void> {
  await client.session.greet();
}
