// Components as users meet them: names with scripts in them, thousands of rows, forms, questions.
import { flushSync, mount, tick, unmount, type Component } from 'svelte';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import AppList from '../src/apps/AppList.svelte';
import AppPage from '../src/apps/AppPage.svelte';
import Editor from '../src/apps/Editor.svelte';
import Pairs from '../src/apps/Pairs.svelte';
import { live } from '../src/lib/live.svelte';
import { notices } from '../src/lib/notice.svelte';
import { rowOf } from '../src/lib/tree';
import Notices from '../src/parts/Notices.svelte';
import Question from '../src/parts/Question.svelte';
import Unreachable from '../src/parts/Unreachable.svelte';
import Numbers from './Numbers.svelte';
import { serve } from './server';

const EVIL = '<img src=x onerror="globalThis.harmed = 1"><script>globalThis.harmed = 1</script>';
const api: unknown = JSON.parse(readFileSync('../actors/src/marathon/http/openapi.json', 'utf8'));

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

function type(field: Element | null, value: string): void {
  (field as HTMLInputElement).value = value;
  field?.dispatchEvent(new Event('input', { bubbles: true }));
  flushSync();
}

const click = (of: ParentNode, name: string): void => {
  const found = [...of.querySelectorAll('button')].find((it) => (it.getAttribute('aria-label') ?? it.textContent)?.trim() === name);
  expect(found, name).toBeDefined();
  found?.click();
  flushSync();
};

const app = (id: string, more = {}) => ({ id, instances: 1, cmd: EVIL, tasksStaged: 0, tasksRunning: 1, tasksHealthy: 0, tasksUnhealthy: 0, deployments: [], ...more });

beforeEach(() => {
  location.hash = '';
  serve({});
  notices.all = [];
});
afterEach(async () => {
  for (const it of mounted) await unmount(it);
  mounted = [];
  document.body.innerHTML = '';
  expect((globalThis as { harmed?: number }).harmed).toBeUndefined();
});

describe('what others wrote is shown as text', () => {
  it('in the list', () => {
    live.isLoaded = true;
    live.apps = [rowOf(app('/x', { labels: { [EVIL]: EVIL } }))];
    const page = show(AppList, { group: '/' });
    expect(page.querySelector('script, [onerror]')).toBeNull();
    expect(page.textContent).toContain(`${EVIL}=${EVIL}`);
  });
  it('on the page of an app', async () => {
    const task = { id: 't', appId: '/x', host: EVIL, ports: [1], slaveId: 'S', state: 'TASK_RUNNING', version: '' };
    serve({ 'GET /v2/apps/x': { body: { app: app('/x', { tasks: [task], labels: { a: EVIL } }) } } });
    const page = show(AppPage, { id: '/x' });
    await until(() => page.textContent!.includes('of 1 running'));
    expect(page.querySelector('script, img')).toBeNull();
    expect(page.textContent).toContain(EVIL);
  });
  it('in messages', () => {
    notices.failed(EVIL, new Error(EVIL));
    const page = show(Notices, {});
    expect([page.querySelector('img'), page.textContent?.includes(EVIL)]).toEqual([null, true]);
  });
});

describe('the list', () => {
  it('says what to do when there is nothing', () => {
    live.isLoaded = true;
    live.apps = [];
    expect(show(AppList, { group: '/' }).textContent).toContain('Create the first app');
    live.groups.data = ['/', '/shop'];
    expect(show(AppList, { group: '/shop' }).textContent).toContain('This group is empty');
    expect(show(AppList, { group: '/none' }).textContent).toContain('There is no group /none');
    location.hash = '#/apps?q=zzz';
    dispatchEvent(new HashChangeEvent('hashchange'));
    flushSync();
    expect(show(AppList, { group: '/' }).textContent).toContain('No app is like that');
  });
  it('has few of 100,000 rows in the document, and says how many there are', () => {
    const page = show(Numbers, { most: 100_000 });
    const rows = page.querySelectorAll('[role="row"]');
    expect(rows.length).toBeGreaterThan(10);
    expect(rows.length).toBeLessThan(100);
    expect(page.querySelector('[role="table"]')?.getAttribute('aria-rowcount')).toBe('100001');
    expect(rows[1]?.getAttribute('aria-rowindex')).toBe('2');
  });
  it('is walked through with the arrow keys', () => {
    const page = show(Numbers, { most: 50 });
    const links = page.querySelectorAll<HTMLElement>('[role="cell"] a');
    links[0]?.focus();
    links[0]?.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowDown', bubbles: true }));
    expect(document.activeElement?.textContent).toBe('1');
  });
});

describe('the editor', () => {
  const table = { 'GET /v2/schemas/openapi.json': { body: api } };
  const field = (page: ParentNode, label: string) => {
    const found = [...page.querySelectorAll('label')].find((it) => it.textContent === label);
    return page.querySelector(`[id="${found?.htmlFor}"]`);
  };
  it('checks by the schemas while one types, and asks the server for its verdict', async () => {
    const asked = serve({ ...table, 'POST /v2/apps?dryRun=true': { body: { steps: [{ actions: [{ action: 'StartApplication', app: '/a' }] }] } } });
    const page = show(Editor, {});
    await until(() => field(page, 'CPUs') !== null && asked.length > 0);
    await tick();
    type(field(page, 'Id'), '/a');
    type(field(page, 'CPUs'), 'x');
    await until(() => page.textContent!.includes('must be a number'));
    expect(field(page, 'CPUs')?.getAttribute('aria-invalid')).toBe('true');
    type(field(page, 'CPUs'), '0.5');
    await until(() => page.textContent!.includes('The server takes this, and would: start.'));
    expect(asked.at(-1)?.body).toMatchObject({ id: '/a', cpus: 0.5 });
    expect(asked.at(-1)?.path).toContain('placement=false');
  });
  it('tells where instances would go when asked', async () => {
    const reason = { reason: 'InsufficientCpus', offers: 2, example: '<b>h1</b>: wanted 1 cpus', unblock: 'free 1 more cpus' };
    const app = { id: '/a', hosts: [{ hostname: 'h1', agentId: 'S1', instances: 2 }], unplaced: 1, reasons: [reason] };
    const plain = { steps: [{ actions: [{ action: 'StartApplication', app: '/a' }] }] };
    serve({
      ...table,
      'POST /v2/apps?dryRun=true&placement=false': { body: plain },
      'POST /v2/apps?dryRun=true': { body: { ...plain, placement: { apps: [app] } } },
    });
    const page = show(Editor, {});
    await until(() => field(page, 'Id') !== null);
    type(field(page, 'Id'), '/a');
    await until(() => page.textContent!.includes('Where would it go?'));
    click(page, 'Where would it go?');
    await until(() => page.textContent!.includes('2 on h1; 1 instance would wait for other offers'));
    expect(page.textContent).toContain('as on <b>h1</b>: wanted 1 cpus: free 1 more cpus.');
  });
  it('shows what the server refuses beside the field, and keeps what it has no field for', async () => {
    const details = [{ path: '/cmd', errors: ['is too short'] }];
    const asked = serve({ ...table, 'POST /v2/apps?dryRun=true': { status: 422, body: { message: 'Object is not valid', details } } });
    const page = show(Editor, {});
    await until(() => field(page, 'Id') !== null);
    click(page, 'JSON');
    type(page.querySelector('textarea'), '{"id": "/a", "cmd": "x", "tty": true, "strange": 1}');
    await until(() => page.textContent!.includes('is too short'));
    expect(page.textContent).toContain('Not known, and passed over: strange');
    click(page, 'Form');
    await until(() => field(page, 'Command')?.getAttribute('aria-invalid') === 'true');
    type(field(page, 'Command'), 'xy');
    await until(() => (asked.at(-1)?.body as { cmd?: string }).cmd === 'xy');
    expect(asked.at(-1)?.body).toMatchObject({ tty: true, strange: 1 });
  });
  it('says where JSON is none', async () => {
    serve(table);
    const page = show(Editor, {});
    await until(() => field(page, 'Id') !== null);
    click(page, 'JSON');
    type(page.querySelector('textarea'), '{"id": ');
    expect(page.textContent).toContain('This is no JSON');
    type(page.querySelector('textarea'), '[]');
    expect(page.textContent).toContain('an app is an object');
  });
  it('says when a name is there twice', () => {
    const page = show(Pairs, { what: 'Label', value: { a: '1', b: '2' }, change: () => {} });
    type(page.querySelector('[aria-label="Label 2, name"]'), 'a');
    expect(page.textContent).toContain('a is there twice');
  });
});

describe('questions', () => {
  it('are answered with a number, or not at all', async () => {
    const page = show(Question, {});
    const answer = notices.ask({ title: 'T', text: 't', yes: 'Scale', number: { label: 'Instances', value: 2 } });
    flushSync();
    const input = page.querySelector('input');
    type(input, '-1');
    expect(page.textContent).toContain('give a whole number');
    type(input, '5');
    page.querySelector('form')?.dispatchEvent(new SubmitEvent('submit', { cancelable: true }));
    expect(await answer).toEqual({ number: 5 });
    const other = notices.ask({ title: 'T', text: 't', yes: 'Do' });
    flushSync();
    page.querySelector('dialog')?.dispatchEvent(new Event('cancel', { cancelable: true }));
    expect(await other).toBeUndefined();
  });
  it('come before a change is forced', async () => {
    let forced: boolean[] = [];
    const { ApiError } = await import('../src/lib/api');
    const page = show(Question, {});
    const done = notices.act('Scale', async (force) => {
      forced = [...forced, force];
      if (!force) throw new ApiError(409, 'App is locked');
    });
    await until(() => page.textContent!.includes('App is locked'));
    page.querySelector('form')?.dispatchEvent(new SubmitEvent('submit', { cancelable: true }));
    expect([await done, forced]).toEqual([true, [false, true]]);
  });
});

describe('without a server', () => {
  it('something is said', () => {
    expect(show(Unreachable, { error: new Error('no answer') }).textContent).toContain('no answer');
  });
});
