// Sallyport from this source tree: `serve` with one worker, an implicit-TLS IMAP service and the log that operators
// have (one line a connection). The supervisor counts like the worker.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { launch } from './peer.ts';
import type { Peer } from './peer.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');
export const MAIN = join(ROOT, 'src', 'main.ts');

export const sallyport: Peer = {
  name: 'sallyport',
  title: '**Sallyport**',
  weight: 'light',
  version() {
    if (!existsSync(MAIN)) return null;
    const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      readonly version: string;
    };
    return `${manifest.version}, Node ${process.versions.node}`;
  },
  async start(context) {
    const file = join(context.folder, 'sallyport.yaml');
    const { certFile, keyFile } = context.certificate;
    writeFileSync(
      file,
      `hostname: localhost
dataDir: ${join(context.folder, 'data')}
workers: 1
log: { level: info, format: json }
limits: { perAddress: 0, perUser: 0 }
services:
  imaps:
    protocol: imap
    listen: ["127.0.0.1:${context.port}"]
    tls: { mode: implicit, certificate: { cert: ${certFile}, key: ${keyFile} } }
    backend: sink
backends:
  sink:
    servers: ["127.0.0.1:${context.backendPort}"]
    tls: notls
    client: none
`,
    );
    return launch({
      peer: this,
      context,
      command: [process.execPath, MAIN, 'serve', '--config', file],
      isReady: (logFile) => readFileSync(logFile, 'utf8').includes('"event":"ready"'),
    });
  },
};
