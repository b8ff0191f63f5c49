// The directory of a site that has none: everybody is somebody, at the backend of the service. It never fails.

import type { Account, Directory } from './directory.ts';
import type { LoginId, NameBook } from './login-id.ts';

export function everyone(names: NameBook): Directory {
  return {
    find: async ({ id, service, server }) => {
      const account = plainAccount(names.split(id, { service, address: server.address }));
      return { kind: 'account', account, proof: null };
    },
    close: () => undefined,
  };
}

/** Somebody of whom nothing is known but the name. */
export function plainAccount({ canonical }: LoginId): Account {
  return {
    user: canonical,
    replay: canonical,
    backend: null,
    hosts: [],
    preAuth: null,
    access: [],
    status: 'active',
    mail: [],
    attributes: {},
    secrets: [],
  };
}
