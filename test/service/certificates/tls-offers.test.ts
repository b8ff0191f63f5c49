import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeSelfSigned } from '../../../src/certdb/issue.ts';
import { loadSettings } from '../../../src/config/load.ts';
import type { Configuration } from '../../../src/service/configuration.ts';
import { tlsOffers } from '../../../src/service/certificates/tls-offers.ts';
import { settingsFile } from '../../config/settings-file.ts';
import { manualWorld } from '../../support/manual-world.ts';

const world = manualWorld();

test('a key in a token is not asked for the offer: one of its kind stands in', async (t) => {
  const { cert } = await makeSelfSigned({
    names: ['mx.test'],
    days: 1,
    now: world.now(),
    key: { type: 'ec', bits: 384 },
  });
  const token = {
    module: 'none',
    library: '/nowhere.so',
    parameters: null,
    label: 'none',
    serial: '1',
    id: '01',
    keyType: 'ec',
    pin: '1234',
  } as const;
  const yaml =
    "services: { imaps: { protocol: imap, listen: ['127.0.0.1:0'], tls: implicit, backend: stores } }\n" +
    "backends: { stores: { servers: ['127.0.0.1:143'] } }\n";
  const settings = loadSettings({ file: settingsFile(t, yaml).file });
  const { minVersion, maxVersion, ciphers, groups } =
    settings.services['imaps']?.tls ?? assert.fail('no TLS');
  const tls = { minVersion, maxVersion, ciphers, groups };
  const certificates = [{ cert, token }];
  const material = {
    services: { imaps: { ...tls, certificates, sni: [{ pattern: 'a.test', certificates }] } },
  };
  const offers = await tlsOffers({ settings, material } as unknown as Configuration, world);
  const { versions, problems } = offers['imaps'] ?? assert.fail('no offer');
  assert.deepEqual(problems, []);
  assert.deepEqual(
    versions.map(({ version, suites }) => [version, suites.length > 0]),
    [
      ['TLSv1.3', true],
      ['TLSv1.2', true],
    ],
  );
  const text = JSON.stringify(offers);
  assert.match(text, /P-384/);
  assert.match(text, /ECDHE-ECDSA-AES128-GCM-SHA256/);
});
