// One IMAP connection of the load generator: connect, log in, move bytes, measure, log out.
// TLS 1.3, X25519 and one cipher suite, so that every server does the same cryptography. Every wait ends with the
// connection at the latest: whoever waits when it breaks gets the error. The session owns its socket.

import net from 'node:net';
import tls from 'node:tls';

export interface Target {
  readonly port: number;
  /** PEM text that the server's certificate is verified against; null: plain TCP (the sink itself). */
  readonly ca: string | null;
  /** The key exchange group; X25519 where nothing is said. */
  readonly group?: string;
  /** Where to come from: another address of the loopback network has its own range of ports. */
  readonly from?: string;
}

const CHUNK = Buffer.alloc(
  64 * 1024,
  'Sallyport carries this line of text from the writer to the store..\r\n',
);
const MAX_TEXT = 64 * 1024;
const CLOSE_WAIT_MS = 2_000;

const contexts = new Map<string, tls.SecureContext>();

function contextFor(ca: string, group: string): tls.SecureContext {
  const key = `${group} ${ca}`;
  let context = contexts.get(key);
  if (context === undefined) {
    context = tls.createSecureContext({
      ca,
      minVersion: 'TLSv1.3',
      ciphers: 'TLS_AES_256_GCM_SHA384',
      ecdhCurve: group,
    });
    contexts.set(key, context);
  }
  return context;
}

interface Waiter {
  readonly prefix: string;
  resolve(line: string): void;
  reject(error: Error): void;
}

export class ImapSession {
  readonly #socket: net.Socket;
  #text = '';
  #literalLeft = 0;
  #waiter: Waiter | null = null;
  #failure: Error | null = null;
  #tags = 0;
  /** The newest TLS ticket that the server sent. */
  ticket: Buffer | undefined;

  constructor(target: Target, ticket?: Buffer) {
    this.ticket = ticket;
    const where = {
      host: '127.0.0.1',
      port: target.port,
      ...(target.from === undefined ? {} : { localAddress: target.from }),
    };
    if (target.ca === null) {
      this.#socket = net.connect({ ...where, noDelay: true });
    } else {
      const socket = tls.connect({
        ...where,
        servername: 'localhost',
        secureContext: contextFor(target.ca, target.group ?? 'X25519'),
        ...(ticket === undefined ? {} : { session: ticket }),
      });
      socket.setNoDelay(true);
      socket.on('session', (session) => (this.ticket = session));
      this.#socket = socket;
    }
    this.#socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.on('close', () => this.#fail(new Error('connection closed')));
  }

  /** Whether the handshake resumed an earlier TLS session. */
  get isResumed(): boolean {
    return this.#socket instanceof tls.TLSSocket && this.#socket.isSessionReused();
  }

  get isAlive(): boolean {
    return this.#failure === null;
  }

  /** Greeting, then LOGIN; resolves at the tagged OK. */
  async login(): Promise<void> {
    await this.#await('* OK');
    await this.#command('LOGIN bench@example.com secret-word');
  }

  async noop(): Promise<void> {
    await this.#command('NOOP');
  }

  async download(bytes: number): Promise<void> {
    await this.#command(`UID FETCH 1 (BODY.PEEK[]<0.${bytes}>)`);
  }

  async upload(bytes: number): Promise<void> {
    const tag = this.#nextTag();
    const goAhead = this.#await('+');
    this.#socket.write(`${tag} APPEND INBOX {${bytes}}\r\n`);
    await goAhead;
    const done = this.#await(`${tag} `);
    this.#pump(bytes);
    await done;
  }

  /** LOGOUT, then waits until the connection is gone. */
  async logout(): Promise<void> {
    await this.#command('LOGOUT');
    await this.close();
  }

  async close(): Promise<void> {
    const socket = this.#socket;
    if (socket.closed) return;
    await new Promise<void>((resolve) => {
      const limit = setTimeout(() => socket.destroy(), CLOSE_WAIT_MS);
      socket.once('close', () => {
        clearTimeout(limit);
        resolve();
      });
      socket.end();
    });
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #nextTag(): string {
    this.#tags += 1;
    return `b${this.#tags}`;
  }

  async #command(text: string): Promise<void> {
    const tag = this.#nextTag();
    const answer = this.#await(`${tag} `);
    this.#socket.write(`${tag} ${text}\r\n`);
    const line = await answer;
    if (!line.startsWith(`${tag} OK`))
      throw new Error(`${text.split(' ')[0]} was answered: ${line.slice(0, 100)}`);
  }

  #await(prefix: string): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) return reject(this.#failure);
      this.#waiter = { prefix, resolve, reject };
    });
  }

  #pump(bytes: number): void {
    let left = bytes;
    const socket = this.#socket;
    const pump = (): void => {
      while (left > 0) {
        const part = left >= CHUNK.length ? CHUNK : CHUNK.subarray(0, left);
        left -= part.length;
        if (!socket.write(part)) break;
      }
      if (left > 0) socket.once('drain', pump);
      else socket.write('\r\n');
    };
    pump();
  }

  #receive(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#literalLeft > 0) {
        const step = Math.min(this.#literalLeft, chunk.length - at);
        this.#literalLeft -= step;
        at += step;
        continue;
      }
      const newline = chunk.indexOf(10, at);
      const end = newline < 0 ? chunk.length : newline + 1;
      this.#text += chunk.toString('latin1', at, end);
      at = end;
      if (newline >= 0) this.#takeLine();
      else if (this.#text.length > MAX_TEXT) this.#socket.destroy(new Error('endless line'));
    }
  }

  #takeLine(): void {
    const line = this.#text;
    this.#text = '';
    const literal = /\{(\d+)\}\r?\n$/.exec(line);
    if (literal !== null) this.#literalLeft = Number(literal[1]);
    const waiter = this.#waiter;
    if (waiter !== null && line.startsWith(waiter.prefix)) {
      this.#waiter = null;
      waiter.resolve(line.trimEnd());
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    const waiter = this.#waiter;
    this.#waiter = null;
    waiter?.reject(this.#failure);
  }
}
