// Where the rows of a log stand below each other, as far as that is known before they are drawn.
// Draws nothing; what was measured takes the place of what was estimated.
import type { Row } from './rows';

/** What is known of a page's letters. */
export interface Metrics {
  /** Height of a line, in pixels. */
  line: number;
  /** Characters that fit beside each other; 0 where lines are not wrapped. */
  columns: number;
}

/** What a row was found to be high, while it had so many characters. */
export interface Measure {
  cells: number;
  height: number;
}

/** The height of a row by its number of characters. */
export function estimate(row: Row, { line, columns }: Metrics): number {
  return columns <= 0 ? line : line * Math.max(1, Math.ceil(row.cells / columns));
}

/** The top of each row, and behind the last one the height of all. */
export function tops(rows: Row[], metrics: Metrics, measured: ReadonlyMap<number, Measure>): Float64Array {
  const found = new Float64Array(rows.length + 1);
  for (let place = 0; place < rows.length; place += 1) {
    const row = rows[place]!;
    const known = measured.get(row.at);
    found[place + 1] = found[place]! + (known?.cells === row.cells ? known.height : estimate(row, metrics));
  }
  return found;
}

/** The row at a height; the last one below all. */
export function rowAtHeight(tops: Float64Array, height: number): number {
  let [low, high] = [0, Math.max(0, tops.length - 2)];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (tops[middle]! <= height) low = middle;
    else high = middle - 1;
  }
  return low;
}
