// A master that streams its state and events, in the place of the network; and what it tells of.
// Tests nothing itself.
import { vi } from 'vitest';
import type { Agent, Framework, OperatorEvent, Resource, Status, Task } from '../src/cluster/wire';

export const scalar = (name: string, value: number): Resource => ({ name, type: 'SCALAR', scalar: { value }, role: '*' });

export function task(id: string, agent = 'S1', state = 'TASK_RUNNING', framework = 'F', more: Partial<Task> = {}): Task {
  return {
    name: id, task_id: { value: id }, framework_id: { value: framework }, agent_id: { value: agent }, state,
    resources: [scalar('cpus', 0.1), scalar('mem', 32)],
    statuses: [{ task_id: { value: id }, state, timestamp: 1000 }],
    ...more,
  };
}

export function agent(id: string, more: Partial<Agent> = {}): Agent {
  const total = [scalar('cpus', 4), scalar('mem', 2048), scalar('disk', 4096)];
  return {
    agent_info: { id: { value: id }, hostname: `host-${id}` }, active: true, version: '1.12.0', pid: 'slave(1)@10.0.0.1:5051',
    registered_time: { nanoseconds: 1e18 }, total_resources: total, allocated_resources: [scalar('cpus', 0.5), scalar('mem', 64)],
    ...more,
  };
}

export function framework(id: string, more: Partial<Framework> = {}): Framework {
  const framework_info = { id: { value: id }, name: `name of ${id}`, user: 'root', roles: ['web'] };
  return { framework_info, active: true, connected: true, recovered: false, registered_time: { nanoseconds: 1e18 }, ...more };
}

export function update(id: string, state: string, more: Partial<Status> = {}, framework = 'F'): OperatorEvent {
  const status = { task_id: { value: id }, state, timestamp: 2000, ...more };
  return { type: 'TASK_UPDATED', task_updated: { framework_id: { value: framework }, status, state } };
}

export interface State {
  tasks?: Task[];
  agents?: Agent[];
  frameworks?: Framework[];
}

/** Answers every subscription with a stream, the latest of which is written to; other calls by `answers`. */
export function master(answers: Record<string, (body: Record<string, unknown>) => unknown> = {}) {
  const encoder = new TextEncoder();
  let stream: ReadableStreamDefaultController<Uint8Array>;
  let rest = '';
  const write = (text: string): void => stream.enqueue(encoder.encode(text));
  const record = (text: string): string => `${encoder.encode(text).length}\n${text}`;
  const told = ({ tasks = [], agents = [], frameworks = [] }: State, interval: number) => {
    const get_state = { get_tasks: { tasks }, get_executors: { executors: [] }, get_frameworks: { frameworks }, get_agents: { agents } };
    return record(JSON.stringify({ type: 'SUBSCRIBED', subscribed: { get_state, heartbeat_interval_seconds: interval } }));
  };
  const server = {
    asked: [] as Record<string, unknown>[],
    isDown: false,
    refusal: undefined as Response | undefined,
    state: (state: State, interval = 15) => write(told(state, interval)),
    /** Tells the first half of the state; `finish` tells the other. */
    begin(state: State): void {
      const text = told(state, 15);
      write(text.slice(0, text.length / 2));
      rest = text.slice(text.length / 2);
    },
    finish: () => write(rest),
    send: (...events: (OperatorEvent | { type: string })[]) => write(events.map((event) => record(JSON.stringify(event))).join('')),
    end: () => stream.close(),
  };
  vi.stubGlobal('fetch', async (url: URL | string, init: RequestInit) => {
    const path = new URL(url).pathname + new URL(url).search;
    const body = init.body === undefined ? { type: path } : (JSON.parse(String(init.body)) as Record<string, unknown>);
    server.asked.push(body);
    if (server.isDown) throw new TypeError('Failed to fetch');
    if (server.refusal) return server.refusal;
    const type = String(body['type'] ?? path);
    if (type !== 'SUBSCRIBE') {
      const key = Object.keys(answers).find((it) => type.startsWith(it));
      const answer = key === undefined ? undefined : answers[key]?.(body);
      if (answer instanceof Response) return answer;
      return answer === undefined ? new Response(`no answer to ${type}`, { status: 500 }) : new Response(JSON.stringify(answer));
    }
    const pieces = new ReadableStream<Uint8Array>({ start: (controller) => void (stream = controller) });
    init.signal?.addEventListener('abort', () => {
      try {
        stream.error(new DOMException('aborted', 'AbortError'));
      } catch {
        // It has ended already.
      }
    });
    return { ok: true, type: 'basic', body: pieces } as unknown as Response;
  });
  return server;
}
