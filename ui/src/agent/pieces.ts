// A row as it is drawn: its text in pieces of one style, with what is searched marked.
// Draws nothing; texts stay texts, whatever is in them.
import { plain, spans } from './ansi';
import { textOf, type Row } from './rows';
import { marks, type Match } from './search';

export interface Piece {
  text: string;
  style: string;
  isMark: boolean;
  /** Of the match that was gone to. */
  isCurrent: boolean;
}

export interface Looks {
  hasColours: boolean;
  /** What is searched; an empty text marks nothing. */
  wanted: string;
  isCaseSensitive: boolean;
  match: Match | undefined;
}

/** The pieces of a row. */
export function piecesOf(row: Row, { hasColours, wanted, isCaseSensitive, match }: Looks): Piece[] {
  const styled = spans(textOf(row));
  const shown = styled.map((span) => span.text).join('');
  const places = marks(shown, wanted, isCaseSensitive);
  const current = match && holds(row, match) ? plain(textOf({ ...row, bytes: row.bytes.subarray(0, match.at - row.at) })).length : -1;
  const pieces: Piece[] = [];
  let at = 0;
  let next = 0;
  for (const { text, style } of styled) {
    const end = at + text.length;
    let from = at;
    while (from < end) {
      while (next < places.length && places[next]![1] <= from) next += 1;
      const [begin, stop] = places[next] ?? [Infinity, Infinity];
      const isMark = begin <= from;
      const to = Math.min(end, isMark ? stop : begin);
      pieces.push({ text: shown.slice(from, to), style: hasColours ? style : '', isMark, isCurrent: isMark && begin === current });
      from = to;
    }
    at = end;
  }
  return pieces;
}

/** Whether a match begins in a row. */
export function holds(row: Row, match: Match): boolean {
  return match.at >= row.at && match.at < row.at + Math.max(1, row.bytes.length);
}
