// An in-memory cable: two ends that look like connected TCP sockets, without ports. What is written arrives in a later
// turn, in order, cut and joined where the seed says, and no faster than the reader takes it: at most `bufferBytes` are
// on their way. `destroy()` is seen by the other end as an end of stream, `reset()` as ECONNRESET; a write to an end
// that is gone fails with EPIPE. TLS works over it on both sides.

import type net from 'node:net';
import { Duplex } from 'node:stream';

export interface CableOptions {
  readonly seed?: number;
  /** 'whole': what one write carries arrives in one piece. Default: 'seeded'. */
  readonly split?: 'seeded' | 'whole' | 'bytes';
  /** Like the buffers of a kernel; default 16 KiB. */
  readonly bufferBytes?: number;
}

/** The seed of this run; `SEED=7 npm test` tries another one. */
export const SEED = Number(process.env['SEED'] ?? 1);

const READ_BYTES_MAX = 65_536;

let made = 0;

/** Near and far end; without a seed, each cable of a run gets the next one. */
export function cable(options: CableOptions = {}): [near: CableEnd, far: CableEnd] {
  made += 1;
  const random = randomNumbers(options.seed ?? SEED * 1000 + made);
  const near = new CableEnd(random, options);
  const far = new CableEnd(random, options);
  near.plugInto(far);
  far.plugInto(near);
  return [near, far];
}

export class CableEnd extends Duplex {
  remoteAddress: string | undefined = '127.0.0.1';
  remotePort: number | undefined = 40_000;
  localAddress: string | undefined = '127.0.0.1';
  localPort: number | undefined = 0;
  readonly connecting = false;
  bytesRead = 0;
  bytesWritten = 0;

  readonly #random: () => number;
  readonly #split: 'seeded' | 'whole' | 'bytes';
  readonly #bufferBytes: number;
  readonly #arriving: (Buffer | null)[] = [];
  #arrivingBytes = 0;
  #wants = false;
  #scheduled = false;
  #blockedWriter: (() => void) | null = null;
  #peer: CableEnd | null = null;

  constructor(random: () => number, options: CableOptions) {
    super({ allowHalfOpen: true });
    this.#random = random;
    this.#split = options.split ?? 'seeded';
    this.#bufferBytes = options.bufferBytes ?? 16_384;
  }

  /** For code that takes a real socket. */
  asSocket(): net.Socket {
    return this as unknown as net.Socket;
  }

  plugInto(peer: CableEnd): void {
    this.#peer = peer;
  }

  /** What is on its way to this end and was not taken yet. */
  get undelivered(): number {
    return this.#arrivingBytes + this.readableLength;
  }

  /** As if the cable were cut: both ends fail. */
  reset(): void {
    const peer = this.#peer;
    setImmediate(() => peer?.destroy(failure('read ECONNRESET', 'ECONNRESET')));
    this.destroy();
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  setTimeout(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  override _read(): void {
    this.#wants = true;
    this.#schedule();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.bytesWritten += chunk.length;
    this.#carry(chunk, done);
  }

  override _writev(
    chunks: { chunk: Buffer; encoding: BufferEncoding }[],
    done: (error?: Error | null) => void,
  ): void {
    const joined = Buffer.concat(chunks.map(({ chunk }) => chunk));
    this.bytesWritten += joined.length;
    this.#carry(joined, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#tellEnd();
    setImmediate(done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#arriving.length = 0;
    this.#arrivingBytes = 0;
    const blocked = this.#blockedWriter;
    this.#blockedWriter = null;
    blocked?.();
    this.#tellEnd();
    done(error);
  }

  #tellEnd(): void {
    const peer = this.#peer;
    if (peer !== null) peer.#arrive(null);
  }

  #carry(chunk: Buffer, done: (error?: Error | null) => void): void {
    const peer = this.#peer;
    if (peer === null || peer.destroyed) {
      setImmediate(() => done(failure('write EPIPE', 'EPIPE')));
      return;
    }
    // A copy, as a kernel makes one: the writer may reuse its buffer.
    for (const part of this.#cut(Buffer.from(chunk))) peer.#arrive(part);
    if (peer.#arrivingBytes <= peer.#bufferBytes) setImmediate(done);
    else peer.#blockedWriter = () => setImmediate(done);
  }

  #cut(chunk: Buffer): readonly Buffer[] {
    // A socket is never read in larger pieces.
    if (chunk.length > READ_BYTES_MAX) {
      return [...this.#cut(chunk.subarray(0, READ_BYTES_MAX)), ...this.#cut(chunk.subarray(READ_BYTES_MAX))];
    }
    if (this.#split === 'whole' || chunk.length < 2) return [chunk];
    if (this.#split === 'bytes') return [...chunk].map((byte) => Buffer.of(byte));
    if (this.#random() < 0.5) return [chunk];
    const places = Array.from({ length: 1 + Math.floor(this.#random() * 3) }, () =>
      Math.floor(this.#random() * chunk.length),
    ).toSorted((a, b) => a - b);
    return [0, ...places].map((from, index) => chunk.subarray(from, places[index] ?? chunk.length));
  }

  #arrive(part: Buffer | null): void {
    if (this.destroyed || this.#arriving.at(-1) === null || part?.length === 0) return;
    this.#arriving.push(part);
    this.#arrivingBytes += part?.length ?? 0;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#arriving.length === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    if (this.destroyed || !this.#wants) return;
    const part = this.#arriving.shift();
    if (part === undefined) return;
    if (part !== null) {
      this.bytesRead += part.length;
      this.#arrivingBytes -= part.length;
    }
    this.#wants = this.push(part);
    const blocked = this.#blockedWriter;
    if (blocked !== null && this.#arrivingBytes <= this.#bufferBytes) {
      this.#blockedWriter = null;
      blocked();
    }
    if (this.#wants) this.#schedule();
  }
}

function failure(message: string, code: string): Error {
  return Object.assign(new Error(message), { code });
}

/** Mulberry32 (public domain): the same numbers in [0, 1) for the same seed. */
export function randomNumbers(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
