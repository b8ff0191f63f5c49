// The auth_http server that nginx's mail proxy asks for every login. It says yes to everybody and names the sink.
// It runs in the sink's process, so its CPU is not counted: what a real one costs depends on who wrote it.

import net from 'node:net';

const MAX_REQUEST_BYTES = 16 * 1024;

/** Listens on a free port of 127.0.0.1 and resolves to it; every answer sends the user to `backendPort`. */
export async function startAuthHttp(backendPort: number): Promise<number> {
  const answer =
    'HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 127.0.0.1\r\n' + `Auth-Port: ${backendPort}\r\n\r\n`;
  const server = net.createServer((socket) => {
    let request = '';
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      request += chunk.toString('latin1');
      if (request.includes('\r\n\r\n')) socket.end(answer);
      else if (request.length > MAX_REQUEST_BYTES) socket.destroy();
    });
  });
  return new Promise((resolve) => {
    server.listen({ host: '127.0.0.1', port: 0, backlog: 1024 }, () => {
      resolve((server.address() as net.AddressInfo).port);
    });
  });
}
