// The master's pages end to end: agents are drained, roles limited, machines maintained, frameworks torn down.
// Looks at no inside; what is tested is what a user sees.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { PROGRAM } from './local.mjs';
import { startMany } from './many.mjs';
import { until } from './until.mjs';

const JSON_TYPE = { 'Content-Type': 'application/json' };
const button = (of, name) => of.getByRole('button', { name, exact: true });
const dialog = (page) => page.getByRole('dialog');

async function call(cluster, type, body = {}) {
  const answer = await fetch(`${cluster.master}/api/v1`, { method: 'POST', headers: { ...JSON_TYPE, Accept: 'application/json' }, body: JSON.stringify({ type, ...body }) });
  assert.equal(answer.status, 200);
  const text = await answer.text();
  return text === '' ? null : JSON.parse(text);
}

/** A framework that takes offers and answers none; it is gone when `abort` is called. */
async function subscribe(cluster, framework_info) {
  const control = new AbortController();
  const body = JSON.stringify({ type: 'SUBSCRIBE', subscribe: { framework_info } });
  const answer = await fetch(`${cluster.master}/api/v1/scheduler`, { method: 'POST', headers: JSON_TYPE, body, signal: control.signal });
  assert.equal(answer.status, 200);
  return control;
}

export const steps = [];
const step = (name, run) => steps.push([name, run]);

step('the master’s pages say what to do where there is nothing', async ({ page, cluster, browser }) => {
  await page.goto(`${cluster.master}/#/frameworks?tab=completed`);
  await page.getByRole('heading', { name: 'No framework has completed' }).waitFor();
  await page.getByRole('link', { name: 'Maintenance' }).click();
  await page.getByRole('heading', { name: 'No maintenance is planned' }).waitFor();
  await browser.picture('cluster-maintenance-empty');
  await page.goto(`${cluster.master}/#/agent/nobody`);
  await page.getByRole('heading', { name: 'The agent is not registered' }).waitFor();
  await browser.picture('cluster-agent-none');
  await page.goto(`${cluster.master}/#/framework/nobody`);
  await page.getByRole('heading', { name: 'There is no such framework' }).waitFor();
});

step('an agent is drained with tasks on it, and brought back', async ({ page, cluster, browser }) => {
  const app = { id: '/drained', cmd: 'sleep 1000', cpus: 0.1, mem: 32, instances: 3, labels: { note: '<script>alert(1)</script>' } };
  const created = await fetch(`${cluster.apps}/v2/apps`, { method: 'POST', headers: JSON_TYPE, body: JSON.stringify(app) });
  assert.equal(created.status, 201);
  await page.goto(`${cluster.master}/#/agents`);
  const agents = page.getByRole('table', { name: 'Agents' });
  // The tasks are seen to come, without the page being loaded again.
  await agents.getByRole('row').nth(1).getByRole('cell').last().filter({ hasText: /^3/ }).waitFor();
  await agents.getByRole('img', { name: 'CPUs: 0.3 of 4 used' }).waitFor();
  await browser.picture('cluster-agents');
  await page.getByLabel('Search agents').fill('no such host');
  await page.getByRole('heading', { name: 'No agent is like that' }).waitFor();
  await button(page, 'Clear the filter').click();
  await agents.getByRole('link').first().click();
  const runs = page.getByRole('table', { name: /^What runs on/ });
  await runs.getByRole('link', { name: /^drained/ }).nth(2).waitFor();
  await runs.getByText('Running').nth(2).waitFor();
  await browser.picture('cluster-agent');
  await button(page, 'Drain').click();
  await dialog(page).getByText('its 3 tasks are killed', { exact: false }).waitFor();
  await page.getByLabel('Grace period at most, in seconds').fill('5');
  await browser.picture('cluster-drain');
  await button(dialog(page), 'Drain').click();
  await page.getByText('Nothing runs on it, and nothing is offered of it until it is reactivated').waitFor();
  await page.getByRole('heading', { name: 'No task runs on it' }).waitFor();
  const { agents: listed } = (await call(cluster, 'GET_AGENTS')).get_agents;
  assert.deepEqual(listed[0].drain_info, { state: 'DRAINED', config: { max_grace_period: { nanoseconds: 5e9 }, mark_gone: false } });
  await page.getByRole('checkbox', { name: /tasks? that ended/ }).check();
  await runs.getByText('Killed').first().waitFor();
  await browser.picture('cluster-agent-drained');
  await page.getByRole('link', { name: 'Agents', exact: true }).first().click();
  await agents.getByText('Drained', { exact: true }).waitFor();
  await page.goBack();
  await button(page, 'Reactivate').click();
  await button(dialog(page), 'Reactivate').click();
  await page.getByText('Active', { exact: true }).waitFor();
  // The app manager is offered the agent again, and starts what was killed.
  await runs.getByText('Running').nth(2).waitFor();
  await button(page, 'Deactivate').click();
  await button(dialog(page), 'Deactivate').click();
  await page.getByText('Deactivated', { exact: true }).waitFor();
  await button(page, 'Reactivate').click();
  await button(dialog(page), 'Reactivate').click();
  await page.getByText('Active', { exact: true }).waitFor();
  const removed = await fetch(`${cluster.apps}/v2/apps/drained`, { method: 'DELETE' });
  assert.equal(removed.status, 200);
  await page.getByRole('heading', { name: 'No task runs on it' }).waitFor();
});

step('a role is limited by a quota, which is seen', async ({ page, cluster, browser, expected }) => {
  expected.add('400');
  await page.getByRole('link', { name: 'Roles' }).click();
  await button(page, 'Set quota of another role').click();
  await page.getByLabel('Role', { exact: true }).fill('eng');
  await page.getByLabel('CPUs, guarantee').fill('100');
  await page.getByLabel('CPUs, limit').fill('2');
  await dialog(page).getByText('the guarantee must not be more than the limit').waitFor();
  await page.getByLabel('CPUs, limit').fill('200');
  await page.getByLabel('Memory, in MB, limit').fill('512');
  await page.getByLabel('Weight', { exact: true }).fill('2.5');
  await button(dialog(page), 'Set').click();
  // The server's own words: there is not so much.
  await dialog(page).getByText('exceed cluster capacity', { exact: false }).waitFor();
  await browser.picture('cluster-quota');
  await page.getByLabel('CPUs, guarantee').fill('1');
  await page.getByLabel('CPUs, limit').fill('2');
  await button(dialog(page), 'Set').click();
  const row = page.getByRole('row', { name: /^eng/ });
  await row.getByText('0 used, 1 guaranteed, 2 at most').waitFor();
  await row.getByText('2.5').waitFor();
  const { configs } = (await call(cluster, 'GET_QUOTA')).get_quota.status;
  assert.deepEqual(configs, [{ role: 'eng', guarantees: { cpus: { value: 1 } }, limits: { cpus: { value: 2 }, mem: { value: 512 } } }]);
  expected.delete('400');
});

step('offers and reasons of a framework are seen while they are there', async ({ page, cluster, browser }) => {
  const info = { user: 'root', name: '<b>holds</b>', roles: ['eng/web'], webui_url: 'javascript:alert(1)', capabilities: [{ type: 'MULTI_ROLE' }], labels: { labels: [{ key: '<script>', value: 'x' }] } };
  const control = await subscribe(cluster, info);
  try {
    await page.goto(`${cluster.master}/#/roles`);
    await page.getByRole('row', { name: /^eng\/web/ }).waitFor();
    await browser.picture('cluster-roles');
    await page.getByRole('link', { name: 'Offers' }).click();
    await page.getByText('1 open offer').waitFor();
    await browser.picture('cluster-offers');
    await page.getByRole('link', { name: '<b>holds</b>' }).click();
    await page.getByRole('heading', { name: /^<b>holds<\/b>/ }).waitFor();
    assert.equal(await page.locator('a[href^="javascript"]').count(), 0);
    await page.getByRole('link', { name: 'Why not more', exact: true }).click();
    await page.getByText('What would help', { exact: false }).first().waitFor();
    await browser.picture('cluster-framework-why');
    await page.getByRole('link', { name: 'About it' }).click();
    await page.getByText('<script>=x').waitFor();
    await browser.picture('cluster-framework-about');
  } finally {
    control.abort();
  }
  // It has no failover timeout, so it ends with its stream, which an event tells.
  await page.getByText('Completed', { exact: true }).waitFor();
});

step('a framework is torn down', async ({ page, cluster, browser }) => {
  const master = cluster.master.replace('http://', '');
  const run = spawn(PROGRAM, ['run', '--master', master, '--name', 'sleeper', '--resources', 'cpus:0.1;mem:32', '--', 'sleep', '1000'], { stdio: 'ignore' });
  const ended = new Promise((resolve) => run.once('exit', resolve));
  try {
    await page.goto(`${cluster.master}/#/frameworks`);
    await page.getByRole('link', { name: /sleeper/ }).waitFor();
    await browser.picture('cluster-frameworks');
    await page.getByRole('link', { name: /sleeper/ }).click();
    await page.getByRole('table', { name: 'Tasks' }).getByText('Running').waitFor();
    await button(page.getByRole('search'), 'State').click();
    await page.getByRole('checkbox', { name: 'Running' }).check();
    await page.getByText('1 task found').waitFor();
    await button(page, 'Clear').click();
    await browser.picture('cluster-framework');
    await button(page, 'Tear down').click();
    await dialog(page).getByText('Its task is killed', { exact: false }).waitFor();
    await browser.picture('cluster-teardown');
    await button(dialog(page), 'Tear it down').click();
    await page.getByText('Completed', { exact: true }).waitFor();
    await page.getByRole('table', { name: 'Tasks' }).getByText('Killed').waitFor();
    const { completed_frameworks } = (await call(cluster, 'GET_FRAMEWORKS')).get_frameworks;
    assert.ok(completed_frameworks.some((it) => it.framework_info.name.includes('sleeper')));
    await page.goto(`${cluster.master}/#/frameworks?tab=completed`);
    await page.getByRole('link', { name: /sleeper/ }).waitFor();
    assert.notEqual(await ended, 0, 'the command knows that its framework was torn down');
  } finally {
    run.kill('SIGKILL');
    await ended;
  }
});

step('maintenance is planned, begun and ended', async ({ page, cluster, browser }) => {
  await page.getByRole('link', { name: 'Maintenance' }).click();
  await button(page, 'Plan maintenance').click();
  await button(dialog(page), 'Plan it').click();
  await dialog(page).getByText('give one machine or more').waitFor();
  await dialog(page).getByRole('group', { name: 'Machines of agents' }).getByRole('button').first().waitFor();
  await page.getByLabel(/^Machines, one a line/).fill('rack-7-a.example.org 10.0.0.7\nrack-7-b.example.org 10.0.0.8');
  await page.getByLabel('Takes, in minutes').fill('90');
  await browser.picture('cluster-maintenance-form');
  await button(dialog(page), 'Plan it').click();
  await page.getByRole('heading', { name: /for 1 h 30 min$/ }).waitFor();
  await button(page, 'Take down rack-7-b.example.org, 10.0.0.8').click();
  await button(dialog(page), 'Take it down').click();
  await page.getByText('Down', { exact: true }).waitFor();
  await browser.picture('cluster-maintenance');
  const { status } = (await call(cluster, 'GET_MAINTENANCE_STATUS')).get_maintenance_status;
  assert.deepEqual(status.down_machines, [{ hostname: 'rack-7-b.example.org', ip: '10.0.0.8' }]);
  await button(page, 'Take up rack-7-b.example.org, 10.0.0.8').click();
  await button(dialog(page), 'Take it up').click();
  await page.getByText('rack-7-b').first().waitFor({ state: 'detached' });
  await button(page, 'Cancel it').click();
  await button(dialog(page), 'Cancel the maintenance').click();
  await page.getByRole('heading', { name: 'No maintenance is planned' }).waitFor();
});

step('a broken stream is told, and opened again', async ({ page, cluster, expected }) => {
  expected.add('503');
  await page.route('**/api/v1', (route) => route.fulfill({ status: 503, body: 'Master has not finished recovery' }));
  await page.goto(`${cluster.master}/#/agents`);
  await page.reload();
  await page.getByText('Master has not finished recovery', { exact: false }).first().waitFor();
  await page.getByText('Not live', { exact: true }).waitFor();
  await page.unroute('**/api/v1');
  await page.getByRole('table', { name: 'Agents' }).waitFor();
  await page.getByText('Live', { exact: true }).waitFor();
  expected.delete('503');
  // What comes next is as it was before.
  await until('the app manager', async () => (await call(cluster, 'GET_FRAMEWORKS')).get_frameworks.frameworks.some((it) => it.active));
});

step('10,000 agents and 100,000 tasks that change all the time stay usable', async ({ page, cluster, browser }) => {
  const many = await startMany(cluster.master, { agents: 10_000, tasks: 100_000, frameworks: 20 });
  browser.own.add(many.address);
  const timed = async (what, most, run) => {
    const began = Date.now();
    await run();
    const took = Date.now() - began;
    process.stdout.write(`   ${what}: ${took} ms\n`);
    assert.ok(took < most, `${what} took ${took} ms`);
    assert.ok((await page.locator('[role="row"]').count()) < 150, 'only rows in sight are in the document');
  };
  try {
    await timed('reading all of it', 60_000, async () => {
      await page.goto(`${many.address}/#/agents`);
      await page.getByText('10,000 agents').waitFor();
    });
    await timed('filtering agents', 5000, async () => {
      await page.getByLabel('Search agents').fill('host-77');
      await page.getByText('111 agents found').waitFor();
    });
    await page.getByLabel('Search agents').fill('');
    await timed('sorting and scrolling to the end', 5000, async () => {
      await page.getByRole('table', { name: 'Agents' }).getByRole('button', { name: 'CPUs' }).click();
      await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
      await page.getByRole('link', { name: 'host-0', exact: true }).waitFor();
    });
    await browser.picture('cluster-agents-many', false);
    await timed('all 100,000 tasks', 5000, async () => {
      await page.goto(`${many.address}/#/tasks`);
      await page.getByText('100,000 tasks').waitFor();
    });
    await timed('filtering them by text', 5000, async () => {
      await page.getByLabel('Search tasks').fill('host-4711');
      await page.getByText('10 tasks found').waitFor();
    });
    await timed('filtering them by framework and role', 5000, async () => {
      await page.goto(`${many.address}/#/tasks?framework=F3&role=eng`);
      await page.getByText('2,500 tasks found').waitFor();
    });
    await timed('those in one state, which go on to change', 5000, async () => {
      await page.goto(`${many.address}/#/tasks?state=Killing`);
      await page.getByRole('table', { name: 'Tasks' }).getByText('Killing').first().waitFor();
    });
    await timed('sorting them and scrolling to the end', 5000, async () => {
      await page.goto(`${many.address}/#/tasks`);
      await page.getByRole('table', { name: 'Tasks' }).getByRole('button', { name: 'Task', exact: true }).click();
      await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
      await page.getByRole('link', { name: /task-099989/ }).waitFor();
    });
    await browser.picture('cluster-tasks-many', false);
    await timed('a framework of 5,000 tasks', 5000, async () => {
      await page.goto(`${many.address}/#/framework/F3`);
      await page.getByText('5,000 tasks').waitFor();
    });
    await timed('searching its tasks, which go on to change', 10_000, async () => {
      await page.getByLabel('Search tasks').fill('task 1003');
      await page.getByText('10 tasks found').waitFor();
      await page.getByRole('button', { name: 'Clear' }).click();
      await page.getByRole('table', { name: 'Tasks' }).getByText('Killing').first().waitFor();
    });
    await browser.picture('cluster-framework-many', false);
  } finally {
    await page.goto(`${cluster.master}/`);
    many.stop();
  }
});
