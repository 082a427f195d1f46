// The parts of the cluster's pages without a page: trees, orders, schedules, words, and reading again and again.
import { afterEach, describe, expect, it, vi } from 'vitest';
import { linesOf, rangeSize, shares, type Slave } from '../src/cluster/agents';
import { changed, formOf, localText, machinesOf, marksOf, rangeOf, stateOf, windowOf } from '../src/cluster/maintenance';
import { TASK_ORDERS, agentOrder, frameworkOrder } from '../src/cluster/orders';
import { fault, found, treeOf, type Role } from '../src/cluster/roles';
import { agentRow, amountText, amountsOf, frameworkRow, plus, taskRow, type Window } from '../src/cluster/wire';
import { amounts, byText, kindWord, matches, safeUrl, shortId, since, stateWords } from '../src/cluster/words';
import { poll } from '../src/lib/poll';
import { agent, framework, scalar, task } from './cluster';

const role = (name: string, more: Partial<Role> = {}): Role => ({
  name, weight: 1, quota: { guarantee: {}, limit: {}, consumed: {} }, allocated: {}, offered: {}, reserved: {}, frameworks: [], ...more,
});

describe('roles', () => {
  it('stand below those above them, also where names begin alike', () => {
    const rows = treeOf(['eng/web', 'eng-ops', 'eng/db/x', 'eng', '*', 'eng/db'].map((name) => role(name)), {});
    expect(rows.map(({ role, depth }) => [role.name, depth])).toEqual([['*', 0], ['eng', 0], ['eng/db', 1], ['eng/db/x', 2], ['eng/web', 1], ['eng-ops', 0]]);
    expect(found(rows, 'DB/').map(({ role }) => role.name)).toEqual(['eng', 'eng/db', 'eng/db/x']);
    expect(found(rows, '')).toBe(rows);
  });
  it('have the largest of their shares as dominant share', () => {
    const [row] = treeOf([role('a', { allocated: { cpus: 1, mem: 100 }, offered: { mem: 400 } })], { cpus: 8, mem: 1000, gpus: 0 });
    expect(row).toMatchObject({ share: 0.5, dominant: 'mem' });
  });
  it.each([
    ['', '', undefined], ['1', '', undefined], ['1', '1', undefined], ['2', '1', /not be more/], ['x', '', /numbers/], ['', '-1', /numbers/], ['', '1e999', /numbers/],
  ])('are guaranteed %j and limited to %j, or not', (guarantee, limit, wrong) => {
    if (wrong === undefined) expect(fault({ guarantee, limit })).toBeUndefined();
    else expect(fault({ guarantee, limit })).toMatch(wrong);
  });
});

describe('what runs on an agent', () => {
  it('is shown by framework and executor, the latest first, what has ended last', () => {
    const of = (id: string, timestamp: number, more = {}) => taskRow(task(id, 'S1', 'TASK_RUNNING', 'F', { statuses: [{ task_id: { value: id }, state: '', timestamp }], ...more }));
    const tasks = [of('a', 1), of('b', 5), of('c', 3, { executor_id: { value: 'e' } }), of('d', 4, { executor_id: { value: 'e' } }), of('z', 9, { state: 'TASK_FAILED' }), taskRow(task('x', 'S1', 'TASK_RUNNING', 'A'))];
    const names = (isWithEnded: boolean) => linesOf(tasks, isWithEnded, (id) => ({ F: 'first', A: 'second' })[id] ?? '').map((line) => (line.kind === 'task' ? line.task.id : `${line.id} ${line.tasks}`));
    expect(names(false)).toEqual(['F 4', 'b', 'e 2', 'd', 'c', 'a', 'A 1', 'x']);
    expect(names(true)).toEqual(['F 5', 'b', 'e 2', 'd', 'c', 'a', 'z', 'A 1', 'x']);
  });
  it('has resources by role, with who reserved them and their volumes', () => {
    const volume = { ...scalar('disk', 100), reservations: [{ type: 'DYNAMIC', role: 'eng', principal: 'ops' }], disk: { persistence: { id: 'v1' }, volume: { container_path: 'data' } } };
    const fixed = { ...scalar('disk', 50), reservations: [{ type: 'STATIC', role: 'eng' }] };
    const found = shares({ unreserved_resources_full: [scalar('mem', 10), { name: 'ports', type: 'RANGES', ranges: { range: [{ begin: 1, end: 2 }] } }], reserved_resources_full: { eng: [volume, fixed] } } as unknown as Slave);
    expect(found).toEqual([
      { role: '*', amounts: [{ name: 'mem', text: '10 MiB' }, { name: 'ports', text: '[1-2]' }], notes: [] },
      { role: 'eng', amounts: [{ name: 'disk', text: '150 MiB' }], notes: ['dynamically, by ops', 'volume v1 at data of 100 MiB', 'by a flag of the agent'] },
    ]);
    expect([rangeSize('[31000-31999, 32005-32005]'), rangeSize('[]'), rangeSize(4), rangeSize('{a}')]).toEqual([1001, 0, undefined, undefined]);
  });
});

describe('orders', () => {
  it('find no two rows equal', () => {
    const tasks = ['a', 'b'].map((id) => taskRow(task(id)));
    for (const compare of Object.values(TASK_ORDERS)) expect(compare(tasks[0]!, tasks[1]!)).not.toBe(0);
    const agents = ['S1', 'S2'].map((id) => ({ ...agentRow(agent(id)), hostname: 'same' }));
    for (const by of ['host', 'state', 'tasks', 'cpus', 'mem', 'disk', 'gpus'] as const) expect(agentOrder(by, () => 1)(agents[0]!, agents[1]!)).toBeLessThan(0);
    const frameworks = ['F', 'G'].map((id) => ({ ...frameworkRow(framework(id), undefined, true), name: 'same' }));
    for (const by of ['name', 'state', 'tasks', 'cpus', 'mem', 'registered'] as const) expect(frameworkOrder(by, () => 1)(frameworks[0]!, frameworks[1]!)).toBeLessThan(0);
  });
  it('are those that people expect of names with numbers', () => {
    expect(['host-10', 'host-9', 'Host-1'].sort(byText)).toEqual(['Host-1', 'host-9', 'host-10']);
  });
});

describe('maintenance', () => {
  const planned = (start: number, minutes?: number): Window => ({
    machine_ids: [{ hostname: 'a', ip: '10.0.0.1' }],
    unavailability: { start: { nanoseconds: start * 1e9 }, ...(minutes === undefined ? {} : { duration: { nanoseconds: minutes * 6e10 } }) },
  });
  it('is read from a form as it was written to it', () => {
    for (const window of [planned(1_900_000_020, 90), planned(1_900_000_020)]) expect(windowOf(formOf(window, 0))).toEqual(window);
    expect(formOf(undefined, 1_900_000_000)).toMatchObject({ start: localText(1_900_003_500), minutes: '60', machines: '' });
  });
  it.each([
    [{ start: '' }, 'give the time at which it begins'],
    [{ minutes: '0' }, 'give the minutes'],
    [{ minutes: 'x' }, 'give the minutes'],
    [{ machines: ' \n' }, 'give one machine or more'],
    [{ machines: 'a b' }, 'a line has the name of a host, an address or both: a b'],
    [{ machines: 'a<b' }, 'a line has the name'],
  ])('with %j is none', (wrong, why) => {
    expect(windowOf({ start: '2030-01-02T03:04', minutes: '60', machines: 'a', ...wrong })).toContain(why);
  });
  it('takes machines from lines', () => {
    const { machines, wrong } = machinesOf('a.b-c 10.0.0.1\n10.0.0.2\n\n host_3,::1\nA.B-C 10.0.0.1');
    expect([machines, wrong]).toEqual([[{ hostname: 'A.B-C', ip: '10.0.0.1' }, { ip: '10.0.0.2' }, { hostname: 'host_3', ip: '::1' }], []]);
  });
  it('is put in the place of what was planned, and nothing else is touched', () => {
    const [a, b, c] = [planned(1), planned(2), planned(3)];
    expect(changed({ windows: [a, b] }, a, c)).toEqual({ windows: [b, c] });
    expect(changed({ windows: [a, b] }, a, undefined)).toEqual({ windows: [b] });
    expect(changed({}, undefined, c)).toEqual({ windows: [c] });
  });
  it('has a timeline with few marks that holds all that is planned, and the present', () => {
    const [now, day] = [1_900_000_000, 86_400];
    for (const windows of [[], [planned(now - day, 60)], [planned(now + 400 * day)], [planned(now, 10), planned(now + day / 2, 30)]]) {
      const range = rangeOf(windows, now);
      expect(range.from).toBeLessThan(Math.min(now, ...windows.map(({ unavailability }) => unavailability.start.nanoseconds / 1e9)));
      expect(range.to).toBeGreaterThan(now);
      const { marks } = marksOf(range, 6, 3600);
      expect(marks.length).toBeGreaterThan(0);
      expect(marks.length).toBeLessThanOrEqual(7);
      expect(marks.every((at) => at >= range.from && at <= range.to)).toBe(true);
    }
  });
  it('has machines whose names are the same in capitals', () => {
    const status = { draining_machines: [{ id: { hostname: 'a' } }], down_machines: [{ hostname: 'b', ip: '1.1.1.1' }] };
    expect([{ hostname: 'A' }, { hostname: 'B', ip: '1.1.1.1' }, { hostname: 'b' }].map((it) => stateOf(it, status))).toEqual(['Draining', 'Down', 'Up']);
  });
});

describe('words', () => {
  it('are for people', () => {
    expect([amounts({ cpus: 1, mem: 2048, gpus: 0 }), amounts({}), amounts({ ports: 3 }), kindWord('gpus')]).toEqual(['1 CPU, 2 GiB memory', 'nothing', '3 ports', 'GPUs']);
    expect([shortId('b390ce0c-ec41-43ba-b693-d4dac6c2a328-S12'), shortId('mine')]).toEqual(['S12', 'mine']);
    expect([stateWords('TASK_GONE_BY_OPERATOR'), since(0, 0), since(10, 70_000)]).toEqual(['Gone by operator', '–', '1 min ago']);
    expect([safeUrl('HTTPS://x'), safeUrl('javascript:alert(1)'), safeUrl('//x')]).toEqual(['HTTPS://x', undefined, undefined]);
    expect([matches('', []), matches('A b', ['xa', 'B']), matches('a c', ['a'])]).toEqual([true, true, false]);
    expect([amountText({ set: { item: ['a', 'b'] } }), amountText({ ranges: {} })]).toEqual(['{a, b}', '[]']);
  });
  it('add up without traces of decimals, and never below nothing', () => {
    const tenth = amountsOf([scalar('cpus', 0.1), scalar('cpus', 0.2), scalar('strange', 5)]);
    expect(plus(tenth, tenth)).toMatchObject({ cpus: 0.6, mem: 0 });
    expect(plus(tenth, { ...tenth, cpus: 1 }, -1)).toMatchObject({ cpus: 0 });
  });
});

describe('what no event tells of', () => {
  afterEach(() => vi.useRealTimers());
  it('is read again and again, only while the page is seen', () => {
    vi.useFakeTimers();
    const read = { now: vi.fn(), again: vi.fn() };
    const stop = poll(read, 1000);
    vi.advanceTimersByTime(3500);
    expect([read.now.mock.calls.length, read.again.mock.calls.length]).toEqual([1, 3]);
    const hidden = vi.spyOn(document, 'hidden', 'get').mockReturnValue(true);
    vi.advanceTimersByTime(5000);
    expect(read.again.mock.calls.length).toBe(3);
    hidden.mockRestore();
    document.dispatchEvent(new Event('visibilitychange'));
    expect(read.again.mock.calls.length).toBe(4);
    stop();
    vi.advanceTimersByTime(5000);
    expect(read.again.mock.calls.length).toBe(4);
  });
});
