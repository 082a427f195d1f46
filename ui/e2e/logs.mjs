// The way from an app to its log on the page of the agent, and what a user does with a log there.
// Starts nothing; the steps are given a cluster and a browser.
import assert from 'node:assert/strict';
import { open, truncate, unlink } from 'node:fs/promises';
import { until } from './until.mjs';

const APP = {
  id: '/logs/ticker',
  cpus: 0.1,
  mem: 32,
  instances: 1,
  labels: { note: '<script>alert(1)</script>' },
  cmd: [
    // What a page must not take for its own.
    `printf '<script>globalThis.harmed = 1</script><img src=x onerror="globalThis.harmed = 1">\\n'`,
    `printf '\\033[1;31mred alert\\033[0m and \\033[32mgreen\\033[0m, \\033[38;5;208morange\\033[0m\\033[2K \\033[7minverse\\033[0m\\n'`,
    // More than is held at once, with one line that is longer than all others.
    `seq -f 'early line %.0f of many, long enough to fill several parts of the file' 1 6000`,
    `head -c 20000 /dev/zero | tr '\\0' x; echo`,
    `printf 'Grüße: € and a bad byte \\377 here\\n'`,
    `head -c 3000 /dev/urandom > noise.bin; mkdir sub; echo inside > 'sub/a file'; ln -s /etc/hostname out`,
    `n=0; while :; do n=$((n+1)); echo "tick $n"; sleep 0.5; done`,
  ].join('; '),
};

const button = (page, name) => page.getByRole('button', { name, exact: true });
const area = (page) => page.getByRole('region', { name: 'Content of stdout' });
const tick = (page) => area(page).getByText(/^tick \d+$/).last();
const number = async (page) => Number((await tick(page).textContent()).slice(5));
const says = (page, text) => page.getByRole('status').getByText(text, { exact: true });

export const steps = [
  ['the log of an instance is reached from its app', async ({ page, cluster, browser }) => {
    const answer = await fetch(`${cluster.apps}/v2/apps`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(APP) });
    assert.equal(answer.status, 201);
    await page.goto(`${cluster.apps}/ui/#/apps${APP.id}`);
    await page.getByText('Running', { exact: true }).first().waitFor();
    await page.getByRole('link', { name: /^Log of/ }).waitFor();
    await browser.picture('app-log-link');
    const log = await page.getByRole('link', { name: /^Log of/ }).getAttribute('href');
    await page.goto(log);
    await page.getByRole('heading', { name: 'stdout', exact: true }).waitFor();
    assert.equal(new URL(page.url()).origin, cluster.agents[0]);
  }],
  ['the log is followed', async ({ page, browser }) => {
    await tick(page).waitFor();
    await says(page, 'Following').waitFor();
    const first = await number(page);
    await until('two more lines', async () => (await number(page)) >= first + 2);
    await browser.picture('log-following', false);
    assert.ok((await page.locator('.line').count()) < 250, 'only rows in sight are in the document');
  }],
  ['scrolling up stops following, and the end takes it up again', async ({ page }) => {
    await area(page).hover();
    await page.mouse.wheel(0, -400);
    await says(page, 'Paused').waitFor();
    const place = await area(page).evaluate((it) => it.scrollTop);
    await page.getByText(/ more at the end$/).waitFor();
    assert.equal(await area(page).evaluate((it) => it.scrollTop), place, 'what is read stays where it is');
    await page.keyboard.press('G');
    await says(page, 'Following').waitFor();
    await tick(page).waitFor();
  }],
  ['earlier parts are loaded where one scrolls to them', async ({ page }) => {
    for (let turn = 0; turn < 200; turn += 1) {
      if (await page.getByText('early line 1 of many', { exact: false }).first().isVisible()) break;
      await area(page).evaluate((it) => it.scrollBy(0, -4000));
      await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
    }
    await page.getByText('early line 1 of many', { exact: false }).first().waitFor();
    await page.keyboard.press('g');
    await page.getByText('<script>globalThis.harmed', { exact: false }).waitFor();
    await page.locator('.ink-1.bold').waitFor();
    assert.equal(await page.evaluate(() => globalThis.harmed), undefined);
    assert.equal(await page.locator('main script, main img').count(), 0);
  }],
  ['colours and wrapping are chosen', async ({ page, browser }) => {
    await browser.picture('log-start', false);
    await button(page, 'Colours').click();
    assert.equal(await page.locator('.ink-1').count(), 0);
    await button(page, 'Colours').click();
    await button(page, 'Wrap').click();
    await browser.picture('log-unwrapped', false);
    await button(page, 'Wrap').click();
  }],
  ['a text is found anywhere in the file', async ({ page, browser }) => {
    await page.keyboard.press('/');
    await page.keyboard.type('GRÜSSE: €');
    await page.keyboard.press('Enter');
    await says(page, 'Not found').waitFor();
    await page.getByLabel('Search in the file').fill('grüße: €');
    await page.keyboard.press('Enter');
    await says(page, 'Found').waitFor();
    await page.getByText('Grüße: € and a bad byte \ufffd here').waitFor();
    assert.equal(await page.locator('mark.here').textContent(), 'Grüße: €');
    await browser.picture('log-found', false);
    await page.getByLabel('Search in the file').fill('early line 5999');
    await page.keyboard.press('Shift+Enter');
    await page.locator('mark.here', { hasText: 'early line 5999' }).waitFor();
    await page.keyboard.press('Escape');
    await page.keyboard.press('n');
    await says(page, 'Found, past the end').waitFor();
    await page.getByLabel('Search in the file').fill('nothing like this');
    await page.keyboard.press('Enter');
    await says(page, 'Not found').waitFor();
    await page.keyboard.press('Escape');
    await page.keyboard.press('?');
    await browser.picture('log-keys', false);
    await page.keyboard.press('Escape');
  }],
  ['a text is found in a file of 96 MiB, or the search is cancelled', async ({ page, cluster, browser }) => {
    const state = await (await fetch(`${cluster.agents[0]}/state`)).json();
    const { directory } = state.frameworks.flatMap((it) => it.executors).find((it) => it.id.startsWith('logs_ticker'));
    const large = await open(`${directory}/large`, 'w');
    try {
      const line = 'a line like all the others, of which there are a great many in this file\n';
      const part = Buffer.from(line.repeat(Math.ceil((1 << 20) / line.length)));
      for (let many = 0; many < 96; many += 1) await large.write(part);
      await large.write('the one that is looked for\n');
    } finally {
      await large.close();
    }
    const log = page.url();
    await page.goto(log.replace(/\/stdout$/, '/large'));
    await page.getByRole('heading', { name: 'large', exact: true }).waitFor();
    await says(page, 'Following').waitFor();
    await page.keyboard.press('g');
    await page.getByText(/^0 B to .* of 96 MiB, from 0 %$/).waitFor();
    await page.waitForFunction(() => document.querySelector('[aria-label="Content of large"]')?.scrollTop === 0);
    const field = page.getByLabel('Search in the file');
    const timed = async (what, run) => {
      const began = Date.now();
      await run();
      process.stdout.write(`   ${what}: ${Date.now() - began} ms\n`);
    };
    await timed('finding the last line of 96 MiB', async () => {
      await field.fill('One That Is Looked For');
      await page.keyboard.press('Enter');
      await says(page, 'Found').waitFor();
    });
    await browser.picture('log-large-found', false);
    await field.fill('nothing like this');
    await timed('finding nothing in 96 MiB, backwards', async () => {
      await page.keyboard.press('Shift+Enter');
      await says(page, 'Not found').waitFor();
    });
    // The server is held up, so that there is time to cancel.
    await page.route('**/files/download**', () => {});
    await page.keyboard.press('Enter');
    await page.getByRole('search').getByText('0 %', { exact: true }).waitFor();
    await button(page, 'Cancel').click();
    await says(page, 'Cancelled').waitFor();
    await page.unroute('**/files/download**');
    await page.goto(log);
    await page.getByRole('heading', { name: 'stdout', exact: true }).waitFor();
    await unlink(`${directory}/large`);
  }],
  ['what is loaded is copied, and the file saved', async ({ page }) => {
    await page.getByRole('link', { name: 'Save', exact: true }).waitFor();
    const saved = page.waitForEvent('download');
    await page.getByRole('link', { name: 'Save', exact: true }).click();
    assert.equal((await saved).suggestedFilename(), 'stdout');
    await button(page, 'Copy').click();
    await page.getByText('What is loaded of the file was copied', { exact: false }).waitFor();
  }],
  ['a file that is cut off is shown anew', async ({ page, cluster }) => {
    await page.keyboard.press('G');
    await says(page, 'Following').waitFor();
    const state = await (await fetch(`${cluster.agents[0]}/state`)).json();
    const executors = state.frameworks.flatMap((framework) => framework.executors);
    const { directory } = executors.find((executor) => executor.id.startsWith('logs_ticker'));
    await truncate(`${directory}/stdout`);
    await page.getByText('The file has become shorter', { exact: false }).waitFor();
    await tick(page).waitFor();
    await button(page, 'Dismiss the message').click();
  }],
  ['the files of a sandbox are listed', async ({ page, browser }) => {
    await page.getByRole('link', { name: /^logs_ticker/ }).click();
    await page.getByRole('link', { name: 'noise.bin', exact: true }).waitFor();
    assert.equal(await page.getByRole('link', { name: 'out', exact: true }).count(), 0, 'what leads out is no link');
    await browser.picture('agent-files');
    await button(page, 'Size').click();
    await page.getByRole('link', { name: 'noise.bin', exact: true }).click();
    await page.getByRole('heading', { name: 'This file is no text' }).waitFor();
    await browser.picture('agent-file-binary');
    await page.goBack();
    await page.getByRole('link', { name: 'sub/', exact: true }).click();
    await page.getByRole('link', { name: 'a file', exact: true }).click();
    await area(page).or(page.getByRole('region', { name: 'Content of a file' })).getByText('inside', { exact: true }).waitFor();
  }],
  ['the agent shows its tasks, and what is not there is said', async ({ page, cluster, browser, expected }) => {
    // What was never there, and what is removed after a while.
    expected.add('404');
    await page.goto(`${cluster.agents[0]}/`);
    await page.getByRole('heading', { name: 'Agent on', exact: false }).waitFor();
    await page.getByLabel('Search tasks').fill('ticker');
    await page.getByRole('link', { name: /^stdout of logs_ticker/ }).waitFor();
    await browser.picture('agent-tasks');
    await page.goto(`${cluster.agents[0]}/ui/#/files/none/none/latest`);
    await page.getByRole('heading', { name: 'There is no such directory' }).waitFor();
    await browser.picture('agent-files-none');
    await page.goto(`${cluster.agents[0]}/ui/#/log/none/none/latest/stdout`);
    await page.getByRole('heading', { name: 'There is no such file' }).waitFor();
    await page.goto(`${cluster.master}/#/task/none/none`);
    await page.getByRole('heading', { name: 'The master knows no such task' }).waitFor();
    await browser.picture('task-none');
  }],
  ['the master tells what a task went through', async ({ page, cluster, browser }) => {
    const { tasks } = await (await fetch(`${cluster.master}/tasks`)).json();
    const running = tasks.find((task) => task.id.startsWith('logs_ticker') && task.state === 'TASK_RUNNING');
    await page.goto(`${cluster.master}/#/task/${running.framework_id}/${running.id}`);
    await page.getByText('It runs.', { exact: true }).waitFor();
    await browser.picture('task-running');
    await page.getByRole('link', { name: 'Files', exact: true }).click();
    await page.getByRole('link', { name: /^Files on / }).waitFor();
    await browser.picture('cluster-sandbox');
    await page.getByRole('link', { name: /^Files on / }).click();
    await page.getByRole('link', { name: 'noise.bin', exact: true }).waitFor();
    // It ends while its page is open.
    await page.goto(`${cluster.master}/#/task/${running.framework_id}/${running.id}`);
    await page.getByText('It runs.', { exact: true }).waitFor();
    const gone = await fetch(`${cluster.apps}/v2/apps${APP.id}`, { method: 'DELETE' });
    assert.equal(gone.status, 200);
    await page.getByText('It was killed.', { exact: true }).waitFor();
    await browser.picture('task-killed');
    await page.getByRole('link', { name: 'Log stdout' }).click();
    await page.getByText(/^tick \d+$/).last().waitFor();
  }],
];
