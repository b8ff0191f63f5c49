// Perdition: forks a process for each connection, logs in, passes bytes on. It has no other mode,
// and no other key exchange than P-256.

import { userInfo } from 'node:os';
import { join } from 'node:path';
import { findProgram } from '../programs.ts';
import { launch } from './peer.ts';
import type { Peer } from './peer.ts';

export const perdition: Peer = {
  name: 'perdition',
  title: 'Perdition (P-256 key exchange)',
  group: 'P-256',
  weight: 'heavy',
  version() {
    // It has no option that tells its version.
    return findProgram('perdition') === null ? null : 'as installed';
  },
  async start(context) {
    const { username, gid, uid } = userInfo();
    const options = {
      protocol: 'IMAP4S',
      ssl_mode: 'ssl_listen',
      ssl_cert_file: context.certificate.certFile,
      ssl_key_file: context.certificate.keyFile,
      bind_address: '127.0.0.1',
      listen_port: String(context.port),
      outgoing_server: `127.0.0.1:${context.backendPort}`,
      map_library: '',
      pid_file: '',
      log_facility: '-',
      username: uid === 0 ? 'nobody' : username,
      group: uid === 0 ? 'nogroup' : String(gid),
      config_file: join(context.folder, 'none.conf'),
    };
    const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
    return launch({
      peer: this,
      context,
      command: [findProgram('perdition') ?? 'perdition', '--no_daemon', '--no_lookup', ...args],
    });
  },
};
