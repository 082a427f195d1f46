// What the viewer of logs works with: rows, colours, searches, heights, and what is text at all.
import { afterEach, describe, expect, it, vi } from 'vitest';
import { plain, spans, visible } from '../src/agent/ansi';
import { CHUNK_BYTES, byParts, isBinary, placeOf, ranges, sortEntries, unbase64, virtualPath, type Entry, type Part } from '../src/agent/files';
import { estimate, rowAtHeight, tops } from '../src/agent/heights';
import { piecesOf } from '../src/agent/pieces';
import { Held, MAX_ROW_BYTES, lengthOf, placeAt, split, textOf } from '../src/agent/rows';
import { BACK_BYTES, LOOK_BYTES, find, marks, needleOf, search, type Question } from '../src/agent/search';

const encoder = new TextEncoder();
const bytes = (text: string): Uint8Array => encoder.encode(text);
const texts = (held: Held): string[] => held.rows.map(textOf);

/** That rows follow each other without holes is what all else stands on. */
function check(held: Held): void {
  let at = held.start;
  for (const row of held.rows) {
    expect(row.at).toBe(at);
    expect(row.bytes.length).toBeLessThanOrEqual(MAX_ROW_BYTES + 3);
    at += lengthOf(row);
  }
  expect(at).toBe(held.end);
}

describe('rows', () => {
  it('are the lines, of which the last may not have ended', () => {
    const held = new Held();
    held.reset(0, bytes('one\r\n\ntwo'));
    expect(texts(held)).toEqual(['one', '', 'two']);
    held.append(bytes('!\nthree\n'));
    expect(texts(held)).toEqual(['one', '', 'two!', 'three']);
    held.append(bytes('four'));
    expect(held.rows.map((row) => row.isEnd)).toEqual([true, true, true, true, false]);
    check(held);
  });
  it('come together again however a file is read', () => {
    const text = `€uro ${'ä'.repeat(20)}\n👍🏽 zwei\n\n${'xé'.repeat(2000)}\nende`;
    const all = bytes(text);
    for (const step of [1, 2, 3, 7, 4096, 5000]) {
      const forth = new Held();
      for (let at = 0; at < all.length; at += step) forth.append(all.slice(at, at + step));
      check(forth);
      const back = new Held();
      back.reset(all.length, new Uint8Array());
      for (let end = all.length; end > 0; end -= step) back.prepend(all.slice(Math.max(0, end - step), end));
      check(back);
      for (const held of [forth, back]) {
        const lines = held.rows.map((row) => textOf(row) + (row.isEnd ? '\n' : '')).join('');
        expect(lines).toBe(text);
        expect(held.rows.filter((row) => row.isStart)).toHaveLength(5);
      }
    }
  });
  it('are cut where a line is too long, but not within a character', () => {
    const rows = split(bytes(`a${'€'.repeat(3000)}\nz`), 100, true);
    expect(rows.map((row) => row.isStart)).toEqual([true, false, false, true]);
    expect(rows.map(textOf).join('')).toBe(`a${'€'.repeat(3000)}z`);
    expect(rows[1]!.cells).toBe(rows[1]!.bytes.length / 3);
  });
  it('show bytes that are no UTF-8 replaced, and never fail', () => {
    const row = split(new Uint8Array([0x61, 0xff, 0xc3, 0x0a]), 0, true)[0]!;
    expect(textOf(row)).toBe('a\ufffd\ufffd');
    const strange = split(new Uint8Array(10_000).fill(0x80), 0, true);
    expect(strange.reduce((sum, it) => sum + it.bytes.length, 0)).toBe(10_000);
  });
  it('are dropped at the far end when there are too many', () => {
    const held = new Held({ bytes: 1000, rows: 100 });
    for (let at = 0; at < 400; at += 1) held.append(bytes(`line ${at}\n`));
    check(held);
    expect(texts(held).at(-1)).toBe('line 399');
    expect(held.rows.length).toBeLessThanOrEqual(100);
    expect(held.end - held.start).toBeLessThanOrEqual(1000);
    const before = held.start;
    held.prepend(bytes(`${'y'.repeat(89)}\n`.repeat(5)));
    check(held);
    expect(held.start).toBe(before - 450);
    expect(held.end - held.start).toBeLessThanOrEqual(1000);
  });
  it('keep what is next to what is read, when a part alone has too many', () => {
    const held = new Held({ bytes: 10_000, rows: 100 });
    held.reset(5000, bytes('here\n'.repeat(60)));
    held.prepend(bytes('\n'.repeat(1000)));
    check(held);
    expect(held.start).toBe(4950);
    expect(texts(held)).toContain('here');
    held.append(bytes('\n'.repeat(1000)), true);
    check(held);
    expect(held.rows.length).toBeLessThanOrEqual(100);
  });
  it('are found by offset', () => {
    const { rows } = Object.assign(new Held(), {}) as Held;
    expect(placeAt(rows, 7)).toBe(0);
    const some = split(bytes('ab\ncd\nef'), 10, true);
    expect([9, 10, 12, 13, 15, 16, 99].map((at) => placeAt(some, at))).toEqual([0, 0, 0, 1, 1, 2, 2]);
  });
});

describe('heights', () => {
  const rows = split(bytes(`short\n${'x'.repeat(25)}\n\nlast`), 0, true);
  it('grow with long lines only where these are wrapped', () => {
    expect(rows.map((row) => estimate(row, { line: 18, columns: 10 }))).toEqual([18, 54, 18, 18]);
    expect([...tops(rows, { line: 18, columns: 0 }, new Map())]).toEqual([0, 18, 36, 54, 72]);
  });
  it('are what was measured, as long as the row is the same', () => {
    const measured = new Map([[6, { cells: 25, height: 72 }], [0, { cells: 4, height: 99 }]]);
    expect([...tops(rows, { line: 18, columns: 10 }, measured)]).toEqual([0, 18, 90, 108, 126]);
  });
  it('tell which row is where', () => {
    const found = tops(rows, { line: 18, columns: 10 }, new Map());
    expect([-5, 0, 17, 18, 71, 72, 1000].map((height) => rowAtHeight(found, height))).toEqual([0, 0, 0, 1, 1, 2, 3]);
    expect(rowAtHeight(tops([], { line: 18, columns: 10 }, new Map()), 5)).toBe(0);
  });
});

describe('colours', () => {
  it('are classes, and end where they should', () => {
    expect(spans('a\x1b[31mred\x1b[1;44mboth\x1b[0m\x1b[mz')).toEqual([
      { text: 'a', style: '' },
      { text: 'red', style: 'ink-1' },
      { text: 'both', style: 'bold ink-1 ground-4' },
      { text: 'z', style: '' },
    ]);
    expect(spans('\x1b[1;4;95mx\x1b[22;24;39my').map((span) => span.style)).toEqual(['bold under ink-13', '']);
    expect(spans('\x1b[7;32mx\x1b[27my').map((span) => span.style)).toEqual(['ground-2', 'ink-2']);
    expect(spans('\x1b[7mx')[0]!.style).toBe('inverse');
  });
  it('of large palettes become the nearest that can be read', () => {
    const of = (codes: string) => spans(`\x1b[${codes}mx`)[0]!.style;
    expect(of('38;5;9')).toBe('ink-9');
    expect(of('38;2;255;0;0')).toBe('ink-9');
    expect(of('38;5;21;1')).toBe('bold ink-12');
    expect(of('48;5;244')).toBe('ground-7');
    expect(of('38;5;999')).toBe('');
    expect(of('38')).toBe('');
    expect(of('38:2:0:128:0')).toBe('ink-2');
  });
  it('are the only escapes that do anything, and other controls are shown as signs', () => {
    expect(plain('\x1b]0;title\x07a\x1b[2J\x1b[10;5Hb\x1b(Bc\x1b[?25l\x9b31md')).toBe('abcd');
    expect(spans('\x1b[2Kdone').map((span) => span.text).join('')).toBe('done');
    expect(visible('a\rb\tc\0\x7f')).toBe('a\u240db\tc\u2400\u2421');
    expect(spans('')).toEqual([]);
  });
  it('take no time with escapes that never end', () => {
    const text = '\x1b['.repeat(2000) + '\x1b]'.repeat(2000);
    expect(plain(text).length).toBeLessThan(text.length);
  });
});

describe('pieces of a row', () => {
  const looks = { hasColours: true, wanted: '', isCaseSensitive: false, match: undefined };
  const row = split(bytes('<script>\x1b[31mÄrger\x1b[0m ärger'), 50, true)[0]!;
  it('hold the text as it is', () => {
    expect(piecesOf(row, looks).map((piece) => piece.text)).toEqual(['<script>', 'Ärger', ' ärger']);
    expect(piecesOf(row, { ...looks, hasColours: false }).every((piece) => piece.style === '')).toBe(true);
  });
  it('are marked where the text is, across colours, and the match that was gone to more so', () => {
    const match = find(row.bytes, row.at, needleOf('ärger', false), 0, Infinity, true);
    const pieces = piecesOf(row, { ...looks, wanted: 'ärger', match });
    expect(pieces.filter((piece) => piece.isMark).map(({ text, isCurrent }) => [text, isCurrent])).toEqual([['Ärger', false], ['ärger', true]]);
    const across = piecesOf(row, { ...looks, wanted: '>Ä', isCaseSensitive: true });
    expect(across.filter((piece) => piece.isMark).map((piece) => piece.text)).toEqual(['>', 'Ä']);
    expect(across.map((piece) => piece.text).join('')).toBe('<script>Ärger ärger');
  });
});

describe('a search', () => {
  function file(text: string, most = CHUNK_BYTES) {
    const data = bytes(text);
    const asked: number[] = [];
    const read = async (offset: number, length: number): Promise<Part> => {
      asked.push(offset);
      return { size: data.length, data: data.slice(offset, offset + Math.min(length, most)) };
    };
    const look = (wanted: string, more: Partial<Question> & { isCaseSensitive?: boolean } = {}) =>
      search(byParts(read), {
        needle: needleOf(wanted, more.isCaseSensitive ?? false),
        from: 0,
        size: data.length,
        isBackwards: false,
        signal: new AbortController().signal,
        progress: () => {},
        ...more,
      });
    return { data, asked, look, read };
  }
  it('finds a text that is split between two parts, forwards and backwards', async () => {
    for (const shift of [1, 3, 5, 6]) {
      const at = LOOK_BYTES - shift;
      const { look } = file(`${'.'.repeat(at)}needle${'.'.repeat(CHUNK_BYTES + 17)}`);
      expect(await look('needle')).toEqual({ match: { at, length: 6 }, isWrapped: false });
      expect((await look('NEEDLE', { isBackwards: true, from: at + BACK_BYTES }))?.match.at).toBe(at);
    }
    // Backwards a part ends within it.
    const { look } = file(`${'.'.repeat(100)}needle${'.'.repeat(BACK_BYTES - 3)}`);
    expect((await look('needle', { isBackwards: true, from: BACK_BYTES + 103 }))?.match.at).toBe(100);
  });
  it('goes on from the other side, and comes back to where it began', async () => {
    const { look } = file('abc abc abc');
    const at = async (more: Partial<Question>) => {
      const found = await look('abc', more);
      return [found?.match.at, found?.isWrapped];
    };
    expect(await at({ from: 1 })).toEqual([4, false]);
    expect(await at({ from: 9 })).toEqual([0, true]);
    expect(await at({ from: 8, isBackwards: true })).toEqual([4, false]);
    expect(await at({ from: 0, isBackwards: true })).toEqual([8, true]);
    expect((await file('abc').look('abc', { from: 1 }))?.match.at).toBe(0);
  });
  it('respects case if asked to, in any script, and takes every sign as it is', async () => {
    const { look } = file('ÄRGER ärger (a+b)* K');
    expect((await look('ärger'))?.match).toEqual({ at: 0, length: 6 });
    expect((await look('ärger', { isCaseSensitive: true }))?.match.at).toBe(7);
    expect((await look('(a+b)*'))?.match.length).toBe(6);
    expect(await look('a.b')).toBeUndefined();
    expect(await look('')).toBeUndefined();
    expect((await look('K', { isCaseSensitive: true }))?.match.at).toBe(21);
  });
  it('passes over colours within a word', async () => {
    const { look } = file('x \x1b[31mERR\x1b[1;32mOR\x1b[0m: disk');
    expect((await look('error: disk'))?.match.at).toBe(7);
  });
  it('tells how far it is, and can be cancelled', async () => {
    const { look, asked } = file('.'.repeat(10 * LOOK_BYTES));
    const shares: number[] = [];
    expect(await look('x', { progress: (share) => shares.push(share) })).toBeUndefined();
    expect(shares).toHaveLength(10);
    expect(shares.at(-1)).toBe(1);
    asked.length = 0;
    const abort = new AbortController();
    const cancelled = look('x', { signal: abort.signal, progress: () => abort.abort() });
    await expect(cancelled).rejects.toThrow();
    expect(asked.length).toBeLessThan(10);
  });
  it('ends where a file has become shorter meanwhile', async () => {
    const { look } = file('short');
    expect(await look('x', { size: 10 * CHUNK_BYTES })).toBeUndefined();
  });
  describe('by ranges', () => {
    afterEach(() => void vi.unstubAllGlobals());
    const content = `${'.'.repeat(1000)}needle${'.'.repeat(1000)}needle`;

    /** A server that gives pieces of 7 bytes. */
    function serve(status: (range: string) => number) {
      const state = { asked: [] as string[], given: 0, isLeft: false };
      vi.stubGlobal('fetch', async (_url: string, init: RequestInit) => {
        const range = (init.headers as Record<string, string>)['Range'] ?? '';
        state.asked.push(range);
        const [from = 0, last = 0] = range.replace('bytes=', '').split('-').map(Number);
        const code = status(range);
        const part = bytes(code === 206 ? content.slice(from, last + 1) : code === 200 ? content : 'no such file');
        let at = 0;
        const body = new ReadableStream<Uint8Array>({
          pull(controller) {
            if (at >= part.length) return controller.close();
            controller.enqueue(part.slice(at, (at += 7)));
            state.given = at;
          },
        });
        init.signal?.addEventListener('abort', () => (state.isLeft = true));
        return new Response(body, { status: code });
      });
      return state;
    }
    const look = (more: Partial<Question> = {}) =>
      search(ranges('/p'), { needle: needleOf('needle', true), from: 0, size: content.length, isBackwards: false, signal: new AbortController().signal, progress: () => {}, ...more });

    it('asks once for all that is to be looked at, and leaves when it is found', async () => {
      const server = serve(() => 206);
      expect((await look({ from: 1001 }))?.match.at).toBe(2006);
      expect(server.asked).toEqual(['bytes=1001-2011']);
      expect(server.isLeft).toBe(true);
      expect((await look({ from: 2012, isBackwards: true }))?.match.at).toBe(2006);
      expect((await look({ from: 2006, isBackwards: true }))?.match.at).toBe(1000);
    });
    it('passes over what it has not asked for where ranges are not known', async () => {
      serve(() => 200);
      expect((await look({ from: 1001 }))?.match.at).toBe(2006);
      expect((await look({ from: 2006, isBackwards: true }))?.match.at).toBe(1000);
    });
    it('finds nothing in what is gone, and says what the server refuses', async () => {
      serve(() => 416);
      expect(await look()).toBeUndefined();
      serve(() => 404);
      await expect(look()).rejects.toThrow('no such file');
      vi.stubGlobal('fetch', async () => Promise.reject(new TypeError('failed')));
      await expect(look()).rejects.toThrow('the server does not answer');
    });
    it('is cancelled while pieces come', async () => {
      serve(() => 206);
      const abort = new AbortController();
      abort.abort();
      await expect(look({ signal: abort.signal })).rejects.toThrow();
    });
  });
  it('marks what it finds in a row', () => {
    expect(marks('a.b A.B axb', 'a.b', false)).toEqual([[0, 3], [4, 7]]);
    expect(marks('a.b A.B', 'A.B', true)).toEqual([[4, 7]]);
    expect(marks('abc', '', false)).toEqual([]);
  });
});

describe('files', () => {
  it('have paths of runs', () => {
    const run = { framework: 'F', executor: 'e.1', run: 'latest' };
    expect(virtualPath(run, ['sub dir', 'a%b'])).toBe('/frameworks/F/executors/e.1/runs/latest/sub dir/a%b');
    expect(placeOf(run, ['x'])).toBe('F/e.1/latest/x');
  });
  it('are sorted with directories first', () => {
    const entry = (name: string, kind: Entry['kind'], size: number): Entry => ({ name, kind, size, mode: '', owner: '', group: '', modified: size });
    const all = [entry('b', 'file', 1), entry('a', 'file', 2), entry('z', 'directory', 0), entry('c', 'link', 2)];
    expect(sortEntries(all, 'name', false).map((it) => it.name)).toEqual(['z', 'a', 'b', 'c']);
    expect(sortEntries(all, 'name', true).map((it) => it.name)).toEqual(['z', 'c', 'b', 'a']);
    expect(sortEntries(all, 'size', true).map((it) => it.name)).toEqual(['z', 'a', 'c', 'b']);
  });
  it('are text or not', () => {
    expect(isBinary(bytes('plain text, ünïcode and \x1b[31mcolours\x1b[0m\r\n\tand more'))).toBe(false);
    expect(isBinary(new Uint8Array())).toBe(false);
    expect(isBinary(new Uint8Array([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]))).toBe(true);
    expect(isBinary(Uint8Array.from({ length: 400 }, (_, at) => 128 + ((at * 37) % 128)))).toBe(true);
    // One that begins in the middle of a character is text still.
    expect(isBinary(bytes('€uro and so on').slice(1))).toBe(false);
  });
  it('are handed over as they are', () => {
    expect([...unbase64('/wABgA==')]).toEqual([255, 0, 1, 128]);
  });
});
