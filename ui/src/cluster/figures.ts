// What the master's metrics say, as the overview shows it, and its course over time.
// Reads nothing from the server.

/** The answer of /metrics/snapshot. */
export type Metrics = Record<string, number>;

export const RESOURCES = ['cpus', 'mem', 'disk', 'gpus'] as const;
export type Resource = (typeof RESOURCES)[number];

/** How much of a resource there is, and what is done with it. */
export interface Amounts {
  total: number;
  used: number;
  /** Offered to frameworks, or reserved for offers, and not used. */
  offered: number;
}

/** Samples that a chart holds at most; the oldest go. */
export const MAX_SAMPLES = 720;

/** Time between two samples, in milliseconds. */
export const SAMPLE_MS = 5000;

const get = (metrics: Metrics, name: string): number => metrics[name] ?? 0;

/** The amounts of a resource. */
export function amounts(metrics: Metrics, resource: Resource): Amounts {
  const total = get(metrics, `master/${resource}_total`);
  const used = get(metrics, `master/${resource}_used`);
  const held = get(metrics, `allocator/mesos/resources/${resource}/offered_or_allocated`);
  return { total, used, offered: Math.max(0, held - used) };
}

/** Tasks that are alive, by state, and those that have ended since this master leads. */
export const TASK_STATES = {
  now: ['staging', 'starting', 'running', 'killing', 'unreachable'],
  ended: ['finished', 'failed', 'killed', 'lost', 'error', 'dropped', 'gone', 'gone_by_operator'],
} as const;

export const AGENT_STATES = ['active', 'inactive', 'disconnected', 'unreachable'] as const;

export const FRAMEWORK_STATES = ['active', 'inactive'] as const;

/** A figure by state, such as of `tasks` or `slaves`. */
export function byState(metrics: Metrics, family: string, states: readonly string[]): { state: string; amount: number }[] {
  return states.map((state) => ({ state, amount: get(metrics, `master/${family}_${state}`) }));
}

/** The course of a resource: times in seconds, then what is used, used or offered, and there. */
export type Course = [number[], number[], number[], number[]];

/** A course with one more sample; the old one stays as it is. */
export function withSample([times, used, held, total]: Course, at: number, now: Amounts): Course {
  const add = (values: number[], value: number) => [...values.slice(-(MAX_SAMPLES - 1)), value];
  return [add(times, at), add(used, now.used), add(held, now.used + now.offered), add(total, now.total)];
}
