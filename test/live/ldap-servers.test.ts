// Servers of a directory in LDAP: several, by address of ours, dead, silent, and by TLS.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { loadSettings } from '../../src/config/load.ts';
import type { LdapSettings } from '../../src/config/settings.ts';
import { LdapPlaces } from '../../src/identity/ldap/places.ts';
import { placeKey } from '../../src/identity/login-id.ts';
import { createLog } from '../../src/log.ts';
import { probeLdap, readLdapMaterial } from '../../src/service/directories/ldap-material.ts';
import { realWorld } from '../../src/world.ts';
import { makeAuthority } from '../support/authority.ts';
import { DATA } from '../support/ldap-data.ts';
import {
  ldapSettings,
  loginOf,
  openDirectory,
  PASSWORD,
  type RigOptions,
  server,
} from '../support/ldap-site.ts';
import { freePort } from '../support/ports.ts';
import { until } from '../support/program.ts';
import { ADMIN, type Slapd, startSlapd } from '../support/slapd.ts';

let slapd: Slapd;
before(async () => {
  slapd = await startSlapd({ ldif: DATA });
});
after(() => slapd.remove());

describe('servers', () => {
  test('the next is asked when one dies, and the first again once it is back', async () => {
    const second = await startSlapd({ ldif: DATA });
    const first = await startSlapd({ ldif: DATA });
    const { directory, events } = openDirectory({
      settings: { servers: [server(first.port), server(second.port)], retryMs: 50, timeoutMs: 4000 },
    });
    const ask = async (): Promise<string> => (await directory.find(loginOf('joe@siroe.com'), PASSWORD)).kind;
    const told = (what: string): number => events.filter((line) => line.includes(what)).length;
    try {
      assert.equal(await ask(), 'account');
      await first.stop();
      assert.equal(await ask(), 'account');
      assert.ok(told('directory server down') >= 1);
      await second.stop();
      await assert.rejects(ask(), { code: 'DIRECTORY_DOWN' });
      await second.start();
      assert.equal(await ask(), 'account');
      await first.start();
      await until(
        async () => (await ask()) === 'account' && told('directory server up') >= 2,
        5000,
        () => events.join(''),
      );
      await second.stop();
      assert.equal(await ask(), 'account');
    } finally {
      directory.close();
      await first.remove();
      await second.remove();
    }
  });

  test('one that answers nothing is left in time for the next', async () => {
    const frozen = await startSlapd({ ldif: DATA });
    const { directory } = openDirectory({
      settings: { servers: [server(frozen.port), server(slapd.port)], timeoutMs: 2000 },
    });
    try {
      assert.equal((await directory.find(loginOf('joe@siroe.com'), null)).kind, 'account');
      frozen.freeze();
      assert.equal((await directory.find(loginOf('anna@siroe.com'), null)).kind, 'account');
    } finally {
      directory.close();
      await frozen.remove();
    }
  });

  test('a hundred at once go through four connections', async () => {
    const { directory } = openDirectory({ settings: { servers: [server(slapd.port)], connections: 4 } });
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => directory.find(loginOf('joe@siroe.com'), PASSWORD)),
    );
    assert.ok(answers.every((answer) => answer.kind === 'account' && answer.proof === 'right'));
    directory.close();
  });
});

describe('TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-ldap-'));
  const authority = makeAuthority(folder);
  let secure: Slapd;
  before(async () => {
    secure = await startSlapd({
      ldif: DATA,
      authority,
      names: ['ldap.siroe.com'],
      extra: 'security simple_bind=128',
    });
  });
  after(async () => {
    await secure.remove();
    rmSync(folder, { recursive: true });
  });

  const source = { ca: authority.ca };
  const proof = async (options: RigOptions): Promise<unknown> => {
    const { directory } = openDirectory(options);
    try {
      const answer = await directory.find(loginOf('joe@siroe.com'), PASSWORD);
      return answer.kind === 'account' ? answer.proof : answer.kind;
    } finally {
      directory.close();
    }
  };

  test('ldaps and StartTLS, with the name that the certificate shows', async () => {
    const tlsName = 'ldap.siroe.com';
    assert.equal(
      await proof({ source, settings: { servers: [server(secure.tlsPort, 'ldaps')], tlsName } }),
      'right',
    );
    assert.equal(
      await proof({ source, settings: { servers: [server(secure.port)], startTls: true, tlsName } }),
      'right',
    );
  });

  test('a certificate for another name, and one of a stranger, are refused', async () => {
    for (const settings of [
      { servers: [server(secure.tlsPort, 'ldaps')] },
      { servers: [server(secure.port)], startTls: true },
    ]) {
      await assert.rejects(proof({ source, settings }), /the certificate is not for 127\.0\.0\.1/);
      await assert.rejects(proof({ settings: { ...settings, tlsName: 'ldap.siroe.com' } }), {
        code: 'DIRECTORY_DOWN',
      });
      assert.equal(await proof({ settings: { ...settings, verifyCertificate: false } }), 'right');
    }
  });

  test('a server without StartTLS is refused where it is asked for', async () => {
    await assert.rejects(
      proof({ source, settings: { servers: [server(slapd.port)], startTls: true } }),
      /StartTLS is refused/,
    );
  });
});

describe('addresses of ours', () => {
  test('each has the base, filter and replayed name that its settings say', async () => {
    const servers = [server(slapd.port)];
    const source = (changes: Partial<LdapSettings>) => ({
      settings: ldapSettings({ servers, ...changes }),
      bindPassword: null,
      ca: null,
    });
    const directory = new LdapPlaces({
      common: source({}),
      places: new Map([
        [
          placeKey('imap', '192.0.2.11'),
          source({
            hostedDomains: false,
            base: 'o=badge.com,o=internet',
            searchFormat: '(empID=%o)',
            replayFormat: '%A[uid]',
          }),
        ],
      ]),
      split: ({ id }) => ({ user: id, domain: 'siroe.com', delimiter: '@' }),
      domainCache: { ttlMs: 1000, missTtlMs: 1000, max: 10 },
      world: realWorld,
      log: createLog({ level: 'error', format: 'text' }),
    });
    const at = async (address: string, id: string): Promise<string> => {
      const login = loginOf(id, { server: { address, port: 143 } });
      const answer = await directory.find(login, PASSWORD);
      return answer.kind === 'account' ? `${answer.account.replay} ${answer.proof}` : answer.kind;
    };
    try {
      assert.equal(await at('192.0.2.10', 'joe'), 'joe right');
      assert.equal(await at('192.0.2.11', '0815'), 'erna right');
      assert.equal(await at('192.0.2.10', '0815'), 'nobody');
      assert.equal(await at('192.0.2.11', 'joe'), 'nobody');
    } finally {
      directory.close();
    }
  });
});

test('the probe binds and looks for the base at every server', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-probe-'));
  try {
    const probe = async (ldap: string): Promise<readonly (string | null)[]> => {
      const file = join(folder, 'sallyport.yaml');
      writeFileSync(file, `directory:\n  type: ldap\n  ldap: { ${ldap} }\n`);
      const settings = loadSettings({ file });
      const material = readLdapMaterial(settings, (error) => assert.fail(String(error)));
      return (await probeLdap(settings, material, realWorld)).map(({ error }) => error);
    };
    const url = `"ldap://127.0.0.1:${slapd.port}"`;
    const dead = `"ldap://127.0.0.1:${await freePort()}"`;
    const who = `bindDn: "${ADMIN.dn}"`;
    assert.deepEqual(await probe(`urls: ${url}, ${who}, bindPassword: "${ADMIN.password}"`), [null]);
    assert.match(
      String((await probe(`urls: ${url}, ${who}, bindPassword: wrong`))[0]),
      /does not accept bindDn/,
    );
    assert.match(String((await probe(`urls: ${url}, base: "o=nowhere"`))[0]), /result code 32/);
    const [one, other] = await probe(`urls: [${url}, ${dead}]`);
    assert.equal(one, null);
    assert.match(String(other), /ECONNREFUSED/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
