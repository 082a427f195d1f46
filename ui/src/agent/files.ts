// The files an agent shows: where they are, and how they are listed and read.
// Shows nothing, and follows no file.
import { ApiError, address, ask, refusal } from '../lib/api';

/** A run of an executor; its sandbox is what is shown of it. */
export interface Run {
  framework: string;
  executor: string;
  /** The id of its container, or `latest`. */
  run: string;
}

export type Kind = 'directory' | 'file' | 'link' | 'other';

/** An entry of a directory. */
export interface Entry {
  name: string;
  kind: Kind;
  /** As `ls -l` shows it. */
  mode: string;
  owner: string;
  group: string;
  /** In bytes. */
  size: number;
  /** When its content changed, in milliseconds since the Unix epoch. */
  modified: number;
}

/** A part of a file, and the size of all of it. */
export interface Part {
  size: number;
  data: Uint8Array;
}

/** Reads bytes from an offset on: as many as asked for, unless the file ends before; none for a length of 0. */
export type ReadPart = (offset: number, length: number, signal?: AbortSignal) => Promise<Part>;

/** An agent gives so many bytes at once, and no more. */
export const CHUNK_BYTES = 64 * 1024;

/** The agent's own log, where a flag says that there is one. */
export const AGENT_LOG = '/slave/log';

/** The path that the agent shows a file of a sandbox under. */
export function virtualPath({ framework, executor, run }: Run, path: string[]): string {
  return ['', 'frameworks', framework, 'executors', executor, 'runs', run, ...path].join('/');
}

/** The place of a page that shows a file or directory of a sandbox, behind `#/files/` or `#/log/`. */
export function placeOf({ framework, executor, run }: Run, path: string[]): string {
  return [framework, executor, run, ...path].join('/');
}

/** Where a file is saved from. */
export function downloadUrl(path: string): string {
  return `${address('files/download')}?path=${encodeURIComponent(path)}`;
}

interface Listed {
  path: string;
  mode: string;
  uid: string;
  gid: string;
  size: number;
  mtime: number;
}

/** The entries of a directory; none for what is a file. */
export async function listFiles(path: string, signal?: AbortSignal): Promise<Entry[]> {
  const listed = await ask<Listed[]>('files/browse', { query: { path }, ...(signal && { signal }) });
  return listed.map((it) => ({
    name: it.path.slice(it.path.lastIndexOf('/') + 1),
    kind: kindOf(it.mode),
    mode: it.mode,
    owner: it.uid,
    group: it.gid,
    size: it.size,
    modified: it.mtime * 1000,
  }));
}

/** Links are followed by the agent; one that is still shown as one leads out of the sandbox, or nowhere. */
function kindOf(mode: string): Kind {
  const kinds: Record<string, Kind> = { d: 'directory', '-': 'file', l: 'link' };
  return kinds[mode.charAt(0)] ?? 'other';
}

/** Reads parts of a file. The operator API gives its bytes as they are, where /files/read gives text and loses what is none. */
export function reader(path: string): ReadPart {
  return async (offset, length, signal) => {
    const body = { type: 'READ_FILE', read_file: { path, offset, length } };
    const answer = await ask<{ read_file: { size: number; data?: string } }>('api/v1', { method: 'POST', body, ...(signal && { signal }) });
    return { size: answer.read_file.size, data: unbase64(answer.read_file.data ?? '') };
  };
}

/** Reads the bytes of [from, to) in pieces of any length, in order; fewer where the file ends before. */
export type ReadRange = (from: number, to: number, signal: AbortSignal) => AsyncIterable<Uint8Array>;

/** Reads ranges part by part. */
export function byParts(read: ReadPart): ReadRange {
  return async function* (from, to, signal) {
    for (let at = from; at < to; at += CHUNK_BYTES) {
      const length = Math.min(CHUNK_BYTES, to - at);
      const { data } = await read(at, length, signal);
      yield data;
      if (data.length < length) return;
    }
  };
}

/**
 * Reads ranges of a file as one download each, which is much faster than part by part: a search looks at all of it. Of a
 * server that knows no ranges, and gives the whole, what was not asked for is passed over.
 */
export function ranges(path: string): ReadRange {
  return async function* (from, to, signal) {
    const leave = new AbortController();
    const stop = (): void => leave.abort();
    signal.addEventListener('abort', stop);
    try {
      let answer: Response;
      try {
        answer = await fetch(downloadUrl(path), { headers: { Range: `bytes=${from}-${to - 1}` }, signal: leave.signal });
      } catch (error) {
        if (signal.aborted) throw error;
        throw new ApiError(0, 'the server does not answer; see whether it runs and can be reached from here');
      }
      // The file has become shorter.
      if (answer.status === 416) return;
      if (!answer.ok) throw refusal(answer.status, await answer.text());
      const reader = answer.body?.getReader();
      let at = answer.status === 206 ? from : 0;
      for (let next = await reader?.read(); next && !next.done && at < to; next = await reader?.read()) {
        const piece = next.value.subarray(Math.max(0, from - at), to - at);
        at += next.value.length;
        if (piece.length > 0) yield piece;
      }
    } finally {
      signal.removeEventListener('abort', stop);
      // Whoever has found what was looked for reads no further.
      leave.abort();
    }
  };
}

/** The bytes of a text in base64. */
export function unbase64(text: string): Uint8Array {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at += 1) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

export type Order = 'name' | 'size' | 'modified';

/** Directories first, then by what is asked for; equal ones by name. */
export function sortEntries(entries: Entry[], order: Order, isDescending: boolean): Entry[] {
  const sign = isDescending ? -1 : 1;
  const byName = (a: Entry, b: Entry) => (a.name === b.name ? 0 : a.name < b.name ? -1 : 1);
  const by = (a: Entry, b: Entry) => (order === 'name' ? byName(a, b) : a[order] - b[order]);
  const rank = (entry: Entry) => (entry.kind === 'directory' ? 0 : 1);
  return [...entries].sort((a, b) => rank(a) - rank(b) || sign * by(a, b) || byName(a, b));
}

/** Bytes that text has none of: all controls but tab, line feed, form feed, carriage return, backspace, bell and escape. */
const isStrange = (byte: number): boolean => byte < 7 || byte === 11 || (byte > 13 && byte < 27) || (byte > 27 && byte < 32) || byte === 127;

/** Whether a part of a file is no text. Its ends may be in the middle of characters. */
export function isBinary(sample: Uint8Array): boolean {
  if (sample.length === 0) return false;
  let strange = 0;
  for (const byte of sample) {
    if (byte === 0) return true;
    if (isStrange(byte)) strange += 1;
  }
  const text = new TextDecoder().decode(sample);
  const replaced = text.split('\ufffd').length - 1;
  return (strange + replaced) / text.length > 0.2;
}
