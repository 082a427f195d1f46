// The part of a file that is held: its bytes as rows, of which a long line makes several.
// Reads nothing, and draws nothing.

/** A line, or a piece of one that is too long. */
export interface Row {
  /** Offset of its first byte in the file. */
  at: number;
  /** Without the line feed. */
  bytes: Uint8Array;
  /** Whether a line begins here; what comes before may not be known. */
  isStart: boolean;
  /** Whether a line feed follows. */
  isEnd: boolean;
  /** About so many characters, if it holds no escapes. */
  cells: number;
}

/** Longer lines are cut into pieces of at most so many bytes. */
export const MAX_ROW_BYTES = 4096;

/** So much is held at most; with more, what is farthest from where it grows goes. */
export interface Bounds {
  bytes: number;
  rows: number;
}

const BOUNDS: Bounds = { bytes: 2 * 1024 * 1024, rows: 50_000 };

const LINE_FEED = 10;

const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80;

/** Bytes of a row in the file, with its line feed. */
export function lengthOf(row: Row): number {
  return row.bytes.length + (row.isEnd ? 1 : 0);
}

function rowOf(at: number, bytes: Uint8Array, isStart: boolean, isEnd: boolean): Row {
  let cells = 0;
  for (const byte of bytes) if (!isContinuation(byte)) cells += 1;
  return { at, bytes, isStart, isEnd, cells };
}

/** Where a piece that begins at `from` ends, so that no character is cut in two. */
function cut(bytes: Uint8Array, from: number, end: number): number {
  if (end - from <= MAX_ROW_BYTES) return end;
  let at = from + MAX_ROW_BYTES;
  // A character has four bytes at most; what has more of this kind is none.
  for (let back = 0; back < 3 && isContinuation(bytes[at]); back += 1) at -= 1;
  return isContinuation(bytes[at]) ? from + MAX_ROW_BYTES : at;
}

/** Splits bytes, of which the first is at `at` in the file. */
export function split(bytes: Uint8Array, at: number, isStart: boolean): Row[] {
  const rows: Row[] = [];
  let from = 0;
  let starts = isStart;
  while (from < bytes.length) {
    const feed = bytes.indexOf(LINE_FEED, from);
    const end = feed < 0 ? bytes.length : feed;
    const stop = cut(bytes, from, end);
    const ends = stop === end && feed >= 0;
    rows.push(rowOf(at + from, bytes.subarray(from, stop), starts, ends));
    from = stop + (ends ? 1 : 0);
    starts = ends;
  }
  return rows;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const all = new Uint8Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}

/** A part of a file without holes, which grows at either end. */
export class Held {
  rows: Row[] = [];
  /** Offset of the first byte that is held. */
  start = 0;
  /** Offset behind the last byte that is held. */
  end = 0;
  readonly #bounds: Bounds;

  constructor(bounds: Bounds = BOUNDS) {
    this.#bounds = bounds;
  }

  /** Holds these bytes instead of what was held. */
  reset(at: number, bytes: Uint8Array): void {
    this.rows = split(bytes, at, at === 0);
    this.start = at;
    this.end = at + bytes.length;
  }

  /** Adds what follows. With too much of it, what came first goes, or if `keepsFirst` what comes last is left out. */
  append(bytes: Uint8Array, keepsFirst = false): void {
    const last = this.rows.at(-1);
    const goesOn = last !== undefined && !last.isEnd;
    const added = goesOn ? split(joined(last.bytes, bytes), last.at, last.isStart) : split(bytes, this.end, last !== undefined || this.end === 0);
    const taken = keepsFirst ? added.slice(0, Math.ceil(this.#bounds.rows / 2)) : added;
    const rows = goesOn ? this.rows.slice(0, -1) : this.rows;
    this.rows = [...rows, ...taken];
    const final = this.rows.at(-1);
    this.end = final === undefined ? this.end : final.at + lengthOf(final);
    this.#drop(false);
  }

  /** Adds what comes before. With too much of it, what came last goes. */
  prepend(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const at = this.start - bytes.length;
    const added = split(bytes, at, at === 0).slice(-Math.ceil(this.#bounds.rows / 2));
    const [first, ...rest] = this.rows;
    const last = added.at(-1);
    if (first !== undefined && last !== undefined) {
      added.splice(-1, 1, ...seam(last, first));
      this.rows = [...added, ...rest];
    } else {
      this.rows = added;
    }
    this.start = this.rows[0]?.at ?? this.start;
    this.#drop(true);
  }

  /** Keeps within bounds by dropping whole rows. */
  #drop(fromEnd: boolean): void {
    const { rows } = this;
    let many = Math.max(0, rows.length - this.#bounds.rows);
    let size = this.end - this.start;
    for (let place = 0; place < many; place += 1) size -= lengthOf(rows[fromEnd ? rows.length - 1 - place : place]!);
    while (size > this.#bounds.bytes && many < rows.length - 1) {
      size -= lengthOf(rows[fromEnd ? rows.length - 1 - many : many]!);
      many += 1;
    }
    if (many === 0) return;
    this.rows = fromEnd ? rows.slice(0, -many) : rows.slice(many);
    const [first, last] = [this.rows[0]!, this.rows.at(-1)!];
    if (fromEnd) this.end = last.at + lengthOf(last);
    else this.start = first.at;
  }
}

/** Two rows that meet, as they are when both are known: one, if they are one line that is not too long. */
function seam(before: Row, after: Row): Row[] {
  if (before.isEnd) return [before, { ...after, isStart: true }];
  if (before.bytes.length + after.bytes.length <= MAX_ROW_BYTES) {
    return [rowOf(before.at, joined(before.bytes, after.bytes), before.isStart, after.isEnd)];
  }
  let moved = 0;
  while (moved < 3 && isContinuation(after.bytes[moved])) moved += 1;
  const head = rowOf(before.at, joined(before.bytes, after.bytes.subarray(0, moved)), before.isStart, false);
  return [head, rowOf(after.at + moved, after.bytes.subarray(moved), false, after.isEnd)];
}

/** The place of the row that holds an offset, or of the nearest one. */
export function placeAt(rows: Row[], offset: number): number {
  let [low, high] = [0, rows.length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (rows[middle]!.at <= offset) low = middle;
    else high = middle - 1;
  }
  return Math.max(0, low);
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** The text of a row; what is no UTF-8 is replaced. */
export function textOf(row: Row): string {
  const { bytes } = row;
  const isDos = row.isEnd && bytes.at(-1) === 13;
  return decoder.decode(isDos ? bytes.subarray(0, -1) : bytes);
}
