// stunnel as a server in front of a plain port: ends TLS and passes bytes on, no login. One process, a thread for
// each connection, which is how it is built.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { askVersion, findProgram } from '../programs.ts';
import { launch } from './peer.ts';
import type { Peer } from './peer.ts';

const find = (): string | null => findProgram('stunnel4') ?? findProgram('stunnel');

export const stunnel: Peer = {
  name: 'stunnel',
  title: 'stunnel (no login)',
  weight: 'light',
  version() {
    const path = find();
    return path === null ? null : (/stunnel (\d[\w.]*)/.exec(askVersion(path, ['-version']))?.[1] ?? '?');
  },
  async start(context) {
    const file = join(context.folder, 'stunnel.conf');
    writeFileSync(
      file,
      `foreground = yes
pid =
syslog = no
output = ${join(context.folder, 'stunnel.log')}
[imaps]
accept = 127.0.0.1:${context.port}
connect = 127.0.0.1:${context.backendPort}
cert = ${context.certificate.certFile}
key = ${context.certificate.keyFile}
curves = X25519:P-256
`,
    );
    return launch({ peer: this, context, command: [find() ?? 'stunnel', file] });
  },
};
