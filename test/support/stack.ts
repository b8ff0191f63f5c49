// Sallyports in a row, in memory: each dials the next one, over a cable. What a front dials from is its own address.

import type net from 'node:net';
import type { TestContext } from 'node:test';
import type { DialTarget } from '../../src/world.ts';
import { type Gateway, type GatewayOptions, openGateway } from './gateway.ts';
import { cable } from './wire.ts';

export interface StoryOptions extends GatewayOptions {
  /** The address that it dials from. */
  readonly address: string;
}

/** A front whose backend is the front that `behind` names; it is asked at each dial, so that a circle can be made. */
export function openStory(t: TestContext, options: StoryOptions, behind: () => Gateway): Gateway {
  let port = 30_000;
  const dial = (target: DialTarget): net.Socket => {
    const [near, far] = cable();
    t.after(() => {
      near.destroy();
      far.destroy();
    });
    far.remoteAddress = options.address;
    far.remotePort = ++port;
    far.localAddress = target.kind === 'tcp' ? target.host : undefined;
    far.localPort = target.kind === 'tcp' ? target.port : undefined;
    setImmediate(() => {
      near.emit('connect');
      behind().front.serve('mail', far.asSocket());
    });
    return near.asSocket();
  };
  return openGateway(t, { ...options, world: { dial, ...options.world } });
}
