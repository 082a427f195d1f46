// A framework that does what a test says: takes offers, launches, kills, and acknowledges what it is told.
// Knows no pages.
import assert from 'node:assert/strict';
import { until } from './until.mjs';

const JSON_TYPE = { 'Content-Type': 'application/json', Accept: 'application/json' };

export const scalar = (name, value) => ({ name, type: 'SCALAR', scalar: { value } });

/** Subscribes; it ends with `end`. */
export async function startFramework(master, framework_info) {
  const control = new AbortController();
  const url = `${master}/api/v1/scheduler`;
  const body = JSON.stringify({ type: 'SUBSCRIBE', subscribe: { framework_info } });
  const answer = await fetch(url, { method: 'POST', headers: JSON_TYPE, body, signal: control.signal });
  assert.equal(answer.status, 200);
  const stream = answer.headers.get('mesos-stream-id');
  /** All events that have come, in order; an offer is taken out when it is used. */
  const events = [];
  let id;
  const call = async (type, more = {}) => {
    const said = await fetch(url, { method: 'POST', headers: { ...JSON_TYPE, 'Mesos-Stream-Id': stream }, body: JSON.stringify({ framework_id: { value: id }, type, ...more }) });
    assert.equal(said.status, 202, await said.text());
  };
  const take = (event) => {
    if (event.type === 'SUBSCRIBED') id = event.subscribed.framework_id.value;
    events.push(event);
    const status = event.update?.status;
    if (status?.uuid) void call('ACKNOWLEDGE', { acknowledge: { agent_id: status.agent_id, task_id: status.task_id, uuid: status.uuid } });
  };
  const reading = (async () => {
    let text = '';
    for await (const piece of answer.body) {
      text += Buffer.from(piece).toString('latin1');
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
        const length = Number(text.slice(0, end));
        if (text.length < end + 1 + length) break;
        take(JSON.parse(Buffer.from(text.slice(end + 1, end + 1 + length), 'latin1').toString()));
        text = text.slice(end + 1 + length);
      }
    }
  })().catch(() => {});
  await until('the subscription', () => id !== undefined);
  return {
    id,
    call,
    async offer() {
      let place = -1;
      await until('an offer', () => (place = events.findIndex((event) => event.type === 'OFFERS')) >= 0);
      return events.splice(place, 1)[0].offers.offers[0];
    },
    /** Launches tasks on an offer. */
    launch: (offer, task_infos) =>
      call('ACCEPT', { accept: { offer_ids: [offer.id], operations: [{ type: 'LAUNCH', launch: { task_infos } }], filters: { refuse_seconds: 1000 } } }),
    state: (task, state) =>
      until(`${task} in ${state}`, () => events.some(({ update }) => update?.status.task_id.value === task && update.status.state === state)),
    async end() {
      control.abort();
      await reading;
    },
  };
}
