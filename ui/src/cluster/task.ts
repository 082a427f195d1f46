// What is known of a task, as its page shows it, and where its files are.
// Asks nothing.
import { innerPath, type ContainerId } from '../agent/state';
import { link } from '../lib/router.svelte';

/** A task as /tasks lists it. */
export interface TaskOfList {
  id: string;
  name: string;
  framework_id: string;
  /** Empty for a task that is a command. */
  executor_id: string;
  slave_id: string;
  state: string;
  /** Amounts are numbers; ranges and sets are texts. */
  resources: Record<string, number | string>;
  limits?: Record<string, number | string>;
  role?: string;
  user?: string;
  labels?: { key: string; value?: string }[];
  discovery?: unknown;
  container?: unknown;
  health_check?: unknown;
  statuses: {
    state: string;
    timestamp: number;
    healthy?: boolean;
    container_status?: { container_id?: ContainerId; network_infos?: { ip_addresses?: { ip_address?: string }[] }[] };
  }[];
}

/** What the master tells of a task that /tasks does not. */
export interface Told {
  hostname?: string;
  text: string;
  statuses: TaskStatus[];
}

export interface TaskStatus {
  state: string;
  /** In seconds since the Unix epoch. */
  timestamp?: number;
  source?: string;
  reason?: string;
  message?: string;
  healthy?: boolean;
}

/** The executor whose sandbox holds the files of a task. */
export function executorOf(task: TaskOfList): string {
  return task.executor_id || task.id;
}

/** The container of the last status that names one. */
export function containerOf(task: TaskOfList): ContainerId | undefined {
  return task.statuses.findLast((status) => status.container_status?.container_id)?.container_status?.container_id;
}

/** The way to the files of a task on the page that finds its agent; with `file`, at once to that file. */
export function filesLink(task: TaskOfList, file = ''): string {
  const container = containerOf(task);
  let outer = container;
  while (outer?.parent) outer = outer.parent;
  const place = [task.slave_id, task.framework_id, executorOf(task), ...innerPath(container)].join('/');
  return link('sandbox', place, { run: outer?.value ?? '', open: file });
}

/** Addresses of a task's networks, each once. */
export function addressesOf(task: TaskOfList): string[] {
  const infos = task.statuses.at(-1)?.container_status?.network_infos ?? [];
  const all = infos.flatMap((info) => info.ip_addresses ?? []).map((it) => it.ip_address ?? '');
  return [...new Set(all.filter((it) => it !== ''))];
}

/** A word of the API, such as REASON_COMMAND_EXECUTOR_FAILED, in words. */
export function wordsOf(name: string | undefined): string {
  return (name ?? '').replace(/^(REASON|SOURCE|TASK)_/, '').toLowerCase().replaceAll('_', ' ');
}

/** The statuses with what only one of the two reads tells, the newest first. */
export function historyOf(task: TaskOfList, told: Told | undefined): TaskStatus[] {
  const statuses: TaskStatus[] = told?.statuses ?? task.statuses;
  return [...statuses].reverse();
}
