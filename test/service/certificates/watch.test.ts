// A CRL that becomes stale while the server runs is told of once; workers are replaced where OpenSSL cannot take up what
// the new settings name.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CertificateWatch } from '../../../src/service/certificates/watch.ts';
import { ChangeRecord } from '../../../src/service/changes.ts';
import { manualWorld } from '../../support/manual-world.ts';

const HOUR_MS = 3_600_000;

test('a CRL that becomes stale is warned of once, and again only when another does', () => {
  const world = manualWorld();
  const warnings: unknown[] = [];
  const crl = (source: string, hours: number) => ({
    source,
    issuer: 'CN=x',
    thisUpdate: world.now(),
    nextUpdate: world.now() + hours * HOUR_MS,
    revoked: 0,
  });
  const configuration = {
    settings: { certificates: { watchMs: HOUR_MS * 1000, engine: null } },
    material: { services: {}, backendSecrets: {} },
    fingerprints: new Map(),
    trust: { clients: {}, crls: [crl('old.crl', -1), crl('a.crl', 2), crl('b.crl', 4)] },
  };
  const watch = new CertificateWatch({
    source: {} as never,
    crew: { configuration } as never,
    changes: new ChangeRecord(world),
    inTurn: (change) => change(),
    world,
    log: { warn: (_event: string, fields: { warning: string }) => warnings.push(fields.warning) } as never,
  });
  watch.follow(configuration as never);
  const toldIn = (hours: number): unknown[] => {
    warnings.length = 0;
    for (let hour = 0; hour < hours; hour++) world.advance(HOUR_MS);
    return [...warnings];
  };
  assert.deepEqual(toldIn(1), []);
  assert.match(toldIn(2).join('\n'), /^CRL a\.crl: is stale[^\n]*$/);
  assert.match(toldIn(5).join('\n'), /^CRL b\.crl: is stale[^\n]*$/);
  watch.close();
  assert.equal(world.pending, 0);
});

/** A configuration with a key of this library. */
function holding(library: string | null): object {
  const certificates = library === null ? [] : [{ cert: '', token: { library, parameters: null } }];
  return {
    settings: { certificates: { watchMs: HOUR_MS, engine: null }, services: {}, backends: {} },
    material: { services: { imaps: { certificates, sni: [] } }, backendSecrets: {} },
    fingerprints: new Map(),
  };
}

/** How often workers are replaced, with keys of these libraries one after another. */
function replacements(libraries: readonly (string | null)[]): number {
  const world = manualWorld();
  let count = 0;
  const watch = new CertificateWatch({
    source: {} as never,
    crew: {
      configuration: null,
      replaceWorkers: async () => {
        count++;
        return { failure: null };
      },
    } as never,
    changes: new ChangeRecord(world),
    inTurn: (change) => change(),
    world,
    log: {} as never,
  });
  for (const library of libraries) {
    watch.follow(holding(library) as never);
  }
  watch.close();
  return count;
}

test('a library of tokens stays in workers, so that another one needs new ones, also after a while without any', () => {
  assert.equal(replacements([null, 'a.so', 'a.so', null, 'a.so']), 0);
  assert.equal(replacements(['a.so', 'b.so']), 1);
  assert.equal(replacements(['a.so', null, 'b.so']), 1);
  assert.equal(replacements(['a.so', null, 'b.so', null, 'b.so']), 1);
});

test('workers that could not be replaced at once are replaced later, also after a reload that needs none', async () => {
  const world = manualWorld();
  let count = 0;
  const watch = new CertificateWatch({
    source: {} as never,
    crew: {
      configuration: null,
      replaceWorkers: async () => ({ failure: ++count < 3 ? 'workers are being replaced already' : null }),
    } as never,
    changes: new ChangeRecord(world),
    inTurn: (change) => change(),
    world,
    log: {} as never,
  });
  const counts: number[] = [];
  for (const library of ['a.so', 'b.so', 'b.so']) watch.follow(holding(library) as never);
  for (let minute = 0; minute < 4; minute++) {
    await new Promise(setImmediate);
    counts.push(count);
    world.advance(60_000);
  }
  assert.deepEqual(counts, [1, 2, 3, 3]);
  watch.close();
  assert.equal(world.pending, 0);
});
