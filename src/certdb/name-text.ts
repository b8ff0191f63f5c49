// How names in certificates are written in logs and messages: as in RFC 4514, `CN=anna,O=Example`.

/**
 * Node gives one part a line, escaped as RFC 4514 wants it, the outermost first; of an empty name it gives undefined,
 * whatever its types say.
 */
export function nameText(lines: string | undefined): string {
  return (lines ?? '').split('\n').toReversed().join(',');
}
