// Answers of directories about certificates, put together.

import type { Account, CertificateAnswer } from './directory.ts';

export function nobody(reason: string, steps: readonly string[] = []): CertificateAnswer {
  return { kind: 'nobody', reason, steps: [...steps, `nobody: ${reason}`] };
}

/** The one account among those that were found, of which several may be the same. */
export function onlyOne(accounts: readonly Account[], steps: readonly string[]): CertificateAnswer {
  const users = new Map(accounts.map((account) => [account.user, account]));
  const [account] = users.values();
  if (account === undefined) return nobody('nobody has its mail address', steps);
  if (users.size > 1) return nobody(`its mail address is that of ${[...users.keys()].join(' and ')}`, steps);
  return { kind: 'account', account, steps };
}
