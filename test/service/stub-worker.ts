// A worker whose front only greets and echoes, for tests of the processes around it. Run as `stub-worker.ts worker N`.
// It greets with service, pid and hostname. A client that sent `busy` is not idle: a drain waits for it.
// The word in the banner of the first service makes it misbehave: `crash-at-start`, `deaf` (ignores a drain).

import type net from 'node:net';

import type { Settings } from '../../src/config/settings.ts';
import type { FromWorker } from '../../src/service/messages.ts';
import { runWorker } from '../../src/service/worker.ts';
import type { WorkerOptions, WorkerPort } from '../../src/service/worker.ts';
import { realWorld } from '../../src/world.ts';

type CreateFront = WorkerOptions['createFront'];
type Front = ReturnType<CreateFront>;

export const createStubFront: CreateFront = ({ settings: first, world, connectionsMax }) => {
  let settings: Settings = first;
  const open = new Map<net.Socket, 'idle' | 'busy'>();
  const counters = { connections: 0, open: 0, cut: 0, updates: 0, connectionsMax };
  let draining: (() => void) | null = null;
  const front: Front = {
    serve(service, socket) {
      counters.connections++;
      open.set(socket, 'idle');
      socket.write(`hello ${service} ${process.pid} ${settings.hostname}\r\n`);
      socket.on('data', (data) => {
        open.set(socket, data.toString().startsWith('busy') ? 'busy' : 'idle');
        socket.write(data);
        if (draining !== null) sayGoodbye();
      });
      socket.on('end', () => socket.end());
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        open.delete(socket);
        if (open.size === 0) draining?.();
      });
    },
    update(next, _material, max) {
      settings = next;
      counters.connectionsMax = max;
      counters.updates++;
    },
    drain(graceMs) {
      const { promise, resolve } = Promise.withResolvers<void>();
      if (bannerOf(settings) === 'deaf') return promise;
      draining = resolve;
      if (open.size === 0) resolve();
      sayGoodbye();
      const limit = world.after(graceMs, () => {
        counters.cut += open.size;
        for (const socket of open.keys()) socket.destroy();
      });
      return promise.finally(() => limit.cancel());
    },
    counters: () => ({ ...counters, open: open.size }),
    notice: () => undefined,
    servers: () => [],
    probe: () => undefined,
    sessions: () => ({ sessions: [], count: open.size }),
    kick: () => 0,
    evict: () => 0,
  };
  function sayGoodbye(): void {
    for (const [socket, state] of open) if (state === 'idle') socket.end('bye\r\n');
  }
  return front;
};

function bannerOf(settings: Settings): string | null {
  return Object.values(settings.services)[0]?.banner ?? null;
}

if (process.argv[2] === 'worker' && process.send !== undefined) {
  process.on('SIGINT', () => {});
  process.on('message', (message: { kind: string; settings?: Settings }) => {
    if (message.kind !== 'start' || message.settings === undefined) return;
    if (bannerOf(message.settings) === 'crash-at-start') process.exit(3);
  });
  const port: WorkerPort = {
    send: (message: FromWorker, sent) =>
      void (process.connected ? process.send?.(message, undefined, {}, sent) : sent()),
    on: (event: string, hear: (...args: never[]) => void) => void process.on(event, hear as () => void),
  };
  await runWorker({ index: Number(process.argv[3]), port, createFront: createStubFront, world: realWorld });
  process.exit(0);
}
