// Colours and styles that programs write into their output, and what else terminals would not show.
// Moves no cursor: of all escapes only those for colours and styles have an effect.

/** Text of one style. */
export interface Span {
  text: string;
  /** Names of classes, separated by blanks. */
  style: string;
}

interface Style {
  /** 0 to 15, or none. */
  ink: number | undefined;
  ground: number | undefined;
  flags: Set<string>;
}

/** Escapes: of sequences with a final byte, of strings with an end, and of two characters. */
const ESCAPE = /\x1b(?:\[([0-?]*)[ -/]*([@-~])|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])|\x9b([0-?]*)[ -/]*([@-~])/g;

const FLAGS: Record<number, string> = { 1: 'bold', 2: 'dim', 3: 'italic', 4: 'under', 7: 'inverse', 9: 'through' };
const ENDS: Record<number, string[]> = { 22: ['bold', 'dim'], 23: ['italic'], 24: ['under'], 27: ['inverse'], 29: ['through'] };

/** Splits a row into spans of one style; each row begins without one. */
export function spans(text: string): Span[] {
  if (!text.includes('\x1b') && !text.includes('\x9b')) return text === '' ? [] : [{ text: visible(text), style: '' }];
  const found: Span[] = [];
  const style: Style = { ink: undefined, ground: undefined, flags: new Set() };
  let from = 0;
  const add = (part: string): void => {
    if (part !== '') found.push({ text: visible(part), style: classes(style) });
  };
  for (const escape of text.matchAll(ESCAPE)) {
    add(text.slice(from, escape.index));
    from = escape.index + escape[0].length;
    if ((escape[2] ?? escape[4]) === 'm') apply(style, escape[1] ?? escape[3] ?? '');
  }
  add(text.slice(from));
  return found;
}

/** The text without any escapes. */
export function plain(text: string): string {
  return text.replace(ESCAPE, '');
}

/** Controls as the signs that stand for them; tabs are kept. */
export function visible(text: string): string {
  return text.replace(/[\0-\x08\x0a-\x1f\x7f]/g, (control) => String.fromCharCode(control === '\x7f' ? 0x2421 : 0x2400 + control.charCodeAt(0)));
}

function apply(style: Style, parameters: string): void {
  const codes = parameters.split(/[;:]/).map((code) => (code === '' ? 0 : Number(code)));
  for (let place = 0; place < codes.length; place += 1) {
    const code = codes[place]!;
    const flag = FLAGS[code];
    if (code === 0) {
      style.ink = style.ground = undefined;
      style.flags.clear();
    } else if (flag !== undefined) style.flags.add(flag);
    else if (ENDS[code]) for (const name of ENDS[code]) style.flags.delete(name);
    else if (code >= 30 && code <= 37) style.ink = code - 30;
    else if (code >= 90 && code <= 97) style.ink = code - 82;
    else if (code >= 40 && code <= 47) style.ground = code - 40;
    else if (code >= 100 && code <= 107) style.ground = code - 92;
    else if (code === 39) style.ink = undefined;
    else if (code === 49) style.ground = undefined;
    else if (code === 38 || code === 48) {
      const [colour, used] = extended(codes.slice(place + 1));
      if (code === 38) style.ink = colour;
      else style.ground = colour;
      place += used;
    }
  }
}

/** A colour of 256 or of 16 million, as the nearest of the sixteen that can be read on light and on dark. */
function extended(codes: number[]): [number | undefined, number] {
  if (codes[0] === 5) return [of256(codes[1] ?? 0), 2];
  if (codes[0] === 2) return [nearest(codes[1] ?? 0, codes[2] ?? 0, codes[3] ?? 0), 4];
  return [undefined, codes.length];
}

function of256(code: number): number | undefined {
  if (code < 16) return code;
  if (code > 255) return undefined;
  if (code >= 232) return nearest((code - 232) * 10 + 8, (code - 232) * 10 + 8, (code - 232) * 10 + 8);
  const step = (value: number) => (value === 0 ? 0 : 55 + value * 40);
  const cube = code - 16;
  return nearest(step(Math.floor(cube / 36)), step(Math.floor(cube / 6) % 6), step(cube % 6));
}

/** By which of red, green and blue are strong, and how strong the strongest is. */
function nearest(red: number, green: number, blue: number): number {
  const most = Math.max(red, green, blue);
  const least = Math.min(red, green, blue);
  if (most - least < 40) return most < 64 ? 0 : most < 128 ? 8 : most < 210 ? 7 : 15;
  const middle = (most + least) / 2;
  const hue = (red > middle ? 1 : 0) + (green > middle ? 2 : 0) + (blue > middle ? 4 : 0);
  return hue + (most > 200 ? 8 : 0);
}

function classes({ ink, ground, flags }: Style): string {
  const isInverse = flags.has('inverse');
  const [front, back] = isInverse ? [ground, ink] : [ink, ground];
  const named = [...flags].filter((name) => name !== 'inverse');
  if (front !== undefined) named.push(`ink-${front}`);
  if (back !== undefined) named.push(`ground-${back}`);
  if (isInverse && back === undefined) named.push('inverse');
  return named.join(' ');
}
