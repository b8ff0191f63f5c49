// Listening sockets that the service manager hands over (sd_listen_fds(3)). Their addresses are asked of the sockets
// themselves, never taken from their names. They are the manager's: no file of a Unix socket is removed with one.
// What is no listening stream socket, or has an address that came already, is closed, and a warning says so.

import { closeSync, readFileSync, readlinkSync } from 'node:fs';

import type { GivenDescriptor } from '../config/environment.ts';
import type { Endpoint } from '../config/settings.ts';
import { endpointText, openDescriptor } from './handles.ts';
import type { SpareListener } from './listener-set.ts';

export interface GivenSockets {
  readonly listeners: readonly SpareListener[];
  readonly warnings: readonly string[];
}

export function takeGivenSockets(descriptors: readonly GivenDescriptor[]): GivenSockets {
  const listeners = new Map<string, SpareListener>();
  const warnings: string[] = [];
  const paths = descriptors.length === 0 ? new Map<string, string>() : listeningPaths();
  for (const { fd, name } of descriptors) {
    const opened = openDescriptor(fd);
    if (opened === null) {
      warnings.push(
        `socket ${name} of the service manager (descriptor ${fd}) is no listening TCP or Unix socket`,
      );
      closeQuietly(fd);
      continue;
    }
    const { handle } = opened;
    const endpoint = opened.tcp ?? unixEndpoint(fd, paths);
    const key = endpoint === null ? null : endpointText(endpoint);
    if (endpoint === null || key === null || listeners.has(key)) {
      const what =
        key === null ? 'has no address that can be listened on' : `has the address ${key} once more`;
      warnings.push(`socket ${name} of the service manager (descriptor ${fd}) ${what}`);
      handle.close();
      continue;
    }
    listeners.set(key, { key, endpoint, handle, address: key, origin: 'manager', file: null });
  }
  return { listeners: [...listeners.values()], warnings };
}

function unixEndpoint(fd: number, paths: ReadonlyMap<string, string>): Endpoint | null {
  try {
    const path = paths.get(/^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1] ?? '');
    return path === undefined ? null : { kind: 'unix', path };
  } catch {
    return null;
  }
}

/** Inode → path of every Unix stream socket that listens. The kernel marks those by the flag 00010000. */
function listeningPaths(): Map<string, string> {
  try {
    const lines = readFileSync('/proc/net/unix', 'utf8').matchAll(
      /^[0-9a-f]+: [0-9A-F]+ [0-9A-F]+ 00010000 0001 [0-9A-F]+ +(\d+) (\/.*)$/gm,
    );
    return new Map([...lines].map(([, inode = '', path = '']) => [inode, path]));
  } catch {
    return new Map();
  }
}

function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // It was not even open.
  }
}
