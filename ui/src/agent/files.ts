// The files an agent shows: where they are, and how they are listed and read.
// Shows nothing, and follows no file.
import { address, ask } from '../lib/api';

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
