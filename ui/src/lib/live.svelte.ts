// The apps, groups, deployments and latest events, kept up to date by the stream of events.
// Shows nothing; pages read its state.
import { ask } from './api';
import { Read } from './read.svelte';
import { listen, type Health } from './stream';
import { touched } from './touched';
import { groupIds, rowOf, waitingOf, type AppRow, type Waiting } from './tree';
import type { Deployment, Group, Info, ListedApp, QueueItem, StreamEvent } from './types';

/** So many of the latest events are kept. */
const MAX_EVENTS = 2000;

/** Changed apps are read again this often, in milliseconds. */
const GATHER_MS = 700;

/** With more changed apps than this, the whole list is read at once instead. */
const MAX_SINGLE_READS = 20;

/** The whole list is read for changes at most every so many times of how long it took. */
const LIST_SHARE = 5;

/** While there is no stream, all is read again this often, in milliseconds. */
const BROKEN_MS = 10_000;

/** An event with a number, so that lists can tell them apart. */
export interface Numbered {
  id: number;
  event: StreamEvent;
}

/** Told which apps changed; nothing for: perhaps all. */
type Watcher = (apps: Set<string> | undefined) => void;

class Live {
  health = $state<Health>('connecting');
  apps = $state.raw<AppRow[]>([]);
  isLoaded = $state(false);
  events = $state.raw<Numbered[]>([]);
  readonly list = new Read<AppRow[]>((signal) => this.#readList(signal));
  readonly groups = new Read<string[]>(async (signal) => {
    const query = { embed: 'group.groups' };
    return groupIds(await ask<Group>('v2/groups', { query, signal }));
  });
  readonly deployments = new Read<Deployment[]>((signal) => ask('v2/deployments', { signal }));
  readonly queue = new Read<Waiting>(async (signal) => {
    const { queue } = await ask<{ queue: QueueItem[] }>('v2/queue', { signal });
    return waitingOf(queue);
  });
  readonly info = new Read<Info>((signal) => ask('v2/info', { signal }));
  #known = new Map<string, AppRow>();
  #dirty = new Set<string>();
  /** Apps that changed while the list is being read, which may tell of them as they were. */
  #meanwhile: Set<string> | undefined;
  #flush: ReturnType<typeof setTimeout> | undefined;
  #events: Numbered[] = [];
  #shown: ReturnType<typeof setTimeout> | undefined;
  #count = 0;
  #listMs = 0;
  #listAt = 0;
  readonly #watchers = new Set<Watcher>();

  /** Reads all and listens until the function that is given back is called. */
  start(): () => void {
    this.readAll();
    const stop = listen({
      event: (event) => this.take(event),
      lost: () => this.readAll(),
      health: (health) => (this.health = health),
    });
    const broken = setInterval(() => {
      if (this.health !== 'live') this.readAll();
    }, BROKEN_MS);
    return () => {
      stop();
      clearInterval(broken);
    };
  }

  /** Reads everything again. */
  readAll(): void {
    this.#dirty.clear();
    for (const read of [this.list, this.groups, this.deployments, this.queue, this.info]) read.now();
    for (const watcher of this.#watchers) watcher(undefined);
  }

  /** Takes notice of an event. */
  take(event: StreamEvent): void {
    this.#count += 1;
    this.#events.push({ id: this.#count, event });
    if (this.#events.length > MAX_EVENTS * 1.2) this.#events.splice(0, this.#events.length - MAX_EVENTS);
    this.#shown ??= setTimeout(() => {
      this.#shown = undefined;
      this.events = this.#events.slice(-MAX_EVENTS).reverse();
    }, 200);
    const { apps, deployments, groups, scheduler } = touched(event);
    if (deployments) this.deployments.again();
    if (groups) this.groups.again();
    if (scheduler) this.info.again();
    this.touch(apps);
  }

  /** Notes that apps may have changed. */
  touch(apps: string[]): void {
    if (apps.length === 0) return;
    for (const id of apps) {
      this.#dirty.add(id);
      this.#meanwhile?.add(id);
    }
    this.#flush ??= setTimeout(() => void this.#readDirty(), GATHER_MS);
  }

  /** Is told of changed apps until the function that is given back is called. */
  watch(watcher: Watcher): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  async #readList(signal: AbortSignal): Promise<AppRow[]> {
    const began = performance.now();
    const meanwhile = (this.#meanwhile = new Set());
    const { apps } = await ask<{ apps: ListedApp[] }>('v2/apps', { signal });
    this.#known = new Map(apps.map((app) => [app.id, rowOf(app)]));
    this.#listMs = performance.now() - began;
    this.#listAt = performance.now();
    this.isLoaded = true;
    this.#meanwhile = undefined;
    this.touch([...meanwhile]);
    return this.#publish();
  }

  #publish(): AppRow[] {
    this.apps = [...this.#known.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    return this.apps;
  }

  async #readDirty(): Promise<void> {
    const dirty = this.#dirty;
    this.#dirty = new Set();
    for (const watcher of this.#watchers) watcher(dirty);
    this.queue.again();
    if (dirty.size > MAX_SINGLE_READS) {
      const rest = this.#listAt + this.#listMs * LIST_SHARE - performance.now();
      if (rest > 0) {
        for (const id of dirty) this.#dirty.add(id);
        this.#flush = setTimeout(() => void this.#readDirty(), Math.max(rest, GATHER_MS));
        return;
      }
      this.list.now();
    } else {
      await Promise.all([...dirty].map((id) => this.#readOne(id)));
      this.#publish();
    }
    this.#flush = this.#dirty.size > 0 ? setTimeout(() => void this.#readDirty(), GATHER_MS) : undefined;
  }

  /** Without its tasks, which may be thousands: the list can be asked for apps whose id holds a text. */
  async #readOne(id: string): Promise<void> {
    try {
      const { apps } = await ask<{ apps: ListedApp[] }>('v2/apps', { query: { id } });
      const app = apps.find((it) => it.id === id);
      if (app) this.#known.set(id, rowOf(app));
      else this.#known.delete(id);
    } catch {
      // The list tells what is wrong, and goes on to try.
      this.list.again();
    }
  }
}

export const live = new Live();
