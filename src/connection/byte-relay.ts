// IMAP and POP3 after login: bytes, both ways, with back-pressure and half-close. Owns both sockets while it runs; when
// run() resolves, the caller closes them. Nothing is allocated per chunk and nothing is timed per chunk: idleness is
// found by comparing the byte counts. What little of IMAP it looks at (IDLE, COMPRESS) is in short chunks only.

import type net from 'node:net';
import { GateError } from '../errors.ts';

/** Who ended it first. */
export type RelayEnd = 'client closed' | 'backend closed' | 'both sides closed';

export interface RelaySide {
  readonly socket: net.Socket;
  /** Read before the relay began. */
  readonly rest: Buffer;
  /** Its half was closed already. */
  readonly ended: boolean;
}

/** A command that changes what a farewell or the idle time must know is never longer than this. */
const SHORT_BYTES = 64;
const LF = 0x0a;
const CLOSING_BRACE = 0x7d;

export class ByteRelay {
  up = 0;
  down = 0;
  /** The client sent IDLE and has not ended it yet (RFC 2177). */
  inIdle = false;

  readonly #client: RelaySide;
  readonly #backend: RelaySide;
  readonly #imap: boolean;
  #compressed = false;
  #lastWasDown = true;
  #atLineEnd = true;
  #resolve: (() => void) | null = null;
  #failure: GateError | null = null;
  #open = 2;
  #end: RelayEnd | null = null;

  constructor(client: RelaySide, backend: RelaySide, protocol: 'imap' | 'pop3' | 'smtp') {
    this.#client = client;
    this.#backend = backend;
    this.#imap = protocol === 'imap';
  }

  /** The backend has the last word, a whole line, and the stream can still be read by us: words may be put in. */
  get farewellFits(): boolean {
    return this.#lastWasDown && this.#atLineEnd && !this.#compressed;
  }

  /** Resolves when either side is closed, or both halves have ended; rejects with what finish() was given. */
  async run(): Promise<RelayEnd> {
    const client = this.#client.socket;
    const backend = this.#backend.socket;
    client.on('data', this.#onUp).on('end', this.#onClientEnd).on('close', this.#onClientClose);
    backend.on('data', this.#onDown).on('end', this.#onBackendEnd).on('close', this.#onBackendClose);
    client.on('drain', () => backend.resume());
    backend.on('drain', () => client.resume());
    const ended = new Promise<void>((resolve) => {
      this.#resolve = resolve;
    });
    if (this.#client.rest.length > 0) this.#onUp(this.#client.rest);
    if (this.#backend.rest.length > 0) this.#onDown(this.#backend.rest);
    if (this.#client.ended) this.#onClientEnd();
    if (this.#backend.ended) this.#onBackendEnd();
    if (client.destroyed) this.#onClientClose();
    if (backend.destroyed) this.#onBackendClose();
    if (client.isPaused()) client.resume();
    if (backend.isPaused()) backend.resume();
    await ended;
    if (this.#failure !== null) throw this.#failure;
    return this.#end ?? 'both sides closed';
  }

  /** Ends the relay from outside; words are put in only where they fit. */
  finish(failure: GateError): void {
    this.#failure ??= failure;
    this.#settle();
  }

  readonly #onUp = (chunk: Buffer): void => {
    this.up += chunk.length;
    this.#lastWasDown = false;
    if (this.#imap && chunk.length < SHORT_BYTES && !this.#compressed) this.#look(chunk);
    if (!this.#backend.socket.write(chunk)) this.#client.socket.pause();
  };

  readonly #onDown = (chunk: Buffer): void => {
    const { length } = chunk;
    this.down += length;
    this.#lastWasDown = true;
    // A line that announces a literal is not the end of a response.
    this.#atLineEnd = chunk[length - 1] === LF && chunk[length - 3] !== CLOSING_BRACE;
    if (!this.#client.socket.write(chunk)) this.#backend.socket.pause();
  };

  #look(chunk: Buffer): void {
    const text = chunk.toString('latin1');
    if (/^DONE\r\n/i.test(text)) this.inIdle = false;
    if (/ IDLE\r\n$/i.test(text)) this.inIdle = true;
    else if (/ COMPRESS /i.test(text)) this.#compressed = true;
  }

  readonly #onClientEnd = (): void => {
    this.#end ??= 'client closed';
    this.#backend.socket.end();
    this.#halfEnded();
  };

  readonly #onBackendEnd = (): void => {
    this.#end ??= 'backend closed';
    this.#client.socket.end();
    this.#halfEnded();
  };

  #halfEnded(): void {
    if (--this.#open === 0) this.#settle();
  }

  readonly #onClientClose = (): void => {
    this.#end ??= 'client closed';
    this.#settle();
  };

  readonly #onBackendClose = (): void => {
    this.#end ??= 'backend closed';
    this.#settle();
  };

  /** From here on chunks go nowhere; the sockets are the caller's again. */
  #settle(): void {
    const client = this.#client.socket;
    const backend = this.#backend.socket;
    client.off('data', this.#onUp).off('end', this.#onClientEnd).off('close', this.#onClientClose);
    backend.off('data', this.#onDown).off('end', this.#onBackendEnd).off('close', this.#onBackendClose);
    client.removeAllListeners('drain');
    backend.removeAllListeners('drain');
    this.#resolve?.();
  }
}
