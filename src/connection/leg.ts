// One half of a proxied connection: a socket, what was read off it and is not used yet, and the one place where it is
// wrapped in TLS. Owns the socket until release(). Promises: at most `bufferBytesMax` wait unread (then the socket is
// paused); a failed socket is destroyed and the reader told once; nothing that was read in clear text survives
// startTls(). Waits are limited from outside, by fail().

import type net from 'node:net';
import { GateError, type ErrorCode } from '../errors.ts';
import type { Talk } from '../protocol/dialect.ts';
import type { ClientCertificate } from '../tls/client-certificate.ts';
import type { TlsFacts } from '../tls/facts.ts';
import { takeLine } from '../wire/lines.ts';
import type { World } from '../world.ts';
import type { Upgrader } from './upgrader.ts';

/** Which end of the proxy the leg leads to: it decides which failures its socket stands for. */
export interface LegRole {
  readonly closed: ErrorCode;
  readonly reset: ErrorCode;
  readonly injection: ErrorCode;
  /** A client that sends TLS where clear text is due gets a hint in the log. */
  readonly tlsHint: boolean;
}

export const CLIENT_ROLE: LegRole = {
  closed: 'CLIENT_CLOSED',
  reset: 'CLIENT_RESET',
  injection: 'STARTTLS_INJECTION',
  tlsHint: true,
};

export const BACKEND_ROLE: LegRole = {
  closed: 'BACKEND_CLOSED',
  reset: 'BACKEND_CLOSED',
  injection: 'BACKEND_INJECTION',
  tlsHint: false,
};

const EMPTY = Buffer.alloc(0);
/** Lines that one connection may have answered in one turn of the event loop. */
const STREAK_MAX = 32;
/** TLS record type 22, handshake (RFC 8446 5.1). */
const TLS_HANDSHAKE = 0x16;

export interface LegOptions {
  readonly role: LegRole;
  readonly upgrader: Upgrader | null;
  /** A line may be this long, and this much may wait unread. */
  readonly lineBytesMax: number;
}

export class Leg implements Talk {
  readonly #options: LegOptions;
  #socket: net.Socket;
  #facts: TlsFacts | null = null;
  #buffer: Buffer = EMPTY;
  #failure: GateError | null = null;
  #dismissal: GateError | null = null;
  #ended = false;
  #wake: (() => void) | null = null;
  #atCommand = false;
  #paused = false;
  /** Lines taken since the socket was last waited for. */
  #streak = 0;
  #bytesIn = 0;
  #bytesOut = 0;
  #attached = false;
  #handshaking = false;
  /** What waits unread came behind an opening, and nothing was said since. */
  #opened = false;
  /** Somebody whom we trust has ended TLS for us; not enough where a certificate has to be shown here. */
  securedOutside = false;
  /** What the client showed of itself in the handshake, believed or not. */
  clientCertificate: ClientCertificate | null = null;

  /** The socket is not read until opening(), attach() or startTls(''). */
  constructor(socket: net.Socket, options: LegOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.on('error', destroyThis);
  }

  get socket(): net.Socket {
    return this.#socket;
  }

  get facts(): TlsFacts | null {
    return this.#facts;
  }

  get secured(): boolean {
    const isOutside = this.securedOutside && this.#options.upgrader?.requiresCertificate !== true;
    return isOutside || this.#facts !== null;
  }

  /** What ended every wait from outside. */
  get failure(): GateError | null {
    return this.#failure;
  }

  get ended(): boolean {
    return this.#ended || this.#failure !== null || this.#socket.destroyed;
  }

  /** Waiting for a new command with nothing under way. */
  get atCommand(): boolean {
    return this.#atCommand && this.#wake !== null && this.#buffer.length === 0;
  }

  get pendingBytes(): number {
    return this.#buffer.length;
  }

  get lineReady(): boolean {
    return this.#buffer.includes(0x0a);
  }

  /** Application bytes taken and sent so far, before release(). */
  get bytesIn(): number {
    return this.#bytesIn;
  }

  get bytesOut(): number {
    return this.#bytesOut;
  }

  attach(): void {
    this.#opened = false;
    if (this.#attached) return;
    this.#attached = true;
    const socket = this.#socket;
    socket.on('data', this.#onData).on('end', this.#onEnd).on('close', this.#onClose);
  }

  /**
   * Before everything else: shows `judge` what has come until it says how many bytes it takes, or throws. The others
   * wait for whichever is called next: attach(), and the protocol reads them, or startTls(), and the handshake does.
   */
  async opening(judge: (came: Buffer) => number | null): Promise<void> {
    this.attach();
    let taken: number | null;
    while ((taken = judge(this.#buffer)) === null) await this.#more();
    this.#drop(taken);
    this.#bytesIn -= taken;
    this.#opened = true;
  }

  /** Lets opening() ask once more. */
  lookAgain(): void {
    this.#wake?.();
  }

  async line(): Promise<Buffer> {
    if (++this.#streak > STREAK_MAX || this.#socket.writableNeedDrain) await this.#giveWay();
    for (;;) {
      const taken = takeLine(this.#buffer, 0, this.#options.lineBytesMax);
      if (taken.kind === 'line') {
        this.#drop(taken.next);
        return taken.line;
      }
      if (taken.kind === 'malformed') throw this.#malformed(taken.reason);
      await this.#more();
    }
  }

  async command(): Promise<Buffer> {
    if (this.#dismissal !== null && this.#buffer.length === 0) throw this.#dismissal;
    this.#atCommand = true;
    try {
      return await this.line();
    } finally {
      this.#atCommand = false;
    }
  }

  async bytes(count: number): Promise<Buffer> {
    while (this.#buffer.length < count) await this.#more();
    const taken = this.#buffer.subarray(0, count);
    this.#drop(count);
    return taken;
  }

  async chunk(countMax = Number.POSITIVE_INFINITY): Promise<Buffer> {
    while (this.#buffer.length === 0) await this.#more();
    const taken = this.#buffer.length <= countMax ? this.#buffer : this.#buffer.subarray(0, countMax);
    this.#drop(taken.length);
    return taken;
  }

  putBack(bytes: Buffer): void {
    this.#buffer = this.#buffer.length === 0 ? bytes : Buffer.concat([bytes, this.#buffer]);
    this.#pauseIfFull();
  }

  send(data: string | Buffer): void {
    if (this.#socket.writable) this.#socket.write(data);
    this.#bytesOut += data.length;
  }

  get congested(): boolean {
    return this.#socket.writableNeedDrain;
  }

  async flushed(): Promise<void> {
    while (this.#socket.writableNeedDrain) {
      if (this.#failure !== null) throw this.#failure;
      if (this.#socket.destroyed) throw new GateError(this.#options.role.reset);
      await new Promise<void>((resolve) => {
        const done = (): void => {
          this.#socket.off('drain', done);
          this.#wake = null;
          resolve();
        };
        this.#socket.on('drain', done);
        this.#wake = done;
      });
    }
  }

  async startTls(go: string): Promise<void> {
    const { upgrader, role } = this.#options;
    if (upgrader === null) throw new GateError('INTERNAL', { what: 'STARTTLS without a certificate' });
    const raw = this.#socket;
    if (this.#opened) this.#giveBack(raw);
    // RFC 3207 6 and CVE-2011-0411: what was pipelined in clear text is not a command of the secured session.
    if (this.#buffer.length > 0) throw new GateError(role.injection, { bytes: this.#buffer.length });
    upgrader.mayBegin?.();
    if (go !== '') this.send(go);
    this.#detach(raw);
    this.#handshaking = true;
    try {
      const { socket, facts, clientCertificate = null, refusal } = await upgrader.upgrade(raw);
      if (this.#failure !== null) {
        socket.destroy();
        throw this.#failure;
      }
      this.#socket = socket;
      this.#facts = facts;
      this.clientCertificate = clientCertificate;
      // That was the socket below, which is no longer read here.
      this.#paused = false;
      socket.on('error', destroyThis);
      this.attach();
      if (refusal !== undefined) throw refusal;
    } catch (error) {
      this.#ended = true;
      throw this.#failure ?? error;
    } finally {
      this.#handshaking = false;
    }
  }

  /** Stops reading until unhold(). */
  hold(): void {
    this.#socket.pause();
  }

  unhold(): void {
    if (!this.#paused) this.#socket.resume();
  }

  /** Ends the current wait, and every later one, with `failure`; a handshake by its socket. */
  fail(failure: GateError): void {
    this.#failure ??= failure;
    if (this.#handshaking) this.#socket.destroy();
    this.#wake?.();
  }

  /** Ends the next wait for a new command, or the one that is going on, with `failure`. */
  dismiss(failure: GateError): void {
    this.#dismissal = failure;
    if (this.atCommand) this.fail(failure);
  }

  /** Hands the socket over, with what was read and not used; its errors stay answered with destroy(). */
  release(): { readonly socket: net.Socket; readonly rest: Buffer; readonly ended: boolean } {
    this.#detach(this.#socket);
    const rest = this.#buffer;
    this.#buffer = EMPTY;
    // Whoever takes it counts it.
    this.#bytesIn -= rest.length;
    return { socket: this.#socket, rest, ended: this.#ended };
  }

  /** Sends last words and ends our half; what still comes is thrown away. The caller destroys after its patience. */
  finish(words: string): void {
    const socket = this.#socket;
    socket.off('data', this.#onData);
    this.#buffer = EMPTY;
    const peerIsDone = socket.readableEnded && words === '' && socket.writableLength === 0;
    if (peerIsDone || socket.writableFinished) {
      socket.destroy();
      return;
    }
    if (socket.writable) {
      this.#bytesOut += words.length;
      socket.end(words);
    }
    // Otherwise what was written before the end is still on its way; the socket closes when it is through.
    socket.resume();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Destroys when `ms` milliseconds are over and the socket has not closed by itself. */
  destroySoon(world: World, ms: number): void {
    const socket = this.#socket;
    if (socket.destroyed) return;
    const timer = world.after(ms, () => socket.destroy());
    socket.once('close', () => timer.cancel());
  }

  #giveBack(raw: net.Socket): void {
    this.#opened = false;
    if (this.#buffer.length === 0) return;
    if (this.#ended) throw new GateError(this.#options.role.closed);
    // A socket that flows would read it again for nobody.
    raw.pause();
    raw.unshift(this.#buffer);
    this.#bytesIn -= this.#buffer.length;
    this.#buffer = EMPTY;
  }

  #detach(socket: net.Socket): void {
    this.#attached = false;
    socket.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onClose);
  }

  #drop(count: number): void {
    this.#buffer = count === this.#buffer.length ? EMPTY : this.#buffer.subarray(count);
  }

  #pauseIfFull(): void {
    if (this.#paused || this.#buffer.length < this.#options.lineBytesMax + 2) return;
    this.#paused = true;
    this.#socket.pause();
  }

  /** Who sends many lines at once, or does not read the answers, waits for the others and for himself. */
  async #giveWay(): Promise<void> {
    if (this.#socket.writableNeedDrain) await this.flushed();
    if (this.#streak <= STREAK_MAX) return;
    this.#streak = 0;
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }

  /** Waits for bytes; a client that does not read its answers is not read either. */
  async #more(): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    if (this.#ended) throw new GateError(this.#options.role.closed);
    if (this.#socket.destroyed) throw new GateError(this.#options.role.reset);
    // Bytes, an end or a failure may come meanwhile; who waits looks again.
    if (this.#socket.writableNeedDrain) return this.flushed();
    // A drain that came while others had their turn.
    if (this.#atCommand && this.#buffer.length === 0 && this.#dismissal !== null) throw this.#dismissal;
    this.#streak = 0;
    if (this.#paused) {
      this.#paused = false;
      this.#socket.resume();
    }
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = null;
    // A failure from outside comes before what has arrived: the time is over.
    if (this.#failure !== null) throw this.#failure;
  }

  #malformed(reason: string): GateError {
    if (this.#options.role.tlsHint && this.#buffer[0] === TLS_HANDSHAKE && this.#facts === null) {
      return new GateError('TLS_ON_PLAIN_PORT');
    }
    if (!this.#options.role.tlsHint) return new GateError('BACKEND_PROTOCOL', { what: reason });
    return new GateError(reason === 'too-long' ? 'LINE_TOO_LONG' : 'BAD_LINE_ENDING', { what: reason });
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#bytesIn += chunk.length;
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
    this.#pauseIfFull();
    this.#wake?.();
  };

  readonly #onEnd = (): void => {
    this.#ended = true;
    this.#wake?.();
  };

  readonly #onClose = (): void => {
    if (!this.#ended) this.#failure ??= new GateError(this.#options.role.reset);
    this.#wake?.();
  };
}

function destroyThis(this: net.Socket): void {
  this.destroy();
}
