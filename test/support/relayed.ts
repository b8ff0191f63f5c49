// A client and a relay as scripts, with the transactions between them: what each was told, in which order, and how it
// ended. EHLO is behind both when the scene begins.

import assert from 'node:assert/strict';
import type { FrontRules } from '../../src/protocol/dialect.ts';
import { SmtpBack } from '../../src/protocol/smtp-back.ts';
import { SmtpFront } from '../../src/protocol/smtp-front.ts';
import { type RelayNotes, SmtpRelay } from '../../src/protocol/smtp-relay.ts';
import { backPlan, frontRules, type RulesOptions, ScriptedTalk, STRANGER } from './scripted-talk.ts';

export interface Seen {
  /** How the stretch ended: a RelayEnd, or the code of the error. */
  readonly end: string;
  /** Said to the client behind EHLO. */
  readonly toClient: string;
  /** Said to the relay behind EHLO. */
  readonly toRelay: string;
  readonly journal: readonly string[];
  readonly waits: readonly string[];
  readonly accepted: number;
  readonly front: SmtpFront;
  readonly client: ScriptedTalk;
  readonly relay: ScriptedTalk;
}

export interface Scene {
  /** Behind EHLO, each a chunk. */
  readonly client: readonly string[];
  /** The relay's replies behind EHLO, each a chunk. */
  readonly relay: readonly string[];
  readonly keywords?: readonly string[];
  readonly rules?: RulesOptions;
  readonly isElsewhere?: () => boolean;
  readonly spend?: RelayNotes['spend'];
  readonly before?: (scene: { front: SmtpFront; client: ScriptedTalk; relay: ScriptedTalk }) => void;
}

export const KEYWORDS = ['PIPELINING', 'CHUNKING', 'SIZE 1000000', '8BITMIME'];

export async function relayed(scene: Scene): Promise<Seen> {
  const journal: string[] = [];
  const client = new ScriptedTalk(['EHLO client.test\r\n', ...scene.client], { journal, name: 'C' });
  const keywords = scene.keywords ?? KEYWORDS;
  const ehlo = ['mta.test', ...keywords].map((word) => `250-${word}\r\n`).join('');
  const relay = new ScriptedTalk(['220 mta.test\r\n', `${ehlo}250 HELP\r\n`, ...scene.relay], {
    side: 'backend',
    journal,
    name: 'R',
  });
  const rules: FrontRules = frontRules({ tls: 'notls', mechanisms: ['PLAIN'], ...scene.rules });
  const front = new SmtpFront(client, rules, STRANGER);
  const back = new SmtpBack(relay);
  await back.open(backPlan());
  assert.equal((await front.nextCommand('between')).verb, 'EHLO');
  await front.answer({ verb: 'EHLO', argument: 'client.test' });
  client.saidSince();
  relay.saidSince();
  journal.length = 0;
  scene.before?.({ front, client, relay });
  const waits: string[] = [];
  let accepted = 0;
  const transactions = new SmtpRelay(front, back, {
    waitFor: (whom) => waits.push(whom),
    messageAnswered: ({ code }) => (accepted += code < 300 ? 1 : 0),
    isElsewhere: () => scene.isElsewhere?.() ?? false,
    spend: (what) => scene.spend?.(what) ?? null,
  });
  const end = await transactions
    .run()
    .catch((error: unknown) => (error instanceof Error && 'code' in error ? String(error.code) : 'defect'));
  const said = { toClient: client.saidSince(), toRelay: relay.saidSince() };
  return { end, ...said, journal, waits, accepted, front, client, relay };
}

export const MAIL = 'MAIL FROM:<anna@example.org>\r\n';
export const RCPT = 'RCPT TO:<bert@example.com>\r\n';
export const OK = ['250 2.1.0 Sender ok\r\n', '250 2.1.5 Recipient ok\r\n'];
export const GO = '354 Go ahead\r\n';
export const QUEUED = '250 2.0.0 Queued\r\n';
export const BODY = 'Subject: x\r\n\r\n..dot\r\n.\r\n';
