// The orders in which agents, frameworks and tasks can be shown.
// Sorts nothing itself. No two rows are equal in any order, so that a changed row has one place.
import type { Compare } from './sorted';
import { AGENT_STATES, FRAMEWORK_STATES, type AgentRow, type Amounts, type FrameworkRow, type TaskRow } from './wire';
import { byText } from './words';

const plain = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const share = (row: AgentRow, name: keyof Amounts): number => (row.total[name] > 0 ? row.allocated[name] / row.total[name] : 0);

export type TaskOrder = 'id' | 'state' | 'framework' | 'agent' | 'cpus' | 'mem' | 'since';

export const TASK_ORDERS: Record<TaskOrder, Compare<TaskRow>> = {
  id: (a, b) => plain(a.key, b.key),
  state: (a, b) => plain(a.state, b.state) || plain(a.key, b.key),
  framework: (a, b) => plain(a.framework, b.framework) || plain(a.key, b.key),
  agent: (a, b) => plain(a.agent, b.agent) || plain(a.key, b.key),
  cpus: (a, b) => a.cpus - b.cpus || plain(a.key, b.key),
  mem: (a, b) => a.mem - b.mem || plain(a.key, b.key),
  // The other way round, as it is shown first: what lives, the latest first.
  since: (a, b) => Number(b.isEnded) - Number(a.isEnded) || a.since - b.since || plain(a.key, b.key),
};

export type AgentOrder = 'host' | 'state' | 'tasks' | keyof Amounts;

/** `tasks` tells how many tasks an agent has now. */
export function agentOrder(by: AgentOrder, tasks: (id: string) => number): Compare<AgentRow> {
  const names: Compare<AgentRow> = (a, b) => byText(a.hostname, b.hostname) || plain(a.id, b.id);
  switch (by) {
    case 'host':
      return names;
    case 'state':
      return (a, b) => AGENT_STATES.indexOf(a.state) - AGENT_STATES.indexOf(b.state) || names(a, b);
    case 'tasks':
      return (a, b) => tasks(a.id) - tasks(b.id) || names(a, b);
    default:
      return (a, b) => share(a, by) - share(b, by) || names(a, b);
  }
}

export type FrameworkOrder = 'name' | 'state' | 'tasks' | 'cpus' | 'mem' | 'registered';

/** `tasks` tells how many tasks of a framework have not ended. */
export function frameworkOrder(by: FrameworkOrder, tasks: (id: string) => number): Compare<FrameworkRow> {
  const names: Compare<FrameworkRow> = (a, b) => byText(a.name, b.name) || plain(a.id, b.id);
  switch (by) {
    case 'name':
      return names;
    case 'state':
      return (a, b) => FRAMEWORK_STATES.indexOf(a.state) - FRAMEWORK_STATES.indexOf(b.state) || names(a, b);
    case 'tasks':
      return (a, b) => tasks(a.id) - tasks(b.id) || names(a, b);
    case 'registered':
      return (a, b) => a.registered - b.registered || names(a, b);
    default:
      return (a, b) => a.allocated[by] - b.allocated[by] || names(a, b);
  }
}
