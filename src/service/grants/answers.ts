// The supervisor's answers to `grants`: which addresses have one, and what was taken away. Who asks has shown to be the
// owner of the control socket.

import type { PopBeforeSmtpSettings } from '../../config/settings.ts';
import { endOf, type Grant, type GrantFilter } from '../../policy/grants.ts';
import type { ControlAnswer, ControlRequest } from '../control.ts';
import type { SharedState } from '../shared-state.ts';
import { readFilter } from '../sessions.ts';

/** A grant as the asker sees it. */
export interface ListedGrant {
  /** The address, or the IPv6 block. */
  readonly address: string;
  readonly user: string;
  readonly service: string;
  /** ISO 8601. */
  readonly since: string;
  readonly secondsLeft: number;
}

/** So many are listed; the rest is counted. */
const LISTED_MAX = 20_000;

type State = Pick<SharedState, 'listGrants' | 'revokeGrants' | 'grantRules' | 'now'>;

export async function askGrants(state: State, request: ControlRequest): Promise<ControlAnswer> {
  const read = readFilter(request);
  if (typeof read === 'string') return { ok: false, error: read };
  const { user, network } = read;
  const filter: GrantFilter = { user, network };
  const rules = state.grantRules;
  if (rules === null) {
    return { ok: false, error: 'there are no grants: popBeforeSmtp.channel is not set' };
  }
  if (request['action'] === 'revoke') return revoke(state, filter, request['all'] === true);
  const found = await state.listGrants(filter);
  const list = found.toReversed().slice(0, LISTED_MAX);
  return {
    ok: true,
    count: found.length,
    channel: rules.channel,
    grants: list.map((one) => describe(one, { now: state.now, rules })),
  };
}

async function revoke(state: State, filter: GrantFilter, all: boolean): Promise<ControlAnswer> {
  if (filter.user === null && filter.network === null && !all) {
    return { ok: false, error: 'expected what to revoke: an address, a user, or all' };
  }
  const { revoked, isPending } = await state.revokeGrants(filter);
  return { ok: true, revoked, pending: isPending };
}

function describe(
  [address, grant]: readonly [string, Grant],
  { now, rules }: { readonly now: number; readonly rules: PopBeforeSmtpSettings },
): ListedGrant {
  const { user, service, at } = grant;
  return {
    address,
    user,
    service,
    since: new Date(at).toISOString(),
    secondsLeft: Math.max(0, Math.ceil((endOf(grant, rules) - now) / 1000)),
  };
}
