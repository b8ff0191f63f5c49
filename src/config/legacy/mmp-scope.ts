// Options that several proxies have and that are one setting here: the first that says something counts, and whoever says
// something else gets a note. Pure.

import type { Protocol } from '../settings.ts';
import { type Instance, hasOption, sourceOf } from './mmp-files.ts';
import { type Line, OFF, ON, type OptionTable } from './option-table.ts';

/** Where options are taken from. */
export interface Scope {
  readonly take: (name: string) => Line | null;
  readonly table: Pick<OptionTable, 'note' | 'flagOf' | 'numberOf'>;
}

export function scopeOf(options: OptionTable): Scope {
  return { take: (name) => options.take(name), table: options };
}

/** All proxies together. */
export class Everywhere implements Scope {
  readonly table: OptionTable;
  readonly #instances: readonly Instance[];

  constructor(instances: readonly Instance[], table: OptionTable) {
    this.#instances = instances;
    this.table = table;
  }

  /** Those that say of an option what is carried, or nothing: whose passwords are for the server that it names. */
  like(name: string): Everywhere {
    const said = this.#instances.map((instance) => [instance, instance.options.take(name)] as const);
    const first = said.find(([, line]) => line !== null)?.[1] ?? null;
    const alike = said.filter(
      ([, line]) => line === null || first === null || sameValue(line) === sameValue(first),
    );
    return new Everywhere(
      alike.map(([instance]) => instance),
      this.table,
    );
  }

  only(protocol: Protocol): Everywhere {
    return new Everywhere(
      this.#instances.filter((instance) => instance.protocol === protocol),
      this.table,
    );
  }

  readonly take = (name: string): Line | null => this.settle(name, null);

  /** What is said above all proxies counts first. */
  settle(name: string, above: Line | null): Line | null {
    const having = this.#instances.filter(({ protocol }) => hasOption(protocol, name));
    const lines = having.map(({ options }) => options.take(name));
    const first = above ?? lines.find((line) => line !== null) ?? null;
    if (first === null) return null;
    const told = new Set<Line>([first]);
    for (const line of lines) {
      if (line === null || told.has(line)) continue;
      told.add(line);
      if (sameValue(line) !== sameValue(first))
        this.table.note(line, `it is one setting for all proxies here, and carried as in ${sourceOf(first)}`);
    }
    const without = having.filter((_, place) => lines[place] === null).map(({ file }) => `${file}.cfg`);
    if (without.length > 0 && above === null)
      this.table.note(first, `carried; it now holds for ${[...new Set(without)].join(', ')} too`);
    return first;
  }
}

/** Equal for values that mean the same: `yes` is `1`. A password or a name of a file goes by its letters. */
export function sameValue({ value }: Line): string {
  const text = value.trim();
  return ON.test(text) ? '1' : OFF.test(text) ? '0' : text;
}

/** A whole number within what a setting takes; one beyond is brought to the nearest. null: it is none. */
export function within(
  { table }: Scope,
  line: Line,
  { min, max }: { readonly min: number; readonly max: number },
): number | null {
  const value = table.numberOf(line, { min: 0, max: 999_999_999 });
  if (value === null || (value >= min && value <= max)) return value;
  const nearest = Math.min(Math.max(value, min), max);
  table.note(line, `carried as ${nearest}, which is as near as the setting goes`);
  return nearest;
}
