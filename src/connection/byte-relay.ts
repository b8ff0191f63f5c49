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
const DOT = 0x2e;
const MINUS = 0x2d;
const SPACE = 0x20;
/** What a line that announces a literal ends with (RFC 9051 4.3). */
const LITERAL_FOLLOWS = Buffer.from('}\r\n');
/** 'OK', 'NO' and 'BA' of a tagged response as 16-bit numbers. */
const STATUSES = new Set([0x4f4b, 0x4e4f, 0x4241]);
/** Longer than any tag. */
const TAG_BYTES_MAX = 64;

export class ByteRelay {
  up = 0;
  down = 0;
  /** The client sent IDLE and has not ended it yet (RFC 2177). */
  inIdle = false;

  readonly #client: net.Socket;
  readonly #backend: net.Socket;
  readonly #imap: boolean;
  #sides: readonly [client: RelaySide, backend: RelaySide] | null;
  #compressed = false;
  #lastWasDown = true;
  /** The backend's last response is whole: neither a literal nor a multi-line answer of POP3 is open. */
  #atRest = true;
  /** POP3: the last command asked for an answer of many lines. */
  #expectsMany = false;
  #resolve: (() => void) | null = null;
  #failure: GateError | null = null;
  #open = 2;
  #end: RelayEnd | null = null;

  constructor(client: RelaySide, backend: RelaySide, protocol: 'imap' | 'pop3' | 'smtp') {
    this.#client = client.socket;
    this.#backend = backend.socket;
    this.#sides = [client, backend];
    this.#imap = protocol === 'imap';
  }

  /** The backend has the last word, a whole response, and the stream can still be read by us: words may be put in. */
  get farewellFits(): boolean {
    return this.#lastWasDown && this.#atRest && !this.#compressed;
  }

  /** Resolves when either side is closed, or both halves have ended; rejects with what finish() was given. */
  async run(): Promise<RelayEnd> {
    const client = this.#client;
    const backend = this.#backend;
    client.on('data', this.#onUp).on('end', this.#onClientEnd).on('close', this.#onClientClose);
    backend.on('data', this.#onDown).on('end', this.#onBackendEnd).on('close', this.#onBackendClose);
    client.on('drain', () => backend.resume());
    backend.on('drain', () => client.resume());
    const ended = new Promise<void>((resolve) => {
      this.#resolve = resolve;
    });
    this.#begin();
    if (client.destroyed) this.#onClientClose();
    if (backend.destroyed) this.#onBackendClose();
    if (client.isPaused()) client.resume();
    if (backend.isPaused()) backend.resume();
    await ended;
    if (this.#failure !== null) throw this.#failure;
    return this.#end ?? 'both sides closed';
  }

  /** What the legs had read; it is not kept. */
  #begin(): void {
    if (this.#sides === null) return;
    const [client, backend] = this.#sides;
    this.#sides = null;
    if (client.rest.length > 0) this.#onUp(client.rest);
    if (backend.rest.length > 0) this.#onDown(backend.rest);
    if (client.ended) this.#onClientEnd();
    if (backend.ended) this.#onBackendEnd();
  }

  /** Ends the relay from outside; words are put in only where they fit. */
  finish(failure: GateError): void {
    this.#failure ??= failure;
    this.#settle();
  }

  readonly #onUp = (chunk: Buffer): void => {
    this.up += chunk.length;
    this.#lastWasDown = false;
    if (chunk.length < SHORT_BYTES && !this.#compressed) this.#look(chunk);
    if (!this.#backend.write(chunk)) this.#client.pause();
  };

  readonly #onDown = (chunk: Buffer): void => {
    this.down += chunk.length;
    this.#lastWasDown = true;
    this.#atRest = chunk[chunk.length - 1] === LF && (this.#imap ? this.#imapRests(chunk) : this.#pop3Rests(chunk));
    if (!this.#client.write(chunk)) this.#backend.pause();
  };

  /** For a chunk that ends a line: nothing began in it that goes on, or its last line completes a command. */
  #imapRests(chunk: Buffer): boolean {
    if (this.#atRest && !chunk.includes(LITERAL_FOLLOWS)) return true;
    const start = chunk.lastIndexOf(LF, -2) + 1;
    if (start === 0 && !this.#atRest) return false;
    const space = chunk.indexOf(SPACE, start);
    if (space <= start || space - start > TAG_BYTES_MAX || space + 3 > chunk.length) return false;
    return STATUSES.has(chunk.readUInt16BE(space + 1));
  }

  /** For a chunk that ends a line: the dot that ends many lines (RFC 1939 3), or an answer of one line. */
  #pop3Rests(chunk: Buffer): boolean {
    const start = chunk.lastIndexOf(LF, -2) + 1;
    if (chunk[start] === DOT && chunk.length - start === 3) return true;
    return this.#atRest && (!this.#expectsMany || chunk[0] === MINUS);
  }

  #look(chunk: Buffer): void {
    const text = chunk.toString('latin1');
    if (!this.#imap) {
      this.#expectsMany = /^(RETR|TOP|LIST|UIDL|CAPA)\b/im.test(text);
      return;
    }
    if (/^DONE\r\n/i.test(text)) this.inIdle = false;
    if (/ IDLE\r\n$/i.test(text)) this.inIdle = true;
    else if (/ COMPRESS /i.test(text)) this.#compressed = true;
  }

  readonly #onClientEnd = (): void => {
    // A backend that has ended needs no end from us; the socket will just be closed.
    if (this.#end === null) this.#backend.end();
    this.#end ??= 'client closed';
    this.#halfEnded();
  };

  readonly #onBackendEnd = (): void => {
    this.#end ??= 'backend closed';
    this.#client.end();
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
    const client = this.#client;
    const backend = this.#backend;
    client.off('data', this.#onUp).off('end', this.#onClientEnd).off('close', this.#onClientClose);
    backend.off('data', this.#onDown).off('end', this.#onBackendEnd).off('close', this.#onBackendClose);
    client.removeAllListeners('drain');
    backend.removeAllListeners('drain');
    this.#resolve?.();
  }
}
