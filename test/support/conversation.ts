// One side of a conversation over a stream, for scripted clients and backends alike: lines and bytes in, lines and
// bytes out, TLS on top when it is time. Every wait is bounded; a wait that fails tells what was heard so far. The
// stream is destroyed by whoever made it.

import assert from 'node:assert/strict';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';

const WAIT_MS = 5000;

/** The other side has ended, so what was waited for will not come. */
export class ConversationEnded extends Error {}

export interface ClientTls {
  readonly ca: string;
  readonly servername?: string;
  readonly alpn?: readonly string[];
  readonly maxVersion?: tls.SecureVersion;
  /** Called with the certificate status that the server stapled; null: none. Without it, none is asked for. */
  readonly onStaple?: (response: Buffer | null) => void;
  /** What the client shows of itself, PEM. */
  readonly shown?: { readonly cert: string; readonly key: string };
  /** A session that is offered again, and what takes those that the server gives. */
  readonly session?: Buffer | undefined;
  readonly onSession?: (session: Buffer) => void;
}

export class Conversation {
  /** The stream in use: the TLS socket once there is one. */
  socket: Duplex;
  /** Everything that was heard, before and inside TLS, as latin1. */
  heard = '';
  /** Heard after TLS had begun. */
  heardSecured = '';
  ended = false;
  #buffer = '';
  #secured = false;
  #wake: () => void = () => undefined;
  #error: Error | null = null;

  constructor(socket: Duplex) {
    this.socket = socket;
    this.#listen(socket);
  }

  get secured(): boolean {
    return this.#secured;
  }

  get tls(): tls.TLSSocket {
    assert.ok(this.socket instanceof tls.TLSSocket, 'no TLS yet');
    return this.socket;
  }

  /** Arrived and not taken. */
  get pending(): string {
    return this.#buffer;
  }

  /** The next line, without its CRLF. */
  async line(): Promise<string> {
    await this.#until(() => this.#buffer.includes('\r\n'));
    const end = this.#buffer.indexOf('\r\n');
    return this.#take(end, end + 2);
  }

  /** As line(), null where the other side has ended instead. */
  async lineOrEnd(): Promise<string | null> {
    await this.#until(() => this.#buffer.includes('\r\n') || this.ended);
    return this.#buffer.includes('\r\n') ? this.line() : null;
  }

  async bytes(count: number): Promise<string> {
    await this.#until(() => this.#buffer.length >= count);
    return this.#take(count, count);
  }

  /** Some bytes, at least one. */
  async some(): Promise<string> {
    await this.#until(() => this.#buffer.length > 0);
    return this.#take(this.#buffer.length, this.#buffer.length);
  }

  /** Waits for the other side to end; returns what came before and was not taken. */
  async end(): Promise<string> {
    await this.#until(() => this.ended);
    return this.#take(this.#buffer.length, this.#buffer.length);
  }

  /** A line; CRLF is added. */
  say(line: string): void {
    this.send(`${line}\r\n`);
  }

  /** Bytes as latin1. */
  send(bytes: string | Buffer): void {
    if (this.socket.writable)
      this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  /** Says a line and takes the next one. */
  async ask(line: string): Promise<string> {
    this.say(line);
    return this.line();
  }

  /** Ends this side's half. */
  finish(): void {
    this.socket.end();
  }

  /** A TLS handshake as the client. */
  async startTls(options: ClientTls): Promise<void> {
    const { ca, servername = 'mail.test', alpn, maxVersion, onStaple, shown, session, onSession } = options;
    const socket = tls.connect({
      socket: this.#release(),
      ca,
      servername,
      requestOCSP: onStaple !== undefined,
      ...(alpn === undefined ? {} : { ALPNProtocols: [...alpn] }),
      ...(shown === undefined ? {} : { cert: shown.cert, key: shown.key }),
      ...(session === undefined ? {} : { session }),
      ...(maxVersion === undefined ? {} : { maxVersion, minVersion: 'TLSv1' }),
    });
    if (onStaple !== undefined) socket.once('OCSPResponse', onStaple);
    if (onSession !== undefined) socket.on('session', onSession);
    await this.#secure(socket, 'secureConnect');
  }

  /** A TLS handshake as the server. */
  async answerTls(secureContext: tls.SecureContext): Promise<void> {
    const raw = this.#release();
    await this.#secure(new tls.TLSSocket(raw as never, { isServer: true, secureContext }), 'secure');
  }

  #take(size: number, upTo: number): string {
    const taken = this.#buffer.slice(0, size);
    this.#buffer = this.#buffer.slice(upTo);
    return taken;
  }

  #release(): Duplex {
    this.socket.removeAllListeners('data').removeAllListeners('end').removeAllListeners('close');
    return this.socket;
  }

  async #secure(socket: tls.TLSSocket, event: 'secure' | 'secureConnect'): Promise<void> {
    let secured = false;
    this.#buffer = '';
    this.socket = socket;
    socket.on(event, () => {
      secured = true;
      this.#wake();
    });
    this.#listen(socket);
    await this.#until(() => secured);
    this.#secured = true;
  }

  #listen(socket: Duplex): void {
    socket.on('data', (chunk: Buffer) => {
      const text = chunk.toString('latin1');
      this.#buffer += text;
      this.heard += text;
      if (socket instanceof tls.TLSSocket) this.heardSecured += text;
      this.#wake();
    });
    const onEnd = (): void => {
      this.ended = true;
      this.#wake();
    };
    socket.on('end', onEnd).on('close', onEnd);
    socket.on('error', (error) => {
      this.#error ??= error;
      this.ended = true;
      this.#wake();
    });
  }

  async #until(check: () => boolean): Promise<void> {
    const deadline = performance.now() + WAIT_MS;
    while (!check()) {
      const said = `; heard so far: ${JSON.stringify(this.heard.slice(-600))}`;
      if (this.ended) {
        throw new ConversationEnded(`the other side ended${said}`, { cause: this.#error });
      }
      if (performance.now() > deadline) throw new Error(`nothing came within ${WAIT_MS} ms${said}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, WAIT_MS);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

/** Sends up to `bytes` octets, as fast as they are taken, until the other side has had enough. */
export async function pour(client: Conversation, bytes: number, piece = 'x'.repeat(10_000)): Promise<void> {
  for (let sent = 0; sent < bytes && !client.ended && client.socket.writable; sent += piece.length) {
    if (client.socket.write(piece)) continue;
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        client.socket.off('drain', wake).off('end', wake).off('close', wake);
        resolve();
      };
      client.socket.on('drain', wake).on('end', wake).on('close', wake);
    });
  }
}
