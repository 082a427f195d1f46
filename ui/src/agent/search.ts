// Finds a text in a file of any size, part by part, in either direction.
// Holds no file; it is given how to read one.
import { CHUNK_BYTES, type ReadPart } from './files';

/** Where a text was found. */
export interface Match {
  at: number;
  /** In bytes, with colours that are written in between. */
  length: number;
}

/** What is looked for, in a form that fits bytes. */
export interface Needle {
  pattern: RegExp;
  /** A match has so many bytes at most, colours not counted. */
  longest: number;
}

export interface Question {
  needle: Needle;
  /** Matches begin here or later, or before this when looking backwards. */
  from: number;
  /** Bytes of the file. */
  size: number;
  isBackwards: boolean;
  signal: AbortSignal;
  /** Told how much of the file was looked at, from 0 to 1. */
  progress: (share: number) => void;
}

/** A match, and whether it lies on the other side of where the search began. */
export interface Found {
  match: Match;
  isWrapped: boolean;
}

/** Colours within a match may take so many bytes more. */
const COLOURS_BYTES = 512;

/** Parts that are asked for before they are needed. */
const READ_AHEAD = 4;

/** Colours may change within a word. */
const BETWEEN = '(?:\\x1b\\[[0-9;:]*m)*';

// Every byte becomes one character, so that places in the text are places in the file.
const bytewise = new TextDecoder('windows-1252');
const encoder = new TextEncoder();

/** Makes a needle of a text; an empty text is found nowhere. */
export function needleOf(text: string, isCaseSensitive: boolean): Needle {
  const characters = [...text];
  const variants = characters.map((it) => (isCaseSensitive ? [it] : [...new Set([it, it.toLowerCase(), it.toUpperCase()])]));
  const source = variants.map((all) => (all.length === 1 ? escaped(all[0]!) : `(?:${all.map(escaped).join('|')})`)).join(BETWEEN);
  const longest = variants.reduce((sum, all) => sum + Math.max(...all.map((it) => encoder.encode(it).length)), 0);
  return { pattern: new RegExp(source === '' ? '(?!)' : source, 'g'), longest };
}

/** A text as a pattern for its bytes. */
function escaped(text: string): string {
  const characters = [...bytewise.decode(encoder.encode(text))];
  return characters.map((it) => `\\u${it.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
}

/** The first match that begins in [low, high), or the last one; `at` is the offset of the first byte. */
export function find(bytes: Uint8Array, at: number, needle: Needle, low: number, high: number, isLast: boolean): Match | undefined {
  const text = bytewise.decode(bytes);
  const pattern = new RegExp(needle.pattern);
  pattern.lastIndex = Math.max(0, low - at);
  let found: Match | undefined;
  for (let it = pattern.exec(text); it && at + it.index < high; it = pattern.exec(text)) {
    found = { at: at + it.index, length: it[0].length };
    if (!isLast) return found;
    // Matches may overlap.
    pattern.lastIndex = it.index + 1;
  }
  return found;
}

/** Looks from a place to the end or the start, and then from the other side up to that place. */
export async function search(read: ReadPart, question: Question): Promise<Found | undefined> {
  const { from, size, isBackwards, needle } = question;
  const sides: [number, number][] = isBackwards ? [[0, from], [from, size]] : [[from, size], [0, from]];
  let done = 0;
  for (const [place, [low, high]] of sides.entries()) {
    if (low >= high) continue;
    const match = await scan(read, question, low, high, (bytes) => {
      done += bytes;
      question.progress(size === 0 ? 1 : Math.min(1, done / size));
    });
    if (match) return { match, isWrapped: place === 1 };
  }
  return undefined;

  /** Matches that begin in [low, high); they may reach beyond. */
  async function scan(read: ReadPart, { signal }: Question, low: number, high: number, looked: (bytes: number) => void): Promise<Match | undefined> {
    const overlap = needle.longest + COLOURS_BYTES;
    let kept: Uint8Array = new Uint8Array();
    for await (const { at, bytes } of parts(read, low, Math.min(size, high + overlap), isBackwards, signal)) {
      const [buffer, start] = isBackwards ? [join(bytes, kept), at] : [join(kept, bytes), at - kept.length];
      const match = find(buffer, start, needle, low, high, isBackwards);
      if (match) return match;
      kept = isBackwards ? buffer.slice(0, overlap) : buffer.slice(-overlap);
      looked(bytes.length);
    }
    return undefined;
  }
}

/** The parts of [low, high) in order; some are being read while one is looked at. */
async function* parts(read: ReadPart, low: number, high: number, isBackwards: boolean, signal: AbortSignal): AsyncGenerator<{ at: number; bytes: Uint8Array }> {
  const many = Math.max(0, Math.ceil((high - low) / CHUNK_BYTES));
  const begin = (place: number) => {
    const at = isBackwards ? Math.max(low, high - (place + 1) * CHUNK_BYTES) : low + place * CHUNK_BYTES;
    const end = isBackwards ? high - place * CHUNK_BYTES : Math.min(high, at + CHUNK_BYTES);
    const reading = read(at, end - at, signal).then(({ data }) => ({ at, bytes: data, isWhole: data.length === end - at }));
    // Whoever stops early leaves some unread, whose failure is nobody's business.
    reading.catch(() => {});
    return reading;
  };
  const ahead: ReturnType<typeof begin>[] = [];
  for (let place = 0; place < many; place += 1) {
    while (ahead.length < READ_AHEAD && place + ahead.length < many) ahead.push(begin(place + ahead.length));
    signal.throwIfAborted();
    const { isWhole, ...part } = await ahead.shift()!;
    yield part;
    // The file has become shorter.
    if (!isWhole && !isBackwards) return;
  }
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  const all = new Uint8Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}

/** Where a text stands in a row as it is shown: the first and last place of each. */
export function marks(shown: string, text: string, isCaseSensitive: boolean): [number, number][] {
  if (text === '') return [];
  const literal = text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
  return [...shown.matchAll(new RegExp(literal, isCaseSensitive ? 'g' : 'gi'))].map((it) => [it.index, it.index + it[0].length]);
}
