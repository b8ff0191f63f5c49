// The ACME keeper over a real database in a temporary folder, with a CA that is a function and a clock that stands still.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import type { AcmeResult, RenewalAnswer, RenewalQuestion } from '../../../src/certdb/acme.ts';
import { nameOf } from '../../../src/certdb/distinguished-name.ts';
import { selfSign, signRequest } from '../../../src/certdb/issue.ts';
import { generateKey, softwareSigner } from '../../../src/certdb/keys.ts';
import { defaultSettings } from '../../../src/config/load.ts';
import type { AcmeSettings, Settings } from '../../../src/config/settings.ts';
import { createLog } from '../../../src/log.ts';
import { AcmeKeeper } from '../../../src/service/acme/keeper.ts';
import type { AcmeOrder } from '../../../src/service/acme/process.ts';
import { CertificateKeeper } from '../../../src/service/certificates/keeper.ts';
import { manualWorld, type ManualWorld } from '../../support/manual-world.ts';
import { temporaryFolder } from '../stub-supervisor.ts';

const DAY = 86_400_000;

/** Signs whatever is asked for, unless `refusal` is set; `hold` keeps it waiting. */
class StubCa {
  readonly orders: AcmeOrder[] = [];
  refusal: { cause: string; retryAfterMs: number | null } | null = null;
  hold: Promise<void> | null = null;
  /** How long ago they begin, by what they say. */
  backdatedMs = 0;
  /** When it wants certificates renewed. */
  window: { start: number; end: number } | null = null;
  readonly questions: string[] = [];
  /** Instead of what was asked for. */
  chain: string | null = null;
  readonly #world: ManualWorld;
  readonly #signer = softwareSigner(generateKey({ type: 'ec' }));
  #certificate: X509Certificate | null = null;

  constructor(world: ManualWorld) {
    this.#world = world;
  }

  readonly askRenewal = async ({ certificate }: RenewalQuestion): Promise<RenewalAnswer> => {
    this.questions.push(certificate);
    return this.window === null ? { kind: 'none' } : { kind: 'window', ...this.window };
  };

  readonly order = async (order: AcmeOrder): Promise<AcmeResult> => {
    this.orders.push(order);
    if (this.hold !== null) await this.hold;
    if (this.refusal !== null) return { kind: 'failed', ...this.refusal };
    const subject = nameOf({ name: 'Stub CA' });
    assert.ok(!('problem' in subject));
    const now = this.#world.now();
    const wish = {
      subject,
      dns: [],
      ip: [],
      email: [],
      now: now - 100 * DAY,
      days: 3000,
      use: 'ca',
    } as const;
    this.#certificate ??= new X509Certificate(await selfSign(this.#signer, wish));
    const issuer = { certificate: this.#certificate, signer: this.#signer };
    const request = Buffer.from(order.task.request);
    const cert = await signRequest({ request, issuer, now: now - this.backdatedMs, days: 90, use: 'server' });
    return { kind: 'issued', chain: this.chain ?? `${cert}${this.#certificate.toString()}` };
  };
}

export interface Rig {
  readonly world: ManualWorld;
  readonly ca: StubCa;
  readonly keeper: AcmeKeeper;
  readonly events: Record<string, unknown>[];
  readonly settings: (acme?: Partial<AcmeSettings> | null) => Settings;
  readonly certificates: () => CertificateKeeper;
  /** Lets time pass until the keeper is at rest. */
  readonly pass: (ms: number) => Promise<void>;
  /** Another keeper over the same files, as after a restart. */
  readonly again: () => AcmeKeeper;
}

const ACME: AcmeSettings = {
  directory: 'https://ca.test/directory',
  contact: [],
  agreeTerms: true,
  names: { Mail: ['mail.test', 'imap.test'] },
  challenge: 'http-01',
  listen: null,
  keyType: 'ec',
  renewBeforeMs: null,
  ca: null,
  eab: null,
};

export function rig(t: TestContext): Rig {
  const folder = temporaryFolder();
  t.after(() => folder[Symbol.dispose]());
  const world = manualWorld();
  const ca = new StubCa(world);
  const events: Record<string, unknown>[] = [];
  const log = createLog({
    level: 'debug',
    format: 'json',
    write: (line) => void events.push(JSON.parse(line) as Record<string, unknown>),
  });
  const make = (): AcmeKeeper => {
    const keeper = new AcmeKeeper({ order: ca.order, askRenewal: ca.askRenewal, world, log });
    t.after(() => keeper.close());
    return keeper;
  };
  const settings = (acme: Partial<AcmeSettings> | null = {}): Settings => ({
    ...defaultSettings(),
    dataDir: folder.path,
    certificates: {
      ...defaultSettings().certificates,
      database: join(folder.path, 'certs'),
      passwordFile: join(folder.path, 'sslpassword.conf'),
      acme: acme === null ? null : { ...ACME, ...acme },
    },
  });
  return {
    world,
    ca,
    keeper: make(),
    events,
    settings,
    certificates() {
      const certificates = new CertificateKeeper(settings(), world);
      t.after(() => certificates.close());
      return certificates;
    },
    async pass(ms) {
      world.advance(ms);
      await settled();
    },
    again: make,
  };
}

/** Keys are made and certificates signed on the event loop; none of it takes more than a few rounds. */
export async function settled(): Promise<void> {
  for (let round = 0; round < 50; round++) await new Promise((resolve) => setImmediate(resolve));
}
