// What the import of an MMP must not lose by the way: TLS on ports that had it, who is kept out, passwords, lines that are
// not as they should be.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { listen, load, section, told } from './mmp-folder.ts';

for (const [ports, implicit] of [
  ['192.0.2.2:993', [993]],
  ['mail.example.com:993', [993]],
  ['993;1143', [993, 1143]],
  ['192.0.2.2:1143|x', [993, 1143]],
  ['995', []],
] as const) {
  test(`SSLPorts ${ports}: no port that it names is served without TLS on other addresses`, (t) => {
    const result = load(t, {
      'AService.cfg': section({ ServiceList: 'ImapProxyAService@143|993|1143' }),
      'ImapProxyAService.cfg': section({ SSLEnable: 'yes', SSLPorts: ports }),
    });
    const { services } = result.settings;
    assert.deepEqual(
      services['imaps']?.listen ?? [],
      implicit.map((port) => listen(port)),
    );
    assert.equal(services['imap']?.listen.length, 3 - implicit.length);
  });
}

test('an address of its own that SSLPorts does not name goes on without TLS at the start', (t) => {
  const { services } = load(t, {
    'AService.cfg': section({ ServiceList: 'ImapProxyAService@192.0.2.1:993|192.0.2.2:993' }),
    'ImapProxyAService.cfg': section({ SSLEnable: 'yes', SSLPorts: '192.0.2.2:993' }),
  }).settings;
  assert.deepEqual(services['imap']?.listen, [listen(993, '192.0.2.1')]);
  assert.deepEqual(services['imaps']?.listen, [listen(993, '192.0.2.2')]);
});

test('a directory of one address that is asked without TLS is allowed to be, as the one of all', (t) => {
  const result = load(t, {
    'ImapProxyAService.cfg': section({
      LdapUrl: 'ldaps://near/o=x',
      BindDN: 'cn=x',
      BindPass: 'y',
      VirtualDomainFile: 'v.cfg',
    }),
    'v.cfg': ['vdmap a 192.0.2.1', 'a:LdapUrl ldap://far/o=x'],
  });
  assert.equal(result.settings.directory.ldap.allowClear, true);
  assert.match(told(result, 'v.cfg:2'), /allowClear/);
});

test('no password goes to a directory or a relay that it was not for', (t) => {
  const result = load(t, {
    'AService.cfg': section({
      ServiceList:
        'ImapProxyAService@143 PopProxyAService@110 SmtpProxyAService@25 SmtpProxyAService|Out@587',
    }),
    'ImapProxyAService.cfg': section({ LdapUrl: 'ldap://one/o=x' }),
    'PopProxyAService.cfg': section({ LdapUrl: 'ldap://two/o=x', BindDN: 'cn=x', BindPass: 'of two' }),
    'SmtpProxyAService.cfg': section({ SmtpRelays: 'in' }),
    'Out.cfg': section({ SmtpRelays: 'out', SmtpProxyPassword: 'of out' }),
  });
  assert.deepEqual(result.secrets, {});
  for (const place of ['PopProxyAService.cfg:2', 'PopProxyAService.cfg:3', 'Out.cfg:2'])
    assert.match(told(result, place), /has no effect beside/);
});

test('passwords that differ in the case of a letter are different', (t) => {
  const of = (pop: string): string => {
    const options = { BindDN: 'cn=x', PreAuth: 'yes', HostedDomains: 'yes' };
    const result = load(t, {
      'ImapProxyAService.cfg': section({ ...options, BindPass: 'Secret' }),
      'PopProxyAService.cfg': section({ ...options, HostedDomains: '1', BindPass: pop }),
    });
    assert.equal(told(result, 'PopProxyAService.cfg:3'), '');
    return told(result, 'PopProxyAService.cfg:4');
  };
  assert.match(of('secret'), /carried as in BindPass/);
  assert.equal(of('Secret'), '');
});

test('domainsearchformat without a value leaves the search to SearchFormat; where it is not there that is told', (t) => {
  const of = (options: Record<string, string>): [string | null, string] => {
    const result = load(t, { 'ImapProxyAService.cfg': section(options) });
    return [result.settings.directory.ldap.domainSearchFormat, told(result, 'ImapProxyAService.cfg:1')];
  };
  assert.deepEqual(of({ SearchFormat: '(mail=%s)', domainsearchformat: '' }), [null, '']);
  assert.match(of({ SearchFormat: '(mail=%s)' })[1], /domainSearchFormat to null/);
  assert.deepEqual(of({ SearchFormat: '(uid=%s)' }), ['(uid=%U)', '']);
});

test('where a vdmap comes over the line that names its file is not told', (t) => {
  const folder = {
    'ImapProxyAService.cfg': section({ VirtualDomainFile: 'v.cfg' }),
    'PopProxyAService.cfg': section({ VirtualDomainFile: './v.cfg' }),
    'v.cfg': ['vdmap a 192.0.2.1', 'a:DefaultDomain example.com'],
  };
  const result = load(t, folder);
  for (const file of ['ImapProxyAService.cfg', 'PopProxyAService.cfg'])
    assert.equal(told(result, `${file}:1`), '');
});

test('0.0.0.0 is what is listened on where ServiceList says so, and no port without an address is beside it', (t) => {
  const result = load(t, {
    'AService.cfg': section({ ServiceList: 'ImapProxyAService@0.0.0.0:143|143|0.0.0.0:993' }),
    'ImapProxyAService.cfg': section({ SSLEnable: 'yes', SSLPorts: '192.0.2.1:993' }),
  });
  assert.deepEqual(result.settings.services['imap']?.listen, [listen(143, '0.0.0.0')]);
  assert.deepEqual(result.settings.services['imaps']?.listen, [listen(993, '0.0.0.0')]);
  assert.match(told(result, 'AService.cfg:1'), /port 143 is given twice/);
});

test('TCPAccess that is not understood: whom it no longer keeps out is told', (t) => {
  const of = (above: string): string => {
    const result = load(t, {
      'ImapProxyAService.cfg': section({ VirtualDomainFile: 'v.cfg', TCPAccess: above }),
      'v.cfg': ['vdmap a 192.0.2.1', 'a:TCPAccess -imap'],
    });
    return told(result, 'v.cfg:2');
  };
  assert.match(of('""'), /EVERYBODY is let in$/);
  assert.match(of('-imap:10.'), /the rules of its service hold there$/);
});

test('files of the folder that the settings name are in the list of what is to be done', (t) => {
  const { yaml } = load(t, {
    'PopProxyAService.cfg': section({ CertMapFile: '/opt/certmap.conf', SpoofMessageFile: 'away.eml' }),
    'certmap.conf': ['certmap default default'],
    'away.eml': ['Subject: x'],
  });
  assert.match(yaml, /^# - say `user`, /m);
  for (const name of ['certmap.conf', 'away.eml'])
    assert.ok(yaml.includes(`# - keep /mmp/${name}, which they read`), yaml);
});

test('a line with control characters is left out and told; a tab is a blank', (t) => {
  const result = load(t, {
    'ImapProxyAService.cfg': ['default:Banner x\u001b[2J', 'default:ServerDownAlert\tcome\tagain\t'],
  });
  assert.equal(result.settings.services['imap']?.banner, null);
  assert.equal(result.settings.services['imap']?.serverDownAlert, 'come again');
  assert.match(told(result, 'ImapProxyAService.cfg:1'), /control characters/);
});

test('a name of a domain may be long, and its password has a file all the same', (t) => {
  const name = 'x'.repeat(400);
  const { secrets } = load(t, {
    'ImapProxyAService.cfg': section({ VirtualDomainFile: 'v.cfg' }),
    'v.cfg': [`vdmap ${name} 192.0.2.1`, `${name}:BindDN cn=x`, `${name}:BindPass y`],
  });
  assert.deepEqual(Object.keys(secrets), [`ldap-${'x'.repeat(40)}.secret`]);
});
