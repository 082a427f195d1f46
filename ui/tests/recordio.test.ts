// Streams of records and long JSON texts, split wherever a network may split them.
import { describe, expect, it } from 'vitest';
import { Elements } from '../src/lib/elements';
import { Records, joined } from '../src/lib/recordio';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A record as it is sent: its length counts bytes, not letters. */
const record = (text: string): string => `${encoder.encode(text).length}\n${text}`;

/** The bytes in pieces of so many. */
function split(text: string, size: number): Uint8Array[] {
  const bytes = encoder.encode(text);
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, place) => bytes.subarray(place * size, (place + 1) * size));
}

function read(pieces: Uint8Array[]): string[] {
  const found: string[] = [];
  let open: Uint8Array[] = [];
  const records = new Records((piece, isLast) => {
    open.push(piece);
    if (!isLast) return;
    found.push(decoder.decode(joined(open)));
    open = [];
  });
  for (const piece of pieces) records.feed(piece);
  expect(open).toEqual([]);
  return found;
}

describe('records', () => {
  const all = ['{"a":1}', '', 'žluťoučký 🐎 ', '{"b":"\\n5\\n"}', 'x'.repeat(1000)];
  it.each([1, 2, 3, 5, 7, 64, 100_000])('are found in pieces of %i bytes', (size) => {
    expect(read(split(all.map(record).join(''), size))).toEqual(all);
  });
  it('are handed on before they are complete', () => {
    const pieces: [string, boolean][] = [];
    const records = new Records((piece, isLast) => pieces.push([decoder.decode(piece), isLast]));
    for (const text of ['1', '0\nabc', '', 'defghij3\n']) records.feed(encoder.encode(text));
    expect(pieces).toEqual([['abc', false], ['defghij', true]]);
  });
  it.each(['\n', '-1\nx', '1x\n', ' 1\nx', '{"type":"HEARTBEAT"}', '9999999999999999\n', '<html>'])('are not found in %j', (text) => {
    expect(() => read(split(text, 4))).toThrow('no stream of records');
  });
});

describe('elements', () => {
  const state = {
    type: 'GET_STATE',
    get_state: {
      get_tasks: { tasks: [{ id: 'ž"]}[{\\' }, { id: '🐎', deep: { list: [{ a: [1, { b: 2 }] }, {}] } }, {}], unreachable_tasks: [], completed_tasks: [{ id: 'c' }] },
      get_agents: { agents: [{ tasks: [{ id: 'no task' }] }], names: ['a', 'b'], numbers: [1, 2] },
    },
    other: [{ x: 1 }, { y: 2 }],
    last: 15.5,
  };
  const found = [
    ['tasks', state.get_state.get_tasks.tasks[0]], ['tasks', state.get_state.get_tasks.tasks[1]], ['tasks', {}],
    ['completed_tasks', { id: 'c' }], ['agents', state.get_state.get_agents.agents[0]],
  ];
  const rest = {
    ...state,
    get_state: { get_tasks: { tasks: [], unreachable_tasks: [], completed_tasks: [] }, get_agents: { agents: [], names: ['a', 'b'], numbers: [1, 2] } },
  };
  const take = (pieces: Uint8Array[]): [unknown[], unknown] => {
    const taken: unknown[] = [];
    const elements = new Elements(4, (list, element) => taken.push([list, element]));
    for (const piece of pieces) elements.feed(piece);
    return [taken, elements.end()];
  };
  it.each([1, 2, 3, 7, 50, 100_000])('are handed out one by one from pieces of %i bytes, and the rest at the end', (size) => {
    expect(take(split(JSON.stringify(state), size))).toEqual([found, rest]);
    expect(take(split(JSON.stringify(state, null, 2), size))).toEqual([found, rest]);
  });
  it('are not made up from what is no JSON', () => {
    expect(() => take(split('{"a":[', 3))).toThrow();
    expect(() => take(split('{"a":{"b":{"c":[{"x":}]}}}', 3))).toThrow();
  });
});
