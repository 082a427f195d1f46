// Apps as rows, their statuses, groups that sum up what is below them, and filters.
// Reads nothing from the server.
import type { Group, ListedApp, QueueItem } from './types';

export const STATUSES = ['Running', 'Deploying', 'Delayed', 'Waiting', 'Suspended'] as const;
export type Status = (typeof STATUSES)[number];

export const HEALTHS = ['Healthy', 'Unhealthy', 'Unchecked', 'Idle'] as const;
export type AppHealth = (typeof HEALTHS)[number];

/** How the instances of an app or group are. */
export interface Tally {
  wanted: number;
  staged: number;
  running: number;
  healthy: number;
  unhealthy: number;
}

/** What is kept of an app of the list; definitions of thousands are not. */
export interface AppRow extends Tally {
  id: string;
  cpus: number;
  mem: number;
  gpus: number;
  labels: [string, string][];
  isChecked: boolean;
  isDeploying: boolean;
  version: string;
}

/** A line of the list. */
export type Row = { kind: 'app'; id: string; app: AppRow } | { kind: 'group'; id: string; group: GroupRow };

/** A group with what is below it. */
export interface GroupRow extends Tally {
  id: string;
  apps: number;
  cpus: number;
  mem: number;
  deploying: number;
}

/** What is to be shown. */
export interface Filter {
  text: string;
  statuses: string[];
  healths: string[];
  /** `name` or `name=value`. */
  label: string;
}

/** Keeps what the list shows of an app. */
export function rowOf(app: ListedApp): AppRow {
  return {
    id: app.id,
    wanted: app.instances ?? 0,
    staged: app.tasksStaged,
    running: app.tasksRunning,
    healthy: app.tasksHealthy,
    unhealthy: app.tasksUnhealthy,
    cpus: app.cpus ?? 0,
    mem: app.mem ?? 0,
    gpus: app.gpus ?? 0,
    labels: Object.entries(app.labels ?? {}),
    isChecked: (app.healthChecks ?? []).length > 0,
    isDeploying: app.deployments.length > 0,
    version: app.version ?? '',
  };
}

/** Apps that wait for offers, and whether their launches are delayed. */
export type Waiting = Map<string, { isDelayed: boolean }>;

/** What the queue says, by app. */
export function waitingOf(queue: QueueItem[]): Waiting {
  return new Map(queue.map((item) => [item.app.id, { isDelayed: !item.delay.overdue }]));
}

/** The status of an app, in Marathon's words. */
export function statusOf(app: AppRow, waiting: Waiting): Status {
  const waits = waiting.get(app.id);
  if (waits && app.running + app.staged < app.wanted) return waits.isDelayed ? 'Delayed' : 'Waiting';
  if (app.isDeploying) return 'Deploying';
  return app.wanted === 0 && app.running + app.staged === 0 ? 'Suspended' : 'Running';
}

/** How healthy an app is, all its instances together. */
export function healthOf(app: AppRow): AppHealth {
  if (app.unhealthy > 0) return 'Unhealthy';
  if (app.running === 0) return 'Idle';
  if (!app.isChecked) return 'Unchecked';
  return app.healthy === app.running ? 'Healthy' : 'Unchecked';
}

/** The word that is shown for an app: that it is unhealthy tells more than that it runs. */
export function shownStatus(app: AppRow, waiting: Waiting): Status | 'Unhealthy' {
  const status = statusOf(app, waiting);
  return status === 'Running' && healthOf(app) === 'Unhealthy' ? 'Unhealthy' : status;
}

/** The group that an id is directly in. */
export function parentOf(id: string): string {
  const at = id.lastIndexOf('/');
  return at <= 0 ? '/' : id.slice(0, at);
}

/** Whether an id is somewhere below a group. */
export function isBelow(id: string, group: string): boolean {
  return group === '/' || id.startsWith(`${group}/`);
}

export function isFiltering(filter: Filter): boolean {
  return filter.text !== '' || filter.label !== '' || filter.statuses.length > 0 || filter.healths.length > 0;
}

/** The lines of a group: what is directly in it, or with a filter all apps below that it lets through. */
export function rowsOf(apps: AppRow[], groups: string[], group: string, filter: Filter, waiting: Waiting): Row[] {
  const below = apps.filter((app) => isBelow(app.id, group));
  if (isFiltering(filter)) {
    const taken = below.filter((app) => lets(filter, app, waiting));
    return taken.map((app) => ({ kind: 'app', id: app.id, app }));
  }
  const found = new Map<string, GroupRow>();
  const rowOfGroup = (id: string): GroupRow => {
    const known = found.get(id);
    if (known) return known;
    const row = { id, apps: 0, cpus: 0, mem: 0, deploying: 0, wanted: 0, staged: 0, running: 0, healthy: 0, unhealthy: 0 };
    found.set(id, row);
    return row;
  };
  for (const id of groups) if (id !== '/' && parentOf(id) === group) rowOfGroup(id);
  const direct: Row[] = [];
  const start = group === '/' ? 1 : group.length + 1;
  for (const app of below) {
    const end = app.id.indexOf('/', start);
    if (end < 0) direct.push({ kind: 'app', id: app.id, app });
    else add(rowOfGroup(app.id.slice(0, end)), app);
  }
  const sums = [...found.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  return [...sums.map((row): Row => ({ kind: 'group', id: row.id, group: row })), ...direct];
}

function add(sum: GroupRow, app: AppRow): void {
  sum.apps += 1;
  sum.cpus += app.cpus * app.wanted;
  sum.mem += app.mem * app.wanted;
  sum.deploying += app.isDeploying ? 1 : 0;
  sum.wanted += app.wanted;
  sum.staged += app.staged;
  sum.running += app.running;
  sum.healthy += app.healthy;
  sum.unhealthy += app.unhealthy;
}

function lets(filter: Filter, app: AppRow, waiting: Waiting): boolean {
  const words = filter.text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.every((word) => app.id.toLowerCase().includes(word))) return false;
  if (filter.statuses.length > 0 && !filter.statuses.includes(statusOf(app, waiting))) return false;
  if (filter.healths.length > 0 && !filter.healths.includes(healthOf(app))) return false;
  if (filter.label === '') return true;
  const [name = '', value] = filter.label.split('=', 2).map((part) => part.trim());
  return app.labels.some(([key, text]) => key === name && (value === undefined || text === value));
}

/** All ids of a group and those below. */
export function groupIds(group: Group): string[] {
  return [group.id, ...(group.groups ?? []).flatMap(groupIds)];
}

/** The groups on the way to an id, the root first. */
export function wayTo(id: string): { id: string; name: string }[] {
  const names = id.split('/').filter(Boolean);
  return names.map((name, place) => ({ id: `/${names.slice(0, place + 1).join('/')}`, name }));
}
