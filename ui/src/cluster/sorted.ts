// Rows in order, some of them filtered out, which are kept in order as they change.
// Sorts nothing anew when a few rows change: 100,000 tasks are looked through, but not compared.

export type Compare<T> = (a: T, b: T) => number;

export class Sorted<T> {
  rows: T[] = [];
  #accepts: (row: T) => boolean = () => true;
  #compare: Compare<T> = () => 0;

  /** `find` gives the row of a key, or nothing when there is none any more. */
  constructor(
    private readonly key: (row: T) => string,
    private readonly find: (key: string) => T | undefined,
  ) {}

  /** Shows other rows, or these in another order. `compare` must find no two rows equal. */
  shape(all: Iterable<T>, accepts: (row: T) => boolean, compare: Compare<T>): T[] {
    this.#accepts = accepts;
    this.#compare = compare;
    const taken: T[] = [];
    for (const row of all) if (accepts(row)) taken.push(row);
    this.rows = taken.sort(compare);
    return this.rows;
  }

  /** The rows after those of some keys have changed, come or gone; a new array when it is not the same. */
  change(keys: Set<string>): T[] {
    const fresh: T[] = [];
    for (const key of keys) {
      const row = this.find(key);
      if (row !== undefined && this.#accepts(row)) fresh.push(row);
    }
    const kept = this.rows.filter((row) => !keys.has(this.key(row)));
    if (fresh.length === 0 && kept.length === this.rows.length) return this.rows;
    this.rows = merged(kept, fresh.sort(this.#compare), this.#compare);
    return this.rows;
  }
}

/** Two sorted lists as one. The places of the few are searched in the many. */
function merged<T>(many: T[], few: T[], compare: Compare<T>): T[] {
  const parts: T[] = [];
  let from = 0;
  for (const row of few) {
    let [low, high] = [from, many.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compare(many[middle] as T, row) < 0) low = middle + 1;
      else high = middle;
    }
    for (; from < low; from += 1) parts.push(many[from] as T);
    parts.push(row);
  }
  for (; from < many.length; from += 1) parts.push(many[from] as T);
  return parts;
}
