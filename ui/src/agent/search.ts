// Finds a text in a file of any size, part by part, in either direction.
// Holds no file; it is given how to read one.
import { joined } from '../lib/recordio';
import type { ReadRange } from './files';

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

/** Looking backwards, so much is read at once, in bytes; looking forwards, so much is looked at at once at least. */
export const BACK_BYTES = 4 * 1024 * 1024;
export const LOOK_BYTES = 256 * 1024;

/** Work that is done at one go, in milliseconds; between two goes the page answers its user. */
const GO_MS = 25;

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
export async function search(read: ReadRange, question: Question): Promise<Found | undefined> {
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
  async function scan(read: ReadRange, { signal }: Question, low: number, high: number, looked: (bytes: number) => void): Promise<Match | undefined> {
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

/** The parts of [low, high) in order, or the other way round. */
async function* parts(read: ReadRange, low: number, high: number, isBackwards: boolean, signal: AbortSignal): AsyncGenerator<{ at: number; bytes: Uint8Array }> {
  let began = performance.now();
  const breathe = async (): Promise<void> => {
    signal.throwIfAborted();
    if (performance.now() - began < GO_MS) return;
    await new Promise((resolve) => setTimeout(resolve));
    signal.throwIfAborted();
    began = performance.now();
  };
  if (!isBackwards) {
    for await (const part of gathered(read, low, high, LOOK_BYTES, signal)) {
      await breathe();
      yield part;
    }
    return;
  }
  for (let end = high; end > low; end -= BACK_BYTES) {
    const begin = Math.max(low, end - BACK_BYTES);
    for await (const part of gathered(read, begin, end, end - begin, signal)) {
      await breathe();
      yield part;
    }
  }
}

/** What is read of [low, high), in parts of so many bytes at least; the last may be shorter. */
async function* gathered(read: ReadRange, low: number, high: number, least: number, signal: AbortSignal): AsyncGenerator<{ at: number; bytes: Uint8Array }> {
  let [at, size] = [low, 0];
  let pieces: Uint8Array[] = [];
  for await (const piece of read(low, high, signal)) {
    pieces.push(piece);
    size += piece.length;
    if (size < least) continue;
    yield { at, bytes: joined(pieces) };
    at += size;
    [pieces, size] = [[], 0];
  }
  if (size > 0) yield { at, bytes: joined(pieces) };
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
