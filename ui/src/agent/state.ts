// What an agent says of itself and its tasks at /state, as rows.
// Reads nothing from the server.

export interface TaskOfState {
  id: string;
  name: string;
  /** Missing while the task waits for its executor. */
  state?: string;
  statuses?: { state: string; timestamp?: number; container_status?: { container_id?: ContainerId } }[];
}

/** The id of a container, and of the one that it is in. */
export interface ContainerId {
  value: string;
  parent?: ContainerId;
}

export interface ExecutorOfState {
  id: string;
  name: string;
  container: string;
  type?: string;
  /** What it and its tasks have. */
  resources?: Amounts;
  tasks: TaskOfState[];
  queued_tasks: TaskOfState[];
  completed_tasks: TaskOfState[];
}

export interface FrameworkOfState {
  id: string;
  name: string;
  executors: ExecutorOfState[];
  completed_executors: ExecutorOfState[];
}

/** Amounts are numbers; ranges and sets are texts. */
export type Amounts = Record<string, number | string>;

export interface AgentState {
  id: string;
  pid: string;
  hostname: string;
  /** In seconds since the Unix epoch. */
  start_time: number;
  resources: Amounts;
  reserved_resources_allocated: Record<string, Amounts>;
  unreserved_resources_allocated: Amounts;
  attributes: Record<string, unknown>;
  drain_config?: unknown;
  estimated_drain_start_time_seconds?: number;
  external_log_file?: string;
  log_dir?: string;
  frameworks: FrameworkOfState[];
  completed_frameworks: FrameworkOfState[];
}

/** A task, or an executor without any. */
export interface TaskRow {
  key: string;
  framework: string;
  frameworkName: string;
  executor: string;
  run: string;
  /** Of an executor without tasks there is none. */
  task: string | undefined;
  name: string;
  state: string;
  /** Whether its executor is alive. */
  isLive: boolean;
  /** When it came into this state, in seconds since the Unix epoch; 0 when that is not known. */
  since: number;
  /** Where its files are in the sandbox: tasks of a group have a directory each. */
  inner: string[];
}

/** The directories of a container within the sandbox of its executor. */
export function innerPath(container: ContainerId | undefined): string[] {
  if (!container?.parent) return [];
  return [...innerPath(container.parent), 'containers', container.value];
}

/** All tasks, those of live executors first, and of these the latest first. */
export function taskRows(state: AgentState): TaskRow[] {
  const rows: TaskRow[] = [];
  for (const framework of [...state.frameworks, ...state.completed_frameworks]) {
    for (const executor of framework.executors) rows.push(...ofExecutor(framework, executor, true));
    for (const executor of framework.completed_executors) rows.push(...ofExecutor(framework, executor, false));
  }
  return rows.sort((a, b) => Number(b.isLive) - Number(a.isLive) || b.since - a.since || (a.key < b.key ? -1 : 1));
}

/** An executor: a framework's own, or that of a command. */
export interface ExecutorRow {
  key: string;
  id: string;
  framework: string;
  frameworkName: string;
  container: string;
  /** What it is, in words. */
  kind: string;
  isLive: boolean;
  /** Tasks that have not ended. */
  alive: number;
  resources: Amounts;
}

/** All executors, the live ones first, and of these those that idle last. */
export function executorRows(state: AgentState): ExecutorRow[] {
  const rows: ExecutorRow[] = [];
  const add = (framework: FrameworkOfState, executor: ExecutorOfState, isLive: boolean): void => {
    const { id, container, type, tasks, queued_tasks, completed_tasks } = executor;
    const own = [...tasks, ...queued_tasks, ...completed_tasks];
    const kind = type ? type.toLowerCase() : own.some((task) => task.id === id) ? 'of a command' : '';
    rows.push({
      key: `${framework.id}/${id}/${container}`, id, framework: framework.id, frameworkName: framework.name, container, kind, isLive,
      alive: tasks.length + queued_tasks.length, resources: executor.resources ?? {},
    });
  };
  for (const framework of [...state.frameworks, ...state.completed_frameworks]) {
    for (const executor of framework.executors) add(framework, executor, true);
    for (const executor of framework.completed_executors) add(framework, executor, false);
  }
  const rank = (row: ExecutorRow): number => (row.isLive ? (row.alive > 0 ? 0 : 1) : 2);
  return rows.sort((a, b) => rank(a) - rank(b) || (a.key < b.key ? -1 : 1));
}

function ofExecutor(framework: FrameworkOfState, executor: ExecutorOfState, isLive: boolean): TaskRow[] {
  const common = {
    framework: framework.id,
    frameworkName: framework.name,
    executor: executor.id,
    run: executor.container,
    isLive,
  };
  const tasks = [...executor.tasks, ...executor.queued_tasks, ...executor.completed_tasks];
  if (tasks.length === 0) {
    const key = `${framework.id}/${executor.id}/${executor.container}`;
    return [{ ...common, key, task: undefined, name: executor.name, state: '', since: 0, inner: [] }];
  }
  // One that only waits for an acknowledgement may be told twice.
  const once = new Map(tasks.map((task) => [task.id, task]));
  return [...once.values()].map((task) => {
    const last = task.statuses?.at(-1);
    return {
      ...common,
      key: `${framework.id}/${executor.id}/${executor.container}/${task.id}`,
      task: task.id,
      name: task.name,
      state: task.state ?? 'TASK_STAGING',
      since: last?.timestamp ?? 0,
      inner: innerPath(last?.container_status?.container_id),
    };
  });
}

/** A resource: how much there is of it, and is used. */
export interface Amount {
  name: string;
  total: number;
  used: number;
}

/** The amounts of all scalars, those that everybody knows first. */
export function amountsOf(state: AgentState): Amount[] {
  const known = ['cpus', 'mem', 'disk', 'gpus'];
  const used = [state.unreserved_resources_allocated, ...Object.values(state.reserved_resources_allocated)];
  const names = Object.keys(state.resources).filter((name) => typeof state.resources[name] === 'number');
  const rank = (name: string) => (known.includes(name) ? known.indexOf(name) : known.length);
  return names
    .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
    .map((name) => ({ name, total: numberOf(state.resources[name]), used: used.reduce((sum, of) => sum + numberOf(of[name]), 0) }))
    .filter(({ name, total }) => total > 0 || name === 'cpus' || name === 'mem');
}

const numberOf = (value: number | string | undefined): number => (typeof value === 'number' ? value : 0);

/** What is no scalar, such as ports, as text. */
export function rangesOf(state: AgentState): [string, string][] {
  return Object.entries(state.resources).filter((it): it is [string, string] => typeof it[1] === 'string');
}
