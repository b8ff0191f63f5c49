// Dials a server of a backend. Promises: the socket is connected and the caller's, or destroyed here and the failure is
// that the server cannot be reached.

import type net from 'node:net';
import type { Endpoint } from '../config/settings.ts';
import { GateError } from '../errors.ts';
import type { World } from '../world.ts';
import { serverName } from './backend-servers.ts';

export function dial(
  world: World,
  options: { readonly server: Endpoint; readonly connectMs: number },
): Promise<net.Socket> {
  const socket = world.dial(options.server);
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      timer.cancel();
      socket.off('connect', onConnect).off('error', onError);
    };
    const onConnect = (): void => {
      stop();
      resolve(socket);
    };
    const onError = (error: Error): void => {
      stop();
      socket.destroy();
      reject(new GateError('BACKEND_UNREACHABLE', { backend: serverName(options.server) }, error));
    };
    const timer = world.after(options.connectMs, () =>
      onError(new Error(`no answer in ${options.connectMs} ms`)),
    );
    socket.on('connect', onConnect).on('error', onError);
  });
}
