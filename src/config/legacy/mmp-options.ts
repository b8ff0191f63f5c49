// Every option of the Sun MMP, once: which of its proxies have it, what becomes of it here, or why nothing does. Pure data.
// The import tells by it why a line is not in the settings, the guide has its table of it, and a test walks it.

export interface MmpOption {
  readonly name: string;
  /** Names in other releases and in Unified Configuration. */
  readonly aliases?: readonly string[];
  /** A: AService.cfg alone; I, P, S: the proxies for IMAP, POP and SMTP. */
  readonly places: string;
  /** Its name in vdmap.cfg, where it may stand there. */
  readonly vdmap?: string;
  /** The setting it becomes, or several. */
  readonly becomes?: string;
  /** Where it becomes none: why. Where it does: what is to be known of it. */
  readonly reason?: string;
}

const NSS = 'keys and certificates are brought over one by one: see the comment at `certificates`';

export const MMP_OPTIONS: readonly MmpOption[] = [
  // Core
  {
    name: 'ServiceList',
    aliases: ['tcp_listen'],
    places: 'A',
    becomes: 'services.NAME.listen',
  },
  { name: 'NumThreads', places: 'AIPS', becomes: 'workers' },
  {
    name: 'LogDir',
    places: 'AIPS',
    reason: 'the log goes to standard error, where systemd or a log collector takes it',
  },
  { name: 'LogLevel', places: 'AIPS', becomes: 'log.level' },
  // Who and where
  {
    name: 'LdapUrl',
    places: 'IPS',
    vdmap: 'LdapUrl',
    becomes: 'directory.ldap.urls, directory.ldap.base',
    reason: 'with allowClear where it is not ldaps:// and not near',
  },
  { name: 'BindDN', places: 'IPS', vdmap: 'BindDN', becomes: 'directory.ldap.bindDn' },
  { name: 'BindPass', places: 'IPS', vdmap: 'BindPass', becomes: 'directory.ldap.bindPassword' },
  {
    name: 'UserGroupDN',
    aliases: ['ugldapbasedn', 'local.ugldapbasedn'],
    places: 'IPS',
    becomes: 'directory.ldap.userGroupBase',
  },
  { name: 'HostedDomains', places: 'IP', vdmap: 'HostedDomains', becomes: 'directory.ldap.hostedDomains' },
  { name: 'DefaultDomain', places: 'IPS', vdmap: 'DefaultDomain', becomes: 'directory.defaultDomain' },
  {
    name: 'VirtualDomainDelim',
    aliases: ['DomainDelim'],
    places: 'IP',
    vdmap: 'DomainDelim',
    becomes: 'directory.domainDelimiters',
  },
  { name: 'CanonicalVirtualDomainDelim', places: 'IP', becomes: 'directory.canonicalDelimiter' },
  { name: 'VirtualDomainFile', places: 'IPS', becomes: 'services.NAME.domains' },
  {
    name: 'SearchFormat',
    aliases: ['searchfilter'],
    places: 'IP',
    vdmap: 'SearchFormat',
    becomes: 'directory.ldap.searchFormat',
  },
  {
    name: 'domainsearchformat',
    places: 'IP',
    vdmap: 'domainsearchformat',
    becomes: 'directory.ldap.domainSearchFormat',
  },
  { name: 'MailHostAttrs', places: 'IP', vdmap: 'MailHostAttrs', becomes: 'directory.ldap.mailHostAttrs' },
  { name: 'ReplayFormat', places: 'IP', vdmap: 'ReplayFormat', becomes: 'directory.ldap.replayFormat' },
  { name: 'LdapCacheSize', places: 'IP', vdmap: 'LdapCacheSize', becomes: 'directory.cache.size' },
  { name: 'LdapCacheTTL', places: 'IP', vdmap: 'LdapCacheTTL', becomes: 'directory.cache.ttl' },
  { name: 'LdapRefreshInterval', places: 'IPS', becomes: 'directory.ldap.refresh' },
  {
    name: 'BacksidePort',
    places: 'IP',
    becomes: 'backends.NAME.port',
    reason: 'not where SSLBacksidePort is set: then every leg to a store has TLS',
  },
  { name: 'Timeout', places: 'IPS', becomes: 'timeouts.imap, timeouts.pop3, timeouts.smtp' },
  { name: 'Banner', places: 'IPS', becomes: 'services.NAME.banner' },
  {
    name: 'Capability',
    places: 'I',
    becomes: 'services.NAME.capabilities',
    reason: 'may be taken out: then the stores are asked for theirs',
  },
  { name: 'ServerDownAlert', places: 'I', becomes: 'services.NAME.serverDownAlert' },
  { name: 'SpoofMessageFile', places: 'P', becomes: 'services.NAME.spoof.message, services.NAME.spoof.when' },
  { name: 'spoofemptymailbox', places: 'P', becomes: 'services.NAME.spoof.when' },
  { name: 'spooftempfail', places: 'P', becomes: 'services.NAME.spoof.when' },
  // Who may log in
  { name: 'PreAuth', places: 'IP', vdmap: 'PreAuth', becomes: 'services.NAME.verify' },
  {
    name: 'AuthCacheSize',
    places: 'IP',
    vdmap: 'AuthCacheSize',
    reason: 'users and their passwords have one cache, whose size is LdapCacheSize (directory.cache.size)',
  },
  { name: 'AuthCacheTTL', places: 'IP', vdmap: 'AuthCacheTTL', becomes: 'directory.cache.passwordTtl' },
  {
    name: 'AuthenticationServer',
    places: 'IP',
    vdmap: 'AuthenticationServer',
    reason: "its protocol was never published; directory.type: http asks a script of nginx's auth_http",
  },
  {
    name: 'AuthenticationLdapAttributes',
    places: 'IP',
    vdmap: 'AuthenticationLdapAttributes',
    reason: 'goes with AuthenticationServer, which is not asked here',
  },
  {
    name: 'CRAMs',
    places: 'IP',
    vdmap: 'CRAMs',
    becomes: 'services.NAME.mechanisms, directory.ldap.passwords',
  },
  {
    name: 'RestrictPlainPasswords',
    places: 'IP',
    vdmap: 'RestrictPlainPasswords',
    becomes: 'services.NAME.restrictPlainPasswords',
    reason: 'where SSLEnable is not on, so that nobody could log in, TLS is on here',
  },
  { name: 'AuthService', places: 'P', vdmap: 'AuthService', becomes: 'services.NAME.authService.from' },
  {
    name: 'AuthServiceTTL',
    places: 'P',
    vdmap: 'AuthServiceTTL',
    becomes: 'popBeforeSmtp.ttl, services.NAME.grantTtl',
  },
  { name: 'StoreAdmin', places: 'IP', vdmap: 'StoreAdmin', becomes: 'backends.NAME.admin.user' },
  {
    name: 'StoreAdminPass',
    places: 'IP',
    vdmap: 'StoreAdminPass',
    becomes: 'backends.NAME.admin.passwordFile',
  },
  {
    name: 'adminpolicy',
    places: 'IP',
    becomes: 'services.NAME.adminPolicy',
    reason: 'where nothing is said nobody logs in for others here',
  },
  { name: 'CertMapFile', aliases: ['CertMap'], places: 'IPS', vdmap: 'CertMap', becomes: 'certmap' },
  { name: 'CertmapDN', places: 'IPS', becomes: 'directory.ldap.userGroupBase' },
  // Abuse
  { name: 'BGMax', places: 'IP', becomes: 'penalties.remembered' },
  { name: 'BGPenalty', places: 'IP', becomes: 'penalties.step' },
  { name: 'BGMaxBadness', places: 'IP', becomes: 'penalties.max' },
  { name: 'BGDecay', places: 'IP', becomes: 'penalties.decay' },
  { name: 'BGLinear', places: 'IP', becomes: 'penalties.linear' },
  { name: 'BGExcluded', places: 'IP', becomes: 'penalties.excluded' },
  {
    name: 'ConnLimits',
    places: 'IPS',
    becomes: 'limits.perAddress',
    reason: 'counts the connections to all services together',
  },
  { name: 'TCPAccess', places: 'IPS', vdmap: 'TCPAccess', becomes: 'services.NAME.access' },
  { name: 'TCPAccessAttr', places: 'IP', vdmap: 'TCPAccessAttr', becomes: 'directory.ldap.accessAttr' },
  // TLS
  { name: 'SSLEnable', places: 'IPS', becomes: 'services.NAME.tls, channels.NAME.keywords' },
  { name: 'SSLPorts', aliases: ['ssl_ports'], places: 'IPS', becomes: 'services.NAME.tls' },
  {
    name: 'SSLBacksidePort',
    places: 'IP',
    becomes: 'backends.NAME.tls, backends.NAME.port',
    reason: 'every leg to a store then has TLS, not only those of clients that have it',
  },
  { name: 'SSLCertFile', places: 'IPS', reason: NSS },
  { name: 'SSLKeyFile', places: 'IPS', reason: NSS },
  { name: 'SSLSecmodFile', places: 'IPS', reason: NSS },
  { name: 'SSLCertPrefix', places: 'IPS', reason: NSS },
  { name: 'SSLKeyPrefix', places: 'IPS', reason: NSS },
  {
    name: 'SSLCertNicknames',
    places: 'IPS',
    becomes: 'tls.certificate',
    reason: 'of each type of key one',
  },
  { name: 'SSLCipherSpecs', places: 'IPS', becomes: 'tls.ciphers' },
  { name: 'SSLKeyPasswdFile', places: 'IPS', becomes: 'certificates.passwordFile' },
  {
    name: 'SSLCacheDir',
    places: 'IPS',
    reason: 'there is no cache of sessions on disk: clients keep them as tickets',
  },
  // SMTP
  { name: 'SmtpRelays', places: 'S', becomes: 'backends.NAME.servers' },
  {
    name: 'SmtpProxyPassword',
    places: 'S',
    becomes: 'backends.NAME.xpehloPassword, backends.NAME.client',
    reason: 'XPEHLO to another Sallyport, see the guide',
  },
  {
    name: 'FailoverTimeout',
    places: 'S',
    becomes: 'backends.NAME.failoverTimeout',
    reason: 'a relay that has failed is left alone for as many minutes, as before',
  },
  { name: 'EhloKeywords', places: 'S', becomes: 'services.NAME.ehloKeywords' },
  { name: 'PopBeforeSmtpKludgeChannel', places: 'S', becomes: 'popBeforeSmtp.channel, popBeforeSmtp.tell' },
  { name: 'ClientLookup', places: 'S', vdmap: 'ClientLookup', becomes: 'services.NAME.clientLookup' },
];

const BY_NAME: ReadonlyMap<string, MmpOption> = new Map(
  MMP_OPTIONS.flatMap((option) =>
    [option.name, ...(option.aliases ?? []), ...(option.vdmap === undefined ? [] : [option.vdmap])].map(
      (name) => [name.toLowerCase(), option] as const,
    ),
  ),
);

export function mmpOption(name: string): MmpOption | null {
  return BY_NAME.get(name.toLowerCase()) ?? null;
}

export const MMP_NAMES: readonly string[] = MMP_OPTIONS.map(({ name }) => name);
