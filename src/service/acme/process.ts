// One ACME order as the supervisor sees it: binds the addresses that answer the CA, forks the process that does, gives it
// handles and task, takes its result. Promises an end within ORDER_LIMIT_MS, and that nothing is bound and no process is
// left afterwards. Never throws; what the process says is taken for no more than a text.

import type { ChildProcess } from 'node:child_process';

import type { AcmeResult, AcmeTask, RenewalAnswer, RenewalQuestion } from '../../certdb/acme.ts';
import type { AcmeSettings, Endpoint } from '../../config/settings.ts';
import { explain, harmless } from '../../log.ts';
import type { World } from '../../world.ts';
import type { ToAcmeChild } from './child.ts';
import { bindListeners, closeListener, wantedListeners } from '../handles.ts';
import type { BoundListener, Owner } from '../handles.ts';

export interface AcmeOrder {
  readonly settings: AcmeSettings;
  readonly task: AcmeTask;
  /** Ends it early. */
  readonly signal: AbortSignal;
}

export interface AcmeProcessOptions {
  readonly fork: () => ChildProcess;
  /** Who the process becomes. */
  readonly owner: Owner | null;
  readonly world: World;
}

const ORDER_LIMIT_MS = 300_000;
const CHAIN_CHARS_MAX = 262_144;
const CAUSE_CHARS_MAX = 1000;

export async function runAcmeProcess(order: AcmeOrder, options: AcmeProcessOptions): Promise<AcmeResult> {
  const bound = await bindAll(order.settings, options);
  if (typeof bound === 'string') return failed(bound);
  try {
    const answer = await askChild(
      { message: { kind: 'order', task: order.task }, bound, signal: order.signal },
      options,
    );
    return typeof answer === 'string' ? failed(answer) : asResult(answer.value);
  } finally {
    for (const listener of bound) closeListener(listener);
  }
}

/** Those addresses that the settings name, or every one with the port that the CA looks at. */
export function acmeEndpoints({ listen, challenge }: AcmeSettings): readonly Endpoint[] {
  const port = challenge === 'http-01' ? 80 : 443;
  return listen ?? ['0.0.0.0', '::'].map((host) => ({ kind: 'tcp', host, port }));
}

async function bindAll(
  settings: AcmeSettings,
  { owner, world }: AcmeProcessOptions,
): Promise<readonly BoundListener[] | string> {
  const service = { name: 'certificates.acme', listen: acmeEndpoints(settings) };
  const bindings: Awaited<ReturnType<typeof bindListeners>>[] = [];
  for (const wanted of wantedListeners({ [service.name]: service }))
    bindings.push(await bindListeners([wanted], owner, world));
  const bound = bindings.flatMap((binding) => binding.bound);
  const failures = bindings.flatMap((binding) => binding.failures);
  // Where nobody chose the addresses, those of a family that this machine does not have are not missed.
  const missed = failures.filter((failure) => settings.listen !== null || !failure.includes('EAFNOSUPPORT'));
  if (missed.length === 0 && bound.length > 0) return bound;
  for (const listener of bound) closeListener(listener);
  return (missed.length > 0 ? missed : failures).join('; ').replaceAll('service certificates.acme: ', '');
}

/** Asks the CA when to renew; binds nothing. */
export async function askRenewalProcess(
  question: RenewalQuestion,
  options: Omit<AcmeProcessOptions, 'owner'> & { readonly signal: AbortSignal },
): Promise<RenewalAnswer> {
  const asked = { message: { kind: 'renewal', question }, bound: [], signal: options.signal } as const;
  const answer = await askChild(asked, options);
  const { start, end } = Object(typeof answer === 'string' ? null : answer.value) as Record<string, unknown>;
  if (typeof start !== 'number' || typeof end !== 'number' || !(start < end)) return { kind: 'none' };
  return { kind: 'window', start, end };
}

interface Asked {
  readonly message: ToAcmeChild;
  readonly bound: readonly BoundListener[];
  readonly signal: AbortSignal;
}

/** What the process says, unchecked; a sentence where it says nothing. */
function askChild(
  { message, bound, signal }: Asked,
  { fork, world }: Pick<AcmeProcessOptions, 'fork' | 'world'>,
): Promise<string | { readonly value: unknown }> {
  const { promise, resolve } = Promise.withResolvers<string | { readonly value: unknown }>();
  let child: ChildProcess;
  try {
    child = fork();
  } catch (error) {
    return Promise.resolve(explain(error));
  }
  const limit = world.after(ORDER_LIMIT_MS, () => resolve(`no end within ${ORDER_LIMIT_MS / 1000} s`));
  const stop = (): void => resolve('stopped');
  signal.addEventListener('abort', stop);
  child.on('message', (value) => resolve({ value }));
  child.on('error', (error) => resolve(explain(error)));
  child.once('close', (code) => resolve(`the process of the order ended (${code ?? 'killed'})`));
  const send = (one: ToAcmeChild, listener?: BoundListener): void => {
    // The types know servers and sockets only; the runtime passes a bare listening handle as well.
    const handle = listener?.handle as Parameters<ChildProcess['send']>[1];
    child.send(one, handle, { keepOpen: true }, () => {});
  };
  for (const listener of bound) send({ kind: 'listen' }, listener);
  send(message);
  if (signal.aborted) stop();
  return promise.finally(() => {
    limit.cancel();
    signal.removeEventListener('abort', stop);
    child.kill('SIGKILL');
  });
}

function asResult(value: unknown): AcmeResult {
  if (typeof value !== 'object' || value === null || !('kind' in value)) return failed('no answer');
  if (value.kind === 'issued' && 'chain' in value && typeof value.chain === 'string')
    return value.chain.length <= CHAIN_CHARS_MAX
      ? { kind: 'issued', chain: value.chain }
      : failed('the CA sent more than a chain of certificates');
  const { cause, retryAfterMs } = value as { cause?: unknown; retryAfterMs?: unknown };
  return {
    kind: 'failed',
    cause: typeof cause === 'string' ? harmless(cause.slice(0, CAUSE_CHARS_MAX)) : 'no reason given',
    retryAfterMs: typeof retryAfterMs === 'number' && retryAfterMs >= 0 ? retryAfterMs : null,
  };
}

function failed(cause: string): AcmeResult {
  return { kind: 'failed', cause, retryAfterMs: null };
}
