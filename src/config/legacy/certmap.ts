// certmap.conf of Sun's and Netscape's servers: how the certificates of an issuer are mapped to entries of the directory.
// Pure, text → mappings, or every mistake with its line. The file has `certmap NAME ISSUER` lines, of which the first is
// `certmap default default`, and lines `NAME:PROPERTY VALUE`. A property without a value says something else than one that
// is not there. Promises: never throws; a plug-in (library, InitFn) is a mistake, not something that is left out, and so
// is a component that nobody knows, for without it a filter would find more than was meant.

import { type DistinguishedName, parseDn, sameName } from '../../wire/ldap-dn.ts';
import { isAttributeName } from '../../wire/ldap-filter.ts';

/** A value of the subject, and the attribute it is looked for in. */
export interface Component {
  readonly from: string;
  readonly to: string;
}

export interface CertMapping {
  readonly name: string;
  /** null: every issuer that has none of its own. */
  readonly issuer: DistinguishedName | null;
  /** null: the subject is the name of the entry; none: the whole tree. */
  readonly dnComps: readonly Component[] | null;
  readonly filterComps: readonly Component[];
  /** The entry must hold the certificate. */
  readonly verify: boolean;
  /** CmapLdapAttr. */
  readonly attribute: string | null;
}

export interface CertmapMistake {
  readonly line: number;
  readonly text: string;
}

export type ParsedCertmap =
  | { readonly kind: 'certmap'; readonly mappings: readonly CertMapping[] }
  | { readonly kind: 'wrong'; readonly mistakes: readonly CertmapMistake[] };

const LINE_BYTES_MAX = 1024;
const MAPPINGS_MAX = 1000;
const DIRECTIVE = 'certmap';
const DEFAULT = 'default';
const COMPONENTS = ['cn', 'ou', 'o', 'c', 'l', 'st', 'e', 'mail', 'uid', 'dc'] as const;
const PROPERTIES = ['dncomps', 'filtercomps', 'verifycert', 'cmapldapattr', 'library', 'initfn'] as const;
type Property = (typeof PROPERTIES)[number];

interface Draft {
  readonly name: string;
  readonly line: number;
  readonly issuer: DistinguishedName | null;
  readonly properties: Map<Property, { readonly value: string; readonly line: number }>;
}

export function parseCertmap(text: string): ParsedCertmap {
  const reader = new Reader();
  for (const [index, raw] of text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    if (Buffer.byteLength(raw) > LINE_BYTES_MAX)
      reader.wrong(index + 1, `a line has at most ${LINE_BYTES_MAX} bytes`);
    else reader.take(line, index + 1);
  }
  return reader.end();
}

class Reader {
  readonly #mistakes: CertmapMistake[] = [];
  readonly #drafts = new Map<string, Draft>();

  wrong(line: number, text: string): void {
    this.#mistakes.push({ line, text });
  }

  take(text: string, line: number): void {
    const [, word = '', rest = ''] = /^([^\s:]+)(.*)$/.exec(text) ?? [];
    if (word === DIRECTIVE && /^\s/.test(rest)) this.#begin(rest.trim(), line);
    else if (this.#drafts.size === 0)
      this.wrong(line, `the first line must be "${DIRECTIVE} ${DEFAULT} ${DEFAULT}"`);
    else this.#property(word, { text: rest.replace(/^[\s:]+/, ''), line });
  }

  end(): ParsedCertmap {
    const mappings = [...this.#drafts.values()].map((draft) => this.#complete(draft));
    if (this.#drafts.size === 0)
      this.wrong(1, `expected "${DIRECTIVE} ${DEFAULT} ${DEFAULT}", found nothing`);
    const mistakes = this.#mistakes.toSorted((one, other) => one.line - other.line);
    return mistakes.length > 0 ? { kind: 'wrong', mistakes } : { kind: 'certmap', mappings };
  }

  #begin(text: string, line: number): void {
    const [, name = '', issuer = ''] = /^(\S+)\s+(.*)$/.exec(text) ?? [];
    if (name === '') return this.wrong(line, `expected "${DIRECTIVE} NAME ISSUER"`);
    const isFirst = this.#drafts.size === 0;
    const isDefault = issuer.toLowerCase() === DEFAULT;
    if (isFirst !== (name === DEFAULT && isDefault)) {
      this.wrong(
        line,
        isFirst
          ? `the first mapping must be "${DIRECTIVE} ${DEFAULT} ${DEFAULT}"`
          : `"${DEFAULT}" names the first mapping and its issuer, and no other`,
      );
    }
    if (this.#drafts.has(name)) return this.wrong(line, `the mapping ${shown(name)} is there twice`);
    if (this.#drafts.size >= MAPPINGS_MAX)
      return this.wrong(line, `at most ${MAPPINGS_MAX} mappings are read`);
    const parsed = isDefault ? null : parseDn(issuer);
    if (parsed?.kind === 'malformed') this.wrong(line, `the issuer is no name: ${parsed.reason}`);
    const parts = parsed?.kind === 'name' ? parsed.parts : null;
    const same = [...this.#drafts.values()].find(
      (other) => parts !== null && other.issuer !== null && sameName(other.issuer, parts),
    );
    if (same !== undefined) this.wrong(line, `the issuer is that of ${shown(same.name)} already`);
    this.#drafts.set(name, { name, line, issuer: parts, properties: new Map() });
  }

  #property(name: string, { text, line }: { readonly text: string; readonly line: number }): void {
    const draft = this.#drafts.get(name);
    if (draft === undefined) return this.wrong(line, `there is no mapping ${shown(name)} above`);
    const [, word = '', value = ''] = /^(\S+)\s*(.*)$/.exec(text) ?? [];
    if (word === 'encoded') return this.wrong(line, 'encoded values are not read, write it as text');
    const property = PROPERTIES.find((known) => known === word.toLowerCase());
    if (property === undefined) return this.wrong(line, `${shown(word)} is no property of a mapping`);
    if (draft.properties.has(property)) return this.wrong(line, `${word} is there twice for ${shown(name)}`);
    draft.properties.set(property, { value, line });
  }

  #complete({ name, issuer, properties }: Draft): CertMapping {
    for (const [property, word] of [
      ['library', 'library'],
      ['initfn', 'InitFn'],
    ] as const) {
      const given = properties.get(property);
      if (given === undefined) continue;
      this.wrong(given.line, `${word}: plug-ins of certmap.conf are not run here, as in the MMP`);
    }
    const dnComps = properties.get('dncomps');
    const filterComps = properties.get('filtercomps');
    return {
      name,
      issuer,
      dnComps: dnComps === undefined ? null : this.#components(dnComps),
      filterComps: filterComps === undefined ? [] : this.#components(filterComps),
      verify: this.#verify(properties.get('verifycert')),
      attribute: this.#attribute(properties.get('cmapldapattr')),
    };
  }

  #components({ value, line }: { readonly value: string; readonly line: number }): Component[] {
    return value
      .split(/[,\s]+/)
      .filter((word) => word !== '')
      .flatMap((word) => {
        const [given = '', target] = word.split('=');
        const from = COMPONENTS.find((known) => known === given.toLowerCase());
        const to = target ?? given;
        if (from === undefined) {
          this.wrong(line, `${shown(given)} is no component, expected ${COMPONENTS.join(', ')}`);
          return [];
        }
        if (!isAttributeName(to)) {
          this.wrong(line, `${shown(word)}: expected an attribute behind =`);
          return [];
        }
        const isMail = to.toLowerCase() === 'e' || to.toLowerCase() === 'mail';
        return [{ from: from === 'mail' ? 'e' : from, to: isMail ? 'mail' : to }];
      });
  }

  /** An empty value is on, as it always was. */
  #verify(given: { readonly value: string; readonly line: number } | undefined): boolean {
    if (given === undefined) return false;
    const word = given.value.toLowerCase();
    if (word !== 'on' && word !== 'off' && word !== '')
      this.wrong(given.line, `verifycert is on or off, found ${shown(given.value)}`);
    return word !== 'off';
  }

  #attribute(given: { readonly value: string; readonly line: number } | undefined): string | null {
    if (given === undefined || given.value === '') return null;
    if (!isAttributeName(given.value))
      this.wrong(given.line, `CmapLdapAttr: ${shown(given.value)} is no name of an attribute`);
    return given.value;
  }
}

function shown(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}…` : text);
}
