// A browser whose pages are watched: every complaint and every request to elsewhere is a failure.
// Knows no page.
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import axe from 'axe-core';
import { chromium } from 'playwright-core';
import { faults, violations } from './access.mjs';

const CHROMIUM = process.env.TEPUI_CHROMIUM ?? '/usr/bin/chromium';

/** Where pictures of the pages are put. */
const PICTURES = fileURLToPath(new URL('../screenshots', import.meta.url));

/** The forms in which every page is pictured. */
const FORMS = [
  { name: 'light', width: 1280, height: 800, colorScheme: 'light', isJudged: true },
  { name: 'dark', width: 1280, height: 800, colorScheme: 'dark' },
  { name: 'phone', width: 390, height: 844, colorScheme: 'light', isJudged: true },
  // The narrowest that is still in use; what fits here fits the others.
  { name: 'narrow', width: 320, height: 640, colorScheme: 'light' },
];

/** Starts a browser and opens a page in it. */
export async function openBrowser() {
  mkdirSync(PICTURES, { recursive: true });
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  });
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const complaints = [];
  const hosts = new Set();
  /** Servers that a test starts itself. */
  const own = new Set();
  /** Refusals that a test asks for are no failures; it names the statuses. */
  const expected = new Set();
  page.on('console', (message) => {
    if (message.type() !== 'error' && message.type() !== 'warning') return;
    const status = /status of (\d+)/.exec(message.text())?.[1];
    if (status === undefined || !expected.has(status)) complaints.push(`${message.text()} (${message.location().url})`);
  });
  page.on('pageerror', (error) => complaints.push(String(error.stack ?? error)));
  page.on('request', (request) => hosts.add(new URL(request.url()).origin));
  /** What axe-core finds wrong with the page, seriously or worse. */
  async function judged() {
    if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(axe.source);
    return page.evaluate(violations);
  }
  return {
    page,
    expected,
    own,
    /** Fails when a page complained, or asked another server than these. */
    check(...origins) {
      const strange = [...hosts].filter((host) => !origins.includes(host) && !own.has(host));
      if (strange.length > 0) throw new Error(`pages asked other servers: ${strange.join(', ')}`);
      if (complaints.length > 0) throw new Error(`pages complained:\n${complaints.join('\n')}`);
    },
    /** Pictures the page in all forms, from its top or the part in sight; on a phone nothing may stick out of it. */
    async picture(name, isWhole = true) {
      for (const form of FORMS) {
        await page.setViewportSize({ width: form.width, height: form.height });
        await page.emulateMedia({ colorScheme: form.colorScheme });
        if (isWhole) await page.evaluate(() => scrollTo(0, 0));
        const excess = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        await page.screenshot({ path: `${PICTURES}/${name}-${form.name}.png`, fullPage: isWhole });
        const found = await page.evaluate(faults);
        if (form.isJudged) found.push(...(await judged()));
        if (found.length > 0) throw new Error(`${name} in the form ${form.name}:\n${found.join('\n')}`);
        if (excess > 0) throw new Error(`${name} is ${excess} pixels too wide in the form ${form.name}`);
      }
      await page.setViewportSize({ width: 1280, height: 800 });
      await page.emulateMedia({ colorScheme: 'light' });
    },
    close: () => browser.close(),
  };
}
