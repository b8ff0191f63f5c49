// A client that speaks line by line, for tests that need the very words: send, expect, start TLS, send again.
// It verifies certificates against the given CA. Every line goes to onLine too, so that the quickstart can print it.
// A wait ends after waitMs with an error that shows what was said. close() is the owner's duty.

import { once } from 'node:events';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';

export interface DialogueOptions {
  readonly port: number;
  readonly host?: string;
  /** The address to come from, e.g. 127.0.0.23. */
  readonly localAddress?: string;
  /** PEM. */
  readonly ca?: string;
  readonly serverName?: string;
  readonly waitMs?: number;
  readonly onLine?: (side: 'C' | 'S' | '-', line: string) => void;
}

export class Dialogue implements AsyncDisposable {
  readonly #options: Omit<DialogueOptions, 'port'>;
  #socket: Duplex;
  #buffer = '';
  #said = '';
  #closed = false;
  #wake: () => void = () => {};

  private constructor(socket: Duplex, options: Omit<DialogueOptions, 'port'>) {
    this.#options = options;
    this.#socket = socket;
    this.#listen(socket);
  }

  /** In clear. */
  static async connect(options: DialogueOptions): Promise<Dialogue> {
    const { port, host = '127.0.0.1', localAddress } = options;
    const socket = net.connect({ port, host, ...(localAddress === undefined ? {} : { localAddress }) });
    await once(socket, 'connect');
    return new Dialogue(socket, options);
  }

  /** Over a stream that somebody else opened, such as a program's standard input and output. */
  static over(stream: Duplex, options: Omit<DialogueOptions, 'port'> = {}): Dialogue {
    return new Dialogue(stream, options);
  }

  /** With TLS from the first octet. */
  static async connectTls(options: DialogueOptions): Promise<Dialogue> {
    const dialogue = await Dialogue.connect(options);
    await dialogue.startTls();
    return dialogue;
  }

  /** Hands over to TLS. The server has agreed, or was told to expect it. */
  async startTls(): Promise<void> {
    const raw = this.#socket as net.Socket;
    raw.removeAllListeners('data');
    const { ca, serverName = 'localhost' } = this.#options;
    const secure = tls.connect({ socket: raw, servername: serverName, ...(ca === undefined ? {} : { ca }) });
    await once(secure, 'secureConnect');
    this.#socket = secure;
    this.#listen(secure);
    this.#options.onLine?.('-', this.tlsFacts());
  }

  tlsFacts(): string {
    const socket = this.#socket as tls.TLSSocket;
    const key = socket.getEphemeralKeyInfo();
    const group = key !== null && 'name' in key && key.name !== undefined ? `, ${key.name}` : '';
    return `${socket.getProtocol()}, ${socket.getCipher().name}${group}, certificate verified`;
  }

  /** Sends a line; `shown` is what onLine sees of it, e.g. without the password. */
  send(line: string, shown = line): void {
    this.#options.onLine?.('C', shown);
    this.#said += `C: ${shown}\n`;
    this.#socket.write(`${line}\r\n`, 'latin1');
  }

  sendOctets(octets: Buffer): void {
    this.#socket.write(octets);
  }

  /** The next line. */
  async line(): Promise<string> {
    await this.#until(() => this.#buffer.includes('\r\n'));
    const end = this.#buffer.indexOf('\r\n');
    const line = this.#buffer.slice(0, end);
    this.#buffer = this.#buffer.slice(end + 2);
    this.#said += `S: ${line.slice(0, 500)}\n`;
    this.#options.onLine?.('S', line);
    return line;
  }

  /** Lines up to the first one that matches, that one last. */
  async expect(pattern: RegExp): Promise<string[]> {
    const lines: string[] = [];
    for (;;) {
      lines.push(await this.line());
      if (pattern.test(lines.at(-1) ?? '')) return lines;
    }
  }

  /** Sends a line and waits for the answer that matches; any other final answer is waited past. */
  async ask(line: string, pattern: RegExp, shown = line): Promise<string[]> {
    this.send(line, shown);
    return this.expect(pattern);
  }

  /** The next `count` octets, as latin1. */
  async octets(count: number): Promise<string> {
    await this.#until(() => this.#buffer.length >= count);
    const octets = this.#buffer.slice(0, count);
    this.#buffer = this.#buffer.slice(count);
    return octets;
  }

  /** Waits for the server to close. */
  async closed(): Promise<void> {
    await this.#until(() => this.#closed, 'may end');
  }

  close(): void {
    this.#socket.destroy();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  #listen(socket: Duplex): void {
    socket.on('data', (chunk: Buffer) => {
      this.#buffer += chunk.toString('latin1');
      this.#wake();
    });
    socket.on('error', (error) => (this.#said += `-- ${error.message}\n`));
    socket.on('close', () => {
      this.#closed = true;
      this.#wake();
    });
  }

  async #until(check: () => boolean, ending: 'may end' | 'is early' = 'is early'): Promise<void> {
    const waitMs = this.#options.waitMs ?? 10_000;
    const end = performance.now() + waitMs;
    while (!check()) {
      if (this.#closed && ending === 'is early')
        throw new Error(`the server closed:\n${this.#said}${this.#buffer}`);
      const left = end - performance.now();
      if (left <= 0) throw new Error(`no answer within ${waitMs} ms:\n${this.#said}${this.#buffer}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}
