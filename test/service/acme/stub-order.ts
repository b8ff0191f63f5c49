// The process of an ACME order without a CA, for tests of the supervisor's side. What the directory's path says is what it
// does: /issue gives back a text as chain, /die ends at once, /silent never answers, /odd answers nonsense, /long too
// much, /refuse what a CA may say. It listens as the real one does.

import { runAcmeOrder } from '../../../src/service/acme/child.ts';
import type { AcmePort } from '../../../src/service/acme/child.ts';
import { realWorld } from '../../../src/world.ts';

const port: AcmePort = {
  send: (result, sent) => void process.send?.(result, undefined, {}, sent),
  on: (event: string, hear: (...args: never[]) => void) => void process.on(event, hear as () => void),
};

await runAcmeOrder({
  port,
  world: realWorld,
  askRenewal: ({ certificate }) =>
    Promise.resolve(certificate === 'known' ? { kind: 'window', start: 1, end: 2 } : { kind: 'none' }),
  async order(task, expect) {
    expect({ kind: 'http-01', token: 'token', answer: `token.${task.names.join()}` });
    switch (new URL(task.directory).pathname) {
      case '/die':
        return process.exit(7);
      case '/silent':
        return new Promise(() => {});
      case '/odd':
        return { kind: 'other' } as never;
      case '/long':
        return { kind: 'issued', chain: 'x'.repeat(300_000) };
      case '/refuse':
        return { kind: 'failed', cause: 'no\u001b[2J', retryAfterMs: 5000 };
      default: {
        const response = await fetch(
          `${task.directory.replace('https', 'http')}.well-known/acme-challenge/token`,
        );
        return { kind: 'issued', chain: await response.text() };
      }
    }
  },
});
process.exit(0);
