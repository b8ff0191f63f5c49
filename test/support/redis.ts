// A Redis of the test's own on a free loopback port, that keeps nothing on disk. stop() ends it; start() again on the
// same port brings an empty one. `freeze` stops it from answering without closing anything.

import { freePort } from './ports.ts';
import { startProcess, until, type ServerProcess } from './program.ts';

export interface TestRedis {
  readonly port: number;
  readonly url: string;
  start(): Promise<void>;
  stop(): Promise<void>;
  freeze(): void;
  thaw(): void;
}

export interface RedisTestOptions {
  readonly password?: string;
}

export async function startRedis({ password }: RedisTestOptions = {}): Promise<TestRedis> {
  const port = await freePort();
  let server: ServerProcess | null = null;
  const redis: TestRedis = {
    port,
    url: `redis://${password === undefined ? '' : `:${password}@`}127.0.0.1:${port}/0`,
    async start() {
      const secret = password === undefined ? [] : ['--requirepass', password];
      const options = [
        '--port',
        String(port),
        '--bind',
        '127.0.0.1',
        '--save',
        '',
        '--appendonly',
        'no',
        ...secret,
      ];
      const started = startProcess('redis-server', options, { cwd: '/tmp' });
      server = started;
      await until(
        () => started.output().includes('Ready to accept connections') || started.exited(),
        10_000,
        () => started.output(),
      );
      if (started.exited()) throw new Error(`redis-server did not start: ${started.output().slice(-1000)}`);
    },
    async stop() {
      server?.child.kill('SIGCONT');
      await server?.stop();
    },
    freeze: () => void server?.child.kill('SIGSTOP'),
    thaw: () => void server?.child.kill('SIGCONT'),
  };
  await redis.start();
  return redis;
}
