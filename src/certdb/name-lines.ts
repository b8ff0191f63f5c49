// Names in certificates as logs and messages have them, as in RFC 4514: `CN=anna,O=Example`. For workers, which do not
// carry the ASN.1 packages of distinguished-name.ts.

/**
 * Node gives one part a line, escaped as RFC 4514 wants it, the outermost first; of an empty name it gives undefined,
 * whatever its types say.
 */
export function nameFromLines(lines: string | undefined): string {
  return (lines ?? '').split('\n').toReversed().join(',');
}
