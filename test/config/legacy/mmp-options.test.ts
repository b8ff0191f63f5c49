// Every option of the MMP that the reference manuals name, in every file where it may stand, is in the settings with its
// origin behind it, or in the list of what was not carried over, with file, line and reason.

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { MMP_OPTIONS, mmpOption } from '../../../src/config/legacy/mmp-options.ts';
import { SCHEMAS, leavesOf } from '../../../src/config/schema.ts';
import { type Folder, load, section, told } from './mmp-folder.ts';

/** Name → a value that is not the default. */
const NAMED: Readonly<Record<string, string>> = {
  ServiceList: 'ImapProxyAService@143|993 PopProxyAService@110|995 SmtpProxyAService@25|465',
  NumThreads: '3',
  LogDir: '/var/log/mmp',
  LogLevel: '9',
  LdapUrl: 'ldap://localhost/o=site',
  BindDN: 'cn=proxy',
  BindPass: 'hidden',
  UserGroupDN: 'o=users',
  HostedDomains: 'no',
  DefaultDomain: 'example.net',
  VirtualDomainDelim: '+',
  CanonicalVirtualDomainDelim: '%',
  VirtualDomainFile: 'vdmap.cfg',
  SearchFormat: '(mail=%s)',
  domainsearchformat: '(mail=%U)',
  MailHostAttrs: 'store mailHost',
  ReplayFormat: '%A[uid]@%V',
  LdapCacheSize: '77',
  LdapCacheTTL: '78',
  LdapRefreshInterval: '79',
  BacksidePort: '1143',
  Timeout: '1900',
  Banner: 'welcome',
  Capability: 'IMAP4rev1 ACL',
  ServerDownAlert: 'gone fishing',
  SpoofMessageFile: 'away.eml',
  spoofemptymailbox: '1',
  spooftempfail: '1',
  PreAuth: 'yes',
  AuthCacheSize: '80',
  AuthCacheTTL: '81',
  AuthenticationServer: '127.0.0.1:56',
  AuthenticationLdapAttributes: 'cn sn',
  CRAMs: 'yes',
  RestrictPlainPasswords: 'yes',
  AuthService: 'yes',
  AuthServiceTTL: '300',
  StoreAdmin: 'mmpstore',
  StoreAdminPass: 'hidden too',
  adminpolicy: 'group',
  CertMapFile: 'certmap.conf',
  CertmapDN: 'o=certified',
  BGMax: '82',
  BGPenalty: '3',
  BGMaxBadness: '61',
  BGDecay: '901',
  BGLinear: 'yes',
  BGExcluded: '192.0.2.0|255.255.255.0',
  ConnLimits: '192.0.2.0|255.255.255.0:100,0.0.0.0|0.0.0.0:21',
  TCPAccess: '+imap,pop,smtp:*',
  TCPAccessAttr: 'whoMay',
  SSLEnable: 'yes',
  SSLPorts: '993|995|465',
  SSLBacksidePort: '1993',
  SSLCertFile: '/mmp/cert8.db',
  SSLKeyFile: '/mmp/key3.db',
  SSLSecmodFile: '/mmp/secmod.db',
  SSLCertPrefix: 'mmp-',
  SSLKeyPrefix: 'mmp-',
  SSLCertNicknames: 'Mail-Cert',
  SSLCipherSpecs: '+rsa_3des_sha',
  SSLKeyPasswdFile: 'sslpassword.conf',
  SSLCacheDir: '/mmp',
  SmtpRelays: 'mta1:2525 mta2',
  SmtpProxyPassword: 'hidden three',
  FailoverTimeout: '12',
  EhloKeywords: 'XFOO',
  PopBeforeSmtpKludgeChannel: 'tcp_intranet',
  ClientLookup: 'yes',
};

const ALIASES: Readonly<Record<string, string>> = {
  ugldapbasedn: 'UserGroupDN',
  'local.ugldapbasedn': 'UserGroupDN',
  DomainDelim: 'VirtualDomainDelim',
  searchfilter: 'SearchFormat',
  CertMap: 'CertMapFile',
  tcp_listen: 'ServiceList',
  ssl_ports: 'SSLPorts',
};

/** What stands in vdmap.cfg, by the names there. */
const VDMAP =
  'AuthCacheSize AuthCacheTTL AuthService AuthServiceTTL BindDN BindPass CertMap ClientLookup CRAMs DefaultDomain DomainDelim HostedDomains LdapCacheSize LdapCacheTTL LdapUrl MailHostAttrs PreAuth ReplayFormat RestrictPlainPasswords StoreAdmin StoreAdminPass SearchFormat TCPAccess TCPAccessAttr domainsearchformat AuthenticationServer AuthenticationLdapAttributes'.split(
    ' ',
  );

const FILES = { I: 'ImapProxyAService.cfg', P: 'PopProxyAService.cfg', S: 'SmtpProxyAService.cfg' } as const;
/** What an option makes no sense without. */
const COMPANIONS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  BindDN: { BindPass: 'x' },
  BindPass: { BindDN: 'cn=x' },
  StoreAdmin: { StoreAdminPass: 'x' },
  StoreAdminPass: { StoreAdmin: 'x' },
  AuthService: { AuthServiceTTL: '900' },
  SSLCertNicknames: { SSLEnable: 'yes' },
  SSLCipherSpecs: { SSLEnable: 'yes' },
  SSLKeyPasswdFile: { SSLEnable: 'yes' },
  SSLPorts: { SSLEnable: 'yes' },
  spoofemptymailbox: { spooftempfail: '1' },
};

const BESIDE: Folder = {
  'vdmap.cfg': ['vdmap dom1 192.0.2.10', 'dom1:DefaultDomain example.org'],
  'certmap.conf': ['certmap default default'],
  'away.eml': ['Subject: away', '', 'come again'],
  'sslpassword.conf': ['Internal (Software) Token:hidden four'],
};
const NEEDED = { SmtpRelays: 'mta', PopBeforeSmtpKludgeChannel: 'tcp_intranet' };

/** A folder with this line last in one of its files. */
function folderWith(file: string, name: string, value: string): Said {
  const more = COMPANIONS[name] ?? {};
  const isThere = file === FILES.S;
  const smtp = Object.fromEntries(Object.entries(NEEDED).filter(([option]) => !isThere || option !== name));
  const start: Record<string, string[]> = {
    'ImapProxyAService.cfg': [],
    'PopProxyAService.cfg': name === 'AuthServiceTTL' ? [] : ['default:AuthServiceTTL 600'],
    'SmtpProxyAService.cfg': section(smtp),
    'AService.cfg': name === 'ServiceList' ? [] : section({ ServiceList: NAMED['ServiceList'] ?? '' }),
  };
  const lines = [...(start[file] ?? []), ...section(more), `default:${name} ${value}`];
  return { folder: { ...BESIDE, ...start, [file]: lines }, place: `${file}:${lines.length}` };
}

interface Said {
  readonly folder: Folder;
  readonly place: string;
}

function assertCarriedOrTold(t: TestContext, name: string, { folder, place }: Said): void {
  const { yaml, notes } = load(t, folder);
  const body = yaml.slice(yaml.search(/^[a-z]\w*:/m));
  const isCarried = body.includes(`${name}, ${place}`);
  const isTold = notes.some((note) => note.startsWith(`${place} ${name}: `));
  assert.ok(isCarried || isTold, `${name} of ${place} is nowhere:\n${yaml}`);
  const { becomes } = mmpOption(name) ?? {};
  if (becomes === undefined) assert.ok(isTold, `${name} becomes nothing and that is not told`);
}

test('the table has every option that the manuals name, with all their names, and no other', () => {
  assert.deepEqual(MMP_OPTIONS.map(({ name }) => name).toSorted(), Object.keys(NAMED).toSorted());
  for (const [alias, name] of Object.entries(ALIASES)) assert.equal(mmpOption(alias)?.name, name, alias);
  const inVdmap = MMP_OPTIONS.flatMap(({ vdmap }) => vdmap ?? []);
  assert.deepEqual(inVdmap.toSorted(), VDMAP.toSorted());
});

test('what becomes of an option is a setting, and where nothing does a reason is given', () => {
  const known = new Set(
    SCHEMAS.flatMap(({ place, schema }) =>
      [...leavesOf(schema)].flatMap(([path]) =>
        // A group is named where a word stands for it.
        path.map((_, depth) => [...(place === '' ? [] : [place]), ...path.slice(0, depth + 1)].join('.')),
      ),
    ),
  );
  for (const { name, becomes, reason } of MMP_OPTIONS) {
    assert.ok(becomes !== undefined || (reason ?? '') !== '', name);
    for (const setting of becomes?.split(', ') ?? []) assert.ok(known.has(setting), `${name}: ${setting}`);
  }
});

for (const { name, places } of MMP_OPTIONS) {
  test(`${name} is carried over, or it is told why not, in each file where it may stand`, (t) => {
    const value = NAMED[name] ?? '';
    const own = Array.from(places).flatMap((letter) =>
      letter in FILES ? FILES[letter as keyof typeof FILES] : [],
    );
    const shared = /[AIP]/.test(places) ? ['AService.cfg'] : [];
    for (const file of [...shared, ...own]) {
      assertCarriedOrTold(t, name, folderWith(file, name, value));
    }
  });

  test(`${name} in a file where it says nothing is told`, (t) => {
    const others = Object.entries(FILES).filter(([letter]) => !places.includes(letter));
    for (const [, file] of others) {
      assertCarriedOrTold(t, name, folderWith(file, name, NAMED[name] ?? ''));
    }
  });
}

for (const name of [...VDMAP, 'Banner', 'ServiceList', 'NoSuchOption']) {
  test(`${name} of a virtual domain is carried over, or it is told why not`, (t) => {
    const option = mmpOption(name);
    const value = NAMED[option?.name ?? ''] ?? 'x';
    const more = COMPANIONS[option?.name ?? ''] ?? {};
    const lines = ['vdmap dom1 192.0.2.10', ...section(more, 'dom1'), `dom1:${name} ${value}`];
    const named = ['default:VirtualDomainFile vdmap.cfg'];
    const folder = {
      ...BESIDE,
      'AService.cfg': section({ ServiceList: NAMED['ServiceList'] ?? '', VirtualDomainFile: 'vdmap.cfg' }),
      'ImapProxyAService.cfg': [],
      'PopProxyAService.cfg': ['default:AuthServiceTTL 600'],
      'SmtpProxyAService.cfg': [...section(NEEDED), ...named],
      'vdmap.cfg': lines,
    };
    assertCarriedOrTold(t, name, { folder, place: `vdmap.cfg:${lines.length}` });
  });
}

test('a password in a line that is written wrong is not told either; the line is', (t) => {
  const wrong = [
    'BindPass hidden',
    'BindPas hidden',
    'default:BindPass:hidden',
    'default:StoreAdminPass=hidden',
    'other:BindPass hidden',
    'default:encoded BindPass hidden',
    ':BindPass hidden',
  ];
  const inVdmap = ['BindPass hidden', 'a:BindPass=hidden', 'a:BindPass:hidden', 'vdmap hidden'];
  const { yaml, notes } = load(t, {
    'ImapProxyAService.cfg': [...wrong, 'default:VirtualDomainFile vdmap.cfg'],
    'vdmap.cfg': ['vdmap a 192.0.2.1', ...inVdmap],
  });
  assert.doesNotMatch(yaml + notes.join('\n'), /hidden/);
  for (const [index, line] of wrong.entries())
    assert.notEqual(told({ notes }, `ImapProxyAService.cfg:${index + 1}`), '', line);
  for (const [index, line] of inVdmap.entries())
    assert.notEqual(told({ notes }, `vdmap.cfg:${index + 2}`), '', line);
});

test('no password of any file is in the settings or in what is said of them', (t) => {
  const options = Object.fromEntries(Object.entries(NAMED).filter(([name]) => name !== 'ServiceList'));
  const folder = {
    ...BESIDE,
    'AService.cfg': section({ ServiceList: NAMED['ServiceList'] ?? '', ...options }),
    'ImapProxyAService.cfg': section({ BindPass: 'hidden five' }),
    'PopProxyAService.cfg': section(options),
    'SmtpProxyAService.cfg': section(options),
    'vdmap.cfg': ['vdmap dom1 192.0.2.10', ...section({ BindDN: 'cn=x', BindPass: 'hidden six' }, 'dom1')],
  };
  const { yaml, notes, secrets } = load(t, folder);
  assert.doesNotMatch(yaml + notes.join('\n'), /hidden/);
  assert.deepEqual(secrets, {
    'ldap.secret': 'hidden five\n',
    'ldap-dom1.secret': 'hidden six\n',
    'storeadmin.secret': 'hidden too\n',
    'smtpproxy.secret': 'hidden three\n',
    'sslpassword.conf': 'Internal (Software) Token:hidden four\n',
  });
});
