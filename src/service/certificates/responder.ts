// One question to an OCSP responder over http, and its raw answer. Nothing that comes is looked into here.
// Promises an end within REQUEST_LIMIT_MS, at most MAX_RESPONSE_BYTES of body and 8 KiB of header, one connection that
// is closed at the end, and a sentence where there is no answer; it never rejects. Redirects are not followed: who signs
// certificates names a responder that answers.

import http from 'node:http';
import net from 'node:net';
import { MAX_RESPONSE_BYTES } from '../../certdb/ocsp.ts';
import { explain } from '../../log.ts';
import type { World } from '../../world.ts';

export type ResponderAnswer =
  { readonly kind: 'bytes'; readonly bytes: Buffer } | { readonly kind: 'none'; readonly detail: string };

export interface ResponderRequest {
  readonly url: string;
  readonly request: Buffer;
  /** RFC 5019 5: GET can be cached on the way. Some responders of companies know POST only. */
  readonly prefer: 'GET' | 'POST';
  /** Ends it early. */
  readonly signal: AbortSignal;
}

const REQUEST_LIMIT_MS = 10_000;
const HEADER_BYTES_MAX = 8192;
/** RFC 5019 5: the longest URL of a GET. */
const GET_CHARS_MAX = 255;

export function askResponder(asked: ResponderRequest, world: World): Promise<ResponderAnswer> {
  const { promise, resolve } = Promise.withResolvers<ResponderAnswer>();
  const request = http.request({ ...requestOptions(asked, world), signal: asked.signal });
  const finish = (answer: ResponderAnswer): void => {
    timer.cancel();
    resolve(answer);
    request.destroy();
  };
  const none = (detail: string): void => finish({ kind: 'none', detail });
  const timer = world.after(REQUEST_LIMIT_MS, () =>
    none(`no answer within ${REQUEST_LIMIT_MS / 1000} seconds`),
  );
  request.on('error', (error) => none(explain(error)));
  request.on('close', () => none('the connection closed'));
  request.on('response', (response) => {
    if (response.statusCode !== 200) return none(`HTTP status ${response.statusCode}`);
    const chunks: Buffer[] = [];
    let size = 0;
    response.on('error', (error) => none(explain(error)));
    response.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > MAX_RESPONSE_BYTES) none(`more than ${MAX_RESPONSE_BYTES} bytes`);
      else chunks.push(chunk);
    });
    response.on('end', () => finish({ kind: 'bytes', bytes: Buffer.concat(chunks) }));
  });
  request.end(request.method === 'POST' ? asked.request : undefined);
  return promise;
}

function requestOptions({ url, request, prefer }: ResponderRequest, world: World): http.RequestOptions {
  const { hostname, port, pathname, search } = new URL(url);
  const host = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
  const target = { kind: 'tcp', host, port: port === '' ? 80 : Number(port) } as const;
  const encoded = encodeURIComponent(request.toString('base64'));
  const path = `${pathname}${pathname.endsWith('/') ? '' : '/'}${encoded}`;
  const fits = search === '' && `http://${hostname}:${target.port}${path}`.length <= GET_CHARS_MAX;
  return {
    host: net.isIPv6(host) ? hostname : host,
    port: target.port,
    maxHeaderSize: HEADER_BYTES_MAX,
    createConnection: () => world.dial(target),
    ...(prefer === 'GET' && fits
      ? { method: 'GET', path, headers: { accept: 'application/ocsp-response' } }
      : {
          method: 'POST',
          path: `${pathname}${search}`,
          headers: {
            accept: 'application/ocsp-response',
            'content-type': 'application/ocsp-request',
            'content-length': request.length,
          },
        }),
  };
}
