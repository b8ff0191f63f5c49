// The settings of a gateway: one service, the backends and channels that its options ask for, and nothing of limits.

import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { stringify } from 'yaml';
import { loadSettings } from '../../src/config/load.ts';
import type { Settings } from '../../src/config/settings.ts';
import type { GatewayOptions, Proto } from './gateway.ts';

const CAPABILITIES: Readonly<Record<Proto, readonly string[]>> = {
  imap: ['IMAP4rev1', 'IDLE', 'UIDPLUS'],
  pop3: ['TOP', 'UIDL', 'UTF8', 'PIPELINING'],
  smtp: ['PIPELINING', 'SIZE 1000000', '8BITMIME', 'ENHANCEDSTATUSCODES', 'DSN', 'SMTPUTF8', 'CHUNKING'],
};

export const PORTS: Readonly<Record<Proto, number>> = { imap: 143, pop3: 110, smtp: 25 };

/** Writes the settings of a gateway to a file of the folder, and reads them as the program does. */
export function settingsOf(options: GatewayOptions, folder: string): Settings {
  const { protocol, tls: mode = 'maytls', sasl = 'maysaslserver' } = options;
  const smtp = protocol === 'smtp';
  const service = {
    protocol,
    listen: '127.0.0.1:0',
    capabilities: CAPABILITIES[protocol],
    ...(smtp ? { channel: 'tcp_test' } : { backend: 'behind' }),
    ...(!smtp || mode === 'implicit' ? { tls: mode } : {}),
    ...options.service,
  };
  const keywords = `smtp ${mode === 'implicit' ? 'maytls' : mode}server ${sasl}`;
  const document = {
    hostname: 'mail.test',
    services: { mail: service, ...options.services },
    ...(options.popBeforeSmtp === undefined ? {} : { popBeforeSmtp: options.popBeforeSmtp }),
    ...(smtp ? { channels: channelsOf(options.channels ?? { tcp_test: { keywords } }) } : {}),
    backends: {
      behind: { servers: `127.0.0.1:${PORTS[protocol]}`, ...options.to },
      ...Object.fromEntries(
        Object.keys(options.relays ?? {}).map((name, index) => [
          name,
          { servers: `${relayHost(index)}:${PORTS[protocol]}`, ...options.to },
        ]),
      ),
      ...options.backends,
    },
    ...directoryOf(options, folder),
    limits: { perAddress: 0, perUser: 0, ...options.limits },
    penalties: options.penalties ?? { remembered: 0 },
    ...(options.timeouts === undefined ? {} : { timeouts: options.timeouts }),
  };
  const file = path.join(folder, 'sallyport.yaml');
  writeFileSync(file, stringify(document, { aliasDuplicateObjects: false }));
  return loadSettings({ file });
}

/** Loopback too, so that a password may go there in clear. */
export function relayHost(index: number): string {
  return `127.0.0.${index + 2}`;
}

function channelsOf(
  channels: NonNullable<GatewayOptions['channels']>,
): Readonly<Record<string, Readonly<Record<string, unknown>>>> {
  return Object.fromEntries(
    Object.entries(channels).map(([name, channel]) => [name, { relay: 'behind', ...channel }]),
  );
}

let files = 0;

function directoryOf(
  { directory, users }: GatewayOptions,
  folder: string,
): Readonly<Record<string, unknown>> {
  if (users === undefined) return directory === undefined ? {} : { directory };
  const file = path.join(folder, `users-${++files}.yaml`);
  writeFileSync(file, users, { mode: 0o600 });
  return { directory: { type: 'file', file, ...directory } };
}
