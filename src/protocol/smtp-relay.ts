// Transactions between a client and its relay. Commands go on in their plainest form, so that the relay cannot read
// another length or end into them than we did; replies come back as they are and in order; PIPELINING is kept in both
// directions. DATA streams and is never collected. Promises: only CRLF.CRLF ends a
// message; a bare CR, bare LF or NUL ends the connection with the message undelivered (or is normalised, by setting);
// where the client goes away before the end, the relay never sees an end.

import { GateError } from '../errors.ts';
import { ChunkScanner, DataScanner } from '../wire/smtp-data.ts';
import { parseBdat } from '../wire/smtp.ts';
import type { SmtpBack, SmtpReply } from './smtp-back.ts';
import type { SmtpCommand, SmtpFront } from './smtp-front.ts';

/** How a stretch of relaying ended; 'again': the next command needs steps before the relay. */
export type RelayEnd = 'quit' | 'again' | 'refused by relay';

/** What the relay reports to its owner, who limits the waits. */
export interface RelayNotes {
  /** Whose turn it is; 'end of data' waits longer (RFC 5321 4.5.3.2.6). */
  waitFor(whom: 'client' | 'relay' | 'end of data'): void;
  /** The relay's answer to the end of a message. */
  messageAnswered(reply: SmtpReply): void;
  /** Whether one more may be sent now; null: it may, and counts. */
  spend(what: 'message' | 'recipient'): GateError | null | Promise<GateError | null>;
  /** The connection has come to a channel with another relay. */
  isElsewhere(): boolean;
}

export class SmtpRelay {
  readonly #front: SmtpFront;
  readonly #back: SmtpBack;
  readonly #notes: RelayNotes;
  readonly #pipelinedMax: number;
  #inFlight: string[] = [];
  #inTransaction = false;
  #refused = false;
  /** Since the first BDAT of a transaction: a CRLF may be split over two chunks. */
  #chunks: ChunkScanner | null = null;

  constructor(front: SmtpFront, back: SmtpBack, notes: RelayNotes) {
    this.#front = front;
    this.#back = back;
    this.#notes = notes;
    this.#pipelinedMax = back.has('PIPELINING') ? front.rules.limits.pipelined : 1;
  }

  async run(): Promise<RelayEnd> {
    for (;;) {
      this.#notes.waitFor('client');
      const idle = !this.#inTransaction && this.#inFlight.length === 0;
      const command = await this.#front.nextCommand(idle ? 'between' : 'in transaction');
      const end = await this.#take(command);
      if (this.#refused) return 'refused by relay';
      if (end !== null) return end;
    }
  }

  async #take(command: SmtpCommand): Promise<RelayEnd | null> {
    switch (command.verb) {
      case 'MAIL':
        return this.#mail(command);
      case 'RSET':
        // Nothing to forget: the relay, which may have hung up meanwhile, is not asked.
        if (this.#inTransaction || this.#inFlight.length > 0) return this.#forward(command);
        return this.#local(command);
      case 'RCPT':
        return (await this.#mayAddress()) ? this.#forward(command) : null;
      case 'DATA':
        return this.#data(command);
      case 'BDAT':
        return this.#chunk(command);
      default:
        await this.#settle();
        return this.#refused ? null : this.#local(command);
    }
  }

  async #local(command: SmtpCommand): Promise<RelayEnd | null> {
    switch (command.verb) {
      case 'QUIT':
        this.#front.quit();
        this.#back.quit();
        return 'quit';
      case 'XCLIENT':
      case 'XPEHLO':
        return this.#introduction(command);
      case 'AUTH':
      case 'STARTTLS':
        return this.#restart(command);
      case 'EHLO':
      case 'HELO':
        if (this.#inTransaction) await this.#resetRelay();
        await this.#front.answer(command);
        return null;
      default:
        await this.#front.answer(command);
        return !this.#inTransaction && this.#notes.isElsewhere() ? 'again' : null;
    }
  }

  async #restart(command: SmtpCommand): Promise<RelayEnd | null> {
    // RFC 4954 4, RFC 3207 4: not within a transaction; otherwise the legs start anew.
    if (this.#inTransaction) {
      this.#front.bad(503, '5.5.1', 'Not within a mail transaction');
      return null;
    }
    if (!this.#front.mayRestart(command)) {
      await this.#front.answer(command);
      return null;
    }
    this.#front.postpone(command);
    return 'again';
  }

  /** A front tier may name another client between transactions, but for XPEHLO it is too late. */
  async #introduction(command: SmtpCommand): Promise<RelayEnd | null> {
    if (command.verb === 'XCLIENT' && this.#front.knows(command.verb)) return this.#restart(command);
    if (this.#front.knows(command.verb)) this.#front.bad(503, '5.5.1', 'XPEHLO comes before MAIL');
    else await this.#front.answer(command);
    return null;
  }

  async #mail(command: SmtpCommand): Promise<RelayEnd | null> {
    await this.#settle();
    if (this.#refused) return null;
    if (this.#back.talk.ended) {
      // The relay has hung up between two transactions. A login that it alone knew cannot be repeated.
      if (this.#front.authenticated && !this.#front.isVouchedFor)
        throw new GateError('BACKEND_CLOSED', { phase: 'between transactions' });
      this.#front.postpone(command);
      return 'again';
    }
    if (!this.#front.mayMail(command) || !(await this.#maySend('message'))) return null;
    return this.#forward(command);
  }

  /** Without MAIL it is no recipient; the relay says so. */
  async #mayAddress(): Promise<boolean> {
    const isRecipient = this.#inTransaction || this.#inFlight.includes('MAIL');
    return !isRecipient || this.#maySend('recipient');
  }

  /** A sender whose rate is used up is told so in the place of the relay's answer. */
  async #maySend(what: 'message' | 'recipient'): Promise<boolean> {
    const answer = this.#notes.spend(what);
    const refusal = answer instanceof Promise ? await answer : answer;
    if (refusal === null) return true;
    await this.#settle();
    if (!this.#refused) this.#front.deny(refusal);
    return false;
  }

  async #forward(command: SmtpCommand): Promise<null> {
    if (Buffer.byteLength(command.argument) > ARGUMENT_BYTES_MAX) {
      await this.#settle();
      this.#front.bad(500, '5.5.2', 'Line too long');
      return null;
    }
    this.#pass(command);
    const more = this.#front.talk.lineReady && this.#inFlight.length < this.#pipelinedMax;
    if (!more) await this.#settle();
    return null;
  }

  #pass(command: SmtpCommand): void {
    this.#tellRelay(command.argument === '' ? command.verb : `${command.verb} ${command.argument}`);
    this.#inFlight.push(command.verb);
  }

  /** What comes unasked would be taken for the answer to the next command. */
  #tellRelay(line: string): void {
    if (this.#inFlight.length === 0 && this.#back.talk.pendingBytes > 0) {
      throw new GateError('BACKEND_PROTOCOL', { phase: 'unasked reply' });
    }
    this.#back.talk.send(`${line}\r\n`);
  }

  /** Brings all outstanding replies to the client. */
  async #settle(): Promise<void> {
    while (this.#inFlight.length > 0) {
      const verb = this.#inFlight.shift() ?? '';
      const reply = await this.#hear('relay');
      if (verb === 'MAIL' && reply.code < 300) this.#inTransaction = true;
      if (verb === 'RSET' && reply.code < 300) this.#endTransaction();
      this.#tell(reply);
      if (this.#refused) this.#inFlight = [];
    }
    this.#notes.waitFor('client');
  }

  async #hear(whom: 'relay' | 'end of data'): Promise<SmtpReply> {
    this.#notes.waitFor(whom);
    return this.#back.readReply();
  }

  /** RFC 5321 3.8: after 421 the relay is gone, and so are we. */
  #tell(reply: SmtpReply): void {
    this.#front.talk.send(Buffer.from(reply.raw, 'latin1'));
    if (reply.code === 421) this.#refused = true;
  }

  async #resetRelay(): Promise<void> {
    this.#tellRelay('RSET');
    const reply = await this.#hear('relay');
    if (reply.code >= 300) throw new GateError('BACKEND_REFUSED', { said: reply.raw.trim() });
    this.#endTransaction();
  }

  #endTransaction(): void {
    this.#inTransaction = false;
    this.#chunks = null;
  }

  async #data(command: SmtpCommand): Promise<null> {
    await this.#settle();
    if (this.#refused) return null;
    if (!this.#inTransaction) {
      await this.#front.answer(command);
      return null;
    }
    if (command.argument !== '') {
      this.#front.bad(501, '5.5.4', 'DATA takes no parameter');
      return null;
    }
    this.#tellRelay('DATA');
    const go = await this.#hear('relay');
    this.#tell(go);
    if (go.code !== 354) return null;
    await this.#streamData();
    this.#finish(await this.#hear('end of data'));
    return null;
  }

  async #streamData(): Promise<void> {
    const scanner = new DataScanner(this.#front.rules.lineEndings);
    const client = this.#front.talk;
    const relay = this.#back.talk;
    this.#notes.waitFor('client');
    for (;;) {
      const result = scanner.push(await client.chunk());
      if (result.kind === 'malformed')
        throw new GateError('BAD_LINE_ENDING', { what: result.reason, phase: 'DATA' });
      for (const bytes of result.out) relay.send(bytes);
      if (result.kind === 'end') {
        client.putBack(result.rest);
        return;
      }
      await this.#room('DATA');
    }
  }

  /** RFC 3030: the announced octets follow the command at once. */
  async #chunk(command: SmtpCommand): Promise<null> {
    const bdat = parseBdat(command.argument);
    const chunking = this.#front.helo?.esmtp === true && this.#back.has('CHUNKING');
    const offered = chunking && bdat.kind === 'bdat';
    if (offered) await this.#settle();
    if (this.#refused) return null;
    if (!offered || !this.#inTransaction) {
      await this.#settle();
      await this.#front.answer(command);
      return null;
    }
    const scanner = (this.#chunks ??= new ChunkScanner('refuse'));
    if (bdat.last && bdat.bytes === 0) this.#forwardChecked(scanner.end());
    this.#tellRelay(`BDAT ${bdat.bytes}${bdat.last ? ' LAST' : ''}`);
    await this.#streamChunk(bdat, scanner);
    const reply = await this.#hear(bdat.last ? 'end of data' : 'relay');
    if (bdat.last) this.#finish(reply);
    else this.#tell(reply);
    return null;
  }

  async #streamChunk(
    { bytes, last }: { readonly bytes: number; readonly last: boolean },
    scanner: ChunkScanner,
  ): Promise<void> {
    const client = this.#front.talk;
    this.#notes.waitFor('client');
    for (let left = bytes; left > 0;) {
      const part = await client.chunk(left);
      left -= part.length;
      const result = scanner.push(part);
      // With its last octet the relay has the message, so what is wrong with the end must be known before.
      if (last && left === 0) this.#forwardChecked(scanner.end());
      this.#forwardChecked(result);
      if (left > 0) await this.#room('BDAT');
    }
  }

  /** Waits until the relay takes more; a relay that has left takes nothing. */
  async #room(phase: string): Promise<void> {
    if (this.#back.talk.congested) {
      this.#notes.waitFor('relay');
      await this.#back.talk.flushed();
      this.#notes.waitFor('client');
    }
    if (this.#back.talk.ended) throw new GateError('BACKEND_CLOSED', { phase });
  }

  #forwardChecked(result: ReturnType<ChunkScanner['push']>): void {
    if (result.kind === 'malformed')
      throw new GateError('BAD_LINE_ENDING', { what: result.reason, phase: 'BDAT' });
    for (const bytes of result.out) this.#back.talk.send(bytes);
  }

  #finish(reply: SmtpReply): void {
    this.#endTransaction();
    if (reply.code < 300) this.#front.forgive();
    this.#notes.messageAnswered(reply);
    this.#tell(reply);
  }
}

/** Postfix takes lines of 2,048 octets; what is longer, other servers would cut, and run the rest as a command. */
const ARGUMENT_BYTES_MAX = 2000;
