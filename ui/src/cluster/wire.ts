// What the operator API says of tasks, agents and frameworks, and the rows that pages keep of it.
// Asks nothing; members that are not named here are passed over.

interface Id {
  value: string;
}

interface Time {
  nanoseconds: number;
}

/** A resource as the v1 API writes it. */
export interface Resource {
  name: string;
  type: string;
  scalar?: { value: number };
  ranges?: { range?: { begin: number; end: number }[] };
  set?: { item?: string[] };
  role?: string;
  allocation_info?: { role?: string };
  reservations?: { type?: string; role?: string; principal?: string }[];
  disk?: { persistence?: { id: string }; volume?: { container_path: string } };
  revocable?: object;
  shared?: object;
}

export interface Status {
  task_id: Id;
  state: string;
  timestamp?: number;
  message?: string;
  reason?: string;
  healthy?: boolean;
  agent_id?: Id;
  executor_id?: Id;
  container_status?: { container_id?: ContainerId };
}

/** The id of a container, and of the one that it is in. */
interface ContainerId extends Id {
  parent?: ContainerId;
}

export interface Task {
  name: string;
  task_id: Id;
  framework_id: Id;
  agent_id: Id;
  executor_id?: Id;
  state: string;
  resources?: Resource[];
  statuses?: Status[];
}

export interface ExecutorInfo {
  executor_id: Id;
  framework_id?: Id;
  name?: string;
  type?: string;
  resources?: Resource[];
}

/** An executor that a framework told of; the master knows none of those that only run a command. */
export interface Executor {
  executor_info: ExecutorInfo;
  agent_id: Id;
}

export interface AgentInfo {
  id?: Id;
  hostname: string;
  port?: number;
  attributes?: (Omit<Resource, 'role'> & { text?: { value: string } })[];
  domain?: { fault_domain?: { region: { name: string }; zone: { name: string } } };
}

export interface Agent {
  agent_info: AgentInfo;
  active: boolean;
  version: string;
  pid?: string;
  registered_time?: Time;
  reregistered_time?: Time;
  total_resources?: Resource[];
  allocated_resources?: Resource[];
  offered_resources?: Resource[];
  capabilities?: { type?: string }[];
  deactivated?: boolean;
  drain_info?: { state: string; config?: { max_grace_period?: Time; mark_gone?: boolean } };
  estimated_drain_start_time?: Time;
}

export interface FrameworkInfo {
  id?: Id;
  user: string;
  name: string;
  roles?: string[];
  role?: string;
  principal?: string;
  hostname?: string;
  webui_url?: string;
  checkpoint?: boolean;
  failover_timeout?: number;
  capabilities?: { type?: string }[];
  labels?: { labels?: { key: string; value?: string }[] };
}

export interface Offer {
  id: Id;
  framework_id: Id;
  agent_id: Id;
  hostname: string;
  resources?: Resource[];
  allocation_info?: { role?: string };
}

export interface InverseOffer {
  id: Id;
  agent_id?: Id;
  unavailability: Unavailability;
}

export interface Framework {
  framework_info: FrameworkInfo;
  active: boolean;
  connected: boolean;
  recovered: boolean;
  registered_time?: Time;
  reregistered_time?: Time;
  unregistered_time?: Time;
  offers?: Offer[];
  inverse_offers?: InverseOffer[];
  allocated_resources?: Resource[];
  offered_resources?: Resource[];
}

export interface Machine {
  hostname?: string;
  ip?: string;
}

export interface Unavailability {
  start: Time;
  duration?: Time;
}

export interface Window {
  machine_ids: Machine[];
  unavailability: Unavailability;
}

/** An event of the stream, after the first one. */
export type OperatorEvent =
  | { type: 'TASK_ADDED'; task_added: { task: Task } }
  | { type: 'TASK_UPDATED'; task_updated: { framework_id: Id; status: Status; state: string } }
  | { type: 'AGENT_ADDED'; agent_added: { agent: Agent } }
  | { type: 'AGENT_REMOVED'; agent_removed: { agent_id: Id } }
  | { type: 'FRAMEWORK_ADDED'; framework_added: { framework: Framework } }
  | { type: 'FRAMEWORK_UPDATED'; framework_updated: { framework: Framework } }
  | { type: 'FRAMEWORK_REMOVED'; framework_removed: { framework_info: FrameworkInfo } }
  | { type: 'HEARTBEAT' };

/** Amounts of the resources that all agents have; memory and disk in MB. */
export interface Amounts {
  cpus: number;
  mem: number;
  disk: number;
  gpus: number;
}

export const NOTHING: Amounts = { cpus: 0, mem: 0, disk: 0, gpus: 0 };

/** The amounts among resources. */
export function amountsOf(resources: Resource[] | undefined): Amounts {
  const sum = { ...NOTHING };
  for (const { name, scalar } of resources ?? []) {
    if (scalar && (name === 'cpus' || name === 'mem' || name === 'disk' || name === 'gpus')) sum[name] += scalar.value;
  }
  return sum;
}

/** The sum, or with `sign` -1 the difference, which is never below nothing: sums of decimals are not exact. */
export function plus(a: Amounts, b: Amounts, sign: 1 | -1 = 1): Amounts {
  const add = (x: number, y: number) => Math.max(0, Math.round((x + sign * y) * 1000) / 1000);
  return { cpus: add(a.cpus, b.cpus), mem: add(a.mem, b.mem), disk: add(a.disk, b.disk), gpus: add(a.gpus, b.gpus) };
}

/** What is kept of a task; its statuses and labels are read by its own page. */
export interface TaskRow extends Amounts {
  key: string;
  id: string;
  name: string;
  framework: string;
  agent: string;
  /** That of a command task is the task's. */
  executor: string;
  /** The id of its executor's container; empty while it is not known. */
  container: string;
  /** What its resources are allocated to; empty when that is not told. */
  role: string;
  state: string;
  /** When it came into this state, in seconds since 1970; 0 when not known. */
  since: number;
  healthy: boolean | undefined;
  message: string;
  isEnded: boolean;
}

/** What is known of an executor, its own resources among it. */
export interface ExecutorRow extends Amounts {
  key: string;
  id: string;
  name: string;
  /** `DEFAULT` or `CUSTOM`; empty when it is not told. */
  type: string;
  framework: string;
  agent: string;
}

export interface AgentRow {
  id: string;
  hostname: string;
  pid: string;
  version: string;
  state: AgentState;
  total: Amounts;
  allocated: Amounts;
  offered: Amounts;
  /** Each as `name:value`. */
  attributes: string[];
  domain: string;
  registered: number;
}

/** An agent in one word. The API does not tell whether a deactivated one is connected. */
export const AGENT_STATES = ['Active', 'Draining', 'Drained', 'Deactivated', 'Disconnected', 'Not back yet'] as const;
export type AgentState = (typeof AGENT_STATES)[number];

export interface FrameworkRow {
  id: string;
  name: string;
  user: string;
  principal: string;
  hostname: string;
  webui: string;
  roles: string[];
  state: FrameworkState;
  checkpoint: boolean;
  /** In seconds. */
  failover: number;
  capabilities: string[];
  labels: string[];
  registered: number;
  reregistered: number;
  unregistered: number;
  allocated: Amounts;
  offered: Amounts;
  offers: Offer[];
  inverse: InverseOffer[];
}

export const FRAMEWORK_STATES = ['Active', 'Inactive', 'Disconnected', 'Not back yet', 'Completed'] as const;
export type FrameworkState = (typeof FRAMEWORK_STATES)[number];

/** States that a task does not leave any more. */
const ENDED = new Set([
  'TASK_FINISHED', 'TASK_FAILED', 'TASK_KILLED', 'TASK_ERROR', 'TASK_LOST', 'TASK_DROPPED', 'TASK_GONE', 'TASK_GONE_BY_OPERATOR',
]);

export const isEnded = (state: string): boolean => ENDED.has(state);

/** The key of a task, which is also the rest of the link to its page. */
export const taskKey = (framework: string, task: string): string => `${framework}/${task}`;

/** An agent runs one executor of a framework under an id. */
export const executorKey = (agent: string, framework: string, id: string): string => `${agent}/${framework}/${id}`;

export const seconds = (time: Time | undefined): number => (time ? time.nanoseconds / 1e9 : 0);

export function taskRow(task: Task): TaskRow {
  const last = task.statuses?.at(-1);
  return {
    key: taskKey(task.framework_id.value, task.task_id.value),
    id: task.task_id.value,
    name: task.name,
    framework: task.framework_id.value,
    agent: task.agent_id.value,
    executor: task.executor_id?.value || task.task_id.value,
    container: containerIn(task.statuses),
    role: task.resources?.find((it) => it.allocation_info?.role)?.allocation_info?.role ?? '',
    state: task.state,
    since: last?.timestamp ?? 0,
    healthy: last?.healthy,
    message: last?.message ?? '',
    isEnded: isEnded(task.state),
    ...amountsOf(task.resources),
  };
}

/** The container that all others of an executor are in. */
function containerOf(status: Status): string {
  let container = status.container_status?.container_id;
  while (container?.parent) container = container.parent;
  return container?.value ?? '';
}

function containerIn(statuses: Status[] | undefined): string {
  for (let place = (statuses?.length ?? 0) - 1; place >= 0; place -= 1) {
    const found = containerOf(statuses?.[place] as Status);
    if (found !== '') return found;
  }
  return '';
}

export function executorRow({ executor_info: info, agent_id }: Executor): ExecutorRow {
  const [agent, framework, id] = [agent_id.value, info.framework_id?.value ?? '', info.executor_id.value];
  return { key: executorKey(agent, framework, id), id, name: info.name ?? '', type: info.type ?? '', framework, agent, ...amountsOf(info.resources) };
}

/** The row of a task after an update. */
export function updated(row: TaskRow, status: Status, state: string): TaskRow {
  const since = state === row.state ? row.since : (status.timestamp ?? row.since);
  const container = containerOf(status) || row.container;
  return { ...row, state, since, container, healthy: status.healthy ?? row.healthy, message: status.message ?? '', isEnded: isEnded(state) };
}

export function agentRow(agent: Agent): AgentRow {
  return {
    ...infoRow(agent.agent_info),
    pid: agent.pid ?? '',
    version: agent.version,
    state: agentState(agent),
    total: amountsOf(agent.total_resources),
    allocated: amountsOf(agent.allocated_resources),
    offered: amountsOf(agent.offered_resources),
    registered: seconds(agent.reregistered_time ?? agent.registered_time),
  };
}

function agentState(agent: Agent): AgentState {
  if (agent.drain_info?.state === 'DRAINED') return 'Drained';
  if (agent.drain_info?.state === 'DRAINING') return 'Draining';
  if (agent.deactivated) return 'Deactivated';
  return agent.active ? 'Active' : 'Disconnected';
}

/** An agent that has not come back since the master leads: only what the registry says is known. */
export function infoRow(info: AgentInfo): AgentRow {
  const domain = info.domain?.fault_domain;
  return {
    id: info.id?.value ?? '',
    hostname: info.hostname,
    pid: '',
    version: '',
    state: 'Not back yet',
    total: NOTHING,
    allocated: NOTHING,
    offered: NOTHING,
    attributes: (info.attributes ?? []).map((it) => `${it.name}:${it.text?.value ?? amountText(it)}`),
    domain: domain ? `${domain.region.name}/${domain.zone.name}` : '',
    registered: 0,
  };
}

/** The amount of a resource as flags write it. */
export function amountText(resource: Pick<Resource, 'scalar' | 'ranges' | 'set'>): string {
  if (resource.scalar) return String(resource.scalar.value);
  if (resource.ranges) return `[${(resource.ranges.range ?? []).map(({ begin, end }) => `${begin}-${end}`).join(', ')}]`;
  return `{${(resource.set?.item ?? []).join(', ')}}`;
}

/** `was` is what was known of it: events do not tell what a framework has. */
export function frameworkRow(framework: Framework, was: FrameworkRow | undefined, isWhole: boolean): FrameworkRow {
  const info = framework.framework_info;
  const keeps = isWhole ? undefined : was;
  return {
    id: info.id?.value ?? '',
    name: info.name,
    user: info.user,
    principal: info.principal ?? '',
    hostname: info.hostname ?? '',
    webui: info.webui_url ?? '',
    roles: info.roles && info.roles.length > 0 ? info.roles : [info.role ?? '*'],
    state: frameworkState(framework),
    checkpoint: info.checkpoint ?? false,
    failover: info.failover_timeout ?? 0,
    capabilities: (info.capabilities ?? []).map(({ type }) => type ?? 'UNKNOWN'),
    labels: (info.labels?.labels ?? []).map(({ key, value }) => (value ? `${key}=${value}` : key)),
    registered: seconds(framework.registered_time),
    reregistered: seconds(framework.reregistered_time),
    unregistered: seconds(framework.unregistered_time),
    allocated: keeps?.allocated ?? amountsOf(framework.allocated_resources),
    offered: keeps?.offered ?? amountsOf(framework.offered_resources),
    offers: keeps?.offers ?? framework.offers ?? [],
    inverse: keeps?.inverse ?? framework.inverse_offers ?? [],
  };
}

function frameworkState(framework: Framework): FrameworkState {
  if (framework.recovered) return 'Not back yet';
  if (!framework.connected) return 'Disconnected';
  return framework.active ? 'Active' : 'Inactive';
}
