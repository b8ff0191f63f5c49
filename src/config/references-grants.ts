// What popBeforeSmtp demands of other settings: its channel must be there and take mail without a login, and a relay
// that is to be told something needs a way to be told. A setting that is wrong by itself is not judged a second time.

import { parseChannelKeywords } from '../wire/channel-keywords.ts';
import type { Report } from './check.ts';
import type { GivenChannel, GivenSettings } from './entries.ts';
import { found } from './misfit.ts';
import { settingsSchema } from './schema.ts';
import { suggest } from './suggest.ts';
import { everyVariant } from './variants.ts';

const PLACE = ['popBeforeSmtp'];

export function checkGrants(given: GivenSettings, report: Report): void {
  const { channel: name } = given.top.values.popBeforeSmtp;
  const isWrong = given.top.isWrong('popBeforeSmtp.channel');
  checkAskers(given, { isOff: name === null && !isWrong }, report);
  if (isWrong) return;
  if (name === null) return checkIdle(given, report);
  checkTimes(given, report);
  const channel = given.channels.get(name);
  if (channel !== undefined) return checkChannel(channel, given, report);
  const near = suggest(name, [...given.channels.keys()]);
  report.add([...PLACE, 'channel'], `there is no channel ${found(name)}${near}`);
}

/** Grants of all services are forgotten after the time of popBeforeSmtp. */
function checkTimes(given: GivenSettings, report: Report): void {
  const { ttl } = given.top.values.popBeforeSmtp;
  for (const [{ path, values, isWrong }, told] of everyVariant(given, report)) {
    if (values.grantTtl === null || values.grantTtl <= ttl || isWrong('grantTtl')) continue;
    told.add([...path, 'grantTtl'], `expected no more than popBeforeSmtp.ttl, ${ttl / 1000}`);
  }
}

/** Without a channel the rest says nothing. */
function checkIdle({ top }: GivenSettings, report: Report): void {
  const { popBeforeSmtp: values } = top.values;
  const { ttl, prefix6 } = settingsSchema.popBeforeSmtp;
  const isGiven =
    values.tell.length > 0 ||
    values.excluded.length > 0 ||
    values.protocols.includes('imap') ||
    values.prefix6 !== prefix6.default ||
    values.ttl !== ttl.default * 1000;
  if (isGiven) report.add([...PLACE, 'channel'], 'missing, expected the name of a channel');
}

function checkChannel(channel: GivenChannel, given: GivenSettings, report: Report): void {
  const name = String(channel.path.at(-1));
  const keywords = parseChannelKeywords(channel.values.keywords ?? '');
  if (keywords.sasl === 'mustsasl') {
    const text = `expected a channel that takes mail without a login, channels.${name} has mustsaslserver`;
    report.add([...PLACE, 'channel'], text);
  }
  const relay = given.backends.get(channel.values.relay ?? '');
  const { tell } = given.top.values.popBeforeSmtp;
  if (relay === undefined || relay.isWrong('client') || tell.length === 0) return;
  const methods = new Set(relay.values.client.map(({ method }) => method));
  const ways = tell.includes('channel') ? (['xpehlo'] as const) : (['xclient', 'xpehlo'] as const);
  if (ways.some((way) => methods.has(way))) return;
  report.add(
    [...PLACE, 'tell'],
    `${tell.join(' and ')} cannot be told to backends.${channel.values.relay}, the relay of channels.${name}: ` +
      `its \`client\` has no ${ways.join(' or ')}`,
  );
}

function checkAskers(given: GivenSettings, { isOff }: { readonly isOff: boolean }, report: Report): void {
  for (const [{ path, values }, told] of everyVariant(given, report)) {
    if (isOff && values.grantTtl !== null) {
      told.add([...path, 'grantTtl'], 'nobody has a grant, `popBeforeSmtp.channel` is empty');
    }
    if (values.authService.from.length === 0 || values.protocol === null) continue;
    const place = [...path, 'authService'];
    if (values.protocol !== 'pop3') told.add(place, `only for pop3, this is ${values.protocol}`);
    else if (isOff) told.add(place, 'nobody has a grant, `popBeforeSmtp.channel` is empty');
  }
}
