// One agent as /slaves tells of it, what may be done with it, and its tasks by framework and executor.
// Keeps nothing.
import { call } from './live.svelte';
import { amountText, type ExecutorRow, type Resource, type TaskRow } from './wire';
import { amount } from './words';

/** An agent as /slaves lists it. */
export interface Slave {
  id: string;
  hostname: string;
  port: number;
  pid: string;
  version: string;
  active: boolean;
  deactivated: boolean;
  registered_time: number;
  reregistered_time?: number;
  attributes: Record<string, string | number>;
  capabilities: string[];
  domain?: { fault_domain?: { region: { name: string }; zone: { name: string } } };
  resources: Record<string, string | number>;
  used_resources: Record<string, string | number>;
  offered_resources: Record<string, string | number>;
  unreserved_resources_full: Resource[];
  reserved_resources_full: Record<string, Resource[]>;
  drain_info?: { state: string; config?: { max_grace_period?: { nanoseconds: number }; mark_gone?: boolean } };
  estimated_drain_start_time_seconds?: number;
}

/** Its state in one word, as the list of agents has it. */
export function slaveState(slave: Slave): string {
  if (slave.drain_info?.state === 'DRAINED') return 'Drained';
  if (slave.drain_info?.state === 'DRAINING') return 'Draining';
  if (slave.deactivated) return 'Deactivated';
  return slave.active ? 'Active' : 'Disconnected';
}

/** How many numbers are in ranges such as `[31000-31999]`; undefined when it is none. */
export function rangeSize(text: string | number | undefined): number | undefined {
  if (typeof text !== 'string' || !text.startsWith('[')) return undefined;
  return [...text.matchAll(/(\d+)-(\d+)/g)].reduce((sum, [, begin, end]) => sum + Number(end) - Number(begin) + 1, 0);
}

/** What is set aside for a role on an agent; the first is for all. */
export interface RoleShare {
  role: string;
  amounts: { name: string; text: string }[];
  /** Who reserved it how, and volumes in it. */
  notes: string[];
}

/** The resources of an agent by the role they are reserved for. */
export function shares(slave: Slave): RoleShare[] {
  const of = (role: string, resources: Resource[]): RoleShare => {
    const sums = new Map<string, number>();
    const others: { name: string; text: string }[] = [];
    for (const resource of resources) {
      if (resource.scalar) sums.set(resource.name, (sums.get(resource.name) ?? 0) + resource.scalar.value);
      else others.push({ name: resource.name, text: amountText(resource) });
    }
    const scalars = [...sums].map(([name, value]) => ({ name, text: amount(name, value) }));
    return { role, amounts: [...scalars, ...others], notes: [...new Set(resources.flatMap(notes))] };
  };
  const reserved = Object.entries(slave.reserved_resources_full).map(([role, resources]) => of(role, resources));
  return [of('*', slave.unreserved_resources_full), ...reserved];
}

function notes(resource: Resource): string[] {
  const last = resource.reservations?.at(-1);
  const how = last ? [`${last.type === 'STATIC' ? 'by a flag of the agent' : 'dynamically'}${last.principal ? `, by ${last.principal}` : ''}`] : [];
  const volume = resource.disk?.persistence;
  const path = resource.disk?.volume?.container_path;
  return [
    ...how,
    ...(volume ? [`volume ${volume.id}${path ? ` at ${path}` : ''} of ${amount('disk', resource.scalar?.value ?? 0)}`] : []),
    ...(resource.revocable ? ['revocable'] : []),
  ];
}

/** A line of what runs on an agent: a framework, an executor of it that is more than its own task, or a task. */
export type Line =
  | { kind: 'framework'; key: string; id: string; tasks: number }
  | { kind: 'executor'; key: string; id: string; framework: string; tasks: number; alive: number; container: string; known: ExecutorRow | undefined }
  | { kind: 'task'; key: string; task: TaskRow; isInside: boolean };

/** An executor with its tasks, as far as they are shown. */
interface Group {
  tasks: TaskRow[];
  /** That of its latest task; empty when none has told it. */
  container: string;
  containerSince: number;
  known: ExecutorRow | undefined;
}

/**
 * Tasks below their executors below their frameworks; the latest first. A command task is its executor. Executors that
 * are there without a task are shown, too, as they hold resources.
 */
export function linesOf(tasks: Iterable<TaskRow>, isWithEnded: boolean, nameOf: (framework: string) => string, known: Iterable<ExecutorRow> = []): Line[] {
  const frameworks = new Map<string, Map<string, Group>>();
  const groupOf = (framework: string, executor: string): Group => {
    let executors = frameworks.get(framework);
    if (!executors) frameworks.set(framework, (executors = new Map()));
    let group = executors.get(executor);
    if (!group) executors.set(executor, (group = { tasks: [], container: '', containerSince: -1, known: undefined }));
    return group;
  };
  for (const executor of known) groupOf(executor.framework, executor.id).known = executor;
  for (const task of tasks) {
    const isShown = isWithEnded || !task.isEnded;
    if (!isShown && !frameworks.get(task.framework)?.has(task.executor)) continue;
    const group = groupOf(task.framework, task.executor);
    if (task.container !== '' && task.since >= group.containerSince) {
      group.container = task.container;
      group.containerSince = task.since;
    }
    if (isShown) group.tasks.push(task);
  }
  const lines: Line[] = [];
  const byName = [...frameworks].sort(([a], [b]) => (nameOf(a) < nameOf(b) || (nameOf(a) === nameOf(b) && a < b) ? -1 : 1));
  for (const [id, executors] of byName) {
    const groups = [...executors].map(([executor, group]) => {
      group.tasks.sort(latestFirst);
      return [executor, group] as const;
    });
    // What is idle comes last, by its id.
    groups.sort(([a, { tasks: [one] }], [b, { tasks: [other] }]) => Number(!one) - Number(!other) || latestFirst(one, other) || (a < b ? -1 : 1));
    lines.push({ kind: 'framework', key: id, id, tasks: groups.reduce((sum, [, { tasks }]) => sum + tasks.length, 0) });
    for (const [executor, { tasks, container, known }] of groups) {
      const isOwn = tasks.length === 1 && tasks[0]?.id === executor && !known;
      // No task has this key: what is behind its framework's id has a slash at its end.
      if (!isOwn) lines.push({ kind: 'executor', key: `${id}/${executor}/`, id: executor, framework: id, tasks: tasks.length, alive: tasks.filter((task) => !task.isEnded).length, container, known });
      lines.push(...tasks.map((task): Line => ({ kind: 'task', key: task.key, task, isInside: !isOwn })));
    }
  }
  return lines;
}

function latestFirst(a: TaskRow | undefined, b: TaskRow | undefined): number {
  return Number(a?.isEnded) - Number(b?.isEnded) || (b?.since ?? 0) - (a?.since ?? 0) || ((a?.key ?? '') < (b?.key ?? '') ? -1 : 1);
}

const agent_id = (value: string) => ({ agent_id: { value } });

/** Ends what runs on an agent, which is offered no more. Without a time, tasks have as long as they themselves say. */
export function drain(id: string, graceSeconds: number | undefined, isMarkedGone: boolean): Promise<unknown> {
  const grace = graceSeconds === undefined ? {} : { max_grace_period: { seconds: graceSeconds } };
  return call('DRAIN_AGENT', { drain_agent: { ...agent_id(id), ...grace, mark_gone: isMarkedGone } });
}

export const deactivate = (id: string): Promise<unknown> => call('DEACTIVATE_AGENT', { deactivate_agent: agent_id(id) });
export const reactivate = (id: string): Promise<unknown> => call('REACTIVATE_AGENT', { reactivate_agent: agent_id(id) });
export const markGone = (id: string): Promise<unknown> => call('MARK_AGENT_GONE', { mark_agent_gone: agent_id(id) });
