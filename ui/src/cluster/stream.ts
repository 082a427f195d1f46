// The master's stream of events: opened, read record by record, watched for silence, and opened again.
// Keeps nothing of what it reads.
import { ApiError, address, refusal, words } from '../lib/api';
import { Elements } from '../lib/elements';
import { Records, joined } from '../lib/recordio';
import type { OperatorEvent } from './wire';

/** How the stream is doing. */
export type Health = 'off' | 'connecting' | 'live' | 'broken';

/** What a listener is told. */
export interface Listener {
  /** A stream begins: what is known may be out of date, and all of it is told again. */
  begin(): void;
  /** Something of the state that the stream begins with; `list` is the name of the list that holds it. */
  element(list: string, element: unknown): void;
  /** The state has been told; from now on events follow. */
  ready(): void;
  event(event: OperatorEvent): void;
  health(health: Health, error?: string): void;
}

/** In `{"subscribed":{"get_state":{"get_tasks":{"tasks":[…]}}}}` so much is open around a task. */
const DEPTH = 5;

/** A stream that is silent for so many intervals of its heartbeat is broken. */
const SILENT_INTERVALS = 3;

/** The interval until the server tells its own, in milliseconds. */
const HEARTBEAT_MS = 15_000;

/** Time until a broken stream is opened again: the first, doubled with each failure, up to the last. */
const [FIRST_RETRY_MS, LAST_RETRY_MS] = [500, 15_000];

/** Work that is done at one go, in milliseconds; between two goes the page answers its user. */
const GO_MS = 25;

/** Listens until the function that is given back is called. */
export function follow(listener: Listener): () => void {
  let isStopped = false;
  let attempt: AbortController | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;
  const start = async (): Promise<void> => {
    listener.health('connecting');
    attempt = new AbortController();
    let why = 'the master ended the stream';
    try {
      await once(listener, attempt, () => (failures = 0));
    } catch (error) {
      why = words(error);
    }
    attempt.abort();
    if (isStopped) return;
    listener.health('broken', why);
    // All pages lose their streams at once when a master ends; they need not come back at once.
    const most = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures);
    failures += 1;
    timer = setTimeout(() => void start(), most * (0.5 + Math.random() / 2));
  };
  void start();
  return () => {
    isStopped = true;
    clearTimeout(timer);
    attempt?.abort();
  };
}

/** Reads one stream until it ends. */
async function once(listener: Listener, attempt: AbortController, isReady: () => void): Promise<void> {
  let interval = HEARTBEAT_MS;
  let silence: ReturnType<typeof setTimeout> | undefined;
  let isSilent = false;
  const heard = (): void => {
    clearTimeout(silence);
    silence = setTimeout(() => {
      isSilent = true;
      attempt.abort();
    }, interval * SILENT_INTERVALS);
  };
  try {
    heard();
    const reader = (await open(attempt.signal)).getReader();
    const records = reading(listener, (told) => {
      interval = told;
      isReady();
    });
    let began = performance.now();
    for (let next = await reader.read(); !next.done && !attempt.signal.aborted; next = await reader.read()) {
      heard();
      records.feed(next.value);
      if (performance.now() - began < GO_MS) continue;
      await new Promise((resolve) => setTimeout(resolve));
      began = performance.now();
    }
  } catch (error) {
    throw isSilent ? new Error(`nothing was heard of the master for ${(interval * SILENT_INTERVALS) / 1000} seconds`) : error;
  } finally {
    clearTimeout(silence);
  }
}

async function open(signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  const init: RequestInit = {
    method: 'POST',
    headers: { Accept: 'application/json', 'Content-Type': 'application/json' },
    body: JSON.stringify({ type: 'SUBSCRIBE' }),
    signal,
    // Where this leads to is another server, which pages may not read from.
    redirect: 'manual',
  };
  let answer: Response;
  try {
    answer = await fetch(address('api/v1'), init);
  } catch {
    throw new ApiError(0, 'the master does not answer; see whether it runs and can be reached from here');
  }
  if (answer.type === 'opaqueredirect') throw new ApiError(307, 'this master does not lead');
  if (!answer.ok) throw refusal(answer.status, await answer.text());
  if (!answer.body) throw new Error('the master answered without a stream');
  return answer.body;
}

/** Tells what records hold: the first is the state, the others are events. `ready` is given the heartbeat's interval in milliseconds. */
function reading(listener: Listener, ready: (interval: number) => void): Records {
  const decoder = new TextDecoder();
  const state = new Elements(DEPTH, (list, element) => listener.element(list, element));
  let isFirst = true;
  let pieces: Uint8Array[] = [];
  listener.begin();
  return new Records((piece, isLast) => {
    if (isFirst) {
      state.feed(piece);
      if (!isLast) return;
      const rest = state.end() as { subscribed?: { heartbeat_interval_seconds?: number } };
      ready((rest.subscribed?.heartbeat_interval_seconds ?? HEARTBEAT_MS / 1000) * 1000);
      isFirst = false;
      listener.ready();
      listener.health('live');
      return;
    }
    pieces.push(piece);
    if (!isLast) return;
    const event = JSON.parse(decoder.decode(joined(pieces))) as OperatorEvent;
    pieces = [];
    listener.event(event);
  });
}
