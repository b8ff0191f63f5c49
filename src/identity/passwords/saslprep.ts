// Names and passwords in the one form in which they are compared (SASLprep, RFC 4013). On failure: null, the text has
// characters that may not be in it, or mixes directions of writing.

import saslprep from '@mongodb-js/saslprep';

const ASCII = /^[\x20-\x7e]*$/;

/** RFC 4013 2.5: as a query, so that characters that Unicode has got since 3.2 are let pass. */
export function prepared(text: string): string | null {
  if (ASCII.test(text)) return text;
  if (!text.isWellFormed()) return null;
  try {
    return saslprep(text, { allowUnassigned: true });
  } catch {
    return null;
  }
}
