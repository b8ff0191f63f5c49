// Mail senders that go on and on while something happens to the front, and keep book: what was answered 250 must have
// arrived, and how each other attempt ended. Bounded: `senders` at once, until stop() or `attemptsMax`.

import { Dialogue } from './dialogue.ts';

export interface MailLoadOptions {
  readonly port: number;
  readonly recipient: string;
  readonly senders: number;
  readonly attemptsMax: number;
}

export interface MailBook {
  /** Identifiers of messages that were answered 250. */
  readonly accepted: readonly string[];
  /** Connections that could not be made. */
  readonly refused: number;
  /** Ended by a 421 before the message was under way. */
  readonly turnedAway: number;
  /** Broken after MAIL and before the answer to the end of data. */
  readonly cut: readonly string[];
}

export interface MailLoad {
  /** So many have been accepted. */
  reached(count: number): Promise<void>;
  stop(): Promise<MailBook>;
}

type Outcome = 'accepted' | 'refused' | 'turned away' | { readonly cut: string };

export function startMailLoad(options: MailLoadOptions): MailLoad {
  const accepted: string[] = [];
  const cut: string[] = [];
  const waiters: { count: number; resolve: () => void }[] = [];
  let refused = 0;
  let turnedAway = 0;
  let attempts = 0;
  let stopped = false;
  const sender = async (): Promise<void> => {
    while (!stopped && attempts < options.attemptsMax) {
      const id = `load-${++attempts}-${process.hrtime.bigint().toString(36)}`;
      const outcome = await sendOne(options, id);
      if (outcome === 'accepted') accepted.push(id);
      else if (outcome === 'refused') refused++;
      else if (outcome === 'turned away') turnedAway++;
      else cut.push(outcome.cut);
      for (const waiter of waiters) if (accepted.length >= waiter.count) waiter.resolve();
    }
  };
  const all = Promise.all(Array.from({ length: options.senders }, sender));
  return {
    async reached(count) {
      await Promise.race([
        new Promise<void>((resolve) => waiters.push({ count, resolve })),
        all.then(() => {
          if (accepted.length < count)
            throw new Error(`only ${accepted.length} of ${count} messages accepted`);
        }),
      ]);
    },
    async stop() {
      stopped = true;
      await all;
      return { accepted, refused, turnedAway, cut };
    },
  };
}

async function sendOne({ port, recipient }: MailLoadOptions, id: string): Promise<Outcome> {
  let phase = 'connect';
  let dialogue: Dialogue;
  try {
    dialogue = await Dialogue.connect({ port, waitMs: 20_000 });
  } catch {
    return 'refused';
  }
  try {
    const go = async (next: string, line: string, pattern: RegExp): Promise<boolean> => {
      phase = next;
      const answer = (await dialogue.ask(line, /^\d{3} /)).at(-1) ?? '';
      if (!pattern.test(answer) && !answer.startsWith('421')) throw new Error(`${next}: ${answer}`);
      return pattern.test(answer);
    };
    if (!(await dialogue.line()).startsWith('220')) return 'turned away';
    if (!(await go('EHLO', 'EHLO load.example.com', /^250/))) return 'turned away';
    if (!(await go('MAIL', 'MAIL FROM:<load@example.com>', /^250/))) return 'turned away';
    if (!(await go('RCPT', `RCPT TO:<${recipient}>`, /^250/))) return { cut: '421 to RCPT' };
    if (!(await go('DATA', 'DATA', /^354/))) return { cut: '421 to DATA' };
    const body = 'Quite an ordinary line of an ordinary message.\r\n'.repeat(40);
    if (!(await go('end of data', `Subject: ${id}\r\n\r\n${body}.`, /^250/)))
      return { cut: '421 to end of data' };
    dialogue.send('QUIT');
    return 'accepted';
  } catch (error) {
    const early = phase === 'connect' || phase === 'EHLO' || phase === 'MAIL';
    return early ? 'turned away' : { cut: `${phase}: ${String(error).slice(0, 200)}` };
  } finally {
    dialogue.close();
  }
}
