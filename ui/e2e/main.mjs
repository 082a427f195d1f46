// The pages end to end: a real cluster, a real browser, and a user who runs an app, breaks it and mends it.
// Looks at no inside; what is tested is what a user sees.
import assert from 'node:assert/strict';
import { openBrowser } from './browser.mjs';
import { steps as clusterSteps } from './cluster.mjs';
import { steps as firstSteps } from './first.mjs';
import { startCluster } from './local.mjs';
import { steps as logSteps } from './logs.mjs';
import { steps as taskSteps } from './tasks.mjs';
import { until } from './until.mjs';

const GOOD = 'python3 -m http.server $PORT0';
const steps = [];
const step = (name, run) => steps.push([name, run]);

/** Answers of the API, for what was done with the pages. */
async function api(cluster, path) {
  const answer = await fetch(`${cluster.apps}${path}`);
  return { status: answer.status, body: await answer.json() };
}

const button = (page, name) => page.getByRole('button', { name, exact: true });
const dialog = (page) => page.getByRole('dialog');

step('a fresh server shows how to begin', async ({ page, cluster, browser }) => {
  await page.goto(`${cluster.apps}/`);
  assert.equal(new URL(page.url()).pathname, '/ui/');
  await page.getByRole('heading', { name: 'No app runs yet' }).waitFor();
  await page.getByText('Live', { exact: true }).waitFor();
  await browser.picture('apps-empty');
  await page.getByRole('link', { name: 'Deployments' }).click();
  await page.getByRole('heading', { name: 'No deployment is under way' }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.tagName), 'H1', 'the focus follows the page');
  await browser.picture('deployments-empty');
});

step('a form says what is wrong while it is filled in', async ({ page, browser, expected }) => {
  expected.add('422');
  await page.getByRole('link', { name: 'Apps', exact: true }).click();
  await page.getByRole('link', { name: 'Create app' }).click();
  await page.getByLabel('Id', { exact: true }).fill('/Shop/web');
  await page.getByLabel('CPUs').fill('many');
  await page.getByText('must be a number').first().waitFor();
  assert.equal(await button(page, 'Create').isDisabled(), true);
  await page.getByLabel('CPUs').fill('0.1');
  // The server's own verdict: ids are in small letters.
  await page.locator('.field', { has: page.getByLabel('Id', { exact: true }) }).locator('.bad').waitFor();
  await browser.picture('create-wrong');
});

step('an app is created in the form and becomes healthy', async ({ page, cluster, browser }) => {
  await page.getByLabel('Id', { exact: true }).fill('/shop/web');
  await page.getByLabel('Command', { exact: true }).fill(GOOD);
  await page.getByLabel('Memory').fill('64');
  await page.getByRole('heading', { name: 'Ports' }).click();
  await button(page, 'Add port').click();
  await page.getByRole('heading', { name: 'Health checks' }).click();
  await button(page, 'Add health check').click();
  await page.getByLabel('Interval').fill('1');
  await page.getByLabel('Grace period').fill('30');
  await page.getByRole('heading', { name: 'Labels' }).click();
  await button(page, 'Add label').click();
  await page.getByLabel('Label 1, name').fill('note');
  await page.getByLabel('Label 1, value').fill('<script>alert(1)</script>');
  await page.getByText('The server takes this, and would: start, scale.').waitFor();
  await browser.picture('create-form');
  await button(page, 'JSON').click();
  const text = await page.getByLabel('The app as JSON').inputValue();
  assert.equal(JSON.parse(text).healthChecks[0].intervalSeconds, 1);
  await browser.picture('create-json');
  await button(page, 'Create').click();
  await page.getByRole('heading', { name: 'web', exact: true }).waitFor();
  await page.getByText('Healthy', { exact: true }).last().waitFor();
  await page.getByRole('cell', { name: 'Healthy' }).waitFor();
  const { body } = await api(cluster, '/v2/apps/shop/web');
  assert.equal(body.app.tasksHealthy, 1);
  await page.getByText('note=<script>alert(1)</script>').waitFor();
  await browser.picture('app-instances');
});

step('the list shows groups, and filters by text and label', async ({ page, browser }) => {
  await page.getByRole('link', { name: 'Apps', exact: true }).first().click();
  await page.getByRole('link', { name: 'Group shop' }).waitFor();
  await browser.picture('apps-groups');
  await page.getByLabel('Search by id').fill('WEB');
  await page.getByRole('link', { name: '/shop/web' }).waitFor();
  await page.getByText('1 app found').waitFor();
  await page.getByLabel('Label, as name or name=value').fill('other');
  await page.getByRole('heading', { name: 'No app is like that' }).waitFor();
  await browser.picture('apps-filtered');
  await button(page, 'Clear the filter').click();
  await page.getByRole('link', { name: 'Group shop' }).click();
  await page.getByRole('link', { name: 'web', exact: true }).click();
});

step('an app is scaled, and instances are killed with and without scaling', async ({ page, cluster }) => {
  await button(page, 'Scale').click();
  await page.getByLabel('Instances', { exact: true }).fill('3');
  await dialog(page).getByRole('button', { name: 'Scale' }).click();
  await page.getByText('of 3 running').waitFor();
  await page.waitForFunction(() => document.querySelectorAll('[role="cell"].good').length === 3);
  await page.waitForFunction(() => !document.body.innerText.includes('A deployment is changing'));
  const before = (await api(cluster, '/v2/apps/shop/web/tasks')).body.tasks.map((task) => task.id);
  await page.getByRole('checkbox', { name: /^Choose / }).first().check();
  await button(page, 'Kill and scale').click();
  await dialog(page).getByRole('button', { name: 'Kill and scale down' }).click();
  await page.getByText('of 2 running').waitFor();
  await page.waitForFunction(() => document.querySelectorAll('input[type=checkbox]').length === 2);
  await page.waitForFunction(() => !document.body.innerText.includes('A deployment is changing'));
  await page.getByRole('checkbox', { name: /^Choose / }).first().check();
  await button(page, 'Kill').click();
  await dialog(page).getByRole('button', { name: 'Kill', exact: true }).click();
  const isNew = async () => {
    const { tasks } = (await api(cluster, '/v2/apps/shop/web/tasks')).body;
    return tasks.filter((task) => task.state === 'TASK_RUNNING').length === 2 && tasks.some((task) => !before.includes(task.id));
  };
  await until('a new instance in the place of the killed one', isNew);
});

step('a dialog keeps the keyboard, and gives it back', async ({ page }) => {
  await button(page, 'Scale').focus();
  await page.keyboard.press('Enter');
  await dialog(page).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.closest('dialog') !== null), true);
  await page.keyboard.press('Escape');
  await dialog(page).waitFor({ state: 'detached' });
  assert.equal(await page.evaluate(() => document.activeElement?.textContent?.trim()), 'Scale');
});

step('an app that is broken says why', async ({ page, browser }) => {
  await page.getByRole('link', { name: 'Edit' }).click();
  await page.getByLabel('Command', { exact: true }).fill('echo broken; exit 7');
  await page.getByText('The server takes this, and would: restart.').waitFor();
  await browser.picture('edit');
  await button(page, 'Save and deploy').click();
  await page.getByText('A deployment is changing this app').waitFor();
  await page.getByRole('link', { name: /^Debug/ }).click();
  await page.getByText('exited with status 7', { exact: false }).first().waitFor();
  await page.getByText('launches are delayed', { exact: false }).first().waitFor();
  await browser.picture('app-debug-failure');
  await page.getByRole('link', { name: 'Deployments' }).click();
  await page.getByRole('article').waitFor();
  await browser.picture('deployments');
});

step('the deployment is rolled back', async ({ page, cluster, browser }) => {
  await button(page, 'Roll back').click();
  await browser.picture('dialog');
  await dialog(page).getByRole('button', { name: 'Roll back' }).click();
  await page.getByRole('heading', { name: 'No deployment is under way' }).waitFor();
  const { body } = await api(cluster, '/v2/apps/shop/web');
  assert.equal(body.app.cmd, GOOD);
});

step('the master shows the cluster, and the way to the files of a task', async ({ page, cluster, browser }) => {
  await page.goto(`${cluster.apps}/ui/#/apps/shop/web`);
  const files = await page.getByRole('link', { name: /^Files of/ }).first().getAttribute('href');
  await page.goto(files);
  const save = await page.getByRole('link', { name: 'Save stderr' }).getAttribute('href');
  const answer = await fetch(save);
  assert.equal(answer.status, 200);
  assert.match(await answer.text(), /GET \/ HTTP/, 'the log of the server that is probed');
  await browser.picture('cluster-files');
  await page.goto(`${cluster.master}/`);
  await page.getByRole('heading', { name: 'Cluster' }).waitFor();
  const { leader } = await (await fetch(`${cluster.master}/ui/face.json`)).json();
  await page.getByText(leader, { exact: true }).waitFor();
  await page.locator('.chart canvas').first().waitFor();
  const figures = page.getByRole('region', { name: 'CPUs' });
  await figures.getByText('0.2', { exact: true }).waitFor();
  // Several samples make a course.
  await page.waitForResponse((response) => response.url().endsWith('/metrics/snapshot'));
  await page.waitForResponse((response) => response.url().endsWith('/metrics/snapshot'));
  await browser.picture('cluster-overview');
});

step('versions are compared, and one is gone back to', async ({ page, cluster, browser }) => {
  await page.goto(`${cluster.apps}/ui/#/apps/shop/web?tab=configuration`);
  const versions = page.getByRole('list', { name: 'Versions, the newest first' }).getByRole('button');
  await versions.nth(1).waitFor();
  // The one that was broken is the one whose text differs.
  const count = await versions.count();
  for (let place = 1; place < count; place += 1) {
    await versions.nth(place).click();
    await page.getByRole('region', { name: 'Differences' }).waitFor();
    if (await page.getByText('exit 7').isVisible()) break;
  }
  await page.getByText('exit 7').first().waitFor();
  await browser.picture('app-versions');
  await button(page, 'Roll back to it').click();
  await dialog(page).getByRole('button', { name: 'Roll back' }).click();
  await until('the old configuration', async () => (await api(cluster, '/v2/apps/shop/web')).body.app.cmd !== GOOD);
  await until('the deployment', async () => (await api(cluster, '/v2/deployments')).body.length === 1);
});

step('a deployment is stopped where it is', async ({ page, cluster }) => {
  await page.goto(`${cluster.apps}/ui/#/deployments`);
  await button(page, 'Stop').click();
  await dialog(page).getByRole('button', { name: 'Stop it' }).click();
  await page.getByRole('heading', { name: 'No deployment is under way' }).waitFor();
});

step('an app that is too large says which offers it refused', async ({ page, browser }) => {
  await page.goto(`${page.url().split('#')[0]}#/new?as=json`);
  await page.getByLabel('The app as JSON').fill('{');
  await page.getByText('This is no JSON', { exact: false }).waitFor();
  const app = { id: '/huge', cmd: 'sleep 1000', cpus: 0.1, mem: 999999 };
  await page.getByLabel('The app as JSON').fill(JSON.stringify(app));
  await page.getByText('The server takes this', { exact: false }).waitFor();
  await button(page, 'Create').click();
  await page.getByRole('heading', { name: 'huge', exact: true }).waitFor();
  await page.getByRole('link', { name: 'Debug' }).click();
  await page.getByText('insufficient memory', { exact: false }).first().waitFor();
  await browser.picture('app-debug-offers');
});

step('events are shown as they came', async ({ page, browser }) => {
  await page.getByRole('link', { name: 'Events' }).click();
  await page.getByLabel('Kind of event').selectOption('instance_changed_event');
  const opened = page.getByRole('button', { name: 'instance changed' }).first();
  await opened.waitFor();
  await browser.picture('events');
  await opened.click();
  await dialog(page).getByText('"runSpecId"', { exact: false }).waitFor();
  await page.keyboard.press('Escape');
});

step('an app is suspended, and destroyed', async ({ page, cluster, browser, expected }) => {
  // The app that waits is being deployed still, which the user is asked about.
  for (const status of ['404', '409']) expected.add(status);
  await page.goto(`${cluster.apps}/ui/#/apps/shop/web`);
  await button(page, 'Suspend').click();
  await dialog(page).getByRole('button', { name: 'Suspend' }).click();
  await page.getByRole('heading', { name: 'The app is suspended' }).waitFor();
  for (const id of ['shop/web', 'huge']) {
    await page.goto(`${cluster.apps}/ui/#/apps/${id}`);
    await button(page, 'Destroy').click();
    await dialog(page).getByRole('button', { name: 'Destroy the app' }).click();
    if (id === 'huge') await dialog(page).getByRole('button', { name: 'Force it' }).click();
    await until(`the end of ${id}`, async () => (await api(cluster, `/v2/apps/${id}`)).status === 404);
  }
  // What is gone leaves lists by itself.
  await page.goto(`${cluster.apps}/ui/#/apps?q=web`);
  await page.getByRole('heading', { name: 'No app is like that' }).waitFor();
  await page.goto(`${cluster.apps}/ui/#/nowhere`);
  await page.getByRole('heading', { name: 'There is no such page' }).waitFor();
  await browser.picture('no-such-page');
});

step('20,000 apps and 100,000 instances stay usable', async ({ page, cluster, browser }) => {
  const counts = { tasksStaged: 0, tasksRunning: 3, tasksHealthy: 2, tasksUnhealthy: 1, deployments: [] };
  const app = (place) => ({ id: `/group-${place % 40}/app-${place}`, instances: 4, cpus: 0.5, mem: 256, labels: { team: `t${place % 7}` }, healthChecks: [{}], version: '2026-01-01T00:00:00.000Z', ...counts });
  const apps = JSON.stringify({ apps: Array.from({ length: 20_000 }, (_, place) => app(place)) });
  const task = (place) => ({ id: `big.instance-00000000-0000-0000-0000-${String(place).padStart(12, '0')}._app.1`, appId: '/big', host: `host-${place % 5000}`, ports: [31000 + (place % 900)], slaveId: `S${place % 5000}`, state: 'TASK_RUNNING', startedAt: '2026-01-01T00:00:00.000Z', version: '2026-01-01T00:00:00.000Z' });
  const big = { ...app(0), id: '/big', instances: 100_000, tasksRunning: 100_000, tasks: Array.from({ length: 100_000 }, (_, place) => task(place)) };
  await page.route('**/v2/apps', (route) => route.fulfill({ body: apps, contentType: 'application/json' }));
  await page.route('**/v2/apps/big', (route) => route.fulfill({ body: JSON.stringify({ app: big }), contentType: 'application/json' }));
  const timed = async (what, most, run) => {
    const began = Date.now();
    await run();
    const took = Date.now() - began;
    process.stdout.write(`   ${what}: ${took} ms\n`);
    assert.ok(took < most, `${what} took ${took} ms`);
    assert.ok((await page.locator('[role="row"]').count()) < 150, 'only rows in sight are in the document');
  };
  await page.goto(`${cluster.apps}/ui/#/apps`);
  await page.reload();
  await page.getByText('20,000 apps in all').waitFor();
  await browser.picture('apps-many');
  await timed('filtering', 3000, async () => {
    await page.getByLabel('Search by id').fill('app-1');
    await page.getByText('11,111 apps found').waitFor();
  });
  await timed('scrolling to the end', 3000, async () => {
    await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
    await page.getByRole('link', { name: '/group-9/app-19969' }).waitFor();
  });
  await browser.picture('apps-many-filtered', false);
  await timed('reading an app of 100,000 instances', 30_000, async () => {
    await page.goto(`${cluster.apps}/ui/#/apps/big`);
    await page.getByText('of 100,000 running').waitFor();
  });
  await timed('searching its instances', 3000, async () => {
    await page.getByLabel('Search instances').fill('host-4711');
    await page.getByText('host-4711').first().waitFor();
  });
  await page.unroute('**/v2/apps');
  await page.unroute('**/v2/apps/big');
});

steps.push(...logSteps, ...clusterSteps, ...taskSteps, ...firstSteps);

step('colours can be chosen, and are kept', async ({ page, cluster }) => {
  await page.goto(`${cluster.apps}/ui/`);
  await page.getByRole('button', { name: 'Colours: system; change' }).click();
  await page.getByRole('button', { name: 'Colours: light; change' }).click();
  await page.reload();
  await page.getByRole('button', { name: 'Colours: dark; change' }).waitFor();
  assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme), 'dark');
  await page.getByRole('button', { name: 'Colours: dark; change' }).click();
});

const cluster = await startCluster();
const browser = await openBrowser();
let failure;
try {
  // With TEPUI_E2E only the steps whose names match it are taken, for those who work on them.
  const wanted = new RegExp(process.env.TEPUI_E2E ?? '');
  for (const [name, run] of steps.filter(([name]) => wanted.test(name))) {
    const began = Date.now();
    try {
      await run({ page: browser.page, cluster, browser, expected: browser.expected });
      browser.check(cluster.apps, cluster.master, ...cluster.agents);
    } catch (error) {
      await browser.page.screenshot({ path: 'screenshots/failure.png', fullPage: true }).catch(() => {});
      throw new Error(`"${name}" failed; ui/screenshots/failure.png shows the page`, { cause: error });
    }
    process.stdout.write(`ok ${name} (${Date.now() - began} ms)\n`);
  }
} catch (error) {
  failure = error;
} finally {
  await browser.close();
  await cluster.stop();
}
if (failure) throw failure;
