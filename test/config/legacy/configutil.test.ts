import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { importConfigutil } from '../../../src/config/legacy/configutil.ts';
import { loadSettings } from '../../../src/config/load.ts';
import type { Settings } from '../../../src/config/settings.ts';
import { settingsFile } from '../settings-file.ts';

interface Result {
  readonly yaml: string;
  readonly settings: Settings;
  /** `3 option: reason`. */
  readonly notes: readonly string[];
}

function imported(t: TestContext, lines: readonly string[]): Result {
  const { yaml, notes } = importConfigutil(lines.join('\n'));
  assert.ok(yaml !== null);
  const settings = loadSettings({ file: settingsFile(t, yaml).file });
  return { yaml, settings, notes: notes.map(({ line, option, reason }) => `${line} ${option}: ${reason}`) };
}

const told = (notes: readonly string[], line: number): string =>
  notes.filter((note) => note.startsWith(`${line} `)).join('\n');

test('the documented certificate options name what each service shows; those of a service override the general one', (t) => {
  const { settings, notes } = imported(t, [
    'encryption.rsa.nssslpersonalityssl = Server-Cert',
    'local.imap.sslnicknames = "Imap-RSA, hsm:Imap-EC"',
    'local.imta.sslnicknames = Smtp-Cert',
    'local.http.sslnicknames = Web-Cert',
    'service.imap.enablesslport = yes',
  ]);
  const shown = (service: string): unknown =>
    settings.services[service]?.tls.certificates.map((ref) => 'nickname' in ref && ref.nickname);
  assert.deepEqual(Object.keys(settings.services), ['imap', 'imaps', 'pop3', 'smtp', 'submission']);
  for (const service of ['imap', 'imaps']) assert.deepEqual(shown(service), ['Imap-RSA', 'Imap-EC']);
  assert.deepEqual(shown('pop3'), ['Server-Cert']);
  for (const service of ['smtp', 'submission']) assert.deepEqual(shown(service), ['Smtp-Cert']);
  assert.match(told(notes, 2), /module "hsm" needs its library/);
  assert.match(told(notes, 3), /imta\.cnf/);
  assert.match(told(notes, 4), /no webmail/);
});

test('a nickname is looked for in the named token, and in our database where that is the internal one', (t) => {
  const shown = (lines: readonly string[]): unknown =>
    imported(t, lines).settings.services['imap']?.tls.certificates;
  const nickname = (name: string): unknown => [{ kind: 'nickname', nickname: name }];
  assert.deepEqual(shown(['nsserversecurity = on']), nickname('Server-Cert'));
  assert.deepEqual(shown(['encryption.rsa.nsssltoken = hsm']), [
    { kind: 'token', module: 'hsm', nickname: 'Server-Cert' },
  ]);
  assert.deepEqual(
    shown(['encryption.rsa.nsssltoken = hsm', 'encryption.rsa.nssslpersonalityssl = usb:Mail']),
    [{ kind: 'token', module: 'usb', nickname: 'Mail' }],
  );
  assert.deepEqual(
    shown([
      'encryption.rsa.nsssltoken = internal',
      'local.imap.sslnicknames = Internal (Software) Token:Mail',
    ]),
    nickname('Mail'),
  );
});

test('ports, and how each service has TLS', (t) => {
  const { settings } = imported(t, [
    'service.listenaddr = 192.0.2.7',
    'service.imap.enablesslport = yes',
    'service.imap.sslport = 1993',
    'service.imap.sslusessl = yes',
    'service.imap.plaintextmincipher = 128',
    'service.pop.enablesslport = 1',
    'service.pop.sslport = 995',
  ]);
  const { imap, imaps, pop3, pop3s } = settings.services;
  assert.deepEqual(imap?.listen, [{ kind: 'tcp', host: '192.0.2.7', port: 143 }]);
  assert.deepEqual(imaps?.listen, [{ kind: 'tcp', host: '192.0.2.7', port: 1993 }]);
  assert.deepEqual(
    [imap?.tlsMode, imaps?.tlsMode, pop3?.tlsMode, pop3s?.tlsMode],
    ['musttls', 'implicit', 'maytls', 'implicit'],
  );
});

for (const [lines, mode] of [
  [['service.imap.plaintextmincipher = 0'], 'maytls'],
  [['service.imap.plaintextmincipher = 40'], 'musttls'],
  [['service.imap.plaintextmincipher = -1'], 'musttls'],
  [['service.imap.sslusessl = no'], 'notls'],
  [['service.imap.sslusessl = no', 'service.imap.plaintextmincipher = 1'], 'musttls'],
  [['nsserversecurity = off'], 'notls'],
  [['encryption.rsa.nssslactivation = off'], 'notls'],
] as const) {
  test(`${lines.join(', ')} means ${mode}`, (t) => {
    assert.equal(imported(t, lines).settings.services['imap']?.tlsMode, mode);
  });
}

test('a service that is off is not there, nor is a TLS port where TLS is off', (t) => {
  const { settings, notes } = imported(t, [
    'service.pop.enable = no',
    'service.pop.enablesslport = yes',
    'nsserversecurity = off',
    'service.imap.enablesslport = yes',
  ]);
  assert.deepEqual(Object.keys(settings.services), ['imap']);
  assert.match(told(notes, 3), /tls: notls/);
  assert.match(told(notes, 4), /no port of its own/);
});

test('ciphers come over with a note for each that cannot be served; with none that can, the default stays', (t) => {
  const some = imported(t, ['encryption.nsssl3ciphers = +rsa_rc4_128_md5,+rsa_3des_sha,-rsa_null_md5']);
  assert.equal(some.settings.services['imap']?.tls.ciphers, '+rsa_rc4_128_md5,+rsa_3des_sha,-rsa_null_md5');
  assert.match(told(some.notes, 1), /rsa_rc4_128_md5 is not served.*\n.*rsa_3des_sha is not served/);
  const none = imported(t, ['encryption.nsssl3ciphers = +rsa_rc4_128_md5']);
  assert.equal(none.settings.services['imap']?.tls.ciphers, 'default');
  assert.match(told(none.notes, 1), /default ones/);
  const odd = imported(t, ['encryption.nsssl3ciphers = +rsa_3des_sha,+rsa_xyz_sha']);
  assert.match(told(odd.notes, 1), /rsa_xyz_sha is not known/);
});

test('client certificates are asked for as the listing says', () => {
  const said = (value: string): string =>
    importConfigutil(`encryption.nssslclientauth = ${value}`).yaml ?? '';
  assert.match(said('off'), /^  clientCertificates: off$|clientCertificates: off/m);
  assert.match(said('allowed'), /clientCertificates: auto/);
  assert.match(said('required'), /clientCertificates: auto/);
});

test('the session timeout becomes the age of ticket keys; a cache of sessions is not there to be sized', (t) => {
  const { settings, notes } = imported(t, [
    'encryption.nsssl3sessiontimeout = 3600',
    'service.imap.sslcachesize = 10000',
    'service.http.sslcachedir = /tmp',
    'encryption.nssslsessiontimeout = 100',
  ]);
  assert.equal(settings.tickets.rotateMs, 3_600_000);
  assert.deepEqual(
    [2, 3, 4].map((line) => told(notes, line) !== ''),
    [true, true, true],
  );
  assert.equal(imported(t, ['encryption.nsssl3sessiontimeout = 0']).settings.tickets.rotateMs, 43_200_000);
});

test('the old database is a comment that says how to use it as a module', (t) => {
  const { yaml, notes } = imported(t, [
    'local.ssldbpath = /opt/SUNWmsgsr/config',
    'local.ssldbprefix = mail-',
    'encryption.nscertfile = alias/cert8.db',
    'encryption.nskeyfile = alias/key3.db',
  ]);
  assert.match(yaml, /^# +modules: \{ nss: \{ nss: "\/opt\/SUNWmsgsr\/config" \} \}$/m);
  assert.match(yaml, /"mail-" \(local\.ssldbprefix\)/);
  for (const line of [1, 2, 3, 4]) assert.notEqual(told(notes, line), '');
});

test('the webmail leg names the store behind, and its password goes nowhere', (t) => {
  const { yaml, settings, notes } = imported(t, [
    'local.service.proxy.imapssl = yes',
    'local.service.proxy.imapport.Store1.example.com = 993',
    'local.service.proxy.admin.store1.example.com = mailadmin',
    'local.service.proxy.adminpass.store1.example.com = s3cret',
  ]);
  assert.deepEqual(settings.backends['stores']?.servers, [
    { kind: 'tcp', host: 'store1.example.com', port: 993 },
  ]);
  assert.equal(settings.backends['stores']?.tls.mode, 'implicit');
  assert.match(yaml, /#   admin: \{ user: "mailadmin"/);
  assert.doesNotMatch(yaml + notes.join(), /s3cret/);
  assert.match(told(notes, 4), /passwords are not carried over/);
});

test('of several stores none is guessed: each is a backend, and the place is to be filled in', (t) => {
  const { settings, notes } = imported(t, [
    'local.service.proxy.imapport = 1143',
    'local.service.proxy.imapssl.a.example.com = no',
    'local.service.proxy.imapssl.b.example.com = yes',
  ]);
  assert.deepEqual(Object.keys(settings.backends), ['stores', 'a.example.com', 'b.example.com', 'popstores']);
  assert.deepEqual(settings.backends['stores']?.servers, [
    { kind: 'tcp', host: 'store.invalid', port: 1143 },
  ]);
  assert.equal(settings.backends['b.example.com']?.tls.mode, 'musttls');
  assert.match(notes.join('\n'), /null backends\.stores\.servers: .*fill in/);
});

test('every option that is not in the settings has a note with its line; what is so here anyway has none', (t) => {
  const options = [
    'encryption.nsssl2 = yes',
    'encryption.nsssl2ciphers = rc4',
    'encryption.nsssl3 = yes',
    'encryption.fortezza.nssslactivation = on',
    'sasl.default.ldap.has_plain_passwords = 1',
    'store.admins = admin',
    'store.serviceadmingroupdn = cn=x',
    'service.http.sslusessl = yes',
    'service.http.plaintextmincipher = 0',
    'service.imap.maxsessions = 4000',
    'store.partition.primary.path = /store',
    'this is no option',
    'service.imap.sslport = many',
    'service.pop.enablesslport = perhaps',
    'local.hostname = "not a name"',
  ];
  const { notes } = imported(t, options);
  for (const index of options.keys()) assert.notEqual(told(notes, index + 1), '', options[index] ?? '');
  const silent = imported(t, [
    'encryption.nsssl2 = no',
    'encryption.nsssl3 = no',
    'encryption.fortezza.nssslactivation = off',
  ]);
  assert.deepEqual(
    silent.notes.filter((note) => !note.startsWith('null ')),
    [],
  );
});

test('comments, quotes, CRLF, letter case and repeated options are read', (t) => {
  const { settings, notes } = imported(t, [
    '\uFEFF# from configutil -l',
    '! old comment\r',
    '\r',
    "LOCAL.Hostname = 'mail.example.com'\r",
    'service.imap.port = 1143',
    'service.imap.port=2143',
    'service.imap.sslport = not set',
  ]);
  assert.equal(settings.hostname, 'mail.example.com');
  assert.deepEqual(settings.services['imap']?.listen, [{ kind: 'tcp', host: '::', port: 2143 }]);
  assert.match(told(notes, 5), /given again on line 6/);
});

test('a text that is no listing gives no settings', () => {
  assert.equal(importConfigutil('').yaml, null);
  assert.equal(importConfigutil('hello\nworld').yaml, null);
});

test('whatever the values are, the settings reader takes what comes out', (t) => {
  const names = [
    'local.hostname',
    'service.listenaddr',
    'encryption.rsa.nssslpersonalityssl',
    'encryption.rsa.nsssltoken',
    'local.imap.sslnicknames',
    'local.imta.sslnicknames',
    'encryption.nsssl3ciphers',
    'encryption.nsssl3sessiontimeout',
    'service.imap.sslport',
    'service.imap.plaintextmincipher',
    'local.ssldbpath',
    'local.ssldbprefix',
    'local.service.proxy.imapport',
    'local.service.proxy.imapport.a.example.com',
    'local.service.proxy.admin',
  ];
  const value = fc.oneof(
    fc.string({ maxLength: 30 }),
    fc.constantFrom('yes', 'no', '-1', '993', '# x', 'a: b', '"', "it's", '[x', 'Server-Cert'),
  );
  const option = fc.tuple(fc.constantFrom(...names), value).map(([name, text]) => `${name} = ${text}`);
  fc.assert(
    fc.property(fc.array(option, { minLength: 1, maxLength: 8 }), (lines) => {
      const { yaml } = importConfigutil(lines.join('\n'));
      if (yaml !== null) loadSettings({ file: settingsFile(t, yaml).file });
    }),
    { numRuns: 150 },
  );
});
