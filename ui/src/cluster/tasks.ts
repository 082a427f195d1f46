// Which tasks are wanted: a filter as it stands in the address, and whether a task is what it asks for.
// Lists none.
import type { TaskRow } from './wire';
import { byText, matches, stateWords } from './words';

/** An empty member asks for nothing. */
export interface TaskFilter {
  /** Words that are found in ids, names and hosts. */
  text: string;
  /** In words, such as `Running`. */
  states: string[];
  frameworks: string[];
  roles: string[];
  /** A part of an agent's host or id. */
  agent: string;
}

/** The query of an address that asks for nothing. */
export const NO_FILTER: Record<string, string> = { q: '', state: '', framework: '', role: '', agent: '' };

export function filterOf(query: URLSearchParams): TaskFilter {
  const list = (name: string): string[] => (query.get(name) ?? '').split(',').filter(Boolean);
  return { text: query.get('q') ?? '', states: list('state'), frameworks: list('framework'), roles: list('role'), agent: query.get('agent') ?? '' };
}

export function isFiltered({ text, states, frameworks, roles, agent }: TaskFilter): boolean {
  return text !== '' || agent !== '' || states.length + frameworks.length + roles.length > 0;
}

/** Tells whether a task is wanted; `hostOf` gives the host of an agent, if that is known. */
export function accepting(filter: TaskFilter, hostOf: (agent: string) => string | undefined): (row: TaskRow) => boolean {
  const [states, frameworks, roles] = [new Set(filter.states), new Set(filter.frameworks), new Set(filter.roles)];
  const agent = filter.agent.toLowerCase();
  return (row) =>
    (frameworks.size === 0 || frameworks.has(row.framework)) &&
    (states.size === 0 || states.has(stateWords(row.state))) &&
    (roles.size === 0 || roles.has(row.role)) &&
    (agent === '' || row.agent.toLowerCase().includes(agent) || (hostOf(row.agent) ?? '').toLowerCase().includes(agent)) &&
    (filter.text === '' || matches(filter.text, [row.id, row.name, row.agent, hostOf(row.agent) ?? '', row.state]));
}

/** States to choose from: those that there are, and those that are chosen. */
export function stateChoices(states: Iterable<string>, chosen: string[]): string[] {
  return [...new Set([...[...states].map(stateWords), ...chosen])].sort(byText);
}
