// What the rules of channels decided: counted flat in the workers, shown as a map.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decisionCounter, splitDecisions } from '../../src/service/channel-counters.ts';

test('decisions come out of the counters by channel and rule, and leave the others alone', () => {
  const counters = {
    open: 3,
    [decisionCounter('tcp_auth', 'saslswitchchannel')]: 12,
    [decisionCounter('tcp_intranet', 'switchchannel 192.0.2.0/24')]: 5,
    [decisionCounter('tcp_auth', 'XPEHLO by mmp')]: 1,
    messages: 7,
  };
  assert.deepEqual(splitDecisions(counters), {
    totals: { open: 3, messages: 7 },
    channels: {
      tcp_auth: { saslswitchchannel: 12, 'XPEHLO by mmp': 1 },
      tcp_intranet: { 'switchchannel 192.0.2.0/24': 5 },
    },
  });
});
