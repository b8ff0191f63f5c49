// The settings of one PKCS#11 module in `certificates.modules`.

import type { Group } from './formats.ts';

export const tokenModuleSchema = {
  library: {
    doc:
      'The PKCS#11 module: a shared library. Empty: with `nss` the libsoftokn3.so that is found in the usual places. ' +
      'Libraries are loaded by the supervisor and, where a certificate is in a token, by the workers; `user` must be ' +
      'able to reach the token.',
    format: 'path',
    default: null,
    nullable: true,
  },
  nss: {
    doc: 'Folder of an NSS database (cert9.db, key4.db), which the module opens read-only; empty: none.',
    format: 'path',
    default: null,
    nullable: true,
  },
  token: {
    doc: 'Label of the token; empty: the only one that the module has.',
    format: 'text',
    default: null,
    nullable: true,
    max: 64,
  },
  slot: {
    doc: 'Number of the slot, where labels do not tell tokens apart; empty: by label.',
    format: 'count',
    default: null,
    nullable: true,
    min: 0,
    max: 4_294_967_295,
  },
} as const satisfies Group;
