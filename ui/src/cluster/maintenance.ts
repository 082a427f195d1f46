// The schedule of maintenance: what is planned for which machines, and how they are.
// Reads nothing.
import { call } from './live.svelte';
import { seconds, type Machine, type Unavailability, type Window } from './wire';

export type MachineState = 'Draining' | 'Down' | 'Up';

export interface Schedule {
  windows?: Window[];
}

export interface MachineStatus {
  draining_machines?: { id: Machine }[];
  down_machines?: Machine[];
}

/** What tells a machine from others: names of hosts do not count capitals. */
export const machineKey = (machine: Machine): string => `${(machine.hostname ?? '').toLowerCase()} ${machine.ip ?? ''}`;

export const machineName = (machine: Machine): string => [machine.hostname, machine.ip].filter(Boolean).join(', ') || 'no name';

export function stateOf(machine: Machine, status: MachineStatus): MachineState {
  const key = machineKey(machine);
  if ((status.down_machines ?? []).some((it) => machineKey(it) === key)) return 'Down';
  return (status.draining_machines ?? []).some(({ id }) => machineKey(id) === key) ? 'Draining' : 'Up';
}

/** From when to when something is planned, in seconds since 1970; without an end when none is set. */
export function spanOf(unavailability: Unavailability): { start: number; end: number | undefined } {
  const start = seconds(unavailability.start);
  return { start, end: unavailability.duration ? start + seconds(unavailability.duration) : undefined };
}

/** The time that a timeline covers, in seconds: all that is planned, and the present. */
export function rangeOf(windows: Window[], now: number): { from: number; to: number } {
  const spans = windows.map(({ unavailability }) => spanOf(unavailability));
  const from = Math.min(now, ...spans.map(({ start }) => start));
  const to = Math.max(now + 3600, ...spans.map(({ start, end }) => end ?? start + 3600));
  const margin = (to - from) * 0.03;
  return { from: from - margin, to: to + margin };
}

/** Steps between the marks of a timeline, in seconds. */
const STEPS = [900, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86_400, 2 * 86_400, 7 * 86_400, 28 * 86_400, 365 * 86_400];

/** Times at which a timeline has a mark: some, but no more than fit. `offset` is that of the user's time, in seconds. */
export function marksOf({ from, to }: { from: number; to: number }, most: number, offset: number): { step: number; marks: number[] } {
  const step = STEPS.find((it) => (to - from) / it <= most) ?? (to - from) / most;
  const marks: number[] = [];
  for (let at = Math.ceil((from + offset) / step) * step - offset; at <= to; at += step) marks.push(at);
  return { step, marks };
}

/** What is typed in a form: a time in the user's own, minutes, and machines one a line. */
export interface Form {
  start: string;
  minutes: string;
  machines: string;
}

/** Machines from lines of a host's name, an address or both; those lines that are neither. */
export function machinesOf(text: string): { machines: Machine[]; wrong: string[] } {
  const machines = new Map<string, Machine>();
  const wrong: string[] = [];
  for (const line of text.split('\n').map((it) => it.trim()).filter(Boolean)) {
    const parts = line.split(/[\s,]+/).filter(Boolean);
    const ips = parts.filter(isAddress);
    const names = parts.filter((part) => !isAddress(part));
    const machine = { ...(names[0] ? { hostname: names[0] } : {}), ...(ips[0] ? { ip: ips[0] } : {}) };
    if (names.length > 1 || ips.length > 1 || !/^[\w.-]*$/.test(names[0] ?? '')) wrong.push(line);
    else machines.set(machineKey(machine), machine);
  }
  return { machines: [...machines.values()], wrong };
}

const isAddress = (text: string): boolean => /^\d{1,3}(\.\d{1,3}){3}$/.test(text) || text.includes(':');

/** The form of what is planned; without it, of something new that begins in an hour. */
export function formOf(window: Window | undefined, now: number): Form {
  const { start, end } = window ? spanOf(window.unavailability) : { start: (Math.floor(now / 300) + 12) * 300, end: undefined };
  const machines = (window?.machine_ids ?? []).map((it) => [it.hostname, it.ip].filter(Boolean).join(' '));
  return { start: localText(start), minutes: window ? (end === undefined ? '' : String((end - start) / 60)) : '60', machines: machines.join('\n') };
}

/** A time as fields for times take it, in the user's own. */
export function localText(at: number): string {
  const date = new Date(at * 1000);
  const pad = (value: number) => String(value).padStart(2, '0');
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}T${pad(date.getHours())}:${pad(date.getMinutes())}`;
}

/** What a form plans, or what is wrong with it. */
export function windowOf(form: Form): Window | string {
  const start = new Date(form.start).getTime();
  if (Number.isNaN(start)) return 'give the time at which it begins';
  const minutes = form.minutes.trim() === '' ? undefined : Number(form.minutes);
  if (minutes !== undefined && !(Number.isFinite(minutes) && minutes > 0)) return 'give the minutes it takes, or nothing when that is not known';
  const { machines, wrong } = machinesOf(form.machines);
  if (wrong.length > 0) return `a line has the name of a host, an address or both: ${wrong[0]}`;
  if (machines.length === 0) return 'give one machine or more';
  const duration = minutes === undefined ? {} : { duration: { nanoseconds: Math.round(minutes * 60) * 1e9 } };
  return { machine_ids: machines, unavailability: { start: { nanoseconds: start * 1e6 }, ...duration } };
}

/** The schedule with `after` in the place of `before`: without one of them, something is added or taken away. */
export function changed(schedule: Schedule, before: Window | undefined, after: Window | undefined): Schedule {
  const text = before && JSON.stringify(before);
  const others = (schedule.windows ?? []).filter((window) => JSON.stringify(window) !== text);
  return { windows: after ? [...others, after] : others };
}

export async function readSchedule(signal?: AbortSignal): Promise<Schedule> {
  return (await call<{ get_maintenance_schedule: { schedule: Schedule } }>('GET_MAINTENANCE_SCHEDULE', {}, signal)).get_maintenance_schedule.schedule;
}

export async function readStatus(signal?: AbortSignal): Promise<MachineStatus> {
  return (await call<{ get_maintenance_status: { status: MachineStatus } }>('GET_MAINTENANCE_STATUS', {}, signal)).get_maintenance_status.status;
}

/** Changes the schedule as it is now, which somebody else may have changed since it was shown. */
export async function reschedule(before: Window | undefined, after: Window | undefined): Promise<void> {
  const schedule = changed(await readSchedule(), before, after);
  await call('UPDATE_MAINTENANCE_SCHEDULE', { update_maintenance_schedule: { schedule } });
}

export const startMaintenance = (machines: Machine[]): Promise<unknown> => call('START_MAINTENANCE', { start_maintenance: { machines } });
export const stopMaintenance = (machines: Machine[]): Promise<unknown> => call('STOP_MAINTENANCE', { stop_maintenance: { machines } });
