// What a service asks of its clients, from its own TLS mode and its channel's keywords.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChannelSettings, ServiceSettings } from '../../src/config/settings.ts';
import { serverRules } from '../../src/policy/channels.ts';

type Row = readonly [
  protocol: 'imap' | 'pop3' | 'smtp',
  tlsMode: ServiceSettings['tlsMode'],
  keywords: string | null,
  tls: string,
  sasl: string,
];

const TABLE: readonly Row[] = [
  ['imap', 'notls', null, 'notls', 'maysasl'],
  ['imap', 'maytls', null, 'maytls', 'maysasl'],
  ['imap', 'musttls', null, 'musttls', 'maysasl'],
  ['imap', 'implicit', null, 'musttls', 'maysasl'],
  ['pop3', 'musttls', null, 'musttls', 'maysasl'],
  ['pop3', 'implicit', null, 'musttls', 'maysasl'],
  ['smtp', null, 'smtp', 'notls', 'nosasl'],
  ['smtp', null, 'smtp maytlsserver maysaslserver', 'maytls', 'maysasl'],
  ['smtp', null, 'smtp musttlsserver mustsaslserver', 'musttls', 'mustsasl'],
  ['smtp', null, 'musttls mustsasl', 'musttls', 'mustsasl'],
  ['smtp', null, 'MUSTTLSSERVER MaySaslServer', 'musttls', 'maysasl'],
  ['smtp', null, 'musttlsserver notlsserver', 'notls', 'nosasl'],
  ['smtp', null, 'musttlsclient mustsaslclient', 'notls', 'nosasl'],
  ['smtp', 'implicit', 'smtp maytlsserver maysaslserver', 'musttls', 'maysasl'],
  ['smtp', 'implicit', 'smtp notlsserver nosaslserver', 'musttls', 'nosasl'],
];

for (const [protocol, tlsMode, keywords, tls, sasl] of TABLE) {
  test(`${protocol}, tls ${tlsMode ?? 'unsaid'}, channel "${keywords ?? 'none'}": ${tls} and ${sasl}`, () => {
    const service = { protocol, tlsMode } as ServiceSettings;
    const channel: ChannelSettings | null =
      keywords === null ? null : { name: 'c', keywords, match: [], relay: 'mta' };
    assert.deepEqual(serverRules(service, channel), { tls, sasl });
  });
}
