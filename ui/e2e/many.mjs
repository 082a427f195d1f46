// A master with as many agents and tasks as one likes, all of them made up, whose tasks change all the time.
// Has no pages of its own; those come from a real master.
import { createServer, request } from 'node:http';

const scalar = (name, value) => ({ name, type: 'SCALAR', scalar: { value }, role: '*' });
const text = (place) => String(place).padStart(6, '0');

function agent(place) {
  const total_resources = [scalar('cpus', 32), scalar('mem', 65536), scalar('disk', 1e6)];
  const agent_info = { id: { value: `S${text(place)}` }, hostname: `host-${place}`, attributes: [{ name: 'rack', type: 'TEXT', text: { value: `r${place % 50}` } }] };
  return { agent_info, active: place % 100 !== 0, version: '1', pid: 'slave(1)@10.0.0.1:5051', registered_time: { nanoseconds: 1e18 }, total_resources, allocated_resources: [scalar('cpus', place % 32), scalar('mem', 4096)] };
}

function task(place, agents, frameworks) {
  const id = { value: `task-${text(place)}` };
  const agent_id = { value: `S${text(place % agents)}` };
  const status = { task_id: id, state: 'TASK_RUNNING', agent_id, timestamp: 1e9 + place, source: 'SOURCE_EXECUTOR', uuid: 'AAAAAAAAAAAAAAAAAAAAAA==' };
  return { name: `task ${place}`, task_id: id, framework_id: { value: `F${place % frameworks}` }, agent_id, state: 'TASK_RUNNING', resources: [scalar('cpus', 0.5), scalar('mem', 128)].map((it) => ({ ...it, allocation_info: { role: place % 40 < 20 ? 'eng' : 'ops' } })), statuses: [{ ...status, state: 'TASK_STARTING' }, status], labels: { labels: [{ key: 'team', value: `t${place % 7}` }] } };
}

const framework = (place) => ({ framework_info: { id: { value: `F${place}` }, name: `framework-${place}`, user: 'root', roles: ['*'] }, active: true, connected: true, recovered: false, registered_time: { nanoseconds: 1e18 } });

/** The state as the stream begins with it, in pieces. */
function* state({ agents, tasks, frameworks }) {
  const list = function* (most, of) {
    for (let from = 0; from < most; from += 500) {
      const part = Array.from({ length: Math.min(500, most - from) }, (_, place) => JSON.stringify(of(from + place)));
      yield (from > 0 ? ',' : '') + part.join(',');
    }
  };
  yield '{"type":"SUBSCRIBED","subscribed":{"get_state":{"get_tasks":{"tasks":[';
  yield* list(tasks, (place) => task(place, agents, frameworks));
  yield ']},"get_executors":{},"get_frameworks":{"frameworks":[';
  yield* list(frameworks, framework);
  yield ']},"get_agents":{"agents":[';
  yield* list(agents, agent);
  yield ']}},"heartbeat_interval_seconds":15}}';
}

/** Starts it before the master whose pages it shows. */
export async function startMany(master, sizes) {
  const { agents, tasks, frameworks } = sizes;
  const pieces = [...state(sizes)].map((piece) => Buffer.from(piece));
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const answers = {
    GET_AGENTS: JSON.stringify({ type: 'GET_AGENTS', get_agents: { agents: Array.from({ length: agents }, (_, place) => agent(place)) } }),
    GET_FRAMEWORKS: JSON.stringify({ type: 'GET_FRAMEWORKS', get_frameworks: { frameworks: Array.from({ length: frameworks }, (_, place) => framework(place)) } }),
  };
  let round = 0;
  /** 50 tasks are in another state. */
  const events = () => {
    round += 1;
    const records = Array.from({ length: 50 }, (_, at) => {
      const place = (round * 50 + at) % tasks;
      const state = Math.floor((round * 50) / tasks) % 2 ? 'TASK_RUNNING' : 'TASK_KILLING';
      const status = { task_id: { value: `task-${text(place)}` }, state, timestamp: 2e9 + round };
      return JSON.stringify({ type: 'TASK_UPDATED', task_updated: { framework_id: { value: `F${place % frameworks}` }, status, state } });
    });
    return records.map((record) => `${Buffer.byteLength(record)}\n${record}`).join('');
  };
  const stream = (answer) => {
    answer.writeHead(200, { 'Content-Type': 'application/json' });
    answer.write(`${length}\n`);
    for (const piece of pieces) answer.write(piece);
    const timer = setInterval(() => answer.write(events()), 100);
    answer.on('close', () => clearInterval(timer));
  };
  const server = createServer(async (asked, answer) => {
    const parts = [];
    for await (const part of asked) parts.push(part);
    const body = Buffer.concat(parts);
    const type = asked.url === '/api/v1' ? JSON.parse(body.toString()).type : undefined;
    if (type === 'SUBSCRIBE') return stream(answer);
    if (type !== undefined && answers[type]) return answer.end(answers[type]);
    const passed = request(new URL(asked.url, master), { method: asked.method, headers: asked.headers }, (from) => {
      answer.writeHead(from.statusCode, from.headers);
      from.pipe(answer);
    });
    passed.on('error', () => answer.destroy());
    passed.end(body);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `http://127.0.0.1:${server.address().port}`,
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
