// What `check --probe` prints of servers is partly in their own words.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { probeText } from '../../src/cli/check.ts';
import type { ProbeResult } from '../../src/service/backends/probe.ts';

const well: ProbeResult = {
  backend: 'stores',
  protocol: 'imap',
  server: 'one:143',
  error: null,
  tls: null,
  certificateNotAfter: null,
  capabilities: ['IMAP4rev1'],
  mechanisms: ['PLAIN'],
  warnings: [],
};

test('what a server offers is a line', () => {
  assert.equal(
    probeText(well, 0),
    'probe stores one:143 (imap): without TLS; offers IMAP4rev1; SASL PLAIN\n',
  );
});

test('a server cannot move the cursor of who probes it, neither by what it offers nor by how it fails', () => {
  const offered = probeText({ ...well, capabilities: ['X\x1b[2J'] }, 0);
  const failed = probeText({ ...well, error: 'BACKEND_REFUSED: \x9b2J\u202eOK' }, 0);
  assert.equal(offered, 'probe stores one:143 (imap): without TLS; offers X\\u001b[2J; SASL PLAIN\n');
  assert.equal(failed, 'probe stores one:143 (imap): FAILED, BACKEND_REFUSED: \\u009b2J\\u202eOK\n');
});
