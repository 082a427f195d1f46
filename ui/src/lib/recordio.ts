// Takes a stream of records apart: each is preceded by its length in bytes and a line feed.
// Reads no network, and does not look into records.

/** Given each record in pieces, in order; the last piece of a record is told to be it. */
export type TakePiece = (piece: Uint8Array, isLast: boolean) => void;

/** So many digits no length has; more of them are no stream of records. */
const MAX_DIGITS = 15;

const [ZERO, NINE, LINE_FEED] = [48, 57, 10];

/** A stream of records that may be split anywhere, also within a length. Mesos: RecordIO. */
export class Records {
  /** What has come of a length; -1 is nothing yet. */
  #length = -1;
  #digits = 0;
  /** What is still to come of a record; -1 is: between two of them. */
  #left = -1;

  constructor(private readonly take: TakePiece) {}

  /** Takes the next bytes of the stream. Throws when they are no records. */
  feed(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#left < 0) {
        this.#head(bytes[at] ?? 0);
        at += 1;
        if (this.#left === 0) this.#body(bytes.subarray(at, at));
        continue;
      }
      const piece = bytes.subarray(at, at + this.#left);
      at += piece.length;
      this.#body(piece);
    }
  }

  #head(byte: number): void {
    if (byte === LINE_FEED && this.#length >= 0) {
      this.#left = this.#length;
      this.#length = -1;
      this.#digits = 0;
      return;
    }
    this.#digits += 1;
    if (byte < ZERO || byte > NINE || this.#digits > MAX_DIGITS) throw new Error('the server sent what is no stream of records');
    this.#length = Math.max(0, this.#length) * 10 + (byte - ZERO);
  }

  #body(piece: Uint8Array): void {
    this.#left -= piece.length;
    const isLast = this.#left === 0;
    if (isLast) this.#left = -1;
    this.take(piece, isLast);
  }
}

/** Joins pieces to one run of bytes; a single piece is not copied. */
export function joined(pieces: Uint8Array[]): Uint8Array {
  const [first] = pieces;
  if (first && pieces.length === 1) return first;
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
