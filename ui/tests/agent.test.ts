// The pages of an agent: following a log that grows, is cut off or goes; its files; its tasks.
import { flushSync, mount, unmount, type Component } from 'svelte';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import Agent from '../src/agent/Agent.svelte';
import { copyText } from '../src/agent/copy';
import Log from '../src/agent/Log.svelte';
import { CHUNK_BYTES, type Part } from '../src/agent/files';
import { LATE_MS, LogView, SOON_MS } from '../src/agent/log.svelte';
import { textOf } from '../src/agent/rows';
import { amountsOf, innerPath, taskRows, type AgentState } from '../src/agent/state';
import { ApiError } from '../src/lib/api';
import { serve } from './server';

const EVIL = '<img src=x onerror="globalThis.harmed = 1"><script>globalThis.harmed = 1</script>';
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

const click = (of: ParentNode, name: string): void => {
  const found = [...of.querySelectorAll('button')].find((it) => (it.getAttribute('aria-label') ?? it.textContent)?.trim() === name);
  expect(found, name).toBeDefined();
  found?.click();
  flushSync();
};

function go(hash: string): void {
  location.hash = hash;
  dispatchEvent(new HashChangeEvent('hashchange'));
  flushSync();
}

beforeEach(() => go(''));
afterEach(async () => {
  for (const it of mounted) await unmount(it);
  mounted = [];
  document.body.innerHTML = '';
  vi.useRealTimers();
  expect((globalThis as { harmed?: number }).harmed).toBeUndefined();
});

/** A file that tests write to. */
class FakeFile {
  data = new Uint8Array();
  asked: { offset: number; length: number }[] = [];
  refusal: ApiError | undefined;
  isHidden = false;
  readonly view = new LogView((offset, length) => this.read(offset, length), () => this.isHidden);

  constructor(text = '') {
    this.add(text);
  }
  add(text: string | Uint8Array): void {
    const added = typeof text === 'string' ? new TextEncoder().encode(text) : text;
    const all = new Uint8Array(this.data.length + added.length);
    all.set(this.data);
    all.set(added, this.data.length);
    this.data = all;
  }
  async read(offset: number, length: number): Promise<Part> {
    this.asked.push({ offset, length });
    if (this.refusal) throw this.refusal;
    return { size: this.data.length, data: this.data.slice(offset, offset + Math.min(length, CHUNK_BYTES)) };
  }
  get shown(): string[] {
    return this.view.rows.map(textOf);
  }
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe('a log', () => {
  beforeEach(() => void vi.useFakeTimers());
  const lines = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => `line ${from + at}\n`).join('');

  async function open(text: string): Promise<FakeFile & { stop: () => void }> {
    const file = new FakeFile(text);
    const stop = file.view.watch();
    await pass(10);
    return Object.assign(file, { stop });
  }

  it('is opened at its end, and followed', async () => {
    const file = await open(lines(0, 30_000));
    expect(file.shown.at(-1)).toBe('line 29999');
    expect(file.view.end - file.view.start).toBe(CHUNK_BYTES);
    file.add('new');
    await pass(LATE_MS);
    expect(file.shown.at(-1)).toBe('new');
    file.add('er\n');
    await pass(LATE_MS);
    expect(file.shown.at(-1)).toBe('newer');
    file.stop();
  });
  it('joins characters that were written in two parts', async () => {
    const file = await open('ab\n');
    file.add(new Uint8Array([0xe2, 0x82]));
    await pass(LATE_MS);
    expect(file.shown).toEqual(['ab', '\ufffd']);
    file.add(new Uint8Array([0xac, 0x0a]));
    await pass(LATE_MS);
    expect(file.shown).toEqual(['ab', '€']);
    file.stop();
  });
  it('is asked seldom while nothing comes, often when something does, and not at all while it is not seen', async () => {
    const file = await open('x\n');
    await pass(60_000);
    file.asked.length = 0;
    await pass(60_000);
    expect(file.asked.length).toBeLessThanOrEqual(60_000 / LATE_MS);
    file.asked.length = 0;
    for (let turn = 0; turn < 20; turn += 1) {
      file.add('more\n');
      await pass(SOON_MS);
    }
    expect(file.asked.length).toBeGreaterThan(5);
    file.isHidden = true;
    await pass(LATE_MS);
    file.asked.length = 0;
    await pass(60_000);
    expect(file.asked).toEqual([]);
    file.isHidden = false;
    file.add('seen\n');
    file.view.wake();
    await pass(10);
    expect(file.shown.at(-1)).toBe('seen');
    file.stop();
    file.asked.length = 0;
    await pass(60_000);
    expect(file.asked).toEqual([]);
  });
  it('does not move whoever has scrolled up, but tells how much has come', async () => {
    const file = await open('x\n');
    file.view.pause();
    file.add('y\n');
    await pass(LATE_MS);
    expect([file.shown, file.view.size - file.view.end]).toEqual([['x'], 2]);
    await file.view.toEnd();
    await pass(10);
    expect(file.shown).toEqual(['x', 'y']);
    file.stop();
  });
  it('goes to the end at once when much has come meanwhile', async () => {
    const file = await open('x\n');
    file.view.pause();
    file.add(lines(0, 100_000));
    await pass(LATE_MS);
    file.asked.length = 0;
    await file.view.toEnd();
    await pass(10);
    expect(file.shown.at(-1)).toBe('line 99999');
    expect(file.asked.length).toBeLessThan(4);
    file.stop();
  });
  it('loads what is before and after, and keeps what it holds small', async () => {
    const file = await open(lines(0, 250_000));
    file.view.pause();
    for (let turn = 0; turn < 40; turn += 1) await file.view.loadEarlier();
    expect(file.view.end - file.view.start).toBeLessThanOrEqual(2 * 1024 * 1024);
    expect(file.view.rows.length).toBeLessThanOrEqual(50_000);
    expect(file.view.end).toBeLessThan(file.view.size);
    const { end } = file.view;
    await file.view.loadLater();
    expect(file.view.end).toBeGreaterThan(end);
    await file.view.toStart();
    expect([file.view.start, file.shown[0], file.view.aim?.at]).toEqual([0, 'line 0', 0]);
    await file.view.loadEarlier();
    expect(file.view.start).toBe(0);
    file.stop();
  });
  it('that was cut off is shown anew to whoever follows it, and said', async () => {
    const file = await open(lines(0, 100));
    file.data = new Uint8Array();
    file.add('again\n');
    await pass(LATE_MS);
    expect([file.shown, file.view.notice]).toEqual([['again'], expect.stringContaining('shorter')]);
    file.stop();
  });
  it('that was replaced by one that is as long is noticed, too', async () => {
    const file = await open(lines(0, 10));
    file.data = new Uint8Array();
    file.add(lines(50, 90));
    await pass(LATE_MS);
    expect(file.shown[0]).toBe('line 50');
    expect(file.view.notice).toContain('replaced');
    file.stop();
  });
  it('that was cut off stays as it was for whoever reads it, until asked for', async () => {
    const file = await open(lines(0, 100));
    file.view.pause();
    file.data = new Uint8Array();
    file.add('again\n');
    await pass(LATE_MS);
    expect([file.shown.length, file.view.isStale]).toEqual([100, true]);
    await file.view.find('again', false, false, 0);
    expect(file.view.search?.said).toBe('Show the new file first');
    await file.view.toEnd();
    expect([file.shown, file.view.isStale, file.view.notice]).toEqual([['again'], false, undefined]);
    file.stop();
  });
  it('that is gone is said to be, and shown again when it is back', async () => {
    const file = await open('x\n');
    file.refusal = new ApiError(404, 'the server answered 404');
    await pass(LATE_MS);
    expect([file.view.phase, file.shown]).toEqual(['missing', ['x']]);
    file.refusal = undefined;
    await pass(2 * LATE_MS);
    expect([file.view.phase, file.view.notice]).toEqual(['open', undefined]);
    file.stop();
  });
  it('of an agent that does not answer is asked for again', async () => {
    const file = await open('x\n');
    file.refusal = new ApiError(0, 'no answer');
    await pass(LATE_MS);
    expect([file.view.error, file.shown]).toEqual(['no answer', ['x']]);
    file.refusal = undefined;
    file.add('y\n');
    await pass(2 * LATE_MS);
    expect([file.view.error, file.shown]).toEqual([undefined, ['x', 'y']]);
    file.stop();
  });
  it('that is not there yet, is no text, or no file', async () => {
    const file = new FakeFile('later\n');
    file.refusal = new ApiError(404, 'no');
    const stop = file.view.watch();
    await pass(10);
    expect(file.view.phase).toBe('missing');
    file.refusal = undefined;
    await pass(LATE_MS);
    expect([file.view.phase, file.shown]).toEqual(['open', ['later']]);
    stop();
    const binary = await open('\0\x01\x02');
    expect([binary.view.phase, binary.view.size]).toEqual(['binary', 3]);
    binary.stop();
    const directory = new FakeFile();
    directory.refusal = new ApiError(400, 'Cannot read a directory.');
    const leave = directory.view.watch();
    await pass(10);
    expect(directory.view.phase).toBe('directory');
    leave();
  });
  it('is searched from match to match, and scrolled to each', async () => {
    const file = await open(`start needle\n${lines(0, 30_000)}last needle\n`);
    await file.view.find('NEEDLE', false, false, file.view.start);
    expect(file.view.aim?.at).toBe(file.data.length - 7);
    expect(file.view.isFollowing).toBe(false);
    await file.view.find('NEEDLE', false, false, file.view.start);
    expect([file.view.match?.at, file.view.start, file.view.search?.said]).toEqual([6, 0, 'Found, past the end']);
    await file.view.find('none', false, true, 0);
    expect(file.view.search?.said).toBe('Not found');
    const searching = file.view.find('none', false, false, 0);
    file.view.cancelSearch();
    await searching;
    expect(file.view.search?.said).toBe('Cancelled');
    file.stop();
  });
});

describe('the page of a log', () => {
  it('shows scripts as text, colours as classes, and marks what is searched', async () => {
    const file = new FakeFile(`${EVIL}\n\x1b[31mred\x1b[0m needle\n`);
    const page = show(Log, { path: '/p', name: EVIL, where: (() => {}) as never, view: file.view });
    await until(() => page.querySelectorAll('.line').length === 2);
    expect(page.querySelector('script, img')).toBeNull();
    expect(page.querySelector('.line')?.textContent).toBe(EVIL);
    expect(page.querySelector('.ink-1')?.textContent).toBe('red');
    click(page, 'Colours');
    expect(page.querySelector('.ink-1')).toBeNull();
    const field = page.querySelector<HTMLInputElement>('input[type=search]')!;
    field.value = 'NEEDLE';
    field.dispatchEvent(new Event('input', { bubbles: true }));
    field.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true }));
    await until(() => page.querySelector('mark.here')?.textContent === 'needle');
    expect(page.textContent).toContain('Paused');
  });
  it('is driven by keys, but not while one types', async () => {
    const file = new FakeFile('a\n');
    const page = show(Log, { path: '/p', name: 'stdout', where: (() => {}) as never, view: file.view });
    await until(() => page.querySelectorAll('.line').length === 1);
    const press = (key: string, target: EventTarget = document.body) => {
      target.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
      flushSync();
    };
    press('f');
    expect(file.view.isFollowing).toBe(false);
    press('G');
    expect(file.view.isFollowing).toBe(true);
    press('/');
    const field = page.querySelector<HTMLInputElement>('input[type=search]')!;
    expect(document.activeElement).toBe(field);
    press('f', field);
    expect(file.view.isFollowing).toBe(true);
    press('?');
    expect(page.querySelector('dialog')?.textContent).toContain('next and the previous match');
  });
  it('stops following while text is selected', async () => {
    const file = new FakeFile('a\nb\n');
    const page = show(Log, { path: '/p', name: 'stdout', where: (() => {}) as never, view: file.view });
    await until(() => page.querySelectorAll('.line').length === 2);
    getSelection()?.selectAllChildren(page.querySelector('h1')!);
    document.dispatchEvent(new Event('selectionchange'));
    expect(file.view.isFollowing).toBe(true);
    getSelection()?.selectAllChildren(page.querySelector('.line')!);
    document.dispatchEvent(new Event('selectionchange'));
    expect(file.view.isFollowing).toBe(false);
    getSelection()?.removeAllRanges();
  });
  it('is copied also where only old ways are open, or it is said that it cannot be', async () => {
    let copied = '';
    const command = vi.fn(() => {
      copied = (document.activeElement as HTMLTextAreaElement).value;
      return true;
    });
    document.execCommand = command;
    expect([await copyText('a\nb'), copied, document.querySelector('textarea')]).toEqual([true, 'a\nb', null]);
    command.mockReturnValue(false);
    expect(await copyText('x')).toBe(false);
  });
  it('has few of many rows in the document', async () => {
    const file = new FakeFile('x\n'.repeat(20_000));
    const page = show(Log, { path: '/p', name: 'stdout', where: (() => {}) as never, view: file.view });
    await until(() => page.querySelectorAll('.line').length > 10);
    expect(page.querySelectorAll('.line').length).toBeLessThan(200);
    expect(file.view.rows).toHaveLength(20_000);
  });
});

const task = (id: string, state: string, timestamp: number, container = {}) => ({
  id, name: id, state, statuses: [{ state, timestamp, container_status: { container_id: container } }],
});
const executor = (id: string, tasks: unknown[], completed: unknown[] = []) => ({
  id, name: id, container: `run-${id}`, tasks, queued_tasks: [], completed_tasks: completed,
});
const state = {
  id: 'S1', pid: 'slave(1)@10.0.0.7:5051', hostname: EVIL, start_time: 1_700_000_000, attributes: { rack: EVIL },
  resources: { cpus: 4, mem: 2048, gpus: 0, ports: '[31000-32000]', tokens: 3 },
  unreserved_resources_allocated: { cpus: 1, mem: 32 }, reserved_resources_allocated: { ops: { cpus: 0.5 } },
  frameworks: [
    {
      id: 'F1', name: 'shop',
      executors: [executor('web.1', [task('web.1', 'TASK_RUNNING', 5)]), executor('group', [task('a', 'TASK_RUNNING', 9, { value: 'c2', parent: { value: 'c1' } })], [task('b', 'TASK_FAILED', 7)])],
      completed_executors: [executor('old', [], [task(EVIL, 'TASK_FINISHED', 99)]), executor('empty', [])],
    },
  ],
  completed_frameworks: [],
} as unknown as AgentState;

describe('the tasks of an agent', () => {
  it('are those of live executors first, the latest first', () => {
    const rows = taskRows(state);
    expect(rows.map((row) => row.task ?? row.executor)).toEqual(['a', 'b', 'web.1', EVIL, 'empty']);
    expect(rows[0]).toMatchObject({ run: 'run-group', inner: ['containers', 'c2'], isLive: true });
    expect(innerPath({ value: 'x', parent: { value: 'y', parent: { value: 'z' } } })).toEqual(['containers', 'y', 'containers', 'x']);
  });
  it('use what is reserved and what is not', () => {
    expect(amountsOf(state)).toEqual([
      { name: 'cpus', total: 4, used: 1.5 }, { name: 'mem', total: 2048, used: 32 }, { name: 'tokens', total: 3, used: 0 },
    ]);
  });
});

describe('the face of an agent', () => {
  const face = { face: 'agent', version: '1', id: 'S1', hostname: 'host-7', master: '10.0.0.1:5050', registered: true } as const;
  const entry = (name: string, mode: string) => ({ path: `/w/${name}`, mode, uid: 'root', gid: 'root', size: 2048, mtime: 1_700_000_000, nlink: 1 });
  const listed = [entry(`${EVIL.replaceAll('/', '')}`, '-rw-r--r--'), entry('sub', 'drwxr-xr-x'), entry('out', 'lrwxrwxrwx'), entry('a b%', '-rw-r--r--')];

  it('lists tasks with links to their files', async () => {
    serve({ 'GET /state': { body: state }, 'GET /ui/face.json': { body: { ...face, registered: false } } });
    const page = show(Agent, { face });
    await until(() => page.textContent!.includes('web.1'));
    expect(page.querySelector('img')).toBeNull();
    expect(page.textContent).toContain('The agent is not registered');
    const links = [...page.querySelectorAll('a')].map((it) => it.getAttribute('href'));
    expect(links).toContain('#/log/F1/web.1/run-web.1/stdout');
    expect(links).toContain('#/files/F1/group/run-group/containers/c2');
    go('#/tasks?q=web');
    expect(page.querySelectorAll('[role="row"]')).toHaveLength(2);
  });
  it('lists a directory, and leads to what can be read in it', async () => {
    const asked = serve({ 'GET /files/browse': { body: listed } });
    go('#/files/F/e/latest/d%20r');
    const page = show(Agent, { face });
    await until(() => page.querySelectorAll('[role="row"]').length === 5);
    expect(new URLSearchParams(asked[0]!.path.split('?')[1]).get('path')).toBe('/frameworks/F/executors/e/runs/latest/d r');
    expect(page.querySelector('img')).toBeNull();
    const links = [...page.querySelectorAll('a')].map((it) => it.getAttribute('href') ?? '');
    expect(links).toContain('#/files/F/e/latest/d%20r/sub');
    expect(links).toContain('#/log/F/e/latest/d%20r/a%20b%25');
    expect(links.some((it) => it.endsWith('/out'))).toBe(false);
    expect(links.some((it) => it.endsWith(`/files/download?path=${encodeURIComponent('/frameworks/F/executors/e/runs/latest/d r/a b%')}`))).toBe(true);
  });
  it('shows the log of the agent itself, where it has one', async () => {
    serve({
      'GET /state': { body: { ...state, external_log_file: '/var/log/agent' } },
      'GET /ui/face.json': { body: face },
      'POST /api/v1': { body: { type: 'READ_FILE', read_file: { size: 3, data: btoa('up\n') } } },
    });
    const page = show(Agent, { face });
    await until(() => page.querySelector('a[href="#/own-log"]') !== null);
    go('#/own-log');
    await until(() => page.querySelector('.line')?.textContent === 'up');
  });
  it('says what to do about sandboxes and pages that are not there', async () => {
    serve({ 'GET /files/browse': { status: 404, body: '' } });
    go('#/files/F/e/latest');
    const page = show(Agent, { face });
    await until(() => page.textContent!.includes('There is no such directory'));
    go('#/nowhere');
    expect(page.textContent).toContain('There is no such page');
  });
  it('reads a file by the operator API, byte by byte', async () => {
    const asked = serve({ 'POST /api/v1': { body: { type: 'READ_FILE', read_file: { size: 3, data: btoa('hi\n') } } } });
    go('#/log/F/e/latest/stdout');
    const page = show(Agent, { face });
    await until(() => page.querySelector('.line')?.textContent === 'hi');
    expect(asked[0]!.body).toEqual({ type: 'READ_FILE', read_file: { path: '/frameworks/F/executors/e/runs/latest/stdout', offset: 0, length: CHUNK_BYTES } });
    expect(page.querySelector('h1')?.textContent).toBe('stdout');
  });
});
