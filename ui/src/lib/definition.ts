// Definitions of apps as the editor changes them: members by path, and lists of names and values.
// Checks nothing; `schema.ts` and the server do.
import type { Definition } from './types';

/** What a new app is before anything is typed. */
export function blank(group: string): Definition {
  const id = group === '' || group === '/' ? '/' : `${group}/`;
  return { id, cmd: '', cpus: 0.1, mem: 128, disk: 0, instances: 1 };
}

/** A definition that can be sent: without what the server tells beside it, and without empty fields. */
export function sendable(definition: Definition): Definition {
  const sent = structuredClone(definition);
  // A version would mean: go back to it.
  delete sent['version'];
  delete sent['versionInfo'];
  if (sent.cmd === '') delete sent.cmd;
  for (const name of ['args', 'constraints', 'fetch', 'healthChecks', 'readinessChecks', 'dependencies']) {
    const value = sent[name];
    if (Array.isArray(value) && value.length === 0) delete sent[name];
  }
  return sent;
}

/** The member at a path such as `upgradeStrategy.minimumHealthCapacity`. */
export function member(value: unknown, path: string): unknown {
  let found = value;
  for (const name of path.split('.')) {
    if (typeof found !== 'object' || found === null) return undefined;
    found = (found as Record<string, unknown>)[name];
  }
  return found;
}

/** A copy in which the member at a path is another one; undefined removes it. */
export function withMember<T extends object>(value: T, path: string, set: unknown): T {
  const [first = '', ...rest] = path.split('.');
  const copy = { ...value } as Record<string, unknown>;
  if (rest.length > 0) {
    const inner = copy[first];
    set = withMember(typeof inner === 'object' && inner !== null ? inner : {}, rest.join('.'), set);
  }
  if (set === undefined) delete copy[first];
  else copy[first] = set;
  return copy as T;
}

/** `NAME=value` lines of an object. Values that are no text, such as secrets, cannot be written so. */
export function pairs(value: unknown): [string, string][] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
}

/** An object of pairs, with the members of the old one that are no texts. */
export function unpaired(entries: [string, string][], old: unknown): Record<string, unknown> {
  const kept = typeof old === 'object' && old !== null ? Object.entries(old).filter(([, value]) => typeof value !== 'string') : [];
  return Object.fromEntries([...kept, ...entries.filter(([name]) => name !== '')]);
}
