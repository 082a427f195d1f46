// The page of all tasks, its filters and links, and the executors of an agent that idle.
import { flushSync, mount, unmount, type Component } from 'svelte';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import Agent from '../src/agent/Agent.svelte';
import { executorRows, type AgentState } from '../src/agent/state';
import AgentPage from '../src/cluster/AgentPage.svelte';
import { linesOf } from '../src/cluster/agents';
import { Figures } from '../src/cluster/figures.svelte';
import { cluster } from '../src/cluster/live.svelte';
import Overview from '../src/cluster/Overview.svelte';
import { ClusterState } from '../src/cluster/state';
import { accepting, filterOf, isFiltered, stateChoices } from '../src/cluster/tasks';
import Tasks from '../src/cluster/Tasks.svelte';
import { executorRow, taskRow, type Executor } from '../src/cluster/wire';
import { agent, framework, master, scalar, task, update } from './cluster';
import { serve } from './server';

const EVIL = '<img src=x onerror="globalThis.harmed = 1">';
let mounted: ReturnType<typeof mount>[] = [];

function show<P extends Record<string, unknown>>(component: Component<P>, props: P): HTMLElement {
  const target = document.createElement('div');
  document.body.append(target);
  mounted.push(mount(component, { target, props }));
  flushSync();
  return target;
}

function go(hash: string): void {
  location.hash = hash;
  dispatchEvent(new HashChangeEvent('hashchange'));
  flushSync();
}

const text = (): string => (document.body.textContent ?? '').replace(/\s+/g, ' ');

async function until(holds: () => boolean): Promise<void> {
  await vi.waitFor(() => {
    flushSync();
    expect(holds(), text().slice(0, 2000)).toBe(true);
  }, 5000);
}
const says = (what: string) => until(() => text().includes(what));
const cells = (page: HTMLElement) => [...page.querySelectorAll('[role="table"] [role="row"]')].slice(1).map((it) => it.querySelector('[role="cell"]')?.textContent?.replace(/\s+/g, ' ').trim());

beforeEach(() => go(''));
afterEach(async () => {
  for (const it of mounted) await unmount(it);
  mounted = [];
  cluster.close();
  document.body.innerHTML = '';
  expect((globalThis as { harmed?: number }).harmed).toBeUndefined();
});

const of = (id: string, agent: string, state: string, framework: string, role: string) =>
  task(id, agent, state, framework, { resources: [{ ...scalar('cpus', 1), allocation_info: { role } }] });

const STATE = {
  agents: [agent('S1'), agent('S2')],
  frameworks: [framework('F'), framework('G', { framework_info: { id: { value: 'G' }, name: EVIL, user: 'root', roles: ['ops', 'eng'] } })],
  tasks: [of('a', 'S1', 'TASK_RUNNING', 'F', 'web'), of('b', 'S2', 'TASK_RUNNING', 'G', 'ops'), of('c', 'S2', 'TASK_KILLING', 'G', 'eng'), of('d', 'S1', 'TASK_FAILED', 'F', 'web')],
};

describe('all tasks', () => {
  async function open() {
    const server = master();
    const page = show(Tasks, {});
    await until(() => server.asked.some((it) => it['type'] === 'SUBSCRIBE'));
    server.state(STATE);
    await until(() => page.querySelector('[role="search"]') !== null);
    return { page, server };
  }
  it('are those of all frameworks, and follow events', async () => {
    const { page, server } = await open();
    await says('4 tasks');
    expect(cells(page).sort()).toEqual(['a', 'b', 'c', 'd']);
    expect(page.querySelector('img')).toBeNull();
    const links = [...page.querySelectorAll('[role="row"] a')].map((it) => it.getAttribute('href'));
    expect(links).toContain('#/task/G/b');
    expect(links).toContain('#/framework/G');
    expect(links).toContain('#/agent/S2');
    server.send({ type: 'TASK_ADDED', task_added: { task: of('e', 'S1', 'TASK_STAGING', 'F', 'web') } });
    await says('5 tasks');
  });
  it.each([
    ['state=Running', ['a', 'b']], ['framework=G', ['b', 'c']], ['role=web', ['a', 'd']], ['role=eng,ops', ['b', 'c']], ['agent=host-s2', ['b', 'c']],
    ['agent=S1&state=Failed,Lost', ['d']], ['q=host-S2 kill', ['c']], ['framework=G&state=Killing&role=eng&agent=S2&q=c', ['c']], ['framework=gone', []],
  ])('are found by the address ?%s', async (query, expected) => {
    go(`#/tasks?${query}`);
    const { page } = await open();
    await says(expected.length === 1 ? '1 task found' : `${expected.length} tasks found`);
    expect(cells(page).sort()).toEqual(expected);
  });
  it('come into what is filtered, and leave it', async () => {
    go('#/tasks?state=Running');
    const { page, server } = await open();
    await says('2 tasks found');
    server.send(update('a', 'TASK_KILLED'), update('c', 'TASK_RUNNING', {}, 'G'));
    await until(() => cells(page).sort().join() === 'b,c');
    for (const it of page.querySelectorAll<HTMLElement>('button')) if (it.textContent === 'Clear') it.click();
    await says('4 tasks');
    expect(location.hash).toBe('#/tasks');
  });
  it('are shown while the rest of them comes', async () => {
    const server = master();
    const page = show(Tasks, {});
    await until(() => server.asked.some((it) => it['type'] === 'SUBSCRIBE'));
    server.begin({ ...STATE, tasks: Array.from({ length: 3000 }, (_, place) => of(`t${place}`, 'S1', 'TASK_RUNNING', 'F', 'web')) });
    await until(() => /1,\d+ tasks so far/.test(text()));
    expect(cells(page).length).toBeGreaterThan(5);
    expect(text()).toContain('Reading the master’s state');
    server.finish();
    await says('3,000 tasks');
    expect(text()).not.toContain('so far');
  });
  it('are none at first, which is said', async () => {
    const server = master();
    show(Tasks, {});
    await until(() => server.asked.some((it) => it['type'] === 'SUBSCRIBE'));
    server.state({ agents: [agent('S1')] });
    await says('No task is known');
  });
  it('are counted by state, where the overview leads to them', () => {
    const figures = new Figures();
    figures.take({ 'master/tasks_running': 3, 'master/tasks_gone_by_operator': 1, 'master/slaves_active': 1 }, 1000);
    const page = show(Overview, { face: { face: 'cluster', version: '0', id: 'M', leader: 'm:5050' }, figures });
    const links = [...page.querySelectorAll('a')].map((it) => it.getAttribute('href'));
    expect(links).toContain('#/tasks?state=Running');
    expect(links).toContain('#/tasks?state=Gone+by+operator');
    expect(links).not.toContain('#/tasks?state=Failed');
  });
});

describe('a filter of tasks', () => {
  it('asks for nothing when the address does not', () => {
    const filter = filterOf(new URLSearchParams(''));
    expect(isFiltered(filter)).toBe(false);
    expect(accepting(filter, () => undefined)(taskRow(task('a')))).toBe(true);
    expect(isFiltered(filterOf(new URLSearchParams('role=web')))).toBe(true);
  });
  it('offers the states that there are and those that are chosen', () => {
    expect(stateChoices(['TASK_RUNNING', 'TASK_GONE_BY_OPERATOR'], ['Lost'])).toEqual(['Gone by operator', 'Lost', 'Running']);
  });
});

const executor = (id: string, on = 'S1', of = 'F', more = {}): Executor => ({
  executor_info: { executor_id: { value: id }, framework_id: { value: of }, type: 'DEFAULT', resources: [scalar('cpus', 0.25), scalar('mem', 48)], ...more },
  agent_id: { value: on },
});

describe('executors without tasks', () => {
  const inContainer = (id: string, container: string, state = 'TASK_RUNNING') =>
    task(id, 'S1', state, 'F', { executor_id: { value: 'e' }, statuses: [{ task_id: { value: id }, state, timestamp: 5, container_status: { container_id: { value: 'inner', parent: { value: container } } } }] });

  it('are shown among those of their agent, with what they hold and the way to their files', async () => {
    const executors = [executor('e'), executor('idle'), executor('elsewhere', 'S2')];
    const slave = {
      id: 'S1', hostname: 'host-S1', port: 5051, pid: 'slave(1)@10.0.0.1:5051', version: '1', active: true, deactivated: false, registered_time: 1, attributes: {}, capabilities: [],
      resources: { cpus: 4 }, used_resources: {}, offered_resources: {}, unreserved_resources_full: [], reserved_resources_full: {},
    };
    const server = master({ '/slaves': () => ({ slaves: [slave] }), GET_EXECUTORS: () => ({ get_executors: { executors } }) });
    const page = show(AgentPage, { id: 'S1' });
    await until(() => server.asked.some((it) => it['type'] === 'SUBSCRIBE'));
    server.state({ agents: [agent('S1')], frameworks: [framework('F')], tasks: [inContainer('a', 'outer')] });
    await until(() => cells(page).length === 4);
    expect(cells(page)).toEqual(['name of F framework', 'e default executor, container outer', 'a', 'idle default executor']);
    const rows = [...page.querySelectorAll('[role="row"]')].map((it) => it.textContent?.replace(/\s+/g, ' '));
    expect(rows[4]).toContain('Idle');
    expect(rows[4]).toContain('48 MiB');
    const links = [...page.querySelectorAll('a')].map((it) => it.getAttribute('href'));
    expect(links).toContain('#/sandbox/S1/F/e?run=outer');
    expect(links).toContain('#/sandbox/S1/F/idle');
    // Its task ends, and it goes on in the same container.
    server.send(update('a', 'TASK_FINISHED'));
    await until(() => cells(page).join('|') === 'name of F framework|e default executor, container outer|idle default executor');
    // Nothing tells of its end but what is read again.
    executors.splice(0, 2);
    cluster.executors.now();
    await says('No task runs on it');
  });
  it('are forgotten with their agent and their framework', () => {
    const state = new ClusterState();
    for (const it of [executor('a'), executor('b', 'S1', 'G'), executor('c', 'S2')]) state.element('executors', it);
    state.element('frameworks', framework('F'));
    state.element('agents', agent('S2'));
    const ids = (of: string) => [...state.executorsOf(of)].map(({ id }) => id);
    expect([ids('S1'), ids('S2'), ids('S3')]).toEqual([['a', 'b'], ['c'], []]);
    state.event({ type: 'AGENT_REMOVED', agent_removed: { agent_id: { value: 'S2' } } });
    state.event({ type: 'FRAMEWORK_REMOVED', framework_removed: { framework_info: { id: { value: 'F' }, user: '', name: '' } } });
    expect([ids('S1'), ids('S2')]).toEqual([['b'], []]);
    state.take();
    state.readExecutors({ executors: [executor('b', 'S1', 'G')] });
    expect(state.isChanged).toBe(false);
    state.readExecutors({});
    expect([...state.take().agents]).toEqual(['S1']);
  });
  it('are told apart from the executors of commands, and come last', () => {
    const tasks = [task('run', 'S1', 'TASK_RUNNING'), inContainer('done', 'c', 'TASK_FINISHED')].map(taskRow);
    const lines = linesOf(tasks, false, (id) => id, [executor('e'), executor('none')].map(executorRow));
    expect(lines.map((line) => (line.kind === 'task' ? line.task.id : line.kind === 'executor' ? `${line.id} ${line.alive} ${line.container}` : line.id))).toEqual(['F', 'run', 'e 0 c', 'none 0 ']);
  });

  const state = {
    id: 'S1', pid: 'slave(1)@10.0.0.7:5051', hostname: 'h', start_time: 1, attributes: {}, resources: { cpus: 4 }, unreserved_resources_allocated: {}, reserved_resources_allocated: {},
    frameworks: [{
      id: 'F1', name: 'shop',
      executors: [
        { id: 'idle', name: '', container: 'c-idle', type: 'CUSTOM', resources: { cpus: 0.25, mem: 48, disk: 0 }, tasks: [], queued_tasks: [], completed_tasks: [] },
        { id: 'web', name: '', container: 'c-web', tasks: [{ id: 'web', name: 'web' }], queued_tasks: [], completed_tasks: [] },
      ],
      completed_executors: [{ id: 'old', name: '', container: 'c-old', type: 'DEFAULT', tasks: [], queued_tasks: [], completed_tasks: [] }],
    }],
    completed_frameworks: [],
  } as unknown as AgentState;

  it('are listed by the agent itself, with their containers', async () => {
    expect(executorRows(state).map(({ id, kind, alive, isLive }) => [id, kind, alive, isLive])).toEqual([['web', 'of a command', 1, true], ['idle', 'custom', 0, true], ['old', 'default', 0, false]]);
    const face = { face: 'agent', version: '1', id: 'S1', hostname: 'h', master: null, registered: true } as const;
    serve({ 'GET /state': { body: state }, 'GET /ui/face.json': { body: face } });
    go('#/tasks?show=executors&state=live');
    const page = show(Agent, { face });
    await says('2 executors of 3');
    expect(cells(page)).toEqual(['web of a command', 'idle custom']);
    expect(text()).toContain('c-idle');
    expect([...page.querySelectorAll('a')].map((it) => it.getAttribute('href'))).toContain('#/files/F1/idle/c-idle');
    go('#/tasks?show=executors&q=c-old');
    expect(cells(page)).toEqual(['old default']);
  });
});
