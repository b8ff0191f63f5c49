// The hashes of crypt(3) — $1$, $5$, $6$ and bcrypt — computed in one thread of their own, so that no login waits for
// another's hash on the event loop. Promises: one hash after another, so many waiting and no more; a value that is not
// understood, or a thread that fails, fits nothing. Owns the thread, which keeps
// the process alive only while it is asked.

import { Worker } from 'node:worker_threads';

/** What the thread is asked. */
export interface CryptQuestion {
  readonly id: number;
  readonly value: string;
  readonly password: string;
}

export interface CryptAnswer {
  readonly id: number;
  readonly fits: boolean;
}

const WAITING_MAX = 512;

let thread: Worker | null = null;
let last = 0;
const waiting = new Map<number, (fits: boolean) => void>();

export function cryptFits(value: string, password: string): Promise<boolean> {
  if (!/^\$(1|5|6|2[abxy])\$/.test(value) || waiting.size >= WAITING_MAX) return Promise.resolve(false);
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const id = ++last;
  waiting.set(id, resolve);
  thread ??= start();
  thread.ref();
  thread.postMessage({ id, value, password } satisfies CryptQuestion);
  return promise;
}

function start(): Worker {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const made = new Worker(new URL(`./crypt-thread.${extension}`, import.meta.url));
  made.on('message', ({ id, fits }: CryptAnswer) => {
    waiting.get(id)?.(fits);
    waiting.delete(id);
    if (waiting.size === 0) made.unref();
  });
  const gone = (): void => {
    if (thread === made) thread = null;
    for (const resolve of waiting.values()) resolve(false);
    waiting.clear();
  };
  made.on('error', gone).on('exit', gone);
  return made;
}
