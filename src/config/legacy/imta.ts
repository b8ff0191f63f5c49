// `sallyport import imta`: the channel blocks of an MTA's imta.cnf as channels of this program, which then stands in front
// of that MTA. Pure but for the files beside it. Promises YAML that the settings reader takes, and a note with file and
// line for everything that is not in it. Where the MTA is to be found is in no file: it is asked for (`problems`).

import { channelSettings, type ImtaChannels, readChannels } from './imta-channels.ts';
import { headOf, sortedNotes } from './import-head.ts';
import { type Files, type FoundFile, Migration, sourced } from './mmp-files.ts';
import { RELAY, relaysIn, toldWords } from './mmp-smtp.ts';
import type { Imported } from './option-table.ts';
import { Commented, type SettingsMap, type SettingsValue, yamlText } from './yaml-text.ts';

export interface ImtaInput {
  readonly file: FoundFile;
  readonly files: Files;
  readonly relay: string | null;
}

const USUAL = { tcp_local: ['smtp', 25], tcp_submit: ['submission', 587] } as const;
const TODO = [
  'bring a certificate into the database (`sallyport cert`), if a channel has maytlsserver or musttlsserver;',
  'compare the services with dispatcher.cnf, where the MTA has its ports;',
  'let the MTA believe who the client is: `client` of the backend;',
  'see that INTERNAL_IP of the MTA does not hold the address of this machine: it would relay for everybody.',
];

export function importImta({ file, files, relay }: ImtaInput): Imported {
  const migration = new Migration(files);
  const channels = readChannels(file, migration);
  const problem = problemOf(channels, relay);
  if (problem !== null) return { yaml: null, notes: [], companions: [], problems: [problem] };
  const servers = relaysIn(relay ?? '')?.servers ?? [];
  const settings: SettingsMap = {
    services: imtaServices(channels),
    channels: channelSettings(channels, RELAY, new Map()),
    backends: { [RELAY]: backendOf(channels, servers, migration) },
  };
  migration.note('services', 'ports are not in imta.cnf: the usual ones are taken');
  const notes = sortedNotes(migration.notes);
  return {
    yaml: yamlText(settings, headOf(file.path, TODO, notes)),
    notes,
    companions: migration.companions,
    problems: [],
  };
}

function problemOf({ channels }: ImtaChannels, relay: string | null): string | null {
  if (channels.size === 0) return 'expected channel blocks of imta.cnf, found none with the keyword smtp';
  if (relay === null)
    return 'imta.cnf does not say where the MTA is that the mail goes to: run again with --relay HOST:PORT';
  return relaysIn(relay) === null ? `--relay: expected HOST:PORT, found ${JSON.stringify(relay)}` : null;
}

/** Services for the channels that connections usually start on, or for the first one. */
export function imtaServices({ channels }: ImtaChannels): SettingsMap {
  const usual = Object.entries(USUAL).filter(([channel]) => channels.has(channel));
  const [first = ''] = channels.keys();
  const rows = usual.length > 0 ? usual : [[first, USUAL.tcp_local] as const];
  return Object.fromEntries(
    rows.map(([channel, [name, port]]) => [name, { protocol: 'smtp', listen: [port], channel }]),
  );
}

function backendOf({ proxyPassword }: ImtaChannels, servers: SettingsValue, migration: Migration): Commented {
  if (proxyPassword === null)
    return new Commented(['The MTA. Let it know who the client is: client: [xclient] for Postfix.'], {
      servers,
    });
  return new Commented(['The MTA.', ...toldWords(null, migration, proxyPassword)], {
    servers,
    client: ['xpehlo'],
    xpehloPassword: { file: sourced(proxyPassword, migration.secret(proxyPassword, 'smtpproxy')) },
  });
}
