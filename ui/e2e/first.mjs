// How soon pages show something: their frame, and then what they are about, from an empty cache.
// Judges no time, as machines differ; the figures are printed.
import { startMany } from './many.mjs';

/** Opens a page as if for the first time, and prints when each thing was seen, in milliseconds since it was asked for. */
async function times(page, what, url, marks) {
  await page.goto('about:blank');
  const session = await page.context().newCDPSession(page);
  await session.send('Network.clearBrowserCache');
  await session.detach();
  await page.goto(url, { waitUntil: 'commit' });
  const seen = [];
  for (const [name, locator] of marks) {
    await locator.first().waitFor();
    seen.push(`${name} ${Math.round(await page.evaluate(() => performance.now()))} ms`);
  }
  const sent = await page.evaluate(() => performance.getEntriesByType('resource').filter((it) => /\/assets\//.test(it.name)).reduce((sum, it) => sum + it.encodedBodySize, 0));
  process.stdout.write(`   ${what}: ${seen.join(', ')}; ${Math.round(sent / 1024)} KiB of scripts and styles\n`);
}

const title = (page, name) => page.getByRole('heading', { level: 1, name });
const rows = (page, name) => page.getByRole('table', { name }).getByRole('row').nth(1);

export const steps = [
  ['the first view comes soon', async ({ page, cluster }) => {
    const figures = page.getByRole('region', { name: 'CPUs' });
    const overview = [['frame', title(page, 'Cluster')], ['figures', figures], ['chart', page.locator('.chart canvas')]];
    for (const turn of ['once', 'again']) await times(page, `overview of a small cluster, ${turn}`, `${cluster.master}/`, overview);
    await times(page, 'its agents', `${cluster.master}/#/agents`, [['frame', title(page, 'Agents')], ['rows', rows(page, 'Agents')]]);
    await times(page, 'its frameworks', `${cluster.master}/#/frameworks`, [['frame', title(page, 'Frameworks')], ['rows', rows(page, 'Frameworks')]]);
    await times(page, 'apps', `${cluster.apps}/ui/`, [['frame', title(page, 'Apps')]]);
    await times(page, 'an agent', `${cluster.agents[0]}/`, [['frame', title(page, /^Agent on/)], ['figures', page.getByRole('navigation', { name: 'Parts of the agent' })]]);
  }],
  ['the first view of a large cluster comes soon, too', async ({ page, cluster, browser }) => {
    const many = await startMany(cluster.master, { agents: 10_000, tasks: 100_000, frameworks: 20 });
    browser.own.add(many.address);
    try {
      const figures = page.getByRole('region', { name: 'CPUs' });
      await times(page, 'overview', `${many.address}/`, [['frame', title(page, 'Cluster')], ['figures', figures]]);
      await times(page, '10,000 agents', `${many.address}/#/agents`, [['frame', title(page, 'Agents')], ['rows', rows(page, 'Agents')], ['with all their tasks', page.locator('.tasks').filter({ hasText: /^\d/ })]]);
      await times(page, '20 frameworks', `${many.address}/#/frameworks`, [['frame', title(page, 'Frameworks')], ['rows', rows(page, 'Frameworks')]]);
      await times(page, '100,000 tasks', `${many.address}/#/tasks`, [['frame', title(page, 'Tasks')], ['rows', rows(page, 'Tasks')], ['all of them', page.getByText('100,000 tasks')]]);
    } finally {
      await page.goto(`${cluster.master}/`);
      many.stop();
    }
  }],
];
