// The supervisor's answers to `move`: where a user is to be put (the servers that are meant, at which backends), the move
// itself, and the list of who was put where. Who asks has shown to be the owner of the control socket.

import type { Settings } from '../../config/settings.ts';
import { identitiesOf, serverName } from '../../connection/backend-servers.ts';
import { isHeld, placementKey, readPlacementKey, USER_MAX } from '../../policy/placements.ts';
import type { ControlAnswer, ControlRequest } from '../control.ts';
import type { BackendStatus, Fleet } from '../backends/fleet.ts';
import type { Target } from './move.ts';
import { serverOf } from './book.ts';
import type { SharedState } from '../shared-state.ts';

/** So many are listed; the rest is counted. */
const LISTED_MAX = 20_000;
const WAIT_DEFAULT_S = 30;
export const WAIT_MAX_S = 600;

const HOSTS_OF_DIRECTORY =
  'this is for a user whose host the directory does not name: one whose host it names (mailHost, say) is moved there';

/** A user that was moved, as the asker sees it. */
export interface ListedMove {
  readonly user: string;
  readonly backend: string;
  readonly server: string | null;
  /** ISO 8601. */
  readonly since: string;
  readonly isMoving: boolean;
  /** Whether the settings have the server. */
  readonly isKnown: boolean;
}

interface Parts {
  readonly shared: Pick<SharedState, 'placements' | 'move' | 'now'>;
  readonly fleet: Pick<Fleet, 'status'>;
}

export async function askMove({ shared, fleet }: Parts, request: ControlRequest): Promise<ControlAnswer> {
  if (request['list'] === true) return list(shared);
  const { user, wait = WAIT_DEFAULT_S } = request;
  if (typeof user !== 'string' || user === '' || user.length > USER_MAX || /\p{Cc}/u.test(user)) {
    return refused(`user: expected a name of 1 to ${USER_MAX} characters`);
  }
  if (typeof wait !== 'number' || !(wait >= 1 && wait <= WAIT_MAX_S)) {
    return refused(`wait: expected 1 to ${WAIT_MAX_S} seconds`);
  }
  const plan = planMove(shared, request, await fleet.status());
  if (typeof plan === 'string') return refused(plan);
  const reason = await shared.move({ user, targets: plan, waitMs: wait * 1000 });
  if (reason !== null) return refused(`${user} was not moved and is where it was: ${reason}`);
  const answer = { ok: true as const, user, moved: plan };
  return shared.placements.directoryNamesHosts ? { ...answer, note: HOSTS_OF_DIRECTORY } : answer;
}

function list({ placements, now }: Pick<Parts['shared'], 'placements' | 'now'>): ControlAnswer {
  const { all, backends } = placements;
  const moves = all.slice(0, LISTED_MAX).map(([key, placement]): ListedMove => {
    const { backend, user } = readPlacementKey(key);
    const { server, at } = placement;
    return {
      user,
      backend,
      server,
      since: new Date(at).toISOString(),
      isMoving: isHeld(placement, now),
      isKnown: server === null || serverOf(backends[backend], server) !== null,
    };
  });
  return { ok: true, count: all.length, moves };
}

/** At which backends the user goes where, or what is wrong. */
function planMove(
  { placements }: Pick<Parts['shared'], 'placements'>,
  { user, server, backend, back }: ControlRequest,
  status: readonly BackendStatus[],
): readonly Target[] | string {
  const hashed = Object.values(placements.backends).filter(({ balance }) => balance === 'hash');
  if (hashed.length === 0) return 'no backend has `balance: hash`, so users stay on no server';
  const meant = hashed.filter(({ name }) => backend === undefined || name === backend);
  const names = hashed.map(({ name }) => name).join(', ');
  const meantNames = meant.map(({ name }) => name).join(', ');
  if (back === true) {
    // Also at backends that the settings have no more.
    const places = placements.all.map(([key]) => readPlacementKey(key));
    const own = places.filter((place) => place.user === String(user).toLowerCase());
    const found = own.filter((place) => backend === undefined || place.backend === backend);
    if (found.length === 0) return 'the user was not moved: it is where hashing puts it';
    return found.map((place) => ({ backend: place.backend, to: null }));
  }
  if (meant.length === 0) return `expected a backend with balance: hash: ${names}`;
  const targets = meant.flatMap((known) => targetAt(known, server));
  if (targets.length === 0) {
    const isOfDirectory = meant.every(({ servers }) => servers.length === 0);
    if (isOfDirectory) return `users of ${meantNames} are moved in the directory, which names their hosts`;
    const servers = [...new Set(meant.flatMap(identitiesOf))].join(', ');
    return `no such server; there are: ${servers}`;
  }
  for (const { backend: name, to } of targets) {
    const address = serverOf(placements.backends[name], to ?? '');
    const state = status
      .find((known) => known.name === name)
      ?.servers.find((s) => s.server === address)?.state;
    if (state === 'drained' || state === 'down')
      return `${address} of ${name} is ${state}: nobody is moved there`;
  }
  const isThere = ({ backend: name, to }: Target): boolean => {
    const placement = placements.find(placementKey(name, String(user)));
    return placement?.hold === null && placement.server === to;
  };
  return targets.every(isThere) ? 'it was moved there before' : targets;
}

/** By its identity, or as host:port. */
function targetAt(backend: Settings['backends'][string], server: unknown): Target[] {
  const identities = identitiesOf(backend);
  const place = backend.servers.findIndex(
    (known, index) => serverName(known) === server || identities[index] === server,
  );
  const to = identities[place];
  return to === undefined ? [] : [{ backend: backend.name, to }];
}

function refused(error: string): ControlAnswer {
  return { ok: false, error };
}
