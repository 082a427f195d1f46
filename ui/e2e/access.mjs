// What keeps people out of a page: controls without names, lost headings, text that is hard to see, and what axe-core knows.
// Runs in the page; each function is handed to the browser as a whole.

/** All that is wrong with the page that is shown, in words. */
export function faults() {
  const found = [];
  const shown = (element) => element.checkVisibility({ visibilityProperty: true }) && element.getClientRects().length > 0;
  const what = (element) => `<${element.tagName.toLowerCase()} class="${element.className}"> "${(element.textContent ?? '').trim().slice(0, 40)}"`;

  const named = (element) => {
    const by = (element.getAttribute('aria-labelledby') ?? '').split(' ').map((id) => document.getElementById(id)?.textContent ?? '');
    const labels = [...(element.labels ?? [])].map((label) => label.textContent ?? '');
    return [element.getAttribute('aria-label'), element.textContent, ...labels, ...by].some((text) => (text ?? '').trim() !== '');
  };
  for (const element of document.querySelectorAll('a, button, input, select, textarea, summary, dialog, [role="table"], [role="img"]')) {
    if (shown(element) && !named(element)) found.push(`${what(element)} has no name`);
  }
  const headings = document.querySelectorAll('h1').length;
  if (headings > 1) found.push(`there are ${headings} first headings`);
  if (document.querySelectorAll('main').length !== 1) found.push('there is not one main part');
  const ids = [...document.querySelectorAll('[id]')].map((element) => element.id);
  for (const id of ids.filter((id, place) => ids.indexOf(id) !== place)) found.push(`the id ${id} is there twice`);

  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const pixel = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((value, place) => (value * a + below[place] * (255 - a)) / 255);
  const behind = (element) => {
    if (!element) return pixel(getComputedStyle(document.documentElement).backgroundColor).slice(0, 3);
    const own = pixel(getComputedStyle(element).backgroundColor);
    return own[3] === 255 ? own.slice(0, 3) : over(own, behind(element.parentElement));
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const top = document.querySelector('dialog[open]') ?? document.body;
  const walker = document.createTreeWalker(top, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || !shown(element) || element.closest(':disabled, .hide-visually, .skip, option')) continue;
    const ground = behind(element);
    const text = over(pixel(getComputedStyle(element).color), ground);
    const [a, b] = [light(text), light(ground)].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) found.push(`${what(element)} has a contrast of ${contrast.toFixed(2)}, less than 4.5`);
  }
  return found;
}

/** What axe-core finds, in words: what is serious or critical only. It must have been loaded into the page. */
export async function violations() {
  const { violations } = await globalThis.axe.run(document, { resultTypes: ['violations'] });
  const grave = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  return grave.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map(({ html }) => html.slice(0, 200)).join(' and ')}`);
}
