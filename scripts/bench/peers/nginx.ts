// nginx, twice: its mail proxy, which logs in (asking an auth_http server), and its stream proxy, which ends TLS only.
// One worker process, everything else as nginx comes. Modules may be built in or be files.

import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { askVersion, findProgram } from '../programs.ts';
import { launch } from './peer.ts';
import type { Peer, PeerContext } from './peer.ts';

const MODULE_FOLDERS = ['/usr/lib/nginx/modules', '/usr/lib64/nginx/modules', '/usr/local/lib/nginx/modules'];

interface Installation {
  readonly path: string;
  readonly version: string;
  /** `load_module` line, or '' where the module is built in. */
  readonly loadModule: string;
}

function findNginx(module: 'mail' | 'stream'): Installation | null {
  const path = findProgram('nginx');
  if (path === null) return null;
  const about = askVersion(path, ['-V']);
  const version = /nginx\/(\S+)/.exec(about)?.[1] ?? '?';
  if (new RegExp(`--with-${module}(?=\\s|$)`).test(about)) return { path, version, loadModule: '' };
  const file = MODULE_FOLDERS.map((folder) => join(folder, `ngx_${module}_module.so`)).find((name) =>
    existsSync(name),
  );
  return file === undefined ? null : { path, version, loadModule: `load_module ${file};` };
}

const tlsLines = ({ certificate }: PeerContext): string => `
    ssl_certificate ${certificate.certFile};
    ssl_certificate_key ${certificate.keyFile};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ecdh_curve X25519:prime256v1;`;

const mailBlock = (context: PeerContext): string => `mail {
  server_name localhost;
  auth_http 127.0.0.1:${context.authPort}/auth;
  imap_capabilities IMAP4rev1 LITERAL+ SASL-IR;
  server {
    listen 127.0.0.1:${context.port} ssl;
    protocol imap;${tlsLines(context)}
  }
}`;

const streamBlock = (context: PeerContext): string => `stream {
  server {
    listen 127.0.0.1:${context.port} ssl;
    proxy_pass 127.0.0.1:${context.backendPort};
    proxy_timeout 1h;${tlsLines(context)}
  }
}`;

function nginxPeer(module: 'mail' | 'stream'): Peer {
  const block = module === 'mail' ? mailBlock : streamBlock;
  return {
    name: `nginx-${module}`,
    title: module === 'mail' ? 'nginx mail' : 'nginx stream (no login)',
    weight: 'light',
    version: () => findNginx(module)?.version ?? null,
    async start(context) {
      const nginx = findNginx(module);
      if (nginx === null) throw new Error('not installed');
      const file = join(context.folder, 'nginx.conf');
      const head = `${nginx.loadModule}
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid ${join(context.folder, 'nginx.pid')};
error_log ${join(context.folder, 'error.log')};
events { worker_connections 8192; }
`;
      writeFileSync(file, `${head}${block(context)}\n`);
      const log = join(context.folder, 'error.log');
      return launch({
        peer: this,
        context,
        command: [nginx.path, '-p', context.folder, '-c', file, '-e', log],
      });
    },
  };
}

export const nginxMail = nginxPeer('mail');
export const nginxStream = nginxPeer('stream');
