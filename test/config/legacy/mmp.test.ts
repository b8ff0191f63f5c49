import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fixture, importFolder, listen, load, section, told } from './mmp-folder.ts';

const SMTP = section({ SmtpRelays: 'mta1 mta2:2525', SmtpProxyPassword: 'x' });

test('the documented POP and IMAP configurations become services, stores, a directory, limits and penalties', (t) => {
  const result = load(t, fixture('pop-and-imap'));
  const { settings, secrets } = result;
  const { imap, imaps, pop3 } = settings.services;
  assert.deepEqual(Object.keys(settings.services), ['imap', 'imaps', 'pop3']);
  assert.deepEqual([imap?.tlsMode, imaps?.tlsMode, pop3?.tlsMode], ['maytls', 'implicit', 'notls']);
  assert.deepEqual(
    [imap?.listen, imaps?.listen, pop3?.listen],
    [[listen(143)], [listen(993)], [listen(110)]],
  );
  assert.deepEqual(imap?.capabilities?.slice(0, 3), ['IMAP4', 'IMAP4rev1', 'ACL']);
  assert.deepEqual(imap?.verify, { kind: 'backend' });
  assert.equal(imap?.serverDownAlert, 'your IMAP server appears to be temporarily out of service');
  assert.equal(imap?.domains['192.0.2.10']?.defaultDomain, 'example.com');
  const { stores, popstores } = settings.backends;
  assert.deepEqual([stores?.tls.mode, stores?.port], ['implicit', 993]);
  assert.deepEqual(
    [popstores?.tls.mode, popstores?.port, popstores?.allowClearBackend],
    ['notls', 110, true],
  );
  const { directory } = settings;
  assert.deepEqual(
    [directory.type, directory.defaultDomain, directory.domainDelimiters],
    ['ldap', 'Siroe.com', '@'],
  );
  assert.deepEqual(directory.ldap.servers, [{ host: 'phonebook.siroe.com', port: 389, implicitTls: false }]);
  assert.equal(directory.ldap.base, 'o=internet');
  assert.equal(directory.ldap.bindDn, 'cn=Directory Manager');
  assert.deepEqual(secrets['ldap.secret'], 'password\n');
  assert.deepEqual(secrets['sslpassword.conf'], 'Internal (Software) Token:netscape!\n');
  assert.deepEqual(directory.cache, {
    size: 10_000,
    ttlMs: 900_000,
    missTtlMs: 60_000,
    passwordTtlMs: 900_000,
  });
  const { stepMs, maxMs, decayMs, linear, remembered, excluded } = settings.penalties;
  assert.deepEqual([stepMs, maxMs, decayMs, linear, remembered], [2000, 60_000, 900_000, false, 10_000]);
  assert.deepEqual(
    excluded.map(({ address, prefix }) => [address, prefix]),
    [
      ['192.0.2.64', 26],
      ['198.51.100.7', 32],
    ],
  );
  assert.deepEqual([settings.timeouts.imapMs, settings.timeouts.pop3Ms], [1_800_000, 1_800_000]);
  assert.equal(settings.workers, 2);
  assert.equal(settings.log.level, 'info');
  assert.match(told(result, 'AService.cfg:2'), /port 995/);
  assert.match(told(result, 'vdmap.cfg:3'), /nobody has a grant/);
});

test('X-def.cfg stands in for an X.cfg that is not there, and for no other', (t) => {
  const folder = {
    'AService-def.cfg': ['default:NumThreads 3'],
    'ImapProxyAService-def.cfg': ['default:Timeout 2000'],
  };
  assert.equal(load(t, folder).settings.timeouts.imapMs, 2_000_000);
  const both = { ...folder, 'ImapProxyAService.cfg': ['default:Timeout 3000'] };
  assert.equal(load(t, both).settings.timeouts.imapMs, 3_000_000);
});

test('who may log in: PreAuth, CRAMs, RestrictPlainPasswords, StoreAdmin, TCPAccess, certmap, and the same by address', (t) => {
  const { settings } = load(t, fixture('smtp'));
  const { imap, pop3 } = settings.services;
  assert.deepEqual(imap?.verify, { kind: 'directory' });
  assert.equal(imap?.restrictPlainPasswords, true);
  assert.equal(imap?.access, '+imaps,pops,smtp:*$+imap,pop:192.0.2.0/24');
  assert.ok(!imap?.mechanisms.includes('CRAM-MD5'));
  assert.ok(pop3?.mechanisms.includes('CRAM-MD5') && pop3.mechanisms.includes('APOP'));
  assert.equal(settings.directory.ldap.passwords, 'compare');
  assert.equal(settings.backends['stores']?.admin?.user, 'mmpstore');
  assert.match(settings.services['imap']?.certmap ?? '', /certmap\.conf$/);
  const second = imap?.domains['192.0.2.11'];
  assert.deepEqual(second?.overrides.verify, { kind: 'backend' });
  assert.equal(second?.ldap?.base, 'o=example.org');
  assert.equal(second?.ldap?.hostedDomains, false);
  assert.equal(second?.admin?.user, 'other');
});

test('challenges are compared here, so passwords are too; without them the store goes on checking', (t) => {
  const of = (options: Record<string, string>): unknown =>
    load(t, { 'ImapProxyAService.cfg': section(options) }).settings.services['imap']?.verify;
  assert.deepEqual(of({ CRAMs: 'yes', PreAuth: 'no' }), { kind: 'directory' });
  assert.deepEqual(of({ CRAMs: '0', PreAuth: '0' }), { kind: 'backend' });
  assert.deepEqual(of({ PreAuth: '1' }), { kind: 'directory' });
});

test('where RestrictPlainPasswords would let nobody in, for TLS is off, it is on', (t) => {
  const of = (options: Record<string, string>): unknown => {
    const result = load(t, {
      'AService.cfg': section({ ServiceList: 'ImapProxyAService@143', ...options }),
      'ImapProxyAService.cfg': [],
      'vdmap.cfg': ['vdmap d 192.0.2.1', 'd:RestrictPlainPasswords yes'],
    });
    const { imap } = result.settings.services;
    return [imap?.tlsMode, imap?.restrictPlainPasswords, /TLS is on here/.test(result.notes.join())];
  };
  assert.deepEqual(of({ RestrictPlainPasswords: 'yes' }), ['maytls', true, true]);
  assert.deepEqual(of({ RestrictPlainPasswords: 'yes', SSLEnable: 'no' }), ['maytls', true, true]);
  assert.deepEqual(of({ RestrictPlainPasswords: 'yes', CRAMs: 'yes' }), ['notls', true, false]);
  assert.deepEqual(of({ VirtualDomainFile: 'vdmap.cfg' }), ['maytls', false, true]);
  assert.deepEqual(of({ RestrictPlainPasswords: 'no' }), ['notls', false, false]);
});

test('an address goes by what its service says of PreAuth and CRAMs, where it says nothing itself', (t) => {
  const of = (service: Record<string, string>, address: Record<string, string>): unknown => {
    const { services } = load(t, {
      'PopProxyAService.cfg': section({ VirtualDomainFile: 'vdmap.cfg', ...service }),
      'vdmap.cfg': ['vdmap d 192.0.2.1', ...section({ DefaultDomain: 'example.com', ...address }, 'd')],
    }).settings;
    const { verify, mechanisms } = services['pop3']?.domains['192.0.2.1']?.overrides ?? {};
    return [verify?.kind, mechanisms?.includes('CRAM-MD5')];
  };
  assert.deepEqual(of({ PreAuth: 'yes' }, {}), [undefined, undefined]);
  assert.deepEqual(of({ PreAuth: 'yes' }, { PreAuth: 'no' }), ['backend', undefined]);
  assert.deepEqual(of({ CRAMs: 'yes' }, { PreAuth: 'no' }), [undefined, undefined]);
  assert.deepEqual(of({ CRAMs: 'yes' }, { CRAMs: 'no' }), ['backend', false]);
  assert.deepEqual(of({ CRAMs: 'yes', PreAuth: 'yes' }, { CRAMs: 'no' }), [undefined, false]);
  assert.deepEqual(of({ PreAuth: 'no' }, { CRAMs: 'yes' }), ['directory', true]);
});

test('ServiceList starts several instances: by file, by section, on addresses of their own', (t) => {
  const result = load(t, {
    'AService.cfg': section({
      ServiceList:
        '/opt/lib/ImapProxyAService@192.0.2.1:143 /opt/lib/ImapProxyAService|Second@192.0.2.2:143|192.0.2.2:993 /opt/lib/ImapProxyAService|ImapProxyAService|third@[2001:db8::3]:143',
    }),
    'ImapProxyAService.cfg': [
      'default:Banner first',
      'default:BacksidePort 1143',
      'third:Banner third',
      'third:SSLBacksidePort 993',
      'fourth:Banner nobody',
    ],
    'Second.cfg': section({
      Banner: 'second',
      SSLEnable: 'yes',
      SSLPorts: '192.0.2.2:993',
      BacksidePort: '1143',
    }),
  });
  const { services, backends } = result.settings;
  assert.deepEqual(
    Object.values(services).map(({ name, banner, backend }) => [name, banner, backend]),
    [
      ['imap', 'first', 'stores'],
      ['imap-Second', 'second', 'stores'],
      ['imaps-Second', 'second', 'stores'],
      ['imap-third', 'third', 'stores-third'],
    ],
  );
  assert.deepEqual(services['imap-third']?.listen, [listen(143, '2001:db8::3')]);
  assert.deepEqual(services['imaps-Second']?.listen, [listen(993, '192.0.2.2')]);
  assert.deepEqual(Object.keys(backends), ['stores', 'stores-third']);
  assert.match(told(result, 'ImapProxyAService.cfg:5'), /section fourth .* not in ServiceList/);
});

test('entries of ServiceList that are nothing are told, and the others are served', (t) => {
  const result = load(t, {
    'AService.cfg': section({
      ServiceList:
        'ImapProxyAService@143|imap PopProxyAService@110 HttpProxyAService@80 ImapProxyAService nowhere.example.com SmtpProxyAService@25',
    }),
    'ImapProxyAService.cfg': [],
    'PopProxyAService.cfg': [],
  });
  assert.deepEqual(Object.keys(result.settings.services), ['imap', 'pop3']);
  const notes = told(result, 'AService.cfg:1');
  assert.match(notes, /"imap"/);
  assert.match(notes, /HttpProxyAService@80/);
  assert.match(notes, /SmtpProxyAService\.cfg is not there/);
});

test('a port is served once, and a name is nothing to listen on', (t) => {
  const result = load(t, {
    'AService.cfg': section({
      ServiceList: 'ImapProxyAService@143|mail.example.com:144 ImapProxyAService|Other@143|145',
    }),
    'ImapProxyAService.cfg': [],
    'Other.cfg': [],
  });
  assert.deepEqual(result.settings.services['imap']?.listen, [listen(143)]);
  assert.deepEqual(result.settings.services['imap-Other']?.listen, [listen(145)]);
  assert.match(told(result, 'AService.cfg:1'), /given twice/);
  assert.match(told(result, 'AService.cfg:1'), /mail\.example\.com:144/);
});

test('without AService.cfg the proxies are those of a fresh MMP', (t) => {
  const result = load(t, { 'PopProxyAService.cfg': [], 'ImapProxyAService.cfg': ['default:SSLEnable yes'] });
  assert.deepEqual(Object.keys(result.settings.services), ['imap', 'imaps', 'pop3']);
  assert.match(result.notes.join('\n'), /ServiceList: AService\.cfg does not say/);
});

test('options of AService.cfg hold for IMAP and POP where these have none, and not for SMTP', (t) => {
  const { settings } = load(t, {
    'AService.cfg': section({
      ServiceList: 'ImapProxyAService@143 PopProxyAService@110 SmtpProxyAService@25',
      Banner: 'shared',
      PreAuth: 'yes',
    }),
    'ImapProxyAService.cfg': ['default:Banner own'],
    'PopProxyAService.cfg': [],
    'SmtpProxyAService.cfg': SMTP,
  });
  const { imap, pop3, smtp } = settings.services;
  assert.deepEqual([imap?.banner, pop3?.banner, smtp?.banner], ['own', 'shared', null]);
  assert.deepEqual([pop3?.verify, smtp?.verify], [{ kind: 'directory' }, { kind: 'backend' }]);
});

test('what is one setting here is the first that is said, and who says something else is told', (t) => {
  const result = load(t, {
    'ImapProxyAService.cfg': section({ LdapUrl: 'ldap://localhost/o=one', BGPenalty: '5' }),
    'PopProxyAService.cfg': section({ LdapUrl: 'ldap://localhost/o=two', BGPenalty: '5' }),
  });
  assert.equal(result.settings.directory.ldap.base, 'o=one');
  assert.match(told(result, 'PopProxyAService.cfg:1'), /carried as in LdapUrl, ImapProxyAService\.cfg:1/);
  assert.equal(told(result, 'PopProxyAService.cfg:2'), '');
});

for (const [url, servers, base] of [
  ['ldap://one:1389/o=x', ['one:1389'], 'o=x'],
  ['ldap://one two:1389 three/o=x,c=us', ['one:389', 'two:1389', 'three:389'], 'o=x,c=us'],
  ['"ldaps://one two/dc=a%20b"', ['one:636', 'two:636'], 'dc=a b'],
  ['LDAP://[2001:db8::1]/o=x', ['2001:db8::1:389'], 'o=x'],
  ['ldap:///o=x', ['localhost:389'], 'o=x'],
] as const) {
  test(`LdapUrl ${url} is ${servers.join(', ')} and the base ${base}`, (t) => {
    const { ldap } = load(t, { 'ImapProxyAService.cfg': section({ LdapUrl: url }) }).settings.directory;
    assert.deepEqual(
      ldap.servers.map(({ host, port }) => `${host}:${port}`),
      servers,
    );
    assert.equal(ldap.base, base);
    assert.equal(ldap.servers[0]?.implicitTls, /ldaps/.test(url));
  });
}

test('a password goes without TLS to a directory that is not near only where that is said', (t) => {
  const clear = load(t, { 'ImapProxyAService.cfg': section({ LdapUrl: 'ldap://far/o=x' }) });
  assert.equal(clear.settings.directory.ldap.allowClear, true);
  assert.match(told(clear, 'ImapProxyAService.cfg:1'), /allowClear/);
  for (const url of ['ldaps://far/o=x', 'ldap://127.0.0.1/o=x'])
    assert.equal(
      load(t, { 'ImapProxyAService.cfg': section({ LdapUrl: url }) }).settings.directory.ldap.allowClear,
      false,
    );
});

for (const [limits, expected] of [
  ['0.0.0.0|0.0.0.0:20', { '0.0.0.0/0': 20, '::/0': 20 }],
  [':30', { '0.0.0.0/0': 30, '::/0': 30 }],
  ['0.0.0.0|0.0.0.0:0', { '0.0.0.0/0': 0, '::/0': 0 }],
  ['192.0.2.0|255.255.255.0:100,0.0.0.0|0.0.0.0:20', { '192.0.2.0/24': 100, '0.0.0.0/0': 20, '::/0': 20 }],
  ['connlimits.cfg', { '192.0.2.7/32': 1, '0.0.0.0/0': 5, '::/0': 5 }],
] as const) {
  test(`ConnLimits ${limits} comes over`, (t) => {
    const { settings } = load(t, {
      'ImapProxyAService.cfg': section({ ConnLimits: limits }),
      'connlimits.cfg': ['# most specific first', '192.0.2.7|255.255.255.255:0', '0.0.0.0|0.0.0.0:5'],
    });
    assert.deepEqual(
      Object.fromEntries(
        settings.limits.perAddress.map(([{ address, prefix }, limit]) => [`${address}/${prefix}`, limit]),
      ),
      expected,
    );
  });
}

test('a limit that never counted, for one before it had its addresses, does not begin to count', (t) => {
  const result = load(t, {
    'ImapProxyAService.cfg': section({ ConnLimits: '0.0.0.0|0.0.0.0:20,192.0.2.0|255.255.255.0:1000' }),
  });
  assert.equal(result.settings.limits.perAddress.length, 2);
  assert.match(told(result, 'ImapProxyAService.cfg:1'), /never counted/);
});

test('files that options name are read where they are, and told where they are not, with lines for what is wrong', (t) => {
  const result = load(t, {
    'PopProxyAService.cfg': section({
      BGExcluded: '/opt/bgexcl.cfg',
      ConnLimits: '/opt/none.cfg',
      VirtualDomainFile: '/opt/none.cfg',
      SpoofMessageFile: '/opt/away.eml',
      CertMapFile: '/opt/certmap.conf',
    }),
    'bgexcl.cfg': ['192.0.2.0|255.255.255.0', '# comment', 'nonsense'],
    'away.eml': ['Subject: x', '', 'y', '.'],
    'certmap.conf': ['certmap default default', 'default:library plugin.so'],
  });
  assert.equal(result.settings.penalties.excluded.length, 1);
  assert.match(told(result, 'bgexcl.cfg:3'), /IP\|MASK/);
  assert.match(told(result, 'PopProxyAService.cfg:2'), /not there/);
  assert.match(told(result, 'PopProxyAService.cfg:3'), /not there/);
  assert.deepEqual(result.settings.services['pop3']?.spoof.when, ['unreachable']);
  assert.match(told(result, 'certmap.conf:2'), /plug-ins/);
  assert.match(told(result, 'PopProxyAService.cfg:5'), /mistakes/);
});

test('a folder with nothing of an MMP gives no settings', () => {
  const { yaml, problems } = importFolder({ 'readme.txt': ['hello'] });
  assert.equal(yaml, null);
  assert.match(problems.join('\n'), /found none of AService\.cfg/);
});
