// An OCSP responder for tests: `openssl ocsp` makes the answers, a small HTTP server of the test carries them on a free
// loopback port. (openssl's own server would listen on every address.) `answer` may be replaced to misbehave.

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type net from 'node:net';
import path from 'node:path';
import type { Authority, Issued } from './authority.ts';

export interface Asked {
  readonly method: string;
  /** DER. */
  readonly request: Buffer;
}

export interface AnswerOptions {
  /** Who signs; default: the authority itself. */
  readonly signer?: Issued;
  readonly status?: 'good' | 'revoked' | 'unknown';
  /** Minutes until nextUpdate; null: the answer has none. Default: a day. */
  readonly minutes?: number | null;
  /** Whose answer, if not of whom the request names. */
  readonly about?: Issued;
  /** Default: by the name of the signer. */
  readonly named?: 'by-key';
}

/** What an authority says about one of its certificates: DER. */
export function ocspAnswer(
  authority: Authority,
  issued: Issued,
  { signer, status = 'good', minutes = 1440, about = issued, named }: AnswerOptions = {},
): Buffer {
  const folder = mkdtempSync(path.join(path.dirname(authority.caFile), 'ocsp-'));
  const serial = about.serial.toUpperCase().replace(/^(00)+(?=.)/, '');
  const times = status === 'revoked' ? '400101000000Z\t200102030405Z' : '400101000000Z\t';
  const row = `${status === 'revoked' ? 'R' : 'V'}\t${times}\t${serial}\tunknown\t/CN=x\n`;
  const index = path.join(folder, 'index.txt');
  const out = path.join(folder, 'answer.der');
  writeFileSync(index, status === 'unknown' ? '' : row);
  writeFileSync(`${index}.attr`, 'unique_subject = no\n');
  const args = ['ocsp', '-index', index, '-CA', authority.caFile, '-respout', out];
  args.push('-issuer', authority.caFile, '-serial', `0x${about.serial}`, '-no_nonce');
  args.push(
    '-rsigner',
    signer?.certFile ?? authority.caFile,
    '-rkey',
    signer?.keyFile ?? authority.caKeyFile,
  );
  if (signer === undefined) args.push('-resp_no_certs');
  if (minutes !== null) args.push('-nmin', String(minutes));
  if (named === 'by-key') args.push('-resp_key_id');
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  return readFileSync(out);
}

export class Responder {
  readonly url: string;
  readonly asked: Asked[] = [];
  /** How the next questions are answered; a Buffer is a whole OCSP answer. */
  answer: Buffer | ((response: http.ServerResponse, asked: Asked) => void) = Buffer.alloc(0);
  readonly #server: http.Server;
  #wake: () => void = () => undefined;

  private constructor(server: http.Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as net.AddressInfo).port}/ocsp`;
    server.on('request', (request: http.IncomingMessage, response: http.ServerResponse) => {
      void this.#serve(request, response);
    });
  }

  static async start(port = 0): Promise<Responder> {
    const server = http.createServer();
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return new Responder(server);
  }

  /** Waits for the `number`th question. */
  async question(number = this.asked.length + 1): Promise<Asked> {
    for (;;) {
      const asked = this.asked[number - 1];
      if (asked !== undefined) return asked;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method = '', url = '' } = request;
    const sent = decodeURIComponent(url.replace(/^\/ocsp\/?/, ''));
    const asked = { method, request: method === 'GET' ? Buffer.from(sent, 'base64') : Buffer.concat(chunks) };
    this.asked.push(asked);
    this.#wake();
    if (typeof this.answer === 'function') return this.answer(response, asked);
    response.setHeader('content-type', 'application/ocsp-response').end(this.answer);
  }
}
