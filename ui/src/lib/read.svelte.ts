// A value that is read from the server again whenever it may have changed.
// Knows neither what it is nor how one learns of changes.
import { untrack } from 'svelte';
import { ApiError, words } from './api';

/** Changes within this time are read at once, in milliseconds. */
const GATHER_MS = 250;

/** Reading may take a part of the time of at most one in so many. */
const SHARE = 4;

/** Time until a failed read is tried again, in milliseconds. */
const RETRY_MS = 3000;

/** Reads one at a time; calls of `again` meanwhile lead to one more read. */
export class Read<T> {
  data = $state.raw<T | undefined>(undefined);
  error = $state.raw<ApiError | undefined>(undefined);
  isBusy = $state(false);
  #wanted = false;
  #stopped = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #earliest = 0;
  #waiting: (() => void)[] = [];
  readonly #abort = new AbortController();

  constructor(private readonly fetch: (signal: AbortSignal) => Promise<T>) {}

  /** Reads now, or as soon as what is being read has come. */
  now(): void {
    this.#earliest = 0;
    this.#plan(0);
  }

  /** Reads soon. */
  again(): void {
    this.#plan(GATHER_MS);
  }

  /** Waits until the next read has ended, well or not. */
  settled(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Reads no more. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#abort.abort();
  }

  #plan(delay: number): void {
    this.#wanted = true;
    // An effect that asks for a read does not depend on whether one is under way.
    if (this.#stopped || untrack(() => this.isBusy)) return;
    if (this.#timer !== undefined && delay > 0) return;
    clearTimeout(this.#timer);
    const wait = Math.max(delay, this.#earliest - performance.now());
    this.#timer = setTimeout(() => void this.#read(), wait);
  }

  async #read(): Promise<void> {
    this.#timer = undefined;
    this.#wanted = false;
    this.isBusy = true;
    const began = performance.now();
    let delay = GATHER_MS;
    try {
      const data = await this.fetch(this.#abort.signal);
      if (this.#stopped) return;
      this.data = data;
      this.error = undefined;
    } catch (error) {
      if (this.#stopped) return;
      this.error = error instanceof ApiError ? error : new ApiError(0, words(error));
      // What is refused stays refused until something changes.
      if (this.error.status === 0 || this.error.status >= 500) {
        this.#wanted = true;
        delay = RETRY_MS;
      }
    } finally {
      this.isBusy = false;
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const resolve of waiting) resolve();
    }
    const took = performance.now() - began;
    this.#earliest = performance.now() + took * SHARE;
    if (this.#wanted) this.#plan(delay);
  }
}
