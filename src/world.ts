// The outside as a parameter: clock, timers, randomness, dialling, name look-ups. Everything that waits or asks
// takes a World, so that tests need no sleep, no port and no resolver.

import { randomBytes } from 'node:crypto';
import { resolve4, resolve6, reverse } from 'node:dns/promises';
import net from 'node:net';

export interface Timer {
  cancel(): void;
}

export type DialTarget =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

export interface World {
  /** Wall clock, milliseconds since 1970. */
  now(): number;
  /** Monotonic clock, milliseconds. */
  monotonic(): number;
  /** Calls `fire` once after `ms` milliseconds. A waiting timer does not keep the process alive. */
  after(ms: number, fire: () => void): Timer;
  /** Calls `fire` every `ms` milliseconds. */
  every(ms: number, fire: () => void): Timer;
  random(bytes: number): Buffer;
  /** A socket that is connecting, half-open allowed; the caller owns it. */
  dial(target: DialTarget): net.Socket;
  /** Host names whose forward look-up leads back to `address` (forward-confirmed); empty where there are none. */
  confirmedNames(address: string): Promise<readonly string[]>;
  /** What the name service says of an address: the names it claims, and those that lead back to it. */
  namesOf(
    address: string,
  ): Promise<{ readonly claimed: readonly string[]; readonly confirmed: readonly string[] }>;
}

export const realWorld: World = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, fire) {
    const handle = setTimeout(fire, ms).unref();
    return { cancel: () => clearTimeout(handle) };
  },
  every(ms, fire) {
    const handle = setInterval(fire, ms).unref();
    return { cancel: () => clearInterval(handle) };
  },
  random: (bytes) => randomBytes(bytes),
  dial(target) {
    const where = target.kind === 'unix' ? { path: target.path } : { host: target.host, port: target.port };
    return net.connect({ ...where, allowHalfOpen: true, noDelay: true });
  },
  async confirmedNames(address) {
    return (await realWorld.namesOf(address)).confirmed;
  },
  async namesOf(address) {
    const names = await reverse(address).catch((): string[] => []);
    const lookUp = async (name: string): Promise<string[]> =>
      net.isIPv6(address) ? resolve6(name) : resolve4(name);
    const confirmed = await Promise.all(
      names.slice(0, 4).map(async (name) => {
        const addresses = await lookUp(name).catch((): string[] => []);
        return addresses.includes(address) ? [name] : [];
      }),
    );
    return { claimed: names, confirmed: confirmed.flat() };
  },
};
