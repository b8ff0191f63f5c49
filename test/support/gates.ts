// A Gate without a front around it, over a clock that the test moves: for tests of single steps of the path.

import { loadSettings, defaultSettings } from '../../src/config/load.ts';
import type { ServiceSettings, Timeouts } from '../../src/config/settings.ts';
import type { Backend, BackLeg } from '../../src/connection/backend-leg.ts';
import { Client } from '../../src/connection/client.ts';
import type { Gate } from '../../src/connection/gate.ts';
import { BACKEND_ROLE, Leg } from '../../src/connection/leg.ts';
import { NO_PLACEMENTS } from '../../src/connection/placements.ts';
import { Refusals } from '../../src/connection/refusals.ts';
import { createLog } from '../../src/log.ts';
import { DIALECTS } from '../../src/service/backends/backends.ts';
import { WorkerGuard } from '../../src/service/limits/worker-guard.ts';
import { type Network, NetworkTable } from '../../src/wire/network.ts';
import type { World } from '../../src/world.ts';
import { Conversation } from './conversation.ts';
import { manualWorld, type ManualWorld } from './manual-world.ts';
import { frontRules, LIMITS } from './scripted-talk.ts';
import { cable, type CableEnd } from './wire.ts';

export { defaultSettings, loadSettings };

export interface TestGate extends Gate {
  readonly world: ManualWorld;
  readonly lines: Readonly<Record<string, unknown>>[];
}

export interface GateOptions {
  readonly protocol: 'imap' | 'pop3' | 'smtp';
  readonly service?: Partial<ServiceSettings>;
  readonly timeouts?: Partial<Timeouts>;
  readonly world?: Partial<World>;
  readonly implicitTls?: boolean;
  /** Networks whose peers may say who their client is. */
  readonly frontTier?: readonly (readonly [Network, true])[];
}

export const TIMEOUTS: Timeouts = defaultSettings().timeouts;

/** No certificate and no backend: nothing on these paths asks for one. */
export function testGate(options: GateOptions): TestGate {
  const { protocol, service = {}, timeouts = {}, implicitTls = false } = options;
  const lines: Readonly<Record<string, unknown>>[] = [];
  const world = manualWorld(options.world);
  const log = createLog({
    level: 'debug',
    format: 'json',
    write: (line) => void lines.push(JSON.parse(line) as Readonly<Record<string, unknown>>),
  });
  return {
    name: 'mail',
    dialect: DIALECTS[protocol],
    settings: { name: 'mail', protocol, clientLookup: false, ...service } as ServiceSettings,
    domains: null,
    admin: null,
    rules: frontRules(),
    upgrader: null,
    implicitTls,
    balancers: null,
    backend: null as unknown as Backend,
    passwordCheck: null,
    certmap: null,
    reception: null,
    backendNamed: () => null,
    refusalTime: { ms: 0 },
    frontTier: new NetworkTable(options.frontTier ?? []),
    channels: null,
    grants: null,
    placements: NO_PLACEMENTS,
    spoof: null,
    limits: LIMITS,
    timeouts: { ...TIMEOUTS, ...timeouts },
    access: null,
    guard: new WorkerGuard({ settings: defaultSettings(), world }),
    refusals: new Refusals({ world, log }),
    world,
    log,
    lines,
  };
}

export interface TestClient {
  readonly client: Client;
  /** The other side of the client's leg. */
  readonly talk: Conversation;
  readonly near: CableEnd;
  readonly far: CableEnd;
  /** Connections that were reported as closed. */
  readonly closed: Client[];
}

export function testClient(
  gate: Gate,
  addresses: Partial<CableEnd> = {},
  onDecision: (channel: string, rule: string) => void = () => undefined,
): TestClient {
  const [near, far] = cable({ split: 'whole' });
  Object.assign(near, { remoteAddress: '192.0.2.7', remotePort: 50_001, ...addresses });
  const closed: Client[] = [];
  const client = new Client(gate, near.asSocket(), {
    id: 'ab-1',
    onClose: (it) => closed.push(it),
    onLogin: () => undefined,
    onDecision,
  });
  return { client, talk: new Conversation(far), near, far, closed };
}

export interface TestBack {
  readonly back: BackLeg;
  readonly talk: Conversation;
  readonly near: CableEnd;
}

/** An open leg to a backend on whose other side the test sits. */
export function testBack(gate: Gate): TestBack {
  const [near, far] = cable({ split: 'whole' });
  const leg = new Leg(near.asSocket(), {
    role: BACKEND_ROLE,
    upgrader: null,
    lineBytesMax: LIMITS.replyBytes,
  });
  leg.attach();
  const endpoint = { kind: 'tcp', host: '127.0.0.1', port: 143 } as const;
  const back: BackLeg = { leg, session: gate.dialect.back(leg), endpoint, server: '127.0.0.1:143' };
  return { back, talk: new Conversation(far), near };
}

/** Lets what is on its way arrive. */
export async function settle(turns = 40): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}
