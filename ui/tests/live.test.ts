// The store and the stream: what is read when, after events, gaps and refusals.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { live } from '../src/lib/live.svelte';
import { Read } from '../src/lib/read.svelte';
import { listen, type Listener } from '../src/lib/stream';
import { ApiError } from '../src/lib/api';
import { serve } from './server';

class FakeSource {
  static all: FakeSource[] = [];
  static CLOSED = 2;
  readyState = 0;
  onopen?: () => void;
  onerror?: () => void;
  listeners = new Map<string, (event: { data: string }) => void>();
  constructor(readonly url: string) {
    FakeSource.all.push(this);
  }
  addEventListener(name: string, listener: (event: { data: string }) => void): void {
    this.listeners.set(name, listener);
  }
  close(): void {
    this.readyState = 2;
  }
  send(event: Record<string, unknown>): void {
    this.listeners.get(String(event['eventType']))?.({ data: JSON.stringify(event) });
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  FakeSource.all = [];
  vi.stubGlobal('EventSource', FakeSource);
});
afterEach(() => vi.useRealTimers());

const app = (id: string, more = {}) => ({ id, instances: 1, tasksStaged: 0, tasksRunning: 1, tasksHealthy: 0, tasksUnhealthy: 0, deployments: [], ...more });

describe('the stream', () => {
  function start(): { told: string[]; stop: () => void } {
    const told: string[] = [];
    const listener: Listener = {
      event: (event) => told.push(event.eventType),
      lost: () => told.push('lost'),
      health: (health) => told.push(health),
    };
    return { told, stop: listen(listener) };
  }
  it('has all read again after it was opened anew, not at first', () => {
    const { told, stop } = start();
    const source = FakeSource.all[0]!;
    source.onopen?.();
    expect(told).toEqual(['connecting', 'live']);
    source.onerror?.();
    source.onopen?.();
    expect(told.slice(2)).toEqual(['broken', 'live', 'lost']);
    stop();
    expect(source.readyState).toBe(2);
  });
  it('has all read again after a gap, and after what cannot be read', () => {
    const { told, stop } = start();
    FakeSource.all[0]!.send({ eventType: 'event_stream_gap', lost: 7 });
    FakeSource.all[0]!.listeners.get('deployment_info')?.({ data: '{' });
    expect(told.slice(1)).toEqual(['event_stream_gap', 'lost', 'lost']);
    stop();
  });
  it('is opened again when the browser gives it up', () => {
    const { stop } = start();
    FakeSource.all[0]!.readyState = 2;
    FakeSource.all[0]!.onerror?.();
    vi.advanceTimersByTime(5000);
    expect(FakeSource.all).toHaveLength(2);
    stop();
  });
});

describe('what is read', () => {
  it('is read once for many changes, and again for those that come meanwhile', async () => {
    let answer: (value: number) => void = () => {};
    const fetch = vi.fn(() => new Promise<number>((resolve) => (answer = resolve)));
    const read = new Read<number>(fetch);
    read.again();
    read.again();
    await vi.advanceTimersByTimeAsync(1000);
    expect(fetch).toHaveBeenCalledTimes(1);
    read.again();
    answer(7);
    await vi.advanceTimersByTimeAsync(10_000);
    expect([fetch.mock.calls.length, read.data]).toEqual([2, 7]);
    read.stop();
  });
  it('is tried again when the server is not there, but not when it refuses', async () => {
    const fetch = vi.fn(async () => {
      throw new ApiError(fetch.mock.calls.length === 1 ? 0 : 404, 'no');
    });
    const read = new Read<number>(fetch);
    read.now();
    await vi.advanceTimersByTimeAsync(30_000);
    expect([fetch.mock.calls.length, read.error?.status]).toEqual([2, 404]);
    read.stop();
  });
});

describe('the store', () => {
  const rest = {
    'GET /v2/groups': { body: { id: '/', groups: [] } },
    'GET /v2/deployments': { body: [] },
    'GET /v2/queue': { body: { queue: [] } },
    'GET /v2/info': { body: { leader: null, marathon_config: {} } },
  };
  it('reads only what an event touched, without tasks, and all after a gap', async () => {
    const asked = serve({
      'GET /v2/apps?id=%2Fb': { body: { apps: [app('/b', { tasksRunning: 5 }), app('/bb')] } },
      'GET /v2/apps?id=%2Fa': { body: { apps: [] } },
      'GET /v2/apps': { body: { apps: [app('/b'), app('/a'), app('/bb')] } },
      ...rest,
    });
    const stop = live.start();
    await vi.advanceTimersByTimeAsync(100);
    expect(live.apps.map((it) => it.id)).toEqual(['/a', '/b', '/bb']);
    const source = FakeSource.all[0]!;
    source.onopen?.();
    asked.length = 0;
    for (let at = 0; at < 50; at += 1) source.send({ eventType: 'instance_changed_event', runSpecId: '/b', timestamp: '' });
    source.send({ eventType: 'app_terminated_event', appId: '/a', timestamp: '' });
    await vi.advanceTimersByTimeAsync(2000);
    expect(asked.filter(({ path }) => path.startsWith('/v2/apps')).map(({ path }) => path)).toEqual(['/v2/apps?id=%2Fb', '/v2/apps?id=%2Fa']);
    expect(live.apps.map((it) => [it.id, it.running])).toEqual([['/b', 5], ['/bb', 1]]);
    expect(live.events).toHaveLength(51);
    asked.length = 0;
    source.send({ eventType: 'event_stream_gap', lost: 3, timestamp: '' });
    await vi.advanceTimersByTimeAsync(100);
    expect(asked.map(({ path }) => path)).toContain('/v2/apps');
    expect(live.apps).toHaveLength(3);
    stop();
  });
  it('reads again what changed while the list was on its way', async () => {
    let send: () => void = () => {};
    const after = new Promise<void>((resolve) => (send = resolve));
    serve({
      'GET /v2/apps?id': { body: { apps: [] } },
      'GET /v2/apps': { body: { apps: [app('/a'), app('/b')] }, after },
      ...rest,
    });
    const stop = live.start();
    await vi.advanceTimersByTimeAsync(100);
    live.touch(['/a']);
    await vi.advanceTimersByTimeAsync(3000);
    send();
    await vi.advanceTimersByTimeAsync(3000);
    expect(live.apps.map((it) => it.id)).toEqual(['/b']);
    stop();
  });
  it('reads the whole list at once when many apps changed', async () => {
    const asked = serve({ 'GET /v2/apps': { body: { apps: [app('/a')] } }, ...rest });
    const stop = live.start();
    await vi.advanceTimersByTimeAsync(5000);
    asked.length = 0;
    live.touch(Array.from({ length: 500 }, (_, place) => `/app-${place}`));
    await vi.advanceTimersByTimeAsync(20_000);
    const reads = asked.filter(({ path }) => path.startsWith('/v2/apps?id'));
    expect([reads.length, asked.some(({ path }) => path === '/v2/apps')]).toEqual([0, true]);
    stop();
  });
});
