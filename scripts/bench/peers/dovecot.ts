// Dovecot as an IMAP proxy: its login process in high-performance mode (one process for all clients), a static
// password database that takes every password and names the sink. Run by another user than root, it runs as that
// user and without its chroots.

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { askVersion, findProgram } from '../programs.ts';
import { launch } from './peer.ts';
import type { Peer, PeerContext } from './peer.ts';

function asOrdinaryUser(): string {
  const { uid, username } = userInfo();
  if (uid === 0) return '';
  const group = execFileSync('id', ['-gn'], { encoding: 'utf8' }).trim();
  return `default_internal_group = ${group}
default_internal_user = ${username}
default_login_user = ${username}
service anvil {
  chroot =
}
service stats {
  chroot =
}
service imap-login {
  chroot =
}
`;
}

const settings = (context: PeerContext): string => `protocols = imap
base_dir = ${join(context.folder, 'run')}
state_dir = ${join(context.folder, 'state')}
log_path = ${join(context.folder, 'dovecot.log')}
listen = 127.0.0.1
ssl = required
ssl_cert = <${context.certificate.certFile}
ssl_key = <${context.certificate.keyFile}
ssl_curve_list = X25519:P-256
auth_mechanisms = plain login
mail_location = maildir:${join(context.folder, 'mail')}
passdb {
  driver = static
  args = nopassword=y proxy=y host=127.0.0.1 port=${context.backendPort}
}
service imap-login {
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    port = ${context.port}
    ssl = yes
  }
  service_count = 0
  process_min_avail = 1
  process_limit = 1
  client_limit = 4096
  vsz_limit = 1G
}
service auth {
  client_limit = 8192
}
service anvil {
  client_limit = 8192
}
${asOrdinaryUser()}`;

export const dovecot: Peer = {
  name: 'dovecot',
  title: 'Dovecot login proxy',
  weight: 'light',
  version() {
    const path = findProgram('dovecot');
    if (path === null) return null;
    const version = askVersion(path, ['--version']).trim().split(' ')[0] ?? '?';
    // 2.4 speaks another settings language.
    return version.startsWith('2.3') ? version : null;
  },
  async start(context) {
    const file = join(context.folder, 'dovecot.conf');
    writeFileSync(file, settings(context));
    return launch({ peer: this, context, command: [findProgram('dovecot') ?? 'dovecot', '-F', '-c', file] });
  },
};
