// The page of a task, and the way from the master to the files on its agent.
import { flushSync, mount, unmount, type Component } from 'svelte';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { agentPage, agentUrl, fileUrl } from '../src/cluster/agent';
import Sandbox from '../src/cluster/Sandbox.svelte';
import { cluster } from '../src/cluster/live.svelte';
import { addressesOf, filesLink, historyOf, wordsOf, type TaskOfList } from '../src/cluster/task';
import Task from '../src/cluster/Task.svelte';
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

async function until(holds: () => boolean): Promise<void> {
  await vi.waitFor(() => {
    flushSync();
    expect(holds()).toBe(true);
  }, 3000);
}

function go(hash: string): void {
  location.hash = hash;
  dispatchEvent(new HashChangeEvent('hashchange'));
  flushSync();
}

beforeEach(() => go(''));
afterEach(async () => {
  for (const it of mounted) await unmount(it);
  mounted = [];
  cluster.close();
  document.body.innerHTML = '';
  expect((globalThis as { harmed?: number }).harmed).toBeUndefined();
});

const task: TaskOfList = {
  id: 't.1', name: EVIL, framework_id: 'F', executor_id: '', slave_id: 'S1', state: 'TASK_FAILED', role: 'ops',
  resources: { cpus: 0.5, mem: 64, gpus: 0, ports: '[31000-31001]' }, limits: { mem: 'Infinity' },
  labels: [{ key: EVIL, value: EVIL }, { key: 'bare' }],
  discovery: { name: EVIL },
  statuses: [
    { state: 'TASK_RUNNING', timestamp: 10 },
    {
      state: 'TASK_FAILED', timestamp: 20,
      container_status: { container_id: { value: 'c1' }, network_infos: [{ ip_addresses: [{ ip_address: '10.0.0.7' }, { ip_address: '10.0.0.7' }] }] },
    },
  ],
};
const told = {
  text: 'it failed; its sandbox tells more', hostname: 'host-1',
  statuses: [
    { state: 'TASK_RUNNING', timestamp: 10, source: 'SOURCE_EXECUTOR' },
    { state: 'TASK_FAILED', timestamp: 20, source: 'SOURCE_EXECUTOR', reason: 'REASON_COMMAND_EXECUTOR_FAILED', message: `exited with 7 ${EVIL}` },
  ],
};
const answers = {
  'GET /tasks': { body: { tasks: [task] } },
  'GET /api/tepui/v1/why': { body: told },
  'POST /api/v1': { status: 503, body: { message: 'no stream here' } },
};

describe('a task', () => {
  it('is shown with what it went through and why', async () => {
    const asked = serve(answers);
    const page = show(Task, { framework: 'F', task: 't.1' });
    await until(() => page.textContent!.includes('It failed; its sandbox tells more.'));
    expect(asked.map(({ path }) => path)).toContain('/tasks?framework_id=F&task_id=t.1');
    expect(page.querySelector('img')).toBeNull();
    const rows = [...page.querySelectorAll('tbody tr')].map((row) => row.textContent?.replace(/\s+/g, ' '));
    expect(rows[0]).toContain('command executor failed');
    expect(rows[0]).toContain('exited with 7');
    expect(rows).toHaveLength(2);
    expect(page.textContent).toContain('64 MiB');
    expect(page.textContent).toContain('no limit');
    expect(page.textContent).toContain('[31000-31001]');
    const links = [...page.querySelectorAll('a')].map((it) => it.getAttribute('href'));
    expect(links).toContain('#/sandbox/S1/F/t.1?run=c1&open=stdout');
    expect([...page.querySelectorAll('button')].map((it) => it.textContent)).not.toContain('Kill');
  });
  it('is read again when the stream tells of it, and of nothing else', async () => {
    const asked = serve(answers);
    const watch = vi.spyOn(cluster, 'watch');
    const page = show(Task, { framework: 'F', task: 't.1' });
    await until(() => page.textContent!.includes('It failed'));
    const reads = () => asked.filter(({ path }) => path.startsWith('/tasks')).length;
    const tell = watch.mock.calls[0]![0];
    const changes = (...tasks: string[]) => ({ tasks: new Set(tasks), agents: new Set<string>(), frameworks: new Set<string>() });
    tell(changes('F/other'));
    tell(changes('F/t.1'));
    await until(() => reads() === 2);
    watch.mockRestore();
  });
  it('that is forgotten is said to be', async () => {
    serve({ ...answers, 'GET /tasks': { body: { tasks: [] } } });
    const page = show(Task, { framework: 'F', task: 'gone' });
    await until(() => page.textContent!.includes('The master knows no such task'));
  });
  it('shows its states also where the reasons cannot be told', async () => {
    serve({ ...answers, 'GET /api/tepui/v1/why': { status: 404, body: 'forgotten' } });
    const page = show(Task, { framework: 'F', task: 't.1' });
    await until(() => page.querySelectorAll('tbody tr').length === 2);
    expect(page.textContent).not.toContain('It failed');
  });
  it('tells on request what its executor runs', async () => {
    const executor_info = { executor_id: { value: 'ex' }, framework_id: { value: 'F' }, command: { value: `run ${EVIL}` } };
    serve({
      ...answers,
      'GET /tasks': { body: { tasks: [{ ...task, executor_id: 'ex' }] } },
      'POST /api/v1': { body: { get_executors: { executors: [{ executor_info }] } } },
    });
    const page = show(Task, { framework: 'F', task: 't.1' });
    await until(() => page.querySelector('section button') !== null);
    page.querySelector<HTMLElement>('section button')?.click();
    await until(() => page.querySelector('section pre')?.textContent?.includes('run <img') ?? false);
  });
  it('has files in the directory of its own container', () => {
    const inner = { ...task, executor_id: 'ex', statuses: [{ state: 'TASK_RUNNING', timestamp: 1, container_status: { container_id: { value: 'c2', parent: { value: 'c1' } } } }] };
    expect(filesLink(inner)).toBe('#/sandbox/S1/F/ex/containers/c2?run=c1');
    expect(filesLink({ ...task, statuses: [] }, 'stderr')).toBe('#/sandbox/S1/F/t.1?open=stderr');
    expect(addressesOf(task)).toEqual(['10.0.0.7']);
    expect(wordsOf('REASON_TASK_KILLED_DURING_LAUNCH')).toBe('task killed during launch');
    expect(historyOf(task, undefined).map((it) => it.state)).toEqual(['TASK_FAILED', 'TASK_RUNNING']);
  });
});

describe('the way to a sandbox', () => {
  const slaves = { 'GET /slaves?slave_id=S1': { body: { slaves: [{ id: 'S1', hostname: 'host-7', pid: 'slave(1)@10.0.0.7:5051' }] } } };
  it('leads to the page of the agent, and says which host that is', async () => {
    serve(slaves);
    go('#/sandbox/S1/F/e/containers/c2?run=c1');
    const page = show(Sandbox, { agent: 'S1', framework: 'F', executor: 'e' });
    await until(() => page.textContent!.includes('Files on host-7:5051'));
    expect(page.querySelector('img')).toBeNull();
    const links = [...page.querySelectorAll('a')].map((it) => it.getAttribute('href'));
    expect(links).toContain('http://host-7:5051/ui/#/files/F/e/c1/containers/c2');
    expect(links).toContain('http://host-7:5051/ui/#/log/F/e/c1/containers/c2/stderr');
    expect(links).toContain(`http://host-7:5051/files/download?path=${encodeURIComponent('/frameworks/F/executors/e/runs/c1/containers/c2/stdout')}`);
  });
  it('goes on at once to a file that was asked for', async () => {
    serve(slaves);
    go('#/sandbox/S1/F/e?open=stdout');
    const gone: string[] = [];
    show(Sandbox, { agent: 'S1', framework: 'F', executor: 'e', goTo: (url: string) => gone.push(url) });
    await until(() => gone.length > 0);
    expect(gone).toEqual(['http://host-7:5051/ui/#/log/F/e/latest/stdout']);
  });
  it('ends where the agent is not there', async () => {
    serve({ 'GET /slaves': { body: { slaves: [] } } });
    const page = show(Sandbox, { agent: 'S1', framework: 'F', executor: 'e' });
    await until(() => page.textContent!.includes('The agent is not there'));
  });
  it('is known by the address of the agent', () => {
    expect(agentUrl({ hostname: '', pid: 'slave(1)@[::1]:5051' })).toBe('http://[::1]:5051');
    expect(agentUrl({ hostname: '', pid: 'slave(1)@::1:5051' })).toBe('http://[::1]:5051');
    expect(agentUrl({ hostname: '', pid: 'nothing' })).toBeUndefined();
    // The hostname is what browsers reach, unless the agent listens on this machine only.
    expect(agentUrl({ hostname: 'a.example.org', pid: 'slave(1)@10.0.0.1:5051' })).toBe('http://a.example.org:5051');
    expect(agentUrl({ hostname: 'a.example.org', pid: 'slave(1)@10.0.0.1:5051' }, 'https:')).toBe('https://a.example.org:5051');
    expect(agentUrl({ hostname: 'a.example.org', pid: 'slave(1)@127.0.0.1:5051' })).toBe('http://127.0.0.1:5051');
    expect(agentUrl({ hostname: 'fd00::7', pid: 'slave(1)@[fd00::7]:5051' })).toBe('http://[fd00::7]:5051');
    expect(agentUrl({ hostname: 'x@evil/', pid: 'slave(1)@10.0.0.1:5051' }, 'file:')).toBe('http://x%40evil%2F:5051');
    const sought = { framework: 'F', executor: 'a b', run: 'latest', directory: ['x?y'] };
    expect(agentPage('http://h:1', sought)).toBe('http://h:1/ui/#/files/F/a%20b/latest/x%3Fy');
    expect(fileUrl('http://h:1', { ...sought, file: 'z' })).toContain(encodeURIComponent('/runs/latest/x?y/z'));
  });
});
