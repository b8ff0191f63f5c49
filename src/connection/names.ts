// The forward-confirmed host names of a client. Promises: never rejects; whoever has none, or whose resolver is slower
// than timeouts.connect, has none here, nor whoever calls itself what is no host name: name servers may answer anything,
// and a server that is told it would refuse the client.

import { isHostName } from '../wire/address.ts';
import type { Gate } from './gate.ts';

export async function lookUpNames(gate: Gate, address: string): Promise<readonly string[]> {
  if (address === '') return [];
  const { promise: late, resolve } = Promise.withResolvers<readonly string[]>();
  const timer = gate.world.after(gate.timeouts.connectMs, () => resolve([]));
  const found = gate.world.confirmedNames(address).catch(() => []);
  const names = await Promise.race([found, late]);
  timer.cancel();
  return names.filter(isHostName);
}
