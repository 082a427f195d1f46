// The cluster's state as the stream tells it: what events change, gaps, silence, and 100,000 tasks.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LiveRows, cluster } from '../src/cluster/live.svelte';
import { Sorted } from '../src/cluster/sorted';
import { ClusterState, MAX_ENDED } from '../src/cluster/state';
import { follow, type Listener } from '../src/cluster/stream';
import { agentRow, type OperatorEvent, type TaskRow } from '../src/cluster/wire';
import { agent, framework, master, task, update } from './cluster';

const added = (of: ReturnType<typeof task>): OperatorEvent => ({ type: 'TASK_ADDED', task_added: { task: of } });
const states = (state: ClusterState, id = 'F') => Object.fromEntries(state.ofFramework(id).states);

describe('the state', () => {
  function told(): ClusterState {
    const state = new ClusterState();
    state.element('agents', agent('S1'));
    state.element('frameworks', framework('F'));
    state.element('tasks', task('a', 'S1'));
    state.element('completed_tasks', task('z', 'S1', 'TASK_FAILED'));
    return state;
  }
  it('follows a task from its launch to its end', () => {
    const state = told();
    state.take();
    state.event(added(task('b', 'S1', 'TASK_STAGING')));
    expect(states(state)).toEqual({ TASK_RUNNING: 1, TASK_STAGING: 1, TASK_FAILED: 1 });
    expect(state.agents.get('S1')?.allocated).toEqual({ cpus: 0.6, mem: 96, disk: 0, gpus: 0 });
    expect(state.frameworks.get('F')?.allocated).toEqual({ cpus: 0.1, mem: 32, disk: 0, gpus: 0 });
    state.event(update('b', 'TASK_RUNNING'));
    state.event(update('b', 'TASK_RUNNING', { healthy: false }));
    expect(state.tasks.get('F/b')).toMatchObject({ state: 'TASK_RUNNING', healthy: false, isEnded: false });
    state.event(update('b', 'TASK_FAILED', { message: 'exited with status 7' }));
    state.event(update('b', 'TASK_FAILED'));
    expect(states(state)).toEqual({ TASK_RUNNING: 1, TASK_FAILED: 2 });
    expect(state.ofAgent('S1').held).toEqual({ cpus: 0.1, mem: 32, disk: 0, gpus: 0 });
    expect(state.agents.get('S1')?.allocated).toEqual({ cpus: 0.5, mem: 64, disk: 0, gpus: 0 });
    const { tasks, agents, frameworks } = state.take();
    expect([[...tasks], [...agents], [...frameworks]]).toEqual([['F/b'], ['S1'], ['F']]);
    expect(state.isChanged).toBe(false);
  });
  it('is not disturbed by updates of tasks that it does not know, nor by kinds of events to come', () => {
    const state = told();
    state.take();
    state.event(update('unknown', 'TASK_RUNNING'));
    state.event({ type: 'SOMETHING_NEW' } as unknown as OperatorEvent);
    expect(state.isChanged).toBe(false);
  });
  it('has one row for an id that is used again, that of the task that lives', () => {
    const state = told();
    state.event(update('a', 'TASK_LOST'));
    state.event(added(task('a', 'S2')));
    state.element('completed_tasks', task('a', 'S1', 'TASK_LOST'));
    expect(state.tasks.get('F/a')).toMatchObject({ agent: 'S2', isEnded: false });
    expect([states(state), state.ofAgent('S1').tasks.size, state.ofAgent('S2').tasks.size]).toEqual([{ TASK_RUNNING: 1, TASK_FAILED: 1 }, 1, 1]);
  });
  it('forgets the oldest of very many ended tasks', () => {
    const state = told();
    for (let place = 0; place < MAX_ENDED + 5; place += 1) {
      state.event(added(task(`t${place}`, 'S1')));
      state.event(update(`t${place}`, 'TASK_FINISHED'));
    }
    expect(states(state)).toEqual({ TASK_RUNNING: 1, TASK_FINISHED: MAX_ENDED });
    expect([state.tasks.size, state.tasks.has('F/z'), state.tasks.has('F/t4'), state.tasks.has('F/t5')]).toEqual([MAX_ENDED + 1, false, false, true]);
  });
  it('keeps what a framework has when an event does not tell it, and that it ended', () => {
    const state = told();
    state.readFrameworks({ frameworks: [framework('F', { offered_resources: agent('S1').total_resources! })] });
    state.event({ type: 'FRAMEWORK_UPDATED', framework_updated: { framework: framework('F', { active: false }) } });
    expect(state.frameworks.get('F')).toMatchObject({ state: 'Inactive', offered: { cpus: 4 } });
    state.event({ type: 'FRAMEWORK_REMOVED', framework_removed: { framework_info: framework('F').framework_info } });
    expect(state.frameworks.get('F')).toMatchObject({ state: 'Completed', offered: { cpus: 0 } });
    state.readFrameworks({ frameworks: [framework('G')] });
    expect([...state.frameworks.keys()]).toEqual(['G']);
  });
  it('takes agents that were read, but for those of which events told meanwhile', () => {
    const state = told();
    state.element('agents', agent('S2'));
    state.element('agents', agent('S3'));
    const take = state.beginRead();
    state.event({ type: 'AGENT_ADDED', agent_added: { agent: agent('S4') } });
    state.event({ type: 'AGENT_REMOVED', agent_removed: { agent_id: { value: 'S3' } } });
    take({ agents: [agent('S1', { drain_info: { state: 'DRAINING' }, active: false, deactivated: true }), agent('S3')], recovered_agents: [{ ...agent('S5').agent_info }] });
    expect([...state.agents].map(([id, row]) => [id, row.state])).toEqual([['S1', 'Draining'], ['S4', 'Active'], ['S5', 'Not back yet']]);
  });
  it.each([
    [{}, 'Active'],
    [{ active: false }, 'Disconnected'],
    [{ active: false, deactivated: true }, 'Deactivated'],
    [{ active: false, deactivated: true, drain_info: { state: 'DRAINED' } }, 'Drained'],
  ])('has one word for an agent with %j', (more, word) => {
    expect(agentRow(agent('S1', more)).state).toBe(word);
  });
});

describe('rows in order', () => {
  it('stay so while they change, without comparing all of them', () => {
    const most = 100_000;
    const rows = new Map(Array.from({ length: most }, (_, place) => [`t${place}`, { id: `t${place}`, size: (place * 7919) % most, isShown: true }]));
    let compared = 0;
    const sorted = new Sorted<{ id: string; size: number; isShown: boolean }>((row) => row.id, (id) => rows.get(id));
    const compare = (a: { id: string; size: number }, b: { id: string; size: number }) => {
      compared += 1;
      return a.size - b.size || (a.id < b.id ? -1 : 1);
    };
    sorted.shape(rows.values(), (row) => row.isShown, compare);
    const check = () => {
      const expected = [...rows.values()].filter((row) => row.isShown).sort((a, b) => a.size - b.size || (a.id < b.id ? -1 : 1));
      expect(sorted.rows).toEqual(expected);
    };
    compared = 0;
    rows.set('t5', { id: 't5', size: 99_999.5, isShown: true });
    rows.set('t6', { id: 't6', size: -1, isShown: true });
    rows.set('t7', { id: 't7', size: 1, isShown: false });
    rows.set('new', { id: 'new', size: 50_000.5, isShown: true });
    rows.delete('t8');
    sorted.change(new Set(['t5', 't6', 't7', 't8', 'new', 'unknown']));
    expect(compared).toBeLessThan(100);
    check();
    const same = sorted.rows;
    expect(sorted.change(new Set(['t7', 'unknown']))).toBe(same);
  });
});

describe('the stream', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  function listen(): { told: string[]; stop: () => void } {
    const told: string[] = [];
    const listener: Listener = {
      begin: () => told.push('begin'),
      element: (list) => told.push(list),
      ready: () => told.push('ready'),
      event: (event) => told.push(event.type),
      health: (health, error) => told.push(error ? `${health}: ${error}` : health),
    };
    return { told, stop: follow(listener) };
  }
  it('tells the state, then events, and all anew after it was broken', async () => {
    const server = master();
    const { told, stop } = listen();
    await vi.advanceTimersByTimeAsync(10);
    server.state({ tasks: [task('a')], agents: [agent('S1')] });
    server.send(update('a', 'TASK_FAILED'), { type: 'HEARTBEAT' });
    await vi.advanceTimersByTimeAsync(10);
    expect(told).toEqual(['connecting', 'begin', 'tasks', 'agents', 'ready', 'live', 'TASK_UPDATED', 'HEARTBEAT']);
    told.length = 0;
    server.end();
    await vi.advanceTimersByTimeAsync(10);
    expect(told).toEqual(['broken: the master ended the stream']);
    await vi.advanceTimersByTimeAsync(600);
    server.state({});
    await vi.advanceTimersByTimeAsync(10);
    expect(told.slice(1)).toEqual(['connecting', 'begin', 'ready', 'live']);
    expect(server.asked).toEqual([{ type: 'SUBSCRIBE' }, { type: 'SUBSCRIBE' }]);
    stop();
  });
  it('is given up after three intervals of silence, and not before', async () => {
    const server = master();
    const { told, stop } = listen();
    await vi.advanceTimersByTimeAsync(10);
    server.state({}, 2);
    for (let beat = 0; beat < 5; beat += 1) {
      await vi.advanceTimersByTimeAsync(5900);
      server.send({ type: 'HEARTBEAT' });
    }
    expect(told.filter((it) => it.startsWith('broken'))).toEqual([]);
    await vi.advanceTimersByTimeAsync(6100);
    expect(told.at(-1)).toBe('broken: nothing was heard of the master for 6 seconds');
    stop();
  });
  it('is opened again ever more rarely while the master is not there, and no more once it is stopped', async () => {
    const server = master();
    server.isDown = true;
    const { told, stop } = listen();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(told[1]).toMatch(/^broken: the master does not answer/);
    expect(server.asked.length).toBeGreaterThan(6);
    expect(server.asked.length).toBeLessThan(14);
    stop();
    const before = server.asked.length;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(server.asked.length).toBe(before);
  });
  it('does not follow a master that does not lead to another server, but says so', async () => {
    const server = master();
    server.refusal = { ok: false, type: 'opaqueredirect', status: 0 } as Response;
    const { told, stop } = listen();
    await vi.advanceTimersByTimeAsync(10);
    expect(told).toEqual(['connecting', 'broken: this master does not lead']);
    stop();
  });
  it('says what a master says that refuses it', async () => {
    const server = master();
    server.refusal = new Response('Master has not finished recovery', { status: 503 });
    const { told, stop } = listen();
    await vi.advanceTimersByTimeAsync(10);
    expect(told.at(-1)).toBe('broken: Master has not finished recovery');
    stop();
  });
});

describe('the store', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => {
    cluster.close();
    vi.useRealTimers();
  });
  const idle = () => vi.advanceTimersByTimeAsync(400);

  it('listens while a page needs it, and a while longer', async () => {
    const server = master();
    const [leave, leaveToo] = [cluster.use(), cluster.use()];
    await idle();
    server.state({ tasks: [task('a')] });
    await idle();
    expect([cluster.isLoaded, cluster.health, cluster.state.tasks.size]).toEqual([true, 'live', 1]);
    leave();
    leaveToo();
    await vi.advanceTimersByTimeAsync(20_000);
    const back = cluster.use();
    await vi.advanceTimersByTimeAsync(20_000);
    expect([server.asked.length, cluster.isLoaded]).toEqual([1, true]);
    back();
    await vi.advanceTimersByTimeAsync(40_000);
    expect([cluster.isLoaded, cluster.health, cluster.state.tasks.size]).toEqual([false, 'off', 0]);
  });
  it('shows the old state until the new one is told', async () => {
    const server = master();
    cluster.use();
    await idle();
    server.state({ tasks: [task('a'), task('b')] });
    await idle();
    server.end();
    await vi.advanceTimersByTimeAsync(10);
    expect([cluster.health, cluster.error, cluster.state.tasks.size]).toEqual(['broken', 'the master ended the stream', 2]);
    await vi.advanceTimersByTimeAsync(600);
    server.begin({ tasks: [task('c')] });
    await idle();
    expect(cluster.state.tasks.size).toBe(2);
    server.finish();
    await idle();
    expect([cluster.health, [...cluster.state.tasks.keys()]]).toEqual(['live', ['F/c']]);
  });
  it('stays usable with 10,000 agents and 100,000 tasks: publishes rarely, and sorts nothing anew', async () => {
    const server = master();
    cluster.use();
    await idle();
    const text = (place: number) => String(place).padStart(6, '0');
    server.state({
      agents: Array.from({ length: 10_000 }, (_, place) => agent(`S${text(place)}`)),
      frameworks: Array.from({ length: 10 }, (_, place) => framework(`F${place}`)),
      tasks: Array.from({ length: 100_000 }, (_, place) => task(`t${text(place)}`, `S${text(place % 10_000)}`, 'TASK_RUNNING', `F${place % 10}`)),
    });
    for (let turn = 0; turn < 200 && !cluster.isLoaded; turn += 1) await idle();
    const { state } = cluster;
    expect([state.tasks.size, state.agents.size, state.ofFramework('F3').tasks.size, state.ofAgent('S000007').tasks.size]).toEqual([100_000, 10_000, 10_000, 10]);
    let compared = 0;
    const rows = new LiveRows('tasks');
    rows.start();
    rows.shape(() => true, (a: TaskRow, b: TaskRow) => {
      compared += 1;
      return a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
    });
    expect(rows.rows).toHaveLength(100_000);
    const before = cluster.version;
    compared = 0;
    for (let round = 0; round < 10; round += 1) {
      for (let place = 0; place < 20; place += 1) server.send(update(`t${text(place * 10)}`, round % 2 ? 'TASK_RUNNING' : 'TASK_KILLING', {}, 'F0'));
      await vi.advanceTimersByTimeAsync(100);
    }
    await idle();
    // A second of 200 events is shown in a few steps, each of which searches 20 places among the rows.
    expect(cluster.version - before).toBeGreaterThan(1);
    expect(cluster.version - before).toBeLessThan(6);
    expect(compared).toBeLessThan(6 * 20 * 25);
    expect(rows.rows.filter((row) => row.state === 'TASK_RUNNING')).toHaveLength(100_000);
    expect(states(state, 'F0')).toEqual({ TASK_RUNNING: 10_000 });
  }, 60_000);
});
