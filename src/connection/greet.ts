// Step 4: the channel that the client's address, and TLS that is there already, lead to; the greeting, with the
// capabilities the backends have in common.

import type { Client } from './client.ts';

export async function greet(client: Client): Promise<void> {
  // Who the client is, is known by now; its name is looked up while it talks.
  if (client.gate.settings.clientLookup) void client.name;
  client.course?.arrive();
  await client.session.greet();
}
