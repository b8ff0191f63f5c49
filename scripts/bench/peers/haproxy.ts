// HAProxy in TCP mode: ends TLS and passes bytes on, no login. One thread, no log.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { askVersion, findProgram } from '../programs.ts';
import { launch } from './peer.ts';
import type { Peer } from './peer.ts';

export const haproxy: Peer = {
  name: 'haproxy',
  title: 'HAProxy (no login)',
  weight: 'light',
  version() {
    const path = findProgram('haproxy');
    return path === null ? null : (/version (\d[\w.]*)/.exec(askVersion(path, ['-v']))?.[1] ?? '?');
  },
  async start(context) {
    const file = join(context.folder, 'haproxy.cfg');
    writeFileSync(
      file,
      `global
  nbthread 1
  maxconn 4096
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend imaps
  bind 127.0.0.1:${context.port} ssl crt ${context.certificate.bothFile} curves X25519:P-256
  default_backend sink
backend sink
  server sink 127.0.0.1:${context.backendPort}
`,
    );
    return launch({ peer: this, context, command: [findProgram('haproxy') ?? 'haproxy', '-db', '-f', file] });
  },
};
