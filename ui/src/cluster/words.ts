// Figures and ids of the cluster in the form that people read.
// Reads no clock but where the present is given.
import { decimals, duration, mebibytes, moment } from '../lib/format';
import type { Amounts } from './wire';

export const NAMES: Record<keyof Amounts, string> = { cpus: 'CPUs', mem: 'Memory', disk: 'Disk', gpus: 'GPUs' };
export const KINDS = ['cpus', 'mem', 'disk', 'gpus'] as const;

/** An amount of a resource by its name; those of other kinds have no unit. */
export function amount(name: string, value: number): string {
  return name === 'mem' || name === 'disk' ? mebibytes(value) : decimals(value);
}

/** The amounts that are there, such as `0.5 CPUs, 64 MiB memory`. */
export function amounts(of: Record<string, number>, none = 'nothing'): string {
  const there = Object.entries(of).filter(([, value]) => value > 0);
  return there.map(([name, value]) => phrase(name, value)).join(', ') || none;
}

/** The name of a resource as it stands within a sentence. */
export function kindWord(name: string): string {
  return (NAMES[name as keyof Amounts] ?? name).replace(/^[MD]/, (letter) => letter.toLowerCase());
}

/** One amount with its name. */
export function phrase(name: string, value: number): string {
  const word = kindWord(name);
  return `${amount(name, value)} ${value === 1 ? word.replace(/s$/, '') : word}`;
}

/** Only the four amounts of something that has more members. */
export const only = ({ cpus, mem, disk, gpus }: Amounts): Record<string, number> => ({ cpus, mem, disk, gpus });

/** What tells an agent or framework from others of the same master: ids begin with the master's. */
export function shortId(id: string): string {
  const end = /^[0-9a-f-]{36}-(.+)$/.exec(id)?.[1];
  return end ?? id;
}

/** How long ago a time was that is given in seconds since 1970; 0 is not known. */
export function since(seconds: number, now: number): string {
  return seconds > 0 ? `${duration(now / 1000 - seconds)} ago` : '–';
}

/** A time that is given in seconds since 1970. */
export function at(seconds: number): string {
  return seconds > 0 ? moment(new Date(seconds * 1000).toISOString()) : '–';
}

/** The words of a task's state, such as `Gone by operator`. */
export function stateWords(state: string): string {
  const word = state.replace(/^TASK_/, '').toLowerCase().replaceAll('_', ' ');
  return word.charAt(0).toUpperCase() + word.slice(1);
}

/** An address that a link may lead to: what others wrote could be a script. */
export function safeUrl(url: string): string | undefined {
  return /^https?:\/\//i.test(url) ? url : undefined;
}

/** Compares texts as people expect it of names with numbers, and tells apart what looks the same. */
const collator = new Intl.Collator('en', { numeric: true });
export const byText = (a: string, b: string): number => collator.compare(a, b) || (a < b ? -1 : a > b ? 1 : 0);

/** Whether all words of a text are found in one of the others. */
export function matches(text: string, among: string[]): boolean {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return words.every((word) => among.some((other) => other.toLowerCase().includes(word)));
}
