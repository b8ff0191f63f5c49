// The thread behind crypt.ts: takes one value and password after another, says whether they fit.

import { parentPort } from 'node:worker_threads';

import { compareSync, truncates } from 'bcryptjs';

import type { CryptAnswer, CryptQuestion } from './crypt.ts';
import { unixCryptFits } from './unix-crypt.ts';

/** 2^COST rounds; more would hold up everybody. */
const BCRYPT_COST_MAX = 16;

parentPort?.on('message', ({ id, value, password }: CryptQuestion) => {
  parentPort?.postMessage({ id, fits: judge(value, password) } satisfies CryptAnswer);
});

function judge(value: string, password: string): boolean {
  try {
    const cost = /^\$2[abxy]\$(\d\d)\$/.exec(value)?.[1];
    if (cost === undefined) return unixCryptFits(value, password);
    // What bcrypt would not look at must not be what two passwords differ in.
    return (
      Number(cost) <= BCRYPT_COST_MAX &&
      !truncates(password) &&
      compareSync(password, value.replace(/^\$2[xy]/, '$2b'))
    );
  } catch {
    return false;
  }
}
