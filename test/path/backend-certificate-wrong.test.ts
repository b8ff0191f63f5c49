// A backend that cannot show who it is gets no password, unless the settings say that nobody needs to look.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { makeAuthority } from '../support/authority.ts';
import { ALL, IMAP, SMTP } from '../support/dialects.ts';
import { assertLine, openGateway, storeContext, testMaterial } from '../support/gateway.ts';

const { authority } = testMaterial();

function strangersCertificate(): ReturnType<typeof authority.issue> {
  const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-stranger-'));
  try {
    return makeAuthority(folder, 'Stranger CA').issue({ names: ['store.test'] });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const WRONG = [
  ['for another name', authority.issue({ names: ['other.test'] })],
  ['that has expired', authority.issue({ names: ['store.test'], days: -2 })],
  ['of an authority that is not trusted', strangersCertificate()],
  ['signed by itself', authority.issue({ names: ['store.test'], signer: 'self' })],
] as const;

for (const [what, issued] of WRONG) {
  test(`a backend with a certificate ${what} gets no password`, async (t) => {
    const store = IMAP.store({ tls: storeContext(issued) });
    const gateway = openGateway(t, {
      protocol: 'imap',
      backend: store.script,
      to: { tls: { mode: 'maytls', name: 'store.test' } },
    });
    await gateway.play(`${IMAP.greeting}\n${IMAP.tries}\n${IMAP.unavailable}\n${IMAP.logout}`);
    assertLine(await gateway.logged((line) => line['event'] === 'login-failed'), {
      code: 'BACKEND_TLS_FAILED',
    });
    assert.deepEqual(store.logins, []);
  });

  test(`with verify: false a certificate ${what} will do`, async (t) => {
    const store = IMAP.store({ tls: storeContext(issued) });
    const gateway = openGateway(t, {
      protocol: 'imap',
      backend: store.script,
      to: { tls: { mode: 'musttls', verify: false } },
    });
    await gateway.play(`${IMAP.greeting}\n${IMAP.login}\n${IMAP.logout}`);
    assertLine(await gateway.closed(), { code: null, user: 'anna' });
  });
}

for (const errands of ALL) {
  const { protocol } = errands;
  test(`${protocol}: the certificate is looked at on an implicit-TLS leg too`, async (t) => {
    const store = errands.store({ implicit: storeContext(WRONG[0][1]) });
    const gateway = openGateway(t, { protocol, backend: store.script, to: { tls: 'implicit' } });
    const client = await gateway.play(`${errands.greeting}\n${errands.tries}\n${errands.unavailable}`);
    if (errands !== SMTP) await gateway.resume(client, errands.logout);
    await gateway.logged(
      (line) => line['event'] === 'backend-failed' && line['code'] === 'BACKEND_TLS_FAILED',
    );
    assertLine(await gateway.closed(), { code: errands === SMTP ? 'BACKEND_TLS_FAILED' : null });
    assert.deepEqual(store.logins, []);
  });

  test(`${protocol}: a backend with implicit TLS and the right certificate is used`, async (t) => {
    const store = errands.store({ implicit: storeContext() });
    const gateway = openGateway(t, { protocol, backend: store.script, to: { tls: 'implicit' } });
    await gateway.play(`${errands.greeting}\n${errands.login}\n${errands.logout}`);
    assertLine(await gateway.closed(), { code: null, user: 'anna', backendTls: 'TLSv1.3' });
  });
}
