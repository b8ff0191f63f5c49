// A real IMAP store on loopback that knows one user and does nothing but judge logins, for what dials by itself
// (imapflow). It counts, and can be told to misbehave.

import net from 'node:net';
import type { TestContext } from 'node:test';
import tls from 'node:tls';

export interface PasswordStoreOptions {
  readonly user?: string;
  readonly password?: string;
  readonly tls?: tls.SecureContext;
  /** TLS from the first byte. */
  readonly implicit?: boolean;
  /** What is said instead of the greeting; null: nothing. */
  readonly greeting?: string | null;
  /** What a login is answered with, whoever it is: `NO …`, `BAD …`; null: the connection is closed. */
  readonly verdict?: string | null;
  /** A login is answered when this is over. */
  readonly held?: Promise<void>;
}

export interface PasswordStore {
  readonly port: number;
  /** `user password` of each login. */
  readonly logins: string[];
  /** Connections that are open. */
  readonly open: () => number;
  /** The most that were open at once. */
  readonly most: () => number;
}

export async function startPasswordStore(
  t: TestContext,
  options: PasswordStoreOptions = {},
): Promise<PasswordStore> {
  const logins: string[] = [];
  const sockets = new Set<net.Socket>();
  let most = 0;
  const server = net.createServer((raw) => {
    sockets.add(raw);
    most = Math.max(most, sockets.size);
    raw.on('error', () => raw.destroy());
    raw.on('close', () => sockets.delete(raw));
    const secured = options.implicit === true ? wrap(raw, options) : null;
    serve(secured ?? raw, { ...options, logins, secured: secured !== null });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as net.AddressInfo;
  return { port, logins, open: () => sockets.size, most: () => most };
}

type Session = PasswordStoreOptions & { readonly logins: string[]; readonly secured: boolean };

function wrap(raw: net.Socket, { tls: secureContext }: PasswordStoreOptions): tls.TLSSocket {
  const socket = new tls.TLSSocket(raw, {
    isServer: true,
    ...(secureContext === undefined ? {} : { secureContext }),
  });
  socket.on('error', () => socket.destroy());
  return socket;
}

function serve(socket: net.Socket, session: Session): void {
  const { greeting = '* OK ready', secured } = session;
  // After STARTTLS nobody greets again.
  if (greeting !== null && (!secured || session.implicit === true)) socket.write(`${greeting}\r\n`);
  let buffer = '';
  let waiting: ((line: string) => void) | null = null;
  socket.on('data', (chunk: Buffer) => {
    buffer += chunk.toString('latin1');
    for (let end = buffer.indexOf('\r\n'); end >= 0; end = buffer.indexOf('\r\n')) {
      const line = buffer.slice(0, end);
      buffer = buffer.slice(end + 2);
      const hear = waiting;
      waiting = null;
      if (hear !== null) hear(line);
      else waiting = answer(socket, line, session);
    }
  });
}

/** Answers a command; gives what takes the next line where that is not a command. */
function answer(socket: net.Socket, line: string, session: Session): ((line: string) => void) | null {
  const [tag = '', name = ''] = line.split(' ');
  switch (name.toUpperCase()) {
    case 'CAPABILITY': {
      const offers = session.tls !== undefined && !session.secured ? ' STARTTLS' : '';
      socket.write(`* CAPABILITY IMAP4rev1 AUTH=PLAIN${offers}\r\n${tag} OK done\r\n`);
      return null;
    }
    case 'STARTTLS':
      socket.removeAllListeners('data');
      socket.write(`${tag} OK go\r\n`, () => serve(wrap(socket, session), { ...session, secured: true }));
      return null;
    case 'AUTHENTICATE':
      socket.write('+ \r\n');
      return (message) => {
        if (session.held === undefined) judge(socket, { tag, message }, session);
        else void session.held.then(() => judge(socket, { tag, message }, session));
      };
    case 'LOGOUT':
      socket.end(`* BYE\r\n${tag} OK bye\r\n`);
      return null;
    default:
      socket.write(`${tag} OK ${name}\r\n`);
      return null;
  }
}

function judge(
  socket: net.Socket,
  { tag, message }: { readonly tag: string; readonly message: string },
  session: Session,
): void {
  const { user = 'anna', password = 'secret', verdict } = session;
  const [, given = '', secret = ''] = Buffer.from(message, 'base64').toString('utf8').split('\0');
  session.logins.push(`${given} ${secret}`);
  if (verdict === null) socket.destroy();
  else if (verdict !== undefined) socket.write(`${tag} ${verdict}\r\n`);
  else if (given === user && secret === password) socket.write(`${tag} OK in\r\n`);
  else socket.write(`${tag} NO [AUTHENTICATIONFAILED] Wrong\r\n`);
}
