// Roles as a tree, their shares, and what operators set for them.
// Reads nothing.
import { call } from './live.svelte';
import { byText } from './words';

/** Amounts of resources by name. */
export type Amounts = Record<string, number>;

/** A role as /roles lists it. */
export interface Role {
  name: string;
  weight: number;
  quota: { guarantee: Amounts; limit: Amounts; consumed: Amounts };
  allocated: Amounts;
  offered: Amounts;
  reserved: Amounts;
  /** Ids of those that are subscribed to it, or hold something of it. */
  frameworks: string[];
}

/** A line of the tree. */
export interface RoleRow {
  role: Role;
  /** How many roles are above it. */
  depth: number;
  /** Its largest share of a resource of the cluster, from 0 to 1, and of which. */
  share: number;
  dominant: string;
}

/** Roles, each followed by those below it. `total` is what the cluster has. */
export function treeOf(roles: Role[], total: Amounts): RoleRow[] {
  const path = (role: Role) => role.name.split('/');
  const sorted = [...roles].sort((a, b) => {
    const [x, y] = [path(a), path(b)];
    const place = x.findIndex((part, at) => part !== y[at]);
    return place < 0 ? x.length - y.length : byText(x[place] ?? '', y[place] ?? '');
  });
  return sorted.map((role) => ({ role, depth: path(role).length - 1, ...dominant(role, total) }));
}

/** What a role and those below it hold or are offered counts, as it does to the allocator. */
function dominant(role: Role, total: Amounts): { share: number; dominant: string } {
  let found = { share: 0, dominant: '' };
  for (const [name, most] of Object.entries(total)) {
    const share = most > 0 ? ((role.allocated[name] ?? 0) + (role.offered[name] ?? 0)) / most : 0;
    if (share > found.share) found = { share, dominant: name };
  }
  return found;
}

/** The rows whose names a text is found in, with all that are above them. */
export function found(rows: RoleRow[], text: string): RoleRow[] {
  const wanted = text.trim().toLowerCase();
  if (wanted === '') return rows;
  const names = rows.map(({ role }) => role.name).filter((name) => name.toLowerCase().includes(wanted));
  return rows.filter(({ role }) => names.some((name) => name === role.name || name.startsWith(`${role.name}/`)));
}

/** What a form holds of a quota: texts, as they are typed. */
export type Typed = Record<string, { guarantee: string; limit: string }>;

/** Resources that a quota is set for; others that are set stay as they are. */
export const QUOTA_KINDS = ['cpus', 'mem', 'disk', 'gpus'];

export function typed(role: Role | undefined): Typed {
  const names = new Set([...QUOTA_KINDS, ...Object.keys(role?.quota.guarantee ?? {}), ...Object.keys(role?.quota.limit ?? {})]);
  const text = (amount: number | undefined) => (amount === undefined ? '' : String(amount));
  return Object.fromEntries([...names].map((name) => [name, { guarantee: text(role?.quota.guarantee[name]), limit: text(role?.quota.limit[name]) }]));
}

/** Whether a text is an amount, or nothing. */
export function isAmount(text: string): boolean {
  return text.trim() === '' || (Number.isFinite(Number(text)) && Number(text) >= 0);
}

/** What is wrong with an amount and its limit; nothing when nothing is. */
export function fault({ guarantee, limit }: { guarantee: string; limit: string }): string | undefined {
  if (!isAmount(guarantee) || !isAmount(limit)) return 'give numbers, 0 or more, or nothing';
  const isAbove = guarantee.trim() !== '' && limit.trim() !== '' && Number(guarantee) > Number(limit);
  return isAbove ? 'the guarantee must not be more than the limit' : undefined;
}

function scalars(of: Typed, which: 'guarantee' | 'limit'): Record<string, { value: number }> {
  const given = Object.entries(of).filter(([, texts]) => texts[which].trim() !== '');
  return Object.fromEntries(given.map(([name, texts]) => [name, { value: Number(texts[which]) }]));
}

/** Sets a quota in the place of the old one. `force` passes over whether it can be met. */
export function setQuota(role: string, of: Typed, force: boolean): Promise<unknown> {
  const config = { role, guarantees: scalars(of, 'guarantee'), limits: scalars(of, 'limit') };
  return call('UPDATE_QUOTA', { update_quota: { ...(force ? { force } : {}), quota_configs: [config] } });
}

export function setWeight(role: string, weight: number): Promise<unknown> {
  return call('UPDATE_WEIGHTS', { update_weights: { weight_infos: [{ role, weight }] } });
}
