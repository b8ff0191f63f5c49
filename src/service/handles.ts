// The supervisor's listening handles: which are wanted, which change at a reload, and how one is bound.
// Binding never throws: it gives back a handle, or a sentence that names the service, the address and the cause.
// The supervisor owns every handle and accepts nothing on it; workers get copies and call listen() themselves. So a
// port stays open while workers come and go. The kernel begins to queue connections when the first worker listens.
// A Unix socket is born with mode 0660 and, if workers change user, given to that user. Its file goes with the listener,
// unless another supervisor goes on with it, or it belongs to systemd. A file left behind by a crash is removed only if
// it is a socket on which nobody answers.
// net._createServerHandle has no public twin; this is the only file that names it.

import { lchownSync, lstatSync, unlinkSync } from 'node:fs';
import net from 'node:net';
import { getSystemErrorName } from 'node:util';

import type { Endpoint, ServiceSettings } from '../config/settings.ts';
import { explain } from '../log.ts';
import type { World } from '../world.ts';

/** Opaque outside of this file, but for sending it to a worker and closing it. */
export interface ListeningHandle {
  close(): void;
}

export interface WantedListener {
  /** The same for the same address in two settings, so that a reload keeps what stays. */
  readonly key: string;
  readonly service: string;
  readonly endpoint: Endpoint;
  readonly ipv6Only: boolean;
}

export interface BoundListener extends WantedListener {
  readonly handle: ListeningHandle;
  /** The address as bound: with the port that the system chose, where the settings say 0. */
  readonly address: string;
  /** Who bound it: we, the supervisor before us, or the service manager. */
  readonly origin: 'bound' | 'predecessor' | 'manager';
  /** Which file the Unix socket is; null where that matters to nobody. */
  readonly file: FileIdentity | null;
}

/** A Unix socket's file, so that one that somebody put in its place is told apart. */
export interface FileIdentity {
  readonly device: number;
  readonly inode: number;
}

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

interface NativeHandle extends ListeningHandle {
  getsockname?(out: { address?: string; port?: number }): number;
  getpeername?(out: object): number;
}

// oxlint-disable-next-line max-params -- the runtime's own function
type CreateServerHandle = (
  where: string | null,
  port: number,
  family: number,
  fd?: number,
  flags?: number,
) => NativeHandle | number;

const createServerHandle = (net as unknown as { _createServerHandle: CreateServerHandle })
  ._createServerHandle;

/** libuv's UV_TCP_IPV6ONLY. */
const IPV6_ONLY = 1;

const STALE_CHECK_MS = 2000;

export function endpointText(endpoint: Endpoint): string {
  if (endpoint.kind === 'unix') return `unix:${endpoint.path}`;
  if (!net.isIPv6(endpoint.host)) return `${endpoint.host}:${endpoint.port}`;
  // One address has many spellings (RFC 5952 4); URLs know the canonical one, but no zones.
  const host = URL.parse(`http://[${endpoint.host}]`)?.hostname ?? `[${endpoint.host.toLowerCase()}]`;
  return `${host}:${endpoint.port}`;
}

/** Whatever listens: a service, or what answers a CA. */
export type Listening = Readonly<Record<string, Pick<ServiceSettings, 'name' | 'listen'>>>;

/** Every address of every service, in the order of the settings. */
export function wantedListeners(services: Listening): WantedListener[] {
  return Object.values(services).flatMap((service) =>
    service.listen.map((endpoint, index) => ({
      key: listenerKey(endpoint, `${service.name}#${index}`),
      service: service.name,
      endpoint,
      ipv6Only: hasIpv4Twin(endpoint, services),
    })),
  );
}

/** `::` takes IPv4 too, unless the settings list 0.0.0.0 with the same port for itself. */
function hasIpv4Twin(endpoint: Endpoint, services: Listening): boolean {
  return (
    endpoint.kind === 'tcp' &&
    endpoint.port !== 0 &&
    endpointText(endpoint) === `[::]:${endpoint.port}` &&
    Object.values(services).some(({ listen }) =>
      listen.some(
        (other) => other.kind === 'tcp' && other.host === '0.0.0.0' && other.port === endpoint.port,
      ),
    )
  );
}

// A port of 0 is another port each time, so only its place in the settings tells two of them apart.
function listenerKey(endpoint: Endpoint, place: string): string {
  const text = endpointText(endpoint);
  return endpoint.kind === 'tcp' && endpoint.port === 0 ? `${text} ${place}` : text;
}

export interface ListenerChange<Held extends WantedListener> {
  readonly opens: readonly WantedListener[];
  /** Held ones that go on, perhaps for another service than before. */
  readonly stays: readonly Held[];
  readonly closes: readonly Held[];
}

/** What a reload does to the listeners. Pure. */
export function diffListeners<Held extends WantedListener>(
  held: ReadonlyMap<string, Held>,
  wanted: readonly WantedListener[],
): ListenerChange<Held> {
  const service = new Map(wanted.map((listener) => [listener.key, listener.service]));
  const stays: Held[] = [];
  const closes: Held[] = [];
  for (const listener of held.values()) {
    const name = service.get(listener.key);
    if (name === undefined) closes.push(listener);
    else stays.push({ ...listener, service: name });
  }
  return { opens: wanted.filter((listener) => !held.has(listener.key)), stays, closes };
}

export interface Binding {
  readonly bound: readonly BoundListener[];
  /** One sentence for each address that could not be bound; then `bound` is empty and nothing is left open. */
  readonly failures: readonly string[];
}

/** Binds all or nothing. */
export async function bindListeners(
  wanted: readonly WantedListener[],
  owner: Owner | null,
  world: World,
): Promise<Binding> {
  const bound: BoundListener[] = [];
  const failures: string[] = [];
  for (const listener of wanted) {
    const result = await bindListener(listener, owner, world);
    if (typeof result === 'string') failures.push(result);
    else bound.push(result);
  }
  if (failures.length === 0) return { bound, failures };
  for (const listener of bound) listener.handle.close();
  return { bound: [], failures };
}

async function bindListener(
  listener: WantedListener,
  owner: Owner | null,
  world: World,
): Promise<BoundListener | string> {
  const { endpoint } = listener;
  const failed = (cause: string): string =>
    `service ${listener.service}: cannot listen on ${endpointText(endpoint)}: ${cause}`;
  if (endpoint.kind === 'unix') {
    const stale = await removeStaleSocket(endpoint.path, world);
    if (stale !== null) return failed(stale);
  } else if (net.isIP(endpoint.host) === 0) {
    return failed('expected an IP address, not a host name');
  }
  const handle = createHandle(listener);
  if (typeof handle === 'number') return failed(bindCause(getSystemErrorName(handle), endpoint));
  if (endpoint.kind === 'unix') {
    const denied = giveTo(owner, endpoint.path);
    if (denied === null)
      return {
        ...listener,
        handle,
        address: endpointText(endpoint),
        origin: 'bound',
        file: identify(endpoint.path),
      };
    handle.close();
    return failed(denied);
  }
  const name: { address?: string; port?: number } = {};
  // The runtime keeps EADDRINUSE of bind() to itself until somebody asks for the name or listens.
  const error = handle.getsockname?.(name) ?? 0;
  const address = endpointText({ ...endpoint, port: name.port ?? endpoint.port });
  if (error === 0) return { ...listener, handle, address, origin: 'bound', file: null };
  handle.close();
  return failed(bindCause(getSystemErrorName(error), endpoint));
}

/** For good: the address is free afterwards. */
export function closeListener({ handle, endpoint, origin, file }: BoundListener): void {
  // Of a Unix socket that this process bound, the runtime removes the file.
  handle.close();
  if (endpoint.kind === 'unix' && origin === 'predecessor' && file !== null) removeFile(endpoint.path, file);
}

/** Leaves the listener to a supervisor that has it too. */
export function releaseListener({ handle, endpoint, origin }: BoundListener): void {
  // To close a Unix socket that this process bound would remove its file, so it stays open until we exit.
  if (endpoint.kind === 'tcp' || origin !== 'bound') handle.close();
}

/** null where there is no file. */
export function identify(path: string): FileIdentity | null {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat === undefined ? null : { device: stat.dev, inode: stat.ino };
}

export function isSameFile(one: FileIdentity | null, other: FileIdentity | null): boolean {
  return one !== null && one.device === other?.device && one.inode === other.inode;
}

/** Removes the file if it still is the one that is meant. */
export function removeFile(path: string, file: FileIdentity): void {
  try {
    if (isSameFile(identify(path), file)) unlinkSync(path);
  } catch {
    // Not there, or in a folder that we may not write to any more: then it is somebody else's to clean up.
  }
}

/** A listening socket that this process was given by number. null: it is none, or none of these kinds. */
export function openDescriptor(fd: number): { handle: ListeningHandle; tcp: Endpoint | null } | null {
  const handle = createServerHandle(null, 0, 0, fd);
  if (typeof handle === 'number') return null;
  if (handle.getsockname === undefined) return { handle, tcp: null };
  const name: { address?: string; port?: number } = {};
  const isConnected = handle.getpeername?.({}) === 0;
  if (handle.getsockname(name) === 0 && !isConnected && name.address !== undefined)
    return { handle, tcp: { kind: 'tcp', host: name.address, port: name.port ?? 0 } };
  handle.close();
  return null;
}

function createHandle({ endpoint, ipv6Only }: WantedListener): NativeHandle | number {
  if (endpoint.kind === 'unix') {
    // bind() makes the file before it returns, so the mask is ours alone, and no mode is set by name afterwards.
    const mask = process.umask(0o117);
    try {
      return createServerHandle(endpoint.path, -1, -1);
    } finally {
      process.umask(mask);
    }
  }
  const family = net.isIPv6(endpoint.host) ? 6 : 4;
  return createServerHandle(endpoint.host, endpoint.port, family, undefined, ipv6Only ? IPV6_ONLY : 0);
}

/** The words for a failed bind() or listen(): the system's name, what it means here, what to do. */
export function bindCause(code: string, endpoint: Endpoint): string {
  switch (code) {
    case 'EADDRINUSE':
      return (
        'EADDRINUSE, it is taken: by another program, by another address of these settings ([::] takes IPv4 too), ' +
        'or, in a reload or restart, by an address that would be closed only afterwards (stop it, then start it)'
      );
    case 'EACCES':
      return endpoint.kind === 'tcp'
        ? 'EACCES, a port below 1024 needs root, CAP_NET_BIND_SERVICE or net.ipv4.ip_unprivileged_port_start'
        : 'EACCES, the folder is missing or may not be written to';
    case 'EADDRNOTAVAIL':
      return 'EADDRNOTAVAIL, no interface of this machine has the address';
    case 'EAFNOSUPPORT':
      return 'EAFNOSUPPORT, this machine has no such address family (IPv6 switched off?)';
    case 'EINVAL':
    case 'ENAMETOOLONG':
      return endpoint.kind === 'unix' ? `${code}, the path of a Unix socket may have 107 bytes` : code;
    default:
      return code;
  }
}

// Not by way of a symbolic link, which somebody may have put there since the socket was made.
function giveTo(owner: Owner | null, path: string): string | null {
  try {
    if (owner !== null) lchownSync(path, owner.uid, owner.gid);
    return null;
  } catch (error) {
    return explain(error);
  }
}

/** Makes room for a Unix socket; null, or the reason why there is none. */
export async function removeStaleSocket(path: string, world: World): Promise<string | null> {
  try {
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return null;
    if (!stat.isSocket()) return 'the file exists and is not a socket';
    if (await answers(path, world)) return 'another program answers on it';
    unlinkSync(path);
    return null;
  } catch (error) {
    return explain(error);
  }
}

// Only a refused connection proves that nobody is there. A full backlog or a denied one is somebody.
function answers(path: string, world: World): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = world.dial({ kind: 'unix', path });
  const limit = world.after(STALE_CHECK_MS, () => resolve(true));
  socket.once('connect', () => resolve(true));
  socket.once('error', (error: NodeJS.ErrnoException) =>
    resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
  );
  return promise.finally(() => {
    limit.cancel();
    socket.destroy();
  });
}
