// The keywords of a Sun channel block, as far as the server half of a channel goes.
// Promises: never throws, loses no word: each is understood, inert (known to Sun, without effect here) or unknown.
// A later keyword overrides an earlier one. Case does not matter, as with Sun.
// On failure: a keyword that lacks the value it needs is reported among the unknown ones.

export interface ChannelKeywords {
  readonly tls: 'notls' | 'maytls' | 'musttls';
  readonly sasl: 'nosasl' | 'maysasl' | 'mustsasl';
  /** In lower case, with the value where the keyword takes one. */
  readonly inert: readonly string[];
  /** As written. */
  readonly unknown: readonly string[];
}

const TLS: ReadonlyMap<string, ChannelKeywords['tls']> = new Map(
  (['notls', 'maytls', 'musttls'] as const).flatMap((rule) => [
    [rule, rule] as const,
    [`${rule}server`, rule] as const,
  ]),
);
const SASL: ReadonlyMap<string, ChannelKeywords['sasl']> = new Map(
  (['nosasl', 'maysasl', 'mustsasl'] as const).flatMap((rule) => [
    [rule, rule] as const,
    [`${rule}server`, rule] as const,
  ]),
);

const FLAGS = words(`
  notlsclient maytlsclient musttlsclient nosaslclient maysaslclient mustsaslclient
  smtp smtp_cr smtp_crlf smtp_crorlf smtp_lf nosmtp lmtp mx nomx defaultmx randommx nonrandommx defaultnameservers
  single single_sys multiple remotehost noremotehost inner noinner innertrim noinnertrim
  switchchannel allowswitchchannel noswitchchannel userswitchchannel
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
  disconnectbadauthlimit disconnectbadcommandlimit disconnectcommandlimit disconnectrecipientlimit
  disconnectrejectlimit disconnecttransactionlimit
`);

const NAMES = words(`
  tlsswitchchannel saslswitchchannel pool daemon user language charset7 charset8 charsetesc lastresort
  interfaceaddress nameservers filter sourcefilter destinationfilter channelfilter fileinto aliasdetourhost
  expandchannel dispositionchannel notificationchannel alternatechannel alternateblocklimit defaulthost postmaster
  returnaddress sourceroute sourcespamfilter1optin destinationspamfilter1optin caption description
`);

export function parseChannelKeywords(text: string): ChannelKeywords {
  let tls: ChannelKeywords['tls'] = 'notls';
  let sasl: ChannelKeywords['sasl'] = 'nosasl';
  const inert: string[] = [];
  const unknown: string[] = [];
  const tokens = text.match(/"[^"]*"|\S+/g) ?? [];
  for (let at = 0; at < tokens.length; at += 1) {
    const token = tokens[at] ?? '';
    const keyword = token.toLowerCase();
    const value = tokens[at + 1];
    tls = TLS.get(keyword) ?? tls;
    sasl = SASL.get(keyword) ?? sasl;
    if (TLS.has(keyword) || SASL.has(keyword)) continue;
    if (FLAGS.has(keyword)) {
      inert.push(keyword);
    } else if (
      value !== undefined &&
      (NAMES.has(keyword) || (NUMBERS.has(keyword) && /^-?\d+$/.test(value)))
    ) {
      inert.push(`${keyword} ${value}`);
      at += 1;
    } else {
      unknown.push(token);
    }
  }
  return { tls, sasl, inert, unknown };
}

function words(list: string): ReadonlySet<string> {
  return new Set(list.trim().split(/\s+/));
}
