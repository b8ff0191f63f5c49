// The options that verbs about tokens share.

import type { Options } from '../cert/verb.ts';

export const JSON_OPTION = {
  json: { type: 'boolean', doc: 'the answer as JSON' },
} as const satisfies Options;

export const TOKEN_OPTIONS = {
  'cert-pwd-file': {
    type: 'string',
    short: 'W',
    value: 'PIN_FILE',
    doc: 'reads the PIN from this file, one line, or the line of the module or token in a sslpassword.conf (default: the sslpassword.conf of the settings, else prompt for it)',
  },
  config: { type: 'string', value: 'F', doc: 'the settings, which name the modules' },
} as const satisfies Options;
