// What `sallyport check` says of POP before SMTP: ways that lead to its channel, and warnings of what would not work.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadSettings } from '../../../src/config/load.ts';
import type { Settings } from '../../../src/config/settings.ts';
import { channelWarnings, channelWays } from '../../../src/service/channel-summary.ts';
import { grantWarnings } from '../../../src/service/grants/summary.ts';
import { settingsFile } from '../../config/settings-file.ts';

type Test = Parameters<typeof settingsFile>[0];

const PARTS = {
  popBeforeSmtp: '{ channel: tcp_intranet }',
  pop3: '{ protocol: pop3, listen: "127.0.0.1:110", backend: stores }',
  smtp: '{ protocol: smtp, listen: "127.0.0.1:25", channel: tcp_local }',
  tcp_local: '{ keywords: maytlsserver maysaslserver, relay: mta }',
  tcp_intranet: '{ keywords: maytlsserver maysaslserver, relay: inner }',
  redis: 'null',
};

function load(t: Test, parts: Partial<typeof PARTS> = {}): Settings {
  const all = { ...PARTS, ...parts };
  const { file } = settingsFile(
    t,
    `popBeforeSmtp: ${all.popBeforeSmtp}
redis: ${all.redis}
services:
  pop3: ${all.pop3}
  smtp: ${all.smtp}
channels:
  tcp_local: ${all.tcp_local}
  tcp_intranet: ${all.tcp_intranet}
backends:
  stores: { servers: "127.0.0.1:1110" }
  mta: { servers: "127.0.0.1:2525", client: xclient }
  inner: { servers: "127.0.0.1:2526", client: xclient }
`,
  );
  return loadSettings({ file });
}

test('a configuration in which everything acts has no warning, and shows the way', (t) => {
  const settings = load(t);
  assert.deepEqual([grantWarnings(settings), channelWarnings(settings)], [[], []]);
  const smtp = settings.services['smtp'] ?? assert.fail();
  assert.deepEqual(channelWays(smtp, settings), [
    { from: 'tcp_local', to: 'tcp_intranet', rule: 'pop-before-smtp' },
  ]);
});

test('without grants there is nothing to say', (t) => {
  const settings = load(t, { popBeforeSmtp: 'null' });
  assert.deepEqual(grantWarnings(settings), []);
  assert.deepEqual(channelWarnings(settings), ['channels.tcp_intranet: no service leads to it']);
});

const WARNINGS: readonly (readonly [string, Partial<typeof PARTS>, RegExp])[] = [
  [
    'nobody earns',
    { pop3: '{ protocol: imap, listen: "127.0.0.1:143", backend: stores }' },
    /no service earns a grant, none of pop3 takes part/,
  ],
  [
    'nobody uses',
    { smtp: '{ protocol: smtp, listen: "127.0.0.1:25", channel: tcp_local, grants: false }' },
    /no service uses a grant/,
  ],
  [
    'the channel has no AUTH',
    { tcp_intranet: '{ keywords: maytlsserver, relay: inner }' },
    /tcp_intranet has no AUTH \(maysaslserver\)/,
  ],
  [
    'the channel has no STARTTLS',
    { tcp_intranet: '{ keywords: maysaslserver, relay: inner }' },
    /tcp_intranet has no STARTTLS \(maytlsserver\)/,
  ],
  [
    'TLS leads away',
    { tcp_intranet: '{ keywords: maytlsserver maysaslserver tlsswitchchannel tcp_local, relay: inner }' },
    /tlsswitchchannel leads clients with a grant away/,
  ],
  [
    'the relay cannot know',
    { tcp_intranet: '{ keywords: maytlsserver maysaslserver, relay: mta }' },
    /has the relay of channels\.tcp_local and nothing is told/,
  ],
];

for (const [what, parts, warning] of WARNINGS) {
  test(`one warning where ${what}`, (t) => {
    const warnings = grantWarnings(load(t, parts));
    assert.equal(warnings.length, 1, warnings.join('\n'));
    assert.match(warnings[0] ?? '', warning);
  });
}

test('with Redis the other half may be elsewhere; a relay that is told may be the same', (t) => {
  const redis = 'redis://127.0.0.1:6379';
  const imap = '{ protocol: imap, listen: "127.0.0.1:143", backend: stores }';
  assert.deepEqual(grantWarnings(load(t, { redis, pop3: imap })), []);
  const told = {
    popBeforeSmtp: '{ channel: tcp_intranet, tell: login }',
    tcp_intranet: '{ keywords: maytlsserver maysaslserver, relay: mta }',
  };
  assert.deepEqual(grantWarnings(load(t, told)), []);
});
