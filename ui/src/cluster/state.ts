// The state of the cluster as rows in plain maps, changed by what the stream of events tells.
// Reads nothing, and shows nothing: whoever does asks for what has changed.
import {
  NOTHING, agentRow, executorRow, frameworkRow, infoRow, plus, taskKey, taskRow, updated,
  type Agent, type AgentInfo, type AgentRow, type Amounts, type Executor, type ExecutorRow, type Framework, type FrameworkInfo,
  type FrameworkRow, type OperatorEvent, type Task, type TaskRow,
} from './wire';

/** So many ended tasks of a framework are kept, as many as the master keeps by default. */
export const MAX_ENDED = 1000;

/** The keys of rows that are others than before. */
export interface Changes {
  tasks: Set<string>;
  agents: Set<string>;
  frameworks: Set<string>;
}

/** Tasks that belong together, and how many of them are in which state. */
export interface Group {
  tasks: Map<string, TaskRow>;
  states: Map<string, number>;
  /** How many of them have not ended. */
  alive: number;
  /** What the tasks that have not ended were given. */
  held: Amounts;
}

const newGroup = (): Group => ({ tasks: new Map(), states: new Map(), alive: 0, held: NOTHING });

const NO_GROUP: Readonly<Group> = newGroup();

const noChanges = (): Changes => ({ tasks: new Set(), agents: new Set(), frameworks: new Set() });

export class ClusterState {
  readonly tasks = new Map<string, TaskRow>();
  readonly agents = new Map<string, AgentRow>();
  readonly frameworks = new Map<string, FrameworkRow>();
  /** Executors of each agent by their keys; no event tells of them, so they are as they were read last. */
  readonly #executors = new Map<string, Map<string, ExecutorRow>>();
  readonly #byFramework = new Map<string, Group>();
  readonly #byAgent = new Map<string, Group>();
  /** The ended tasks of each framework, the oldest first. */
  readonly #ended = new Map<string, Set<string>>();
  #changes = noChanges();
  /** Agents that events told of since `beginRead`; what is read tells an older state of them. */
  #told = new Set<string>();

  /** What has changed since it was last taken. */
  take(): Changes {
    const taken = this.#changes;
    this.#changes = noChanges();
    return taken;
  }

  get isChanged(): boolean {
    return this.#changes.tasks.size + this.#changes.agents.size + this.#changes.frameworks.size > 0;
  }

  ofFramework(id: string): Readonly<Group> {
    return this.#byFramework.get(id) ?? NO_GROUP;
  }

  ofAgent(id: string): Readonly<Group> {
    return this.#byAgent.get(id) ?? NO_GROUP;
  }

  /** How many tasks of the whole cluster are in which state. */
  taskStates(): Map<string, number> {
    const sums = new Map<string, number>();
    for (const { states } of this.#byFramework.values()) {
      for (const [state, some] of states) sums.set(state, (sums.get(state) ?? 0) + some);
    }
    return sums;
  }

  /** The executors on an agent, those without tasks among them. */
  executorsOf(agent: string): Iterable<ExecutorRow> {
    return this.#executors.get(agent)?.values() ?? [];
  }

  /** Takes something of the state that a stream begins with. */
  element(list: string, element: unknown): void {
    switch (list) {
      case 'tasks':
      case 'unreachable_tasks':
      case 'completed_tasks':
        this.#addTask(taskRow(element as Task));
        break;
      case 'frameworks':
      case 'completed_frameworks':
        this.#setFramework(element as Framework, list === 'completed_frameworks', true);
        break;
      case 'executors':
        this.#setExecutor(executorRow(element as Executor));
        break;
      case 'agents':
        this.#setAgent(agentRow(element as Agent));
        break;
      case 'recovered_agents':
        this.#setAgent(infoRow(element as AgentInfo));
    }
  }

  event(event: OperatorEvent): void {
    switch (event.type) {
      case 'TASK_ADDED':
        this.#launched(taskRow(event.task_added.task));
        break;
      case 'TASK_UPDATED': {
        const { framework_id, status, state } = event.task_updated;
        const row = this.tasks.get(taskKey(framework_id.value, status.task_id.value));
        if (row) this.#updated(row, updated(row, status, state));
        break;
      }
      case 'AGENT_ADDED': {
        const row = agentRow(event.agent_added.agent);
        this.#told.add(row.id);
        this.#setAgent(row);
        break;
      }
      case 'AGENT_REMOVED':
        this.#told.add(event.agent_removed.agent_id.value);
        this.#removeAgent(event.agent_removed.agent_id.value);
        break;
      case 'FRAMEWORK_ADDED':
        this.#setFramework(event.framework_added.framework, false, false);
        break;
      case 'FRAMEWORK_UPDATED':
        this.#setFramework(event.framework_updated.framework, false, false);
        break;
      case 'FRAMEWORK_REMOVED':
        this.#endFramework(event.framework_removed.framework_info);
    }
  }

  /** Agents are about to be read; gives what takes them, which knows what was told meanwhile. */
  beginRead(): (read: { agents?: Agent[]; recovered_agents?: AgentInfo[] }) => void {
    const told = new Set<string>();
    this.#told = told;
    return ({ agents = [], recovered_agents = [] }) => {
      const rows = new Map([...recovered_agents.map(infoRow), ...agents.map(agentRow)].map((row) => [row.id, row]));
      for (const row of rows.values()) if (!told.has(row.id)) this.#setAgent(row);
      // No event tells of agents that became unreachable or are gone.
      for (const id of this.agents.keys()) if (!rows.has(id) && !told.has(id)) this.#removeAgent(id);
    };
  }

  /** Takes executors that were read: all that there are. */
  readExecutors(read: { executors?: Executor[] }): void {
    const was = new Map(this.#executors);
    this.#executors.clear();
    for (const executor of read.executors ?? []) this.#setExecutor(executorRow(executor));
    const keys = (of: Map<string, ExecutorRow> | undefined): string => [...(of?.keys() ?? [])].sort().join();
    for (const id of new Set([...was.keys(), ...this.#executors.keys()])) {
      if (keys(was.get(id)) !== keys(this.#executors.get(id))) this.#changes.agents.add(id);
    }
  }

  /** Takes frameworks that were read. */
  readFrameworks(read: { frameworks?: Framework[]; completed_frameworks?: Framework[] }): void {
    const ids = new Set<string>();
    const take = (framework: Framework, isCompleted: boolean): void => {
      ids.add(framework.framework_info.id?.value ?? '');
      this.#setFramework(framework, isCompleted, true);
    };
    for (const framework of read.completed_frameworks ?? []) take(framework, true);
    for (const framework of read.frameworks ?? []) take(framework, false);
    for (const id of this.frameworks.keys()) {
      if (ids.has(id)) continue;
      this.frameworks.delete(id);
      this.#changes.frameworks.add(id);
    }
  }

  /** A task that is launched under the id of one that has ended takes its place, never the other way round. */
  #addTask(row: TaskRow): void {
    const was = this.tasks.get(row.key);
    if (was && !was.isEnded && row.isEnded) return;
    if (was) this.#drop(was);
    this.#put(row);
  }

  #launched(row: TaskRow): void {
    const was = this.tasks.get(row.key);
    if (was) this.#drop(was);
    this.#put(row);
    if ((!was || was.isEnded) && !row.isEnded) this.#allocate(row, 1);
  }

  #updated(was: TaskRow, row: TaskRow): void {
    this.#drop(was);
    this.#put(row);
    if (row.isEnded && !was.isEnded) this.#allocate(row, -1);
  }

  #put(row: TaskRow): void {
    this.tasks.set(row.key, row);
    this.#note(row);
    join(this.#byFramework, row.framework, row);
    join(this.#byAgent, row.agent, row);
    if (!row.isEnded) return;
    let ended = this.#ended.get(row.framework);
    if (!ended) this.#ended.set(row.framework, (ended = new Set()));
    ended.add(row.key);
    if (ended.size <= MAX_ENDED) return;
    const oldest = this.tasks.get(ended.values().next().value ?? '');
    if (oldest) this.#drop(oldest);
  }

  #drop(row: TaskRow): void {
    this.tasks.delete(row.key);
    this.#note(row);
    leave(this.#byFramework, row.framework, row);
    leave(this.#byAgent, row.agent, row);
    if (row.isEnded) this.#ended.get(row.framework)?.delete(row.key);
  }

  /** Rows of agents and frameworks show how many tasks they have. */
  #note(row: TaskRow): void {
    this.#changes.tasks.add(row.key);
    this.#changes.agents.add(row.agent);
    this.#changes.frameworks.add(row.framework);
  }

  /** What agents and frameworks have allocated is told by no event; it follows from tasks until it is read again. */
  #allocate(task: TaskRow, sign: 1 | -1): void {
    const agent = this.agents.get(task.agent);
    if (agent) this.#setAgent({ ...agent, allocated: plus(agent.allocated, task, sign) });
    const framework = this.frameworks.get(task.framework);
    if (framework) this.frameworks.set(task.framework, { ...framework, allocated: plus(framework.allocated, task, sign) });
  }

  #setAgent(row: AgentRow): void {
    if (isSame(this.agents.get(row.id), row)) return;
    this.agents.set(row.id, row);
    this.#changes.agents.add(row.id);
  }

  #setExecutor(row: ExecutorRow): void {
    let own = this.#executors.get(row.agent);
    if (!own) this.#executors.set(row.agent, (own = new Map()));
    own.set(row.key, row);
  }

  #removeAgent(id: string): void {
    this.#executors.delete(id);
    if (this.agents.delete(id)) this.#changes.agents.add(id);
  }

  #setFramework(framework: Framework, isCompleted: boolean, isWhole: boolean): void {
    const id = framework.framework_info.id?.value ?? '';
    const told = frameworkRow(framework, this.frameworks.get(id), isWhole);
    const row: FrameworkRow = isCompleted ? { ...told, state: 'Completed' } : told;
    if (isSame(this.frameworks.get(id), row)) return;
    this.frameworks.set(id, row);
    this.#changes.frameworks.add(id);
  }

  #endFramework(info: FrameworkInfo): void {
    const id = info.id?.value ?? '';
    const row = this.frameworks.get(id);
    if (!row) return;
    for (const [agent, own] of this.#executors) {
      for (const [key, executor] of own) if (executor.framework === id && own.delete(key)) this.#changes.agents.add(agent);
    }
    const nothing = { allocated: NOTHING, offered: NOTHING, offers: [], inverse: [] };
    this.frameworks.set(id, { ...row, ...nothing, state: 'Completed', unregistered: Date.now() / 1000 });
    this.#changes.frameworks.add(id);
  }
}

/** Whether a row tells what it told before: of what is read again and again most has not changed. */
function isSame(was: object | undefined, row: object): boolean {
  return was !== undefined && JSON.stringify(was) === JSON.stringify(row);
}

function join(groups: Map<string, Group>, id: string, row: TaskRow): void {
  let group = groups.get(id);
  if (!group) groups.set(id, (group = newGroup()));
  group.tasks.set(row.key, row);
  group.states.set(row.state, (group.states.get(row.state) ?? 0) + 1);
  if (row.isEnded) return;
  group.alive += 1;
  group.held = plus(group.held, row);
}

function leave(groups: Map<string, Group>, id: string, row: TaskRow): void {
  const group = groups.get(id);
  if (!group?.tasks.delete(row.key)) return;
  if (group.tasks.size === 0) groups.delete(id);
  const left = (group.states.get(row.state) ?? 1) - 1;
  if (left === 0) group.states.delete(row.state);
  else group.states.set(row.state, left);
  if (row.isEnded) return;
  group.alive -= 1;
  group.held = plus(group.held, row, -1);
}
