// Names and passwords in the one form in which they are compared (SASLprep, RFC 4013). On failure: null, the text has
// characters that may not be in it, or mixes directions of writing. The package and its tables of characters are loaded by
// the first text that needs them, since most workers never see one.

import { createRequire } from 'node:module';

type Prepare = typeof import('@mongodb-js/saslprep').default;

let loaded: Prepare | null = null;

const ASCII = /^[\x20-\x7e]*$/;

/** RFC 4013 2.5: as a query, so that characters that Unicode has got since 3.2 are let pass. */
export function prepared(text: string): string | null {
  if (ASCII.test(text)) return text;
  if (!text.isWellFormed()) return null;
  const prepare = saslprep();
  try {
    return prepare(text, { allowUnassigned: true });
  } catch {
    return null;
  }
}

function saslprep(): Prepare {
  loaded ??= createRequire(import.meta.url)('@mongodb-js/saslprep') as Prepare;
  return loaded;
}
