// Compares two texts line by line.
// Knows nothing of what they mean.

/** A line of a comparison: in both, only in the old text, or only in the new one. */
export interface Line {
  kind: 'same' | 'old' | 'new';
  text: string;
}

/** Lines of either text that are compared one with each other at most; longer middles are shown whole. */
const MAX_LINES = 2000;

/** The lines of both texts, in an order in which as many as possible are the same. */
export function diff(before: string, after: string): Line[] {
  const old = before.split('\n');
  const young = after.split('\n');
  let head = 0;
  while (head < old.length && head < young.length && old[head] === young[head]) head += 1;
  let tail = 0;
  while (
    tail < old.length - head &&
    tail < young.length - head &&
    old[old.length - 1 - tail] === young[young.length - 1 - tail]
  ) {
    tail += 1;
  }
  const same = (text: string): Line => ({ kind: 'same', text });
  return [
    ...old.slice(0, head).map(same),
    ...middle(old.slice(head, old.length - tail), young.slice(head, young.length - tail)),
    ...old.slice(old.length - tail).map(same),
  ];
}

/** By the longest common subsequence. */
function middle(old: string[], young: string[]): Line[] {
  const gone = (text: string): Line => ({ kind: 'old', text });
  const come = (text: string): Line => ({ kind: 'new', text });
  if (old.length > MAX_LINES || young.length > MAX_LINES) return [...old.map(gone), ...young.map(come)];
  const width = young.length + 1;
  const longest = new Uint16Array((old.length + 1) * width);
  const at = (row: number, column: number): number => longest[row * width + column] ?? 0;
  for (let row = old.length - 1; row >= 0; row -= 1) {
    for (let column = young.length - 1; column >= 0; column -= 1) {
      longest[row * width + column] =
        old[row] === young[column] ? at(row + 1, column + 1) + 1 : Math.max(at(row + 1, column), at(row, column + 1));
    }
  }
  const lines: Line[] = [];
  let [row, column] = [0, 0];
  while (row < old.length || column < young.length) {
    const [before, after] = [old[row], young[column]];
    if (before !== undefined && before === after) {
      lines.push({ kind: 'same', text: before });
      row += 1;
      column += 1;
    } else if (before !== undefined && (after === undefined || at(row + 1, column) >= at(row, column + 1))) {
      lines.push(gone(before));
      row += 1;
    } else {
      lines.push(come(after ?? ''));
      column += 1;
    }
  }
  return lines;
}

/** JSON with sorted members, so that two definitions differ only where they mean something else. */
export function sorted(value: unknown): string {
  const order = (_: string, member: unknown): unknown =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member;
  return JSON.stringify(value, order, 2);
}
