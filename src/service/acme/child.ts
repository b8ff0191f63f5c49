// The process of one ACME order, from the inside: takes listening handles and the task from the supervisor, answers the
// CA on those while the order goes on, says how it went, and ends. Unprivileged when `user` is set. It holds the key of
// the account, never that of the certificate. When the supervisor goes, it goes.

import type { AcmeResult, AcmeTask, Expect, RenewalAnswer, RenewalQuestion } from '../../certdb/acme.ts';
import type { World } from '../../world.ts';
import { AcmeResponder } from './responder.ts';
import type { ListeningHandle } from '../handles.ts';

/** `listen` comes with a handle, and any number of them before `order`. One answer, then the process ends. */
export type ToAcmeChild =
  | { readonly kind: 'listen' }
  | { readonly kind: 'order'; readonly task: AcmeTask }
  | { readonly kind: 'renewal'; readonly question: RenewalQuestion };

export interface AcmePort {
  send(result: AcmeResult | RenewalAnswer, sent: () => void): void;
  on(event: 'message', hear: (message: ToAcmeChild, handle?: ListeningHandle) => void): void;
  on(event: 'disconnect', gone: () => void): void;
}

export interface AcmeChildOptions {
  readonly port: AcmePort;
  readonly world: World;
  readonly order: (task: AcmeTask, expect: Expect) => Promise<AcmeResult>;
  readonly askRenewal: (question: RenewalQuestion) => Promise<RenewalAnswer>;
}

/** Resolves when the result has been sent, or there is nobody to send it to. */
export function runAcmeOrder({ port, world, order, askRenewal }: AcmeChildOptions): Promise<void> {
  const { promise: done, resolve } = Promise.withResolvers<void>();
  const handles: ListeningHandle[] = [];
  port.on('disconnect', resolve);
  port.on('message', (message, handle) => {
    if (message.kind === 'listen') {
      if (handle !== undefined) handles.push(handle);
      return;
    }
    if (message.kind === 'renewal')
      return void askRenewal(message.question).then((answer) => port.send(answer, resolve));
    void carryOut(message.task, { handles, world, order }).then((result) => port.send(result, resolve));
  });
  return done;
}

interface Means {
  readonly handles: readonly ListeningHandle[];
  readonly world: World;
  readonly order: AcmeChildOptions['order'];
}

async function carryOut(task: AcmeTask, { handles, world, order }: Means): Promise<AcmeResult> {
  const responder = new AcmeResponder(task.challenge, world);
  try {
    const codes = await Promise.all(handles.map((handle) => responder.listen(handle)));
    const failed = codes.find((code) => code !== null);
    if (failed !== undefined)
      return { kind: 'failed', cause: `cannot listen: ${failed}`, retryAfterMs: null };
    return await order(task, (answer) => responder.expect(answer));
  } finally {
    responder.close();
  }
}
