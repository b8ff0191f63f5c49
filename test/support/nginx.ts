// A real nginx of the test's own as a mail proxy: IMAP and POP3 in clear on free loopback ports, asking one auth_http
// script. With `tls` also IMAP over TLS, IMAP behind a balancer, and every way to log in that nginx knows. Nothing in /etc
// is read. The caller removes the folder after stop().

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { freePorts } from './ports.ts';
import { greetingOf, startProcess } from './program.ts';

export interface Nginx {
  readonly imap: number;
  readonly pop3: number;
  /** With `tls`. */
  readonly imaps: number;
  /** With `tls`: expects a PROXY header. */
  readonly proxied: number;
  /** With `tls`, in clear. */
  readonly smtp: number;
  stop(): Promise<void>;
}

export interface NginxOptions {
  readonly folder: string;
  /** host:port/path of the script. */
  readonly script: string;
  /** `Name value`. */
  readonly header: readonly [name: string, value: string];
  /** Files. */
  readonly tls?: { readonly certificate: string; readonly key: string; readonly clientCa: string };
}

type Ports = Omit<Nginx, 'stop'>;

export async function startNginx(options: NginxOptions): Promise<Nginx> {
  for (let attempt = 1; ; attempt++) {
    const [imap = 0, pop3 = 0, imaps = 0, proxied = 0, smtp = 0] = await freePorts(5);
    const ports = { imap, pop3, imaps, proxied, smtp };
    mkdirSync(options.folder, { recursive: true });
    const file = join(options.folder, 'nginx.conf');
    writeFileSync(file, configuration(options, ports));
    const server = startProcess('nginx', ['-p', options.folder, '-c', file, '-e', 'stderr']);
    let greeting: string | undefined;
    for (let wait = 0; wait < 200 && greeting === undefined && !server.exited(); wait++) {
      greeting = await greetingOf(pop3);
      if (greeting === undefined) await new Promise((resolve) => setTimeout(resolve, 50));
    }
    if (greeting !== undefined) return { ...ports, stop: async () => void (await server.stop('SIGTERM')) };
    await server.stop();
    if (attempt === 3 || !server.output().includes('Address already in use')) {
      throw new Error(`nginx did not start: ${server.output()}`);
    }
  }
}

function configuration(
  { folder, script, header, tls }: NginxOptions,
  { imap, pop3, ...more }: Ports,
): string {
  return `
load_module /usr/lib/nginx/modules/ngx_mail_module.so;
daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr warn;
events { worker_connections 64; }
mail {
  server_name mail.example.com;
  auth_http ${script};
  auth_http_header ${header[0]} "${header[1]}";
  proxy_pass_error_message on;
  server { listen 127.0.0.1:${imap}; protocol imap; }
  server { listen 127.0.0.1:${pop3}; protocol pop3; }
${tls === undefined ? '' : everyWay(tls, more)}
}
`;
}

function everyWay(
  { certificate, key, clientCa }: NonNullable<NginxOptions['tls']>,
  { imaps, proxied, smtp }: Pick<Ports, 'imaps' | 'proxied' | 'smtp'>,
): string {
  return `
  imap_auth plain cram-md5 external;
  pop3_auth plain apop cram-md5 external;
  smtp_auth plain login cram-md5;
  auth_http_pass_client_cert on;
  ssl_certificate ${certificate};
  ssl_certificate_key ${key};
  ssl_client_certificate ${clientCa};
  ssl_protocols TLSv1.2 TLSv1.3;
  server { listen 127.0.0.1:${imaps} ssl; protocol imap; ssl_verify_client optional; }
  server { listen 127.0.0.1:${proxied} proxy_protocol; protocol imap; set_real_ip_from 127.0.0.0/8; }
  server { listen 127.0.0.1:${smtp}; protocol smtp; }
`;
}
