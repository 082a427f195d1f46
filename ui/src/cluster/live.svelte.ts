// The cluster's tasks, agents and frameworks, kept up to date by the master's stream of events.
// Shows nothing; pages read its state. It listens only while a page needs it.
import { ask } from '../lib/api';
import { Read } from '../lib/read.svelte';
import { ClusterState, type Changes } from './state';
import { follow, type Health } from './stream';
import { Sorted, type Compare } from './sorted';
import type { Agent, AgentInfo, Executor, Framework } from './wire';

/** What has changed is shown this often at most, in milliseconds. */
const PUBLISH_MS = 300;

/** A stream waits for what a page shows first for so long at most, in milliseconds. */
const FIRST_MS = 2000;

/** The first tasks of a long state are shown when so many have come, and again when there are so many times as many: to sort all of them takes time. */
const [FIRST_PART, PART_GROWTH] = [500, 5];

/** The stream outlives the last page that needs it by this, in milliseconds: the next page may need it again. */
const LINGER_MS = 30_000;

/** Told what has changed; nothing for: perhaps all. */
type Watcher = (changes: Changes | undefined) => void;

/** A call of the operator API. */
export function call<T>(type: string, body: Record<string, unknown> = {}, signal?: AbortSignal): Promise<T> {
  return ask('api/v1', { method: 'POST', body: { type, ...body }, ...(signal ? { signal } : {}) });
}

class LiveCluster {
  health = $state<Health>('off');
  /** Why there is no stream, when there is none. */
  error = $state.raw<string | undefined>(undefined);
  /** Whether the state was told once; it may be an old one while the stream is broken. */
  isLoaded = $state(false);
  /** Whether a part of the first state is shown while the rest of it comes: the first so many tasks. */
  isPartial = $state(false);
  /** Whether agents, or frameworks, are known, be it without their tasks: they are read while the state is told. */
  hasAgents = $state(false);
  hasFrameworks = $state(false);
  /** Tasks that have come of a state that is being told. */
  coming = $state(0);
  /** One more with each change that is to be shown: whoever reads the maps reads this. */
  version = $state(0);
  /** Agents as they are now: no event tells of their draining, deactivation and connection. */
  readonly agents = new Read<true>(async (signal) => {
    const take = this.state.beginRead();
    const { get_agents } = await call<{ get_agents: { agents?: Agent[]; recovered_agents?: AgentInfo[] } }>('GET_AGENTS', {}, signal);
    take(get_agents);
    this.hasAgents = true;
    this.#show();
    return true;
  });
  /** Frameworks as they are now: no event tells of their offers, their resources and their connection. */
  readonly frameworks = new Read<true>(async (signal) => {
    const { get_frameworks } = await call<{ get_frameworks: { frameworks?: Framework[] } }>('GET_FRAMEWORKS', {}, signal);
    this.state.readFrameworks(get_frameworks);
    this.hasFrameworks = true;
    this.#show();
    return true;
  });
  /** Executors as they are now: no event tells of them. */
  readonly executors = new Read<true>(async (signal) => {
    const { get_executors } = await call<{ get_executors: { executors?: Executor[] } }>('GET_EXECUTORS', {}, signal);
    this.state.readExecutors(get_executors);
    this.#show();
    return true;
  });
  #state = new ClusterState();
  #users = 0;
  #stop: (() => void) | undefined;
  #lingering: ReturnType<typeof setTimeout> | undefined;
  #publishing: ReturnType<typeof setTimeout> | undefined;
  readonly #watchers = new Set<Watcher>();

  /** The rows. Their maps are plain: read `version` to learn that they have changed. */
  get state(): ClusterState {
    return this.#state;
  }

  /**
   * Listens to the stream until the function that is given back is called. A page that shows what `first` reads is not
   * to wait for a state that may be large: the stream is opened once that has come, or has taken too long.
   */
  use(first?: Pick<Read<true>, 'settled'>): () => void {
    this.#users += 1;
    clearTimeout(this.#lingering);
    let isLeft = false;
    const open = (): void => {
      if (!isLeft) this.#stop ??= this.#listen();
    };
    if (first && !this.#stop) void Promise.race([first.settled(), new Promise((resolve) => setTimeout(resolve, FIRST_MS))]).then(open);
    else open();
    return () => {
      isLeft = true;
      this.#users -= 1;
      if (this.#users > 0) return;
      this.#lingering = setTimeout(() => this.close(), LINGER_MS);
    };
  }

  /** Listens no more, and forgets what was told. */
  close(): void {
    clearTimeout(this.#lingering);
    this.#stop?.();
    this.#stop = undefined;
    this.#state = new ClusterState();
    this.isLoaded = this.isPartial = this.hasAgents = this.hasFrameworks = false;
    this.health = 'off';
  }

  /** Is told of changes until the function that is given back is called. */
  watch(watcher: Watcher): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  #listen(): () => void {
    let told = new ClusterState();
    let isTold = false;
    let partial = FIRST_PART;
    const stop = follow({
      begin: () => {
        told = new ClusterState();
        isTold = false;
        partial = FIRST_PART;
        this.coming = 0;
      },
      element: (list, element) => {
        told.element(list, element);
        if (told.tasks.size % 1000 === 0) this.coming = told.tasks.size;
        // What a page shows already, it goes on to show.
        if (told.tasks.size < partial || this.isLoaded || this.hasAgents || this.hasFrameworks) return;
        partial *= PART_GROWTH;
        this.#state = told;
        this.isPartial = true;
        this.#publish(undefined);
      },
      ready: () => {
        told.take();
        isTold = true;
        this.#state = told;
        this.isLoaded = this.hasAgents = this.hasFrameworks = true;
        this.isPartial = false;
        this.#publish(undefined);
      },
      event: (event) => {
        if (!isTold) return;
        told.event(event);
        this.#plan();
      },
      health: (health, error) => {
        this.health = health;
        if (health === 'broken') this.isPartial = false;
        if (health !== 'connecting') this.error = error;
      },
    });
    return () => {
      stop();
      clearTimeout(this.#publishing);
      this.#publishing = undefined;
    };
  }

  #plan(): void {
    this.#publishing ??= setTimeout(() => this.#show(), PUBLISH_MS);
  }

  #show(): void {
    clearTimeout(this.#publishing);
    this.#publishing = undefined;
    if (this.#state.isChanged) this.#publish(this.#state.take());
  }

  #publish(changes: Changes | undefined): void {
    clearTimeout(this.#publishing);
    this.#publishing = undefined;
    this.version += 1;
    for (const watcher of this.#watchers) watcher(changes);
  }
}

export const cluster = new LiveCluster();

type Kind = 'tasks' | 'agents' | 'frameworks';
type RowOf<K extends Kind> = K extends Kind ? (ClusterState[K] extends Map<string, infer T> ? T : never) : never;

/** Rows of one kind, filtered and in order, that stay so while they change. */
export class LiveRows<K extends Kind> {
  rows = $state.raw<RowOf<K>[]>([]);
  readonly #sorted: Sorted<RowOf<K>>;
  #shape: [(row: RowOf<K>) => boolean, Compare<RowOf<K>>] = [() => false, () => 0];

  constructor(private readonly kind: K) {
    const key = (row: RowOf<K>): string => ('key' in row ? row.key : row.id);
    this.#sorted = new Sorted(key, (id) => this.#map.get(id));
  }

  get #map(): Map<string, RowOf<K>> {
    return cluster.state[this.kind] as unknown as Map<string, RowOf<K>>;
  }

  /** Keeps the rows up to date until the function that is given back is called. */
  start(): () => void {
    this.#whole();
    return cluster.watch((changes) => {
      if (changes) this.rows = this.#sorted.change(changes[this.kind]);
      else this.#whole();
    });
  }

  /** Shows other rows, or these in another order. `compare` must find no two rows equal. */
  shape(accepts: (row: RowOf<K>) => boolean, compare: Compare<RowOf<K>>): void {
    this.#shape = [accepts, compare];
    this.#whole();
  }

  #whole(): void {
    this.rows = this.#sorted.shape(this.#map.values(), ...this.#shape);
  }
}
