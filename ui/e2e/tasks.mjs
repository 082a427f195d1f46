// The page of all tasks, reached from the overview's figures, and executors that idle, on the pages of master and agent.
// Starts nothing; the steps are given a cluster and a browser.
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { scalar, startFramework } from './framework.mjs';

/** A custom executor that goes on when its tasks have ended. */
const EXECUTOR = fileURLToPath(new URL('../../bin/tests/data/executor.py', import.meta.url));

const button = (of, name) => of.getByRole('button', { name, exact: true });

export const steps = [
  ['an executor without tasks is shown on its agent, with the way to its files', async ({ page, cluster, browser }) => {
    const framework = await startFramework(cluster.master, { user: 'root', name: 'idler' });
    try {
      const offer = await framework.offer();
      const small = [scalar('cpus', 0.1), scalar('mem', 48)];
      const executor = { type: 'CUSTOM', executor_id: { value: 'patient' }, name: 'patient', command: { value: `exec python3 ${EXECUTOR}` }, resources: small };
      await framework.launch(offer, [{ name: 'brief', task_id: { value: 'brief' }, agent_id: offer.agent_id, resources: small, executor }]);
      await framework.state('brief', 'TASK_RUNNING');
      await framework.call('KILL', { kill: { task_id: { value: 'brief' } } });
      await framework.state('brief', 'TASK_KILLED');
      const agent = offer.agent_id.value;
      const state = await (await fetch(`${cluster.agents[0]}/state`)).json();
      const { container } = state.frameworks.flatMap((it) => it.executors).find((it) => it.id === 'patient');

      await page.goto(`${cluster.master}/#/agent/${agent}`);
      const line = page.getByRole('table', { name: /^What runs on/ }).getByRole('row').filter({ hasText: 'patient' });
      await line.getByText('custom executor', { exact: false }).waitFor();
      await line.getByText('Idle', { exact: true }).waitFor();
      await line.getByText('48 MiB', { exact: true }).waitFor();
      await browser.picture('cluster-agent-idle-executor');
      await line.getByRole('link', { name: 'Files of executor patient' }).click();
      await page.getByRole('link', { name: /^Files on / }).click();
      await page.getByRole('link', { name: 'stderr', exact: true }).waitFor();
      assert.equal(new URL(page.url()).origin, cluster.agents[0]);

      await page.getByRole('link', { name: 'Agent', exact: true }).click();
      await page.getByRole('navigation', { name: 'Parts of the agent' }).getByRole('link', { name: 'Executors' }).click();
      const own = page.getByRole('table', { name: 'Executors' }).getByRole('row').filter({ hasText: 'patient' });
      await own.getByText(container, { exact: true }).waitFor();
      await own.getByText('Idle', { exact: true }).waitFor();
      await browser.picture('agent-executors');
      await page.getByLabel('Search executors').fill(container.slice(0, 13));
      await page.getByText('1 executor of', { exact: false }).waitFor();
      await page.getByRole('link', { name: 'All files of executor patient' }).click();
      await page.getByRole('link', { name: 'stdout', exact: true }).waitFor();
      // It ends with its framework, and nothing is left of it on the page of the master.
      await page.goto(`${cluster.master}/#/agent/${agent}`);
      await line.getByText('Idle', { exact: true }).waitFor();
    } finally {
      await framework.end();
    }
    await page.getByRole('table', { name: /^What runs on/ }).getByText('patient', { exact: true }).waitFor({ state: 'detached' });
  }],
  ['the keyboard leads through a page in the order in which it is read', async ({ page, cluster }) => {
    const app = { id: '/keyboard', cmd: 'sleep 1000', cpus: 0.1, mem: 32 };
    const created = await fetch(`${cluster.apps}/v2/apps`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(app) });
    assert.equal(created.status, 201);
    await page.goto(`${cluster.master}/#/tasks?state=Nothing`);
    await page.reload();
    await page.getByRole('heading', { name: 'No task is like that' }).waitFor();
    const focused = () => page.evaluate(() => {
      const it = document.activeElement;
      return it?.getAttribute('aria-label') ?? (it?.closest('label') ?? it)?.textContent?.replace(/[▾↑↓]/g, '').replace(/\s+/g, ' ').trim() ?? '';
    });
    const seen = [];
    for (let turn = 0; turn < 17; turn += 1) {
      await page.keyboard.press('Tab');
      seen.push(await focused());
    }
    const links = ['Overview', 'Agents', 'Tasks', 'Frameworks', 'Roles', 'Offers', 'Maintenance'];
    const filter = ['Search tasks', 'State1 chosen', 'Framework', 'Role', 'Only on agents with this in their host or id', 'Clear', 'Clear the filter'];
    assert.deepEqual(seen, ['To the content', 'Tepui Cluster', ...links, 'Colours: system; change', ...filter]);
    // The first stop leads past all of what every page has.
    await page.reload();
    await page.getByRole('heading', { name: 'No task is like that' }).waitFor();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    assert.equal(await focused(), 'Search tasks');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    for (let turn = 0; turn < 12 && (await focused()) !== 'Running'; turn += 1) await page.keyboard.press('Tab');
    await page.keyboard.press('Space');
    await page.getByRole('table', { name: 'Tasks' }).getByRole('link', { name: /^keyboard/ }).waitFor();
    await page.keyboard.press('Escape');
    assert.match(await focused(), /^State/, 'a menu gives the focus back');
    const removed = await fetch(`${cluster.apps}/v2/apps/keyboard`, { method: 'DELETE' });
    assert.equal(removed.status, 200);
    await page.getByRole('table', { name: 'Tasks' }).getByRole('link', { name: /^keyboard/ }).waitFor({ state: 'detached' });
  }],
  ['all tasks are found by state, framework, role, agent and text', async ({ page, cluster, browser }) => {
    const framework = await startFramework(cluster.master, { user: 'root', name: 'many roles', roles: ['tasks/a', 'tasks/b'], capabilities: [{ type: 'MULTI_ROLE' }] });
    try {
      const offer = await framework.offer();
      const { role } = offer.allocation_info;
      const task = (id, command) => ({ name: id, task_id: { value: id }, agent_id: offer.agent_id, resources: [scalar('cpus', 0.1), scalar('mem', 32)], command: { value: command } });
      await framework.launch(offer, [task('stays-1', 'exec sleep 1000'), task('stays-2', 'exec sleep 1000'), task('goes', 'exit 7')]);
      for (const id of ['stays-1', 'stays-2']) await framework.state(id, 'TASK_RUNNING');
      await framework.state('goes', 'TASK_FAILED');
      await page.goto(`${cluster.master}/#/`);
      await page.getByRole('region', { name: 'Tasks', exact: true }).getByRole('link', { name: 'Running' }).click();
      const tasks = page.getByRole('table', { name: 'Tasks' });
      await tasks.getByRole('link', { name: 'stays-1' }).waitFor();
      assert.equal(new URL(page.url()).hash, '#/tasks?state=Running');
      assert.equal(await tasks.getByRole('link', { name: 'goes' }).count(), 0);
      await browser.picture('cluster-tasks-running');
      await button(page, 'Clear').click();
      await tasks.getByRole('link', { name: 'goes' }).waitFor();
      await browser.picture('cluster-tasks');
      await page.getByRole('search').getByRole('button', { name: 'Framework' }).click();
      await page.getByRole('checkbox', { name: 'many roles' }).check();
      await page.getByText('3 tasks found').waitFor();
      await browser.picture('cluster-tasks-menu');
      await page.keyboard.press('Escape');
      // The address alone leads here, too.
      await page.goto(`${cluster.master}/#/tasks?framework=${framework.id}&role=${encodeURIComponent(role)}&state=Running&agent=${offer.agent_id.value}&q=stays`);
      await page.reload();
      await page.getByText('2 tasks found').waitFor();
      await framework.call('KILL', { kill: { task_id: { value: 'stays-2' } } });
      await page.getByText('1 task found').waitFor();
      await page.getByLabel('Search tasks').fill('nothing like this');
      await page.getByRole('heading', { name: 'No task is like that' }).waitFor();
      await browser.picture('cluster-tasks-none');
      await button(page, 'Clear the filter').click();
      await tasks.getByRole('link', { name: 'stays-1' }).click();
      await page.getByText('It runs.', { exact: true }).waitFor();
    } finally {
      await framework.end();
    }
  }],
];
