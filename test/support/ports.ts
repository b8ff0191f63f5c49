// Free TCP ports on loopback for programs that cannot be told "port 0".
// The ports lie below the kernel's ephemeral range, so that no outgoing connection of another test takes one between
// the look and the use. Two rigs may still race for one: whoever starts a program on them tries again on a clash.

import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';

const FIRST = 11_000;
const LAST = 32_000;

/** What is given may not be listened on yet, so nothing is given twice. */
const given = new Set<number>();

export async function freePort(host = '127.0.0.1'): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = randomInt(FIRST, LAST);
    if (given.has(port) || !(await isFree(port, host))) continue;
    given.add(port);
    return port;
  }
  throw new Error(`no free port on ${host} between ${FIRST} and ${LAST}`);
}

export async function freePorts(count: number, host = '127.0.0.1'): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freePort(host));
  return [...ports];
}

export async function isFree(port: number, host: string): Promise<boolean> {
  const server = net.createServer();
  try {
    server.listen({ port, host, exclusive: true });
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
