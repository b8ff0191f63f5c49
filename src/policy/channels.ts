// What the channel of an SMTP service, or the TLS mode of an IMAP or POP3 service, asks of its clients. Pure.

import type { ChannelSettings, ServiceSettings } from '../config/settings.ts';
import { parseChannelKeywords } from '../wire/channel-keywords.ts';

export interface ServerRules {
  readonly tls: 'notls' | 'maytls' | 'musttls';
  readonly sasl: 'nosasl' | 'maysasl' | 'mustsasl';
}

/** The server half of the rules. On an implicit-TLS port TLS is there before the first word, so it is required. */
export function serverRules(service: ServiceSettings, channel: ChannelSettings | null): ServerRules {
  const keywords = parseChannelKeywords(channel?.keywords ?? '');
  const mode = service.tlsMode ?? keywords.tls;
  return {
    tls: mode === 'implicit' ? 'musttls' : mode,
    sasl: service.protocol === 'smtp' ? keywords.sasl : 'maysasl',
  };
}
