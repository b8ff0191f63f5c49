// IMAP and POP3 after login: bytes, both ways, with back-pressure and half-close. Owns both sockets while it runs; when
// run() resolves, the caller closes them. Nothing is allocated per chunk and nothing is timed per chunk: idleness is
// found by comparing the byte counts. Commands are looked at in short chunks only (IDLE, COMPRESS, what asks for many
// lines), responses at their chunks' ends, for farewellFits.

import net from 'node:net';
import type { GateError } from '../errors.ts';

/** Who ended it first; a backend that neither was asked to leave nor said BYE is lost. */
export type RelayEnd = 'logout' | 'client closed' | 'backend closed' | 'backend lost';

export interface RelaySide {
  readonly socket: net.Socket;
  /** Read before the relay began. */
  readonly rest: Buffer;
  /** Its half was closed already. */
  readonly ended: boolean;
}

/** A command that changes what a farewell or the idle time must know is never longer than this. */
const SHORT_BYTES = 64;
/** POP3 clients pipeline many commands, and what each asks for must be known. */
const POP3_LOOK_BYTES = 1024;
const CR = 0x0d;
const LF = 0x0a;
const BRACE = 0x7d;
const DOT = 0x2e;
const MINUS = 0x2d;
const SPACE = 0x20;
const PLUS = 0x2b;
const STAR = 0x2a;
/** A goodbye is looked for in so many bytes at the end of what the client sent, and in a backend's short lines. */
const GOODBYE_BYTES = 16;
const BYE_BYTES_MAX = 1024;
/** What a line that announces a literal ends with (RFC 9051 4.3). */
const LITERAL_FOLLOWS = Buffer.from('}\r\n');
/** What follows the tag of a response that completes a command; a mail may hold such a line, but seldom does. */
const STATUS = /^(?:OK|NO|BAD)[ \r]/;
/** Longer than any tag. */
const TAG_BYTES_MAX = 64;

export class ByteRelay {
  up = 0;
  down = 0;
  /** The client sent IDLE and has not ended it yet (RFC 2177). */
  inIdle = false;
  /** All that is still awaited is the client's own end. */
  backendEnded = false;

  readonly #client: net.Socket;
  readonly #backend: net.Socket;
  readonly #toClient: Outlet;
  readonly #toBackend: Outlet;
  readonly #imap: boolean;
  #sides: readonly [client: RelaySide, backend: RelaySide] | null;
  #compressed = false;
  #lastWasDown = true;
  /** The backend's last chunk ended a line. */
  #atLineStart = true;
  /** A literal or a multi-line answer of POP3 has begun and is not known to be over. */
  #unfinished = false;
  /** POP3: a command that waits for its answer asked for many lines. */
  #expectsMany = false;
  #resolve: (() => void) | null = null;
  #failure: GateError | null = null;
  #open = 2;
  /** The end of what the client said last. */
  #tail = '';
  /** The client said LOGOUT or QUIT; the backend said BYE. */
  #leaving: 'logout' | 'backend closed' | null = null;
  #end: RelayEnd | null = null;

  constructor(client: RelaySide, backend: RelaySide, protocol: 'imap' | 'pop3' | 'smtp') {
    this.#client = client.socket;
    this.#backend = backend.socket;
    this.#toClient = new Outlet(client.socket, backend.socket);
    this.#toBackend = new Outlet(backend.socket, client.socket);
    this.#sides = [client, backend];
    this.#imap = protocol === 'imap';
  }

  /** The backend has the last word, a whole response, and the stream can still be read by us: words may be put in. */
  get farewellFits(): boolean {
    return this.#lastWasDown && this.#atLineStart && !this.#unfinished && !this.#compressed;
  }

  /** Resolves when either side is closed, or both halves have ended; rejects with what finish() was given. */
  async run(): Promise<RelayEnd> {
    const client = this.#client;
    const backend = this.#backend;
    client.on('data', this.#onUp).on('end', this.#onClientEnd).on('close', this.#onClientClose);
    backend.on('data', this.#onDown).on('end', this.#onBackendEnd).on('close', this.#onBackendClose);
    client.on('drain', this.#onClientDrain);
    backend.on('drain', this.#onBackendDrain);
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
    return this.#end ?? 'client closed';
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

  /** Ends the relay from outside, as it has ended already for the backend. */
  leave(): void {
    this.#settle();
  }

  /** Ends the relay from outside; words are put in only where they fit. */
  finish(failure: GateError): void {
    this.#failure ??= failure;
    this.#settle();
  }

  readonly #onUp = (chunk: Buffer): void => {
    this.up += chunk.length;
    if (this.#lastWasDown) this.#expectsMany = false;
    this.#lastWasDown = false;
    if (chunk.length >= (this.#imap ? SHORT_BYTES : POP3_LOOK_BYTES)) {
      this.#expectsMany = true;
      this.#lookForGoodbye(chunk.toString('latin1', chunk.length - GOODBYE_BYTES));
    } else if (!this.#compressed) this.#look(chunk);
    if (!this.#toBackend.write(chunk)) this.#client.pause();
  };

  readonly #onDown = (chunk: Buffer): void => {
    this.down += chunk.length;
    this.#lastWasDown = true;
    this.#unfinished = this.#imap ? this.#imapUnfinished(chunk) : this.#pop3Unfinished(chunk);
    if (chunk[0] === STAR && this.#atLineStart && chunk.length < BYE_BYTES_MAX) this.#lookForBye(chunk);
    this.#atLineStart = chunk[chunk.length - 1] === LF;
    if (!this.#toClient.write(chunk)) this.#backend.pause();
  };

  /** A literal may be over where the last line completes a command. */
  #imapUnfinished(chunk: Buffer): boolean {
    // `+ go ahead` asks for what the client owes; only IDLE rests there (RFC 2177).
    if (chunk[0] === PLUS && this.#atLineStart) return !this.inIdle;
    if (!this.#unfinished && !chunk.includes(LITERAL_FOLLOWS) && !endsInBrace(chunk)) return false;
    const start = this.#lastLine(chunk);
    if (start < 0) return true;
    const space = chunk.indexOf(SPACE, start);
    if (space <= start || space - start > TAG_BYTES_MAX || chunk[start] === STAR) return true;
    return !STATUS.test(chunk.toString('latin1', space + 1, space + 5));
  }

  /** Many lines end with a dot (RFC 1939 3); where they were asked for, -ERR is one line all the same. */
  #pop3Unfinished(chunk: Buffer): boolean {
    const start = this.#lastLine(chunk);
    if (start >= 0 && chunk[start] === DOT && chunk.length - start === 3) return false;
    return this.#unfinished || (this.#atLineStart && this.#expectsMany && chunk[0] !== MINUS);
  }

  /** Where the chunk's last line begins; -1 where the chunk does not hold a whole one at its end. */
  #lastLine(chunk: Buffer): number {
    if (chunk[chunk.length - 1] !== LF) return -1;
    const start = chunk.lastIndexOf(LF, -2) + 1;
    return start === 0 && !this.#atLineStart ? -1 : start;
  }

  #look(chunk: Buffer): void {
    const text = chunk.toString('latin1');
    this.#lookForGoodbye(text);
    if (!this.#imap) {
      this.#expectsMany ||= /^(?:(?:RETR|TOP|CAPA)\b|(?:LIST|UIDL) *\r$)/im.test(text);
      return;
    }
    if (/^DONE\r\n/i.test(text)) this.inIdle = false;
    if (/ IDLE\r\n$/i.test(text)) this.inIdle = true;
    else if (/ COMPRESS /i.test(text)) this.#compressed = true;
  }

  /** RFC 9051 7.1.5: untagged, and the connection ends. */
  #lookForBye(chunk: Buffer): void {
    if (this.#imap && chunk.toString('latin1', 0, 6).toUpperCase() === '* BYE ')
      this.#leaving ??= 'backend closed';
  }

  /** A command may come in pieces, so the end of what came before is kept. */
  #lookForGoodbye(text: string): void {
    this.#tail = `${this.#tail}${text}`.slice(-GOODBYE_BYTES);
    if ((this.#imap ? / LOGOUT\r\n\s*$/i : /(^|\n)QUIT\r\n\s*$/i).test(this.#tail)) this.#leaving = 'logout';
    // It was the text of a message, or somebody who stays after all.
    else if (this.#leaving === 'logout') this.#leaving = null;
  }

  /** Nobody can see a goodbye in a compressed stream (RFC 4978). */
  #howTheBackendWent(): RelayEnd {
    return this.#leaving ?? (this.#compressed ? 'backend closed' : 'backend lost');
  }

  readonly #onClientDrain = (): void => {
    this.#backend.resume();
  };

  readonly #onBackendDrain = (): void => {
    this.#client.resume();
  };

  readonly #onClientEnd = (): void => {
    // A backend that has ended needs no end from us; the socket will just be closed.
    if (this.#end === null) this.#backend.end();
    this.#end ??= 'client closed';
    this.#halfEnded();
  };

  readonly #onBackendEnd = (): void => {
    this.#end ??= this.#howTheBackendWent();
    this.backendEnded = true;
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
    this.#end ??= this.#howTheBackendWent();
    this.#settle();
  };

  /** From here on chunks go nowhere; the sockets are the caller's again. */
  #settle(): void {
    const client = this.#client;
    const backend = this.#backend;
    client.off('data', this.#onUp).off('end', this.#onClientEnd).off('close', this.#onClientClose);
    backend.off('data', this.#onDown).off('end', this.#onBackendEnd).off('close', this.#onBackendClose);
    client.off('drain', this.#onClientDrain);
    backend.off('drain', this.#onBackendDrain);
    this.#resolve?.();
  }
}

/** Smaller chunks are not worth the trouble. */
const GIVE_BACK_BYTES = 8192;

/**
 * Writes what was read from one socket to the other, and gives the memory of a large chunk back as soon as it is written.
 * Left to the collector, 64 MiB of such chunks make V8 mark its whole heap, which is a large one where thousands of
 * connections idle: it made a transfer cost twice as much there.
 */
class Outlet {
  readonly #to: net.Socket;
  /** The runtime allocates one buffer for each read of a plain socket; a buffer of TLS holds several chunks. */
  readonly #owned: boolean;
  readonly #underway: Buffer[] = [];

  constructor(to: net.Socket, from: net.Socket) {
    this.#to = to;
    this.#owned = from instanceof net.Socket && to instanceof net.Socket;
  }

  write(chunk: Buffer): boolean {
    const whole = chunk.byteLength === chunk.buffer.byteLength;
    if (!this.#owned || !whole || chunk.length < GIVE_BACK_BYTES) return this.#to.write(chunk);
    this.#underway.push(chunk);
    return this.#to.write(chunk, this.#written);
  }

  /** Once a chunk, in the order of writing. After a failure the runtime may still hold them. */
  readonly #written = (error?: Error | null): void => {
    const buffer = this.#underway.shift()?.buffer;
    if (!error && buffer instanceof ArrayBuffer) buffer.transfer(0);
  };
}

/** A literal's announcement may be cut in front of its line end. */
function endsInBrace(chunk: Buffer): boolean {
  const last = chunk[chunk.length - 1];
  return last === BRACE || (last === CR && chunk[chunk.length - 2] === BRACE);
}
