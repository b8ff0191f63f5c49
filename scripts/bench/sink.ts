// The backend of the bench: a fast IMAP store that keeps nothing, in a process of its own whose CPU is not counted.
// It takes every login (atoms, quoted strings, literals, AUTHENTICATE PLAIN), streams as many bytes as a FETCH asks
// for out of one buffer, and swallows what APPEND brings. It also runs the auth_http server that nginx mail needs.
// Started by main.ts with an IPC channel: it sends { port, authPort } once it listens, and ends with the channel.
// It announces no ID, so that no proxy does more work than another.

import net from 'node:net';
import { startAuthHttp } from './auth-http.ts';

const CAPABILITIES = 'IMAP4rev1 LITERAL+ SASL-IR AUTH=PLAIN';
const MAX_COMMAND_BYTES = 64 * 1024;
const CHUNK = Buffer.alloc(
  64 * 1024,
  'Sallyport carries this line of text from the store to the reader.\r\n',
);

const COMMAND = /^(\S+) (?:UID )?([A-Za-z]+) ?([^]*)$/;
const LITERAL = /\{(\d+)(\+?)\}$/;
const PARTIAL = /<0\.(\d+)>/;

class StoreConnection {
  readonly #socket: net.Socket;
  #line = '';
  #command = '';
  #literalLeft = 0;
  #keepsLiteral = false;
  #authenticateTag: string | null = null;

  constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', () => socket.destroy());
    this.#say(`* OK [CAPABILITY ${CAPABILITIES}] Bench store ready`);
  }

  #say(...lines: readonly string[]): void {
    this.#socket.write(`${lines.join('\r\n')}\r\n`, 'latin1');
  }

  #receive(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#literalLeft > 0) {
        const end = Math.min(chunk.length, at + this.#literalLeft);
        if (this.#keepsLiteral) this.#command += chunk.toString('latin1', at, end);
        this.#literalLeft -= end - at;
        at = end;
        continue;
      }
      const newline = chunk.indexOf(10, at);
      const end = newline < 0 ? chunk.length : newline;
      this.#line += chunk.toString('latin1', at, end);
      at = end + 1;
      if (this.#line.length + this.#command.length > MAX_COMMAND_BYTES) {
        this.#socket.destroy();
        return;
      }
      if (newline >= 0) this.#endLine();
    }
  }

  #endLine(): void {
    const line = this.#line.endsWith('\r') ? this.#line.slice(0, -1) : this.#line;
    this.#line = '';
    if (this.#authenticateTag !== null) {
      this.#say(`${this.#authenticateTag} OK [CAPABILITY ${CAPABILITIES}] Logged in`);
      this.#authenticateTag = null;
      return;
    }
    this.#command += line;
    const literal = LITERAL.exec(line);
    if (literal === null) {
      const command = this.#command;
      this.#command = '';
      this.#execute(command);
      return;
    }
    this.#literalLeft = Number(literal[1]);
    this.#keepsLiteral = this.#literalLeft <= MAX_COMMAND_BYTES && !/^\S+ APPEND /i.test(this.#command);
    if (literal[2] === '') this.#say('+ go on');
  }

  #execute(command: string): void {
    const parts = COMMAND.exec(command);
    const tag = parts?.[1] ?? '*';
    const argument = parts?.[3] ?? '';
    switch (parts?.[2]?.toUpperCase()) {
      case 'CAPABILITY':
        return this.#say(`* CAPABILITY ${CAPABILITIES}`, `${tag} OK done`);
      case 'ID':
        return this.#say('* ID ("name" "bench")', `${tag} OK done`);
      case 'LOGIN':
        return this.#say(`${tag} OK [CAPABILITY ${CAPABILITIES}] Logged in`);
      case 'AUTHENTICATE':
        if (/^PLAIN \S/i.test(argument)) return this.#say(`${tag} OK [CAPABILITY ${CAPABILITIES}] Logged in`);
        this.#authenticateTag = tag;
        return this.#say('+ ');
      case 'NOOP':
      case 'APPEND':
        return this.#say(`${tag} OK done`);
      case 'FETCH':
        return this.#stream(tag, Number(PARTIAL.exec(argument)?.[1] ?? 0));
      case 'LOGOUT':
        this.#say('* BYE see you', `${tag} OK done`);
        this.#socket.end();
        return;
      default:
        return this.#say(`${tag} BAD unknown command`);
    }
  }

  #stream(tag: string, bytes: number): void {
    const socket = this.#socket;
    let left = bytes;
    const pump = (): void => {
      while (left > 0) {
        const part = left >= CHUNK.length ? CHUNK : CHUNK.subarray(0, left);
        left -= part.length;
        if (!socket.write(part)) break;
      }
      if (left > 0) socket.once('drain', pump);
      else this.#say(')', `${tag} OK done`);
    };
    this.#say(`* 1 FETCH (BODY[]<0> {${bytes}}`);
    pump();
  }
}

const server = net.createServer((socket) => new StoreConnection(socket));
server.listen({ host: '127.0.0.1', port: 0, backlog: 1024 }, () => {
  const { port } = server.address() as net.AddressInfo;
  void startAuthHttp(port).then((authPort) => process.send?.({ port, authPort }));
});
process.on('disconnect', () => process.exit(0));
