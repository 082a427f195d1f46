// The cluster's pages as users meet them: scripts in names, empty and broken states, what buttons send.
import { flushSync, mount, unmount, type Component } from 'svelte';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import AgentPage from '../src/cluster/AgentPage.svelte';
import Agents from '../src/cluster/Agents.svelte';
import { Figures } from '../src/cluster/figures.svelte';
import FrameworkPage from '../src/cluster/FrameworkPage.svelte';
import Frameworks from '../src/cluster/Frameworks.svelte';
import { cluster } from '../src/cluster/live.svelte';
import Maintenance from '../src/cluster/Maintenance.svelte';
import Offers from '../src/cluster/Offers.svelte';
import Roles from '../src/cluster/Roles.svelte';
import type { Framework } from '../src/cluster/wire';
import { notices } from '../src/lib/notice.svelte';
import Notices from '../src/parts/Notices.svelte';
import Question from '../src/parts/Question.svelte';
import { agent, framework, master, scalar, task, update } from './cluster';

const EVIL = '<img src=x onerror="globalThis.harmed = 1"><script>globalThis.harmed = 1</script>';
const face = { face: 'cluster' as const, version: '0', id: 'M', leader: 'm:5050' };

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

function click(name: string, of: ParentNode = document.body): void {
  const found = [...of.querySelectorAll<HTMLElement>('button, a')].find((it) => (it.getAttribute('aria-label') ?? it.textContent)?.replace(/\s+/g, ' ').trim() === name);
  expect(found, name).toBeDefined();
  found?.click();
  flushSync();
}

function type(label: string, value: string): void {
  const labels = [...document.querySelectorAll('label')].find((it) => it.textContent?.trim().startsWith(label));
  const field = document.querySelector<HTMLInputElement>(`[aria-label="${label}"]`) ?? labels?.querySelector<HTMLInputElement>('input, textarea');
  expect(field, label).toBeTruthy();
  field!.value = value;
  field!.dispatchEvent(new Event('input', { bubbles: true }));
  flushSync();
}

const submit = (): void => void document.querySelector('dialog form')?.dispatchEvent(new SubmitEvent('submit', { cancelable: true, bubbles: true }));

const slave = (id: string, more: Record<string, unknown> = {}) => ({
  id, hostname: `host-${id}`, port: 5051, pid: 'slave(1)@10.0.0.1:5051', version: '1.12.0', active: true, deactivated: false, registered_time: 1e9,
  attributes: {}, capabilities: [], resources: { cpus: 4, mem: 2048, disk: 0, gpus: 0, ports: '[31000-31999]' },
  used_resources: { cpus: 1, mem: 64, disk: 0, gpus: 0, ports: '[31000-31000, 31005-31007]' }, offered_resources: { cpus: 1, mem: 0, disk: 0, gpus: 0 },
  unreserved_resources_full: [scalar('cpus', 3), scalar('mem', 2048)], reserved_resources_full: {}, ...more,
});

beforeEach(() => {
  go('');
  notices.all = [];
});
afterEach(async () => {
  for (const it of mounted) await unmount(it);
  mounted = [];
  cluster.close();
  document.body.innerHTML = '';
  expect((globalThis as { harmed?: number }).harmed).toBeUndefined();
});

describe('agents', () => {
  it('are listed, filtered by the address, sorted, and follow events', async () => {
    const evil = agent('S2', { agent_info: { id: { value: 'S2' }, hostname: EVIL, attributes: [{ name: EVIL, type: 'TEXT', text: { value: EVIL } }] }, deactivated: true, active: false });
    const server = master({ GET_AGENTS: () => ({ get_agents: { agents: [agent('S1'), evil, agent('S10')] } }) });
    const page = show(Agents, { face });
    await says('Reading the master’s state');
    // Agents are shown before the state has come, which their tasks are of.
    await until(() => server.asked.some((it) => it['type'] === 'SUBSCRIBE'));
    await says('3 agents');
    expect([...page.querySelectorAll('.tasks')].map((it) => it.textContent?.trim().charAt(0))).toEqual(['…', '…', '…']);
    server.state({ agents: [agent('S1'), evil, agent('S10')], tasks: [task('a', 'S10')] });
    await until(() => !text().includes('…'));
    await says('3 agents');
    expect(page.querySelector('script, img')).toBeNull();
    expect(text()).toContain(EVIL);
    const hosts = () => [...page.querySelectorAll('[role="row"] a')].map((it) => it.textContent);
    expect(hosts()).toEqual([EVIL, 'host-S1', 'host-S10']);
    click('Tasks');
    expect(hosts()[0]).toBe('host-S10');
    for (const id of ['b', 'c']) server.send({ type: 'TASK_ADDED', task_added: { task: task(id, 'S1') } });
    await until(() => hosts()[0] === 'host-S1');
    go('#/agents?q=host&state=Active');
    await says('2 agents found');
    go('#/agents?state=Drained');
    await says('No agent is like that');
  });
  it('say how to begin when there is none, and what is wrong when the master is not there', async () => {
    const server = master();
    show(Agents, { face });
    await until(() => server.asked.length > 0);
    server.state({});
    await says('tepui-agent --master=m:5050');
    cluster.close();
    const down = master();
    down.isDown = true;
    show(Agents, { face });
    await says('the master does not answer; see whether it runs');
  });
});

describe('an agent', () => {
  async function open(more: Record<string, unknown> = {}, answers: Record<string, () => unknown> = {}) {
    const server = master({ '/slaves?slave_id=S1': () => ({ slaves: [slave('S1', more)] }), GET_AGENTS: () => ({ get_agents: { agents: [agent('S1')] } }), ...answers });
    const page = show(AgentPage, { id: 'S1' });
    show(Question, {});
    show(Notices, {});
    await until(() => server.asked.some((it) => it['type'] === 'SUBSCRIBE'));
    server.state({ agents: [agent('S1')], frameworks: [framework('F')], tasks: [task('a'), task('b', 'S1', 'TASK_FAILED'), task('c', 'S1', 'TASK_RUNNING', 'F', { executor_id: { value: 'e' } }), task('d', 'S2')] });
    await says('host-S1');
    await says('What runs on it');
    await until(() => page.querySelectorAll('[role="row"]').length > 1);
    return { page, server };
  }
  it('shows its frameworks, executors and tasks, and what is reserved', async () => {
    const reserved = { ...scalar('cpus', 1), reservations: [{ type: 'DYNAMIC', role: 'eng', principal: EVIL }] };
    const { page, server } = await open({ reserved_resources_full: { eng: [reserved] }, attributes: { rack: EVIL } });
    const lines = () => [...page.querySelectorAll('[role="table"] [role="row"]')].slice(1).map((it) => it.querySelector('[role="cell"]')?.textContent?.replace(/\s+/g, ' ').trim());
    expect(lines()).toEqual(['name of F framework', 'a', 'e executor', 'c']);
    expect(text()).toContain(`dynamically, by ${EVIL}`);
    expect(text()).toContain('4 of 1,000 used');
    page.querySelector<HTMLInputElement>('input[type=checkbox]')?.click();
    await until(() => lines().includes('b'));
    server.send(update('a', 'TASK_FINISHED'));
    await says('with 2 tasks that ended');
    expect(page.querySelector('script, img')).toBeNull();
  });
  it('is drained with a grace period after a question that says what happens', async () => {
    const { server } = await open({}, { DRAIN_AGENT: () => ({}) });
    click('Drain');
    expect(text()).toContain('its 2 tasks are killed');
    type('Grace period at most, in seconds', '1.5');
    expect(text()).toContain('give whole seconds');
    type('Grace period at most, in seconds', '30');
    submit();
    await says('Drain: accepted');
    const sent = server.asked.find((it) => it['type'] === 'DRAIN_AGENT');
    expect(sent).toEqual({ type: 'DRAIN_AGENT', drain_agent: { agent_id: { value: 'S1' }, max_grace_period: { seconds: 30 }, mark_gone: false } });
  });
  it('is drained as long as tasks themselves have when no time is given, and marked gone', async () => {
    const { server } = await open({}, { DRAIN_AGENT: () => ({}) });
    click('Drain');
    document.querySelector<HTMLInputElement>('dialog input[type=checkbox]')?.click();
    flushSync();
    submit();
    await says('Drain: accepted');
    expect(server.asked.find((it) => it['type'] === 'DRAIN_AGENT')).toEqual({ type: 'DRAIN_AGENT', drain_agent: { agent_id: { value: 'S1' }, mark_gone: true } });
  });
  it('tells how far its draining is, and cannot be reactivated before', async () => {
    const { page } = await open({ active: false, deactivated: true, drain_info: { state: 'DRAINING', config: { max_grace_period: { nanoseconds: 6e10 }, mark_gone: true } } });
    expect(text()).toContain('2 tasks still run, which get at most 1 min to end');
    expect(text()).toContain('It is marked gone once nothing runs on it');
    const button = [...page.querySelectorAll('button')].find((it) => it.textContent === 'Reactivate');
    expect(button?.disabled).toBe(true);
  });
  it('is left alone when the question is answered with no, and keeps the words of a refusal', async () => {
    const { server } = await open({ active: false, deactivated: true, drain_info: { state: 'DRAINED' } }, { REACTIVATE_AGENT: () => new Response('Agent is not deactivated', { status: 400 }) });
    click('Mark gone');
    click('Cancel', document.querySelector('dialog')!);
    click('Reactivate');
    submit();
    await says('Reactivate failed: Agent is not deactivated');
    expect(server.asked.map((it) => it['type'])).not.toContain('MARK_AGENT_GONE');
  });
  it('that is not registered says so', async () => {
    master({ '/slaves': () => ({ slaves: [] }) });
    show(AgentPage, { id: 'S9' });
    await says('The agent is not registered');
    expect(document.querySelectorAll('h1')).toHaveLength(1);
  });
});

describe('frameworks', () => {
  const evil: Framework = framework('F', {
    framework_info: { id: { value: 'F' }, name: EVIL, user: EVIL, roles: [EVIL], webui_url: 'javascript:globalThis.harmed=1', labels: { labels: [{ key: EVIL, value: EVIL }] } },
  });
  const done = framework('G');
  const answers = { GET_FRAMEWORKS: () => ({ get_frameworks: { frameworks: [evil], completed_frameworks: [done] } }) };

  it('are listed as registered and completed', async () => {
    const server = master(answers);
    const page = show(Frameworks, { face });
    await until(() => server.asked.some((it) => it['type'] === 'SUBSCRIBE'));
    server.state({ frameworks: [evil], tasks: [task('a'), task('b', 'S1', 'TASK_LOST')] });
    await until(() => !text().includes('…'));
    await says('1 framework');
    expect(page.querySelector('script, img, [href^="javascript"]')).toBeNull();
    cluster.frameworks.now();
    go('#/frameworks?tab=completed');
    await says('name of G');
    expect(text()).toContain('Completed');
    go('#/frameworks?q=zzz');
    await says('No framework is like that');
  });
  it('show what they are, and are torn down after a question', async () => {
    const server = master({ ...answers, TEARDOWN: () => ({}) });
    const page = show(FrameworkPage, { id: 'F' });
    show(Question, {});
    await until(() => server.asked.some((it) => it['type'] === 'SUBSCRIBE'));
    server.state({ frameworks: [evil], agents: [agent('S1')], tasks: [task('a'), task('b', 'S1', 'TASK_LOST')] });
    await says('2 tasks');
    go('#/framework/F?state=Lost');
    await says('1 task found');
    server.send(update('a', 'TASK_LOST'));
    await says('2 tasks found');
    go('#/framework/F?tab=about');
    await says(`${EVIL}=${EVIL}`);
    expect(page.querySelector('script, img, [href^="javascript"]')).toBeNull();
    click('Tear down');
    expect(text()).toContain('Its 0 tasks are killed');
    submit();
    await until(() => server.asked.some((it) => it['type'] === 'TEARDOWN'));
    expect(server.asked.find((it) => it['type'] === 'TEARDOWN')).toEqual({ type: 'TEARDOWN', teardown: { framework_id: { value: 'F' } } });
  });
  it('tell why they are offered no more', async () => {
    const reasons = [{ reason: 'FILTERED', agents: 30, text: 'the framework declined as much on this agent', unblock: 'wait' }];
    const agents = [{ agent_id: 'S1', hostname: EVIL, reason: 'FILTERED', free: 'cpus:3', ends_in_seconds: 4.2 }];
    const server = master({ ...answers, '/api/tepui/v1/why?framework_id=F': () => ({ frameworks: [{ connected: true, roles: [{ role: EVIL, offers: 2, reasons, agents }] }], left_out: 0 }) });
    go('#/framework/F?tab=why');
    const page = show(FrameworkPage, { id: 'F' });
    await until(() => server.asked.some((it) => it['type'] === 'SUBSCRIBE'));
    server.state({ frameworks: [evil] });
    await says('On 30 agents the framework declined as much on this agent. What would help: wait.');
    expect(text()).toContain('and 29 more agents');
    expect(text()).toContain('for 4 s more');
    expect(page.querySelector('script, img')).toBeNull();
  });
});

describe('offers', () => {
  it('are shown with what is in them', async () => {
    const ports = { name: 'ports', type: 'RANGES', ranges: { range: [{ begin: 31000, end: 31005 }] } };
    const offer = { id: { value: 'M-O1' }, framework_id: { value: 'F' }, agent_id: { value: 'S1' }, hostname: EVIL, resources: [scalar('cpus', 1), scalar('mem', 512), ports], allocation_info: { role: 'eng' } };
    master({ GET_FRAMEWORKS: () => ({ get_frameworks: { frameworks: [framework('F', { offers: [offer] })] } }) });
    const page = show(Offers, {});
    await says('1 open offer');
    expect(text()).toContain('1 CPU, 512 MiB memory');
    expect(text()).toContain('ports [31000-31005]');
    expect(page.querySelector('script, img')).toBeNull();
  });
  it('say what to do when there is none', async () => {
    master({ GET_FRAMEWORKS: () => ({ get_frameworks: {} }) });
    show(Offers, {});
    await says('No offer is open');
  });
});

describe('roles', () => {
  const role = (name: string, more = {}) => ({ name, weight: 1, quota: { guarantee: {}, limit: {}, consumed: {} }, allocated: {}, offered: {}, reserved: {}, frameworks: [], ...more });
  const IMAGE = EVIL.slice(0, EVIL.indexOf('<script'));
  const all = [role('eng/web', { weight: 2.5 }), role('eng', { quota: { guarantee: { cpus: 1, tpus: 3 }, limit: { cpus: 2 }, consumed: { cpus: 2 } }, allocated: { cpus: 2 }, frameworks: ['F'] }), role(IMAGE)];
  const figures = new Figures();
  figures.take({ 'master/cpus_total': 8 }, 1);

  it('are a tree, and their quota and weight can be set', async () => {
    let refused = true;
    const server = master({
      '/roles': () => ({ roles: all }),
      UPDATE_QUOTA: () => (refused ? new Response('total quota guarantees exceed cluster capacity', { status: 400 }) : {}),
      UPDATE_WEIGHTS: () => ({}),
    });
    const page = show(Roles, { figures });
    await says('3 roles');
    expect([...page.querySelectorAll('th[scope=row]')].map((it) => it.querySelector('span:last-of-type')?.textContent?.trim())).toEqual([IMAGE, 'eng', 'web']);
    expect(page.querySelector('script, img')).toBeNull();
    expect(text()).toContain('25 % of CPUs');
    expect(text()).toContain('2 used, 1 guaranteed, 2 at most');
    click('Edit eng');
    type('CPUs, guarantee', '5');
    expect(text()).toContain('the guarantee must not be more than the limit');
    type('CPUs, limit', '');
    type('Memory, in MB, limit', '512');
    type('Weight', '3');
    submit();
    await says('total quota guarantees exceed cluster capacity');
    refused = false;
    document.querySelector<HTMLInputElement>('dialog input[type=checkbox]')?.click();
    flushSync();
    submit();
    await until(() => document.querySelector('dialog') === null);
    const sent = server.asked.filter((it) => String(it['type']).startsWith('UPDATE'));
    const quota = { role: 'eng', guarantees: { cpus: { value: 5 }, tpus: { value: 3 } }, limits: { mem: { value: 512 } } };
    expect(sent.slice(1)).toEqual([
      { type: 'UPDATE_QUOTA', update_quota: { force: true, quota_configs: [quota] } },
      { type: 'UPDATE_WEIGHTS', update_weights: { weight_infos: [{ role: 'eng', weight: 3 }] } },
    ]);
    click('Edit eng/web');
    expect(text()).toContain('A quota can only be set for a role at the top, here eng');
  });
});

describe('maintenance', () => {
  it('is shown, planned, and machines are taken down and up', async () => {
    const hour = 3600e9;
    const planned = (hostname: string, start: number) => ({ machine_ids: [{ hostname, ip: '10.0.0.7' }], unavailability: { start: { nanoseconds: start * 1e9 }, duration: { nanoseconds: hour } } });
    const schedule = { windows: [planned(EVIL, 2e9), planned('down', 1e9)] };
    const server = master({
      GET_MAINTENANCE_SCHEDULE: () => ({ get_maintenance_schedule: { schedule } }),
      GET_MAINTENANCE_STATUS: () => ({ get_maintenance_status: { status: { draining_machines: [{ id: { hostname: EVIL, ip: '10.0.0.7' } }], down_machines: [{ hostname: 'DOWN', ip: '10.0.0.7' }] } } }),
      GET_AGENTS: () => ({ get_agents: { agents: [agent('S1')] } }),
      UPDATE_MAINTENANCE_SCHEDULE: () => ({}), START_MAINTENANCE: () => ({}), STOP_MAINTENANCE: () => ({}),
    });
    const page = show(Maintenance, {});
    show(Question, {});
    await says('for 1 h');
    expect(page.querySelector('script, img')).toBeNull();
    expect([...page.querySelectorAll('article')].map((it) => it.querySelector('.badge')?.textContent)).toEqual(['Down', 'Draining']);
    click('Take up down, 10.0.0.7');
    submit();
    await until(() => server.asked.some((it) => it['type'] === 'STOP_MAINTENANCE'));
    expect(server.asked.find((it) => it['type'] === 'STOP_MAINTENANCE')).toEqual({ type: 'STOP_MAINTENANCE', stop_maintenance: { machines: [{ hostname: 'down', ip: '10.0.0.7' }] } });
    click('Plan maintenance');
    await says('host-S1 10.0.0.1');
    submit();
    await says('give one machine or more');
    click('host-S1 10.0.0.1');
    type('Begins', '2030-01-02T03:04');
    type('Takes, in minutes', '90');
    submit();
    await until(() => server.asked.some((it) => it['type'] === 'UPDATE_MAINTENANCE_SCHEDULE'));
    const start = { nanoseconds: new Date('2030-01-02T03:04').getTime() * 1e6 };
    const added = { machine_ids: [{ hostname: 'host-S1', ip: '10.0.0.1' }], unavailability: { start, duration: { nanoseconds: 1.5 * hour } } };
    expect(server.asked.find((it) => it['type'] === 'UPDATE_MAINTENANCE_SCHEDULE')).toEqual({
      type: 'UPDATE_MAINTENANCE_SCHEDULE', update_maintenance_schedule: { schedule: { windows: [...schedule.windows, added] } },
    });
    click('Cancel it', page.querySelectorAll('article')[1]!);
    submit();
    const cancelled = () => server.asked.filter((it) => it['type'] === 'UPDATE_MAINTENANCE_SCHEDULE')[1];
    await until(() => cancelled() !== undefined);
    expect(cancelled()).toMatchObject({ update_maintenance_schedule: { schedule: { windows: [schedule.windows[1]] } } });
  });
});
