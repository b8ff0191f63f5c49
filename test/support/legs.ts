// A Leg on one end of a cable, a conversation on the other: for tests of a dialect or a leg without the whole path.

import type { TestContext } from 'node:test';
import { defaultSettings } from '../../src/config/load.ts';
import type { Limits } from '../../src/config/settings.ts';
import { BACKEND_ROLE, CLIENT_ROLE, Leg, type LegOptions } from '../../src/connection/leg.ts';
import type { FrontRules, Offer } from '../../src/protocol/dialect.ts';
import { Conversation } from './conversation.ts';
import { cable, type CableEnd, type CableOptions } from './wire.ts';

export const LIMITS: Limits = defaultSettings().limits;

export interface LegPair {
  readonly leg: Leg;
  /** The other side. */
  readonly talk: Conversation;
  readonly near: CableEnd;
  readonly far: CableEnd;
}

export interface LegPairOptions extends CableOptions {
  readonly role?: 'client' | 'backend';
  readonly leg?: Partial<LegOptions>;
}

export function legPair(t: TestContext, options: LegPairOptions = {}): LegPair {
  const [near, far] = cable(options);
  const leg = new Leg(near.asSocket(), {
    role: options.role === 'backend' ? BACKEND_ROLE : CLIENT_ROLE,
    upgrader: null,
    lineBytesMax: LIMITS.commandBytes,
    ...options.leg,
  });
  leg.attach();
  t.after(() => {
    near.destroy();
    far.destroy();
  });
  return { leg, talk: new Conversation(far), near, far };
}

const OFFER: Offer = { capabilities: [], mechanisms: ['PLAIN', 'LOGIN'] };

export function frontRules(replaced: Partial<FrontRules> = {}): FrontRules {
  return {
    hostname: 'mail.test',
    banner: 'ready',
    serverDownAlert: null,
    tls: 'maytls',
    sasl: 'maysasl',
    limits: LIMITS,
    lineEndings: 'refuse',
    isTierPassword: null,
    restricted: false,
    apop: false,
    fresh: { nonce: () => 'fresh', stamp: () => '<fresh.1@mail.test>' },
    offer: () => Promise.resolve(OFFER),
    ...replaced,
  };
}
