// The keywords of a Sun channel block. The server half acts here; the client half is kept for deliveries to come.
// Promises: never throws, loses no word: each is understood, inert (known to Sun, without effect here) or unknown.
// A later keyword overrides an earlier one, on each side (server, client) by itself. Case does not matter, as with Sun.
// On failure: a keyword that lacks the value it needs is reported among the unknown ones.

export type TlsRule = 'notls' | 'maytls' | 'musttls';
export type SaslRule = 'nosasl' | 'maysasl' | 'mustsasl';

export interface ChannelKeywords {
  /** Towards clients: the server half. */
  readonly tls: TlsRule;
  readonly sasl: SaslRule;
  /** Towards other servers: the client half. Without effect yet. */
  readonly tlsClient: TlsRule;
  readonly saslClient: SaslRule;
  /** `switch`: clients are sent elsewhere by address; `allow`: they may be sent here; `no`: neither. */
  readonly switching: 'switch' | 'allow' | 'no';
  /** Channel for those who have TLS; null: they stay. */
  readonly tlsSwitch: string | null;
  /** Channel for those who have logged in; null: they stay. */
  readonly saslSwitch: string | null;
  /** In place of limits.authAttempts and limits.badCommands; null: those hold. */
  readonly badAuthLimit: number | null;
  readonly badCommandLimit: number | null;
  /** In lower case, with the value where the keyword takes one. */
  readonly inert: readonly string[];
  /** As written. */
  readonly unknown: readonly string[];
}

const TLS_RULES = ['notls', 'maytls', 'musttls'] as const;
const SASL_RULES = ['nosasl', 'maysasl', 'mustsasl'] as const;

/** Every keyword without a value that says something of a field. */
const SAYS = new Map<string, Partial<Mutable>>([
  ...TLS_RULES.flatMap((rule) => [
    [rule, { tls: rule, tlsClient: rule }] as const,
    [`${rule}server`, { tls: rule }] as const,
    [`${rule}client`, { tlsClient: rule }] as const,
  ]),
  ...SASL_RULES.flatMap((rule) => [
    [rule, { sasl: rule, saslClient: rule }] as const,
    [`${rule}server`, { sasl: rule }] as const,
    [`${rule}client`, { saslClient: rule }] as const,
  ]),
  ['switchchannel', { switching: 'switch' }],
  ['allowswitchchannel', { switching: 'allow' }],
  ['noswitchchannel', { switching: 'no' }],
  ['nosaslswitchchannel', { saslSwitch: null }],
]);

/** Keywords of SAYS that only speak of the client half, which nothing acts on. */
const CLIENT_HALF = /client$/;

/** Keywords that do something here, for a suggestion where one is mistyped. */
export const ACTING_KEYWORDS: readonly string[] = [
  ...[...SAYS.keys()].filter((word) => !CLIENT_HALF.test(word)),
  'tlsswitchchannel',
  'saslswitchchannel',
  'disconnectbadauthlimit',
  'disconnectbadcommandlimit',
];

const FLAGS = words(`
  smtp smtp_cr smtp_crlf smtp_crorlf smtp_lf nosmtp lmtp mx nomx defaultmx randommx nonrandommx defaultnameservers
  single single_sys multiple remotehost noremotehost inner noinner innertrim noinnertrim
  userswitchchannel
  submit nosubmit logging nologging logheader nologheader loopcheck noloopcheck
  master slave bidirectional master_debug slave_debug nomaster_debug noslave_debug periodic immediate
  identnone identnonelimited identnonenumeric identnonesymbolic identtcp identtcplimited identtcpnumeric
  identtcpsymbolic reverse noreverse forwardchecknone forwardcheckdelete forwardchecktag
  ehlo checkehlo noehlo allowetrn blocketrn disableetrn domainetrn silentetrn sendetrn nosendetrn
  vrfyallow vrfydefault vrfyhide domainvrfy localvrfy novrfy mailfromdnsverify nomailfromdnsverify
  eightbit eightnegotiate eightstrict sevenbit defragment nodefragment restricted unrestricted
  header_733 header_822 header_uucp headerinc headeromit headerread noheaderread headertrim noheadertrim
  commentinc commentomit commentstrip commenttotal personalinc personalomit personalstrip
  receivedfor noreceivedfor receivedfrom noreceivedfrom suppressreceivedfrom datefour datetwo dayofweek nodayofweek
  addreturnpath noaddreturnpath dropblank nodropblank bangoverpercent nobangoverpercent bangstyle percents
  exproute noexproute improute noimproute aliaslocal aliaspostmaster subaddressexact subaddressrelaxed subaddresswild
  unix_quoting useintermediate includefinal suppressfinal validatelocalnone validatelocalsystem
  copysendpost copywarnpost errsendpost errwarnpost sendpost nosendpost warnpost nowarnpost
  connectalias connectcanonical wrapsmtplonglines truncatesmtplonglines rejectsmtplonglines
  cacheeverything cachefailures cachesuccesses nocache dequeue_removeroute holdexquota noexquota
  explicitsaslexternal flagtransfer noflagtransfer thurman nothurman refuseetrn saslswitchoptional
`);

const NUMBERS = words(`
  subdirs maxjobs missingrecipientpolicy threaddepth filesperjob addrsperfile addrsperjob blocklimit
  sourceblocklimit linelimit linelength headerlimit headerlinelength headerlabelalign holdlimit expandlimit
  recipientlimit recipientcutoff rejectsmtplonglineslimit maxblocks maxlines maxheaderaddrs maxheaderchars
  maxprocchars transactionlimit deliveryflags port
  disconnectcommandlimit disconnectrecipientlimit disconnectrejectlimit disconnecttransactionlimit
`);

const NAMES = words(`
  pool daemon user language charset7 charset8 charsetesc lastresort
  interfaceaddress nameservers filter sourcefilter destinationfilter channelfilter fileinto aliasdetourhost
  expandchannel dispositionchannel notificationchannel alternatechannel alternateblocklimit defaulthost postmaster
  returnaddress sourceroute sourcespamfilter1optin destinationspamfilter1optin caption description
`);

type Mutable = { -readonly [Key in keyof ChannelKeywords]: ChannelKeywords[Key] };

/** Sun's numbers are sometimes 0 or -1 for "none"; here a limit is at least 1. */
const LIMITS = new Map([
  ['disconnectbadauthlimit', 'badAuthLimit'],
  ['disconnectbadcommandlimit', 'badCommandLimit'],
] as const);
const TARGETS = new Map([
  ['tlsswitchchannel', 'tlsSwitch'],
  ['saslswitchchannel', 'saslSwitch'],
] as const);

export function parseChannelKeywords(text: string): ChannelKeywords {
  const inert: string[] = [];
  const unknown: string[] = [];
  const found: Mutable = { ...NOTHING_SAID, inert, unknown };
  const tokens = text.match(/"[^"]*"|\S+/g) ?? [];
  for (let at = 0; at < tokens.length; at += 1) {
    const token = tokens[at] ?? '';
    const keyword = token.toLowerCase();
    const says = SAYS.get(keyword);
    if (says !== undefined) {
      Object.assign(found, says);
      if (CLIENT_HALF.test(keyword)) inert.push(keyword);
    } else if (FLAGS.has(keyword)) {
      inert.push(keyword);
    } else if (takeValue(found, { keyword, value: tokens[at + 1], inert })) {
      at += 1;
    } else {
      unknown.push(token);
    }
  }
  return found;
}

/** Whether one that was reported as unknown is a keyword that lacks its value. */
export function lacksValue(word: string): boolean {
  const keyword = word.toLowerCase();
  return (
    [TARGETS, LIMITS].some((map) => asKey(map, keyword) !== undefined) ||
    NAMES.has(keyword) ||
    NUMBERS.has(keyword)
  );
}

interface Valued {
  readonly keyword: string;
  readonly value: string | undefined;
  readonly inert: string[];
}

/** True when the keyword takes a value and has one. */
function takeValue(found: Mutable, { keyword, value, inert }: Valued): boolean {
  if (value === undefined) return false;
  const target = asKey(TARGETS, keyword);
  if (target !== undefined) {
    found[target] = value.replaceAll('"', '');
    return true;
  }
  const limit = asKey(LIMITS, keyword);
  const isNumber = /^-?\d+$/.test(value);
  if (limit !== undefined && isNumber) {
    found[limit] = Number(value) >= 1 ? Number(value) : null;
    if (found[limit] !== null) return true;
  }
  const isKnown = NAMES.has(keyword) || (isNumber && (limit !== undefined || NUMBERS.has(keyword)));
  if (!isKnown) return false;
  inert.push(`${keyword} ${value}`);
  return true;
}

const NOTHING_SAID: ChannelKeywords = {
  tls: 'notls',
  sasl: 'nosasl',
  tlsClient: 'notls',
  saslClient: 'nosasl',
  switching: 'allow',
  tlsSwitch: null,
  saslSwitch: null,
  badAuthLimit: null,
  badCommandLimit: null,
  inert: [],
  unknown: [],
};

function asKey<Word extends string, Key>(map: ReadonlyMap<Word, Key>, word: string): Key | undefined {
  return (map as ReadonlyMap<string, Key>).get(word);
}

function words(list: string): ReadonlySet<string> {
  return new Set(list.trim().split(/\s+/));
}
