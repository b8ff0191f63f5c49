// The CRLs that the settings name, read and checked in the supervisor; workers get them as DER. A file or folder is read
// once, whatever asks for it, so that all are given the same bytes.
// A file that holds anything but CRLs is a mistake, in a folder too: a list that is quietly left out would let in whom it
// revokes. Names that begin with a dot are passed over. Bounded: files in a folder, bytes of a file and of all.
// On failure: SettingsError that names the file.

import { createHash, type X509Certificate } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { CRL_BYTES_MAX, isCrlOf, readCrls } from '../../certdb/crl.ts';
import type { Crl } from '../../certdb/crl.ts';
import { nameFromLines } from '../../certdb/name-lines.ts';
import { SettingsError } from '../../errors.ts';

/** What may be told of a CRL. */
export interface CrlFacts {
  /** The file. */
  readonly source: string;
  /** The authority, where we know it. */
  readonly issuer: string | null;
  /** Milliseconds since 1970. */
  readonly thisUpdate: number;
  readonly nextUpdate: number | null;
  /** How many certificates it revokes. */
  readonly revoked: number;
}

const FOLDER_ENTRIES_MAX = 1000;
const ALL_BYTES_MAX = 4 * CRL_BYTES_MAX;

export class RevocationLists {
  readonly #byPlace = new Map<string, readonly Crl[]>();
  readonly #sources = new Map<string, { readonly source: string; readonly crl: Crl }>();
  #bytes = 0;

  /** DER of all CRLs in these files and folders, each once. */
  read(places: readonly string[]): readonly Buffer[] {
    const crls = places.flatMap((place) => {
      const known = this.#byPlace.get(place) ?? filesOf(place).flatMap((file) => this.#readFile(file));
      this.#byPlace.set(place, known);
      return known;
    });
    return [...new Set(crls.map(({ der }) => der))];
  }

  facts(known: readonly X509Certificate[]): readonly CrlFacts[] {
    return [...this.#sources.values()].map(({ source, crl }) => {
      const issuer = known.find((certificate) => isCrlOf(crl, certificate));
      return {
        source,
        issuer: issuer === undefined ? null : nameFromLines(issuer.subject),
        thisUpdate: crl.thisUpdate,
        nextUpdate: crl.nextUpdate,
        revoked: crl.serials.size,
      };
    });
  }

  #readFile(file: string): readonly Crl[] {
    const bytes = readBounded(file);
    this.#bytes += bytes.length;
    if (this.#bytes > ALL_BYTES_MAX) {
      throw new SettingsError([`${file}: with this one the CRLs have more than ${ALL_BYTES_MAX} bytes`]);
    }
    const crls = readCrls(bytes);
    if ('problem' in crls) throw new SettingsError([`${file}: ${crls.problem}`]);
    return crls.map((crl) => {
      // Folders have links to their files, for OpenSSL.
      const digest = createHash('sha256').update(crl.der).digest('hex');
      const same = this.#sources.get(digest) ?? { source: file, crl };
      this.#sources.set(digest, same);
      return same.crl;
    });
  }
}

export function crlWarnings(facts: readonly CrlFacts[], now: number): readonly string[] {
  return facts.flatMap(({ source, issuer, thisUpdate, nextUpdate }) => {
    const time = (ms: number): string => new Date(ms).toISOString().slice(0, 16).replace('T', ' ');
    const warnings: string[] = [];
    if (nextUpdate !== null && nextUpdate <= now) {
      warnings.push(
        `CRL ${source}: is stale, the next one was due at ${time(nextUpdate)}; what it revokes stays revoked`,
      );
    }
    if (thisUpdate > now) warnings.push(`CRL ${source}: is from the future, ${time(thisUpdate)}`);
    if (issuer === null) {
      warnings.push(
        `CRL ${source}: no CA that is known here has signed it; it counts only where a chain shows one`,
      );
    }
    return warnings;
  });
}

/** Every file whose change changes what is revoked; a folder stands for what comes and goes in it. Never throws. */
export function crlFiles(places: readonly string[]): readonly string[] {
  return places.flatMap((place) => {
    try {
      return [place, ...entriesOf(place)];
    } catch {
      return [place];
    }
  });
}

function filesOf(place: string): readonly string[] {
  try {
    if (!statSync(place).isDirectory()) return [place];
    const entries = entriesOf(place);
    if (entries.length <= FOLDER_ENTRIES_MAX) return entries;
  } catch (error) {
    throw new SettingsError([`${place}: ${problemOf(error)}`]);
  }
  throw new SettingsError([`${place}: expected a folder of at most ${FOLDER_ENTRIES_MAX} CRLs`]);
}

function entriesOf(folder: string): readonly string[] {
  if (!statSync(folder).isDirectory()) return [];
  const names = readdirSync(folder).filter((name) => !name.startsWith('.'));
  return names.toSorted().map((name) => join(folder, name));
}

function readBounded(file: string): Buffer {
  try {
    // Not blocking, so that a named pipe by mistake does not hang the start.
    const descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stats = fstatSync(descriptor);
      if (!stats.isFile()) throw new SettingsError([`${file}: is not a regular file, a CRL is wanted`]);
      if (stats.size > CRL_BYTES_MAX) {
        throw new SettingsError([
          `${file}: has ${stats.size} bytes, a CRL has at most ${CRL_BYTES_MAX} here`,
        ]);
      }
      return readFileSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    if (error instanceof SettingsError) throw error;
    throw new SettingsError([`${file}: ${problemOf(error)}`]);
  }
}

function problemOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
  return code === 'ENOENT'
    ? 'does not exist, a CRL or a folder of them is wanted'
    : `the CRL cannot be read (${code})`;
}
