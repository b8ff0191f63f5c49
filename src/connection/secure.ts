// Step 3: implicit TLS now; on the other ports the leg is read as it is and the dialect asks for TLS in its own words.

import type { Client } from './client.ts';

export async function secure(client: Client): Promise<void> {
  if (client.gate.implicitTls) await client.leg.startTls('');
  else client.leg.attach();
}
