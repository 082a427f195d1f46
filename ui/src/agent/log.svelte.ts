// A log file while it is looked at: which part is held, what comes at its end, what is searched.
// Draws nothing. A file has no stream, so it alone is asked again and again, and only while the page is seen.
import { ApiError, words } from '../lib/api';
import { CHUNK_BYTES, byParts, isBinary, type Part, type ReadPart, type ReadRange } from './files';
import { Held, textOf, type Row } from './rows';
import { plain } from './ansi';
import { needleOf, search, type Match } from './search';

/** Time between two questions for more, in milliseconds: after some came, and at most. */
export const SOON_MS = 400;
export const LATE_MS = 5000;

/** With more than this behind the part that is held, following goes to the end at once, in bytes. */
const MAX_LAG = 8 * CHUNK_BYTES;

/** So many of the last bytes are read again, to see that the file is the same still. */
const CHECKED_BYTES = 32;

/** What can be shown of the file. */
export type Phase = 'opening' | 'open' | 'binary' | 'directory' | 'missing';

/** Where to scroll; a new object each time. */
export interface Aim {
  at: number;
}

/** How a search is going, or how it ended. */
export interface Search {
  /** From 0 to 1; nothing when it has ended. */
  progress?: number;
  said: string;
}

export class LogView {
  phase = $state<Phase>('opening');
  rows = $state.raw<Row[]>([]);
  /** Bytes of the file as known last. */
  size = $state(0);
  /** The part that is held. */
  start = $state(0);
  end = $state(0);
  isFollowing = $state(true);
  /** What is shown is of a file that is no more. */
  isStale = $state(false);
  isLoading = $state(false);
  /** Why the last question was not answered. */
  error = $state<string | undefined>(undefined);
  /** What has happened to the file. */
  notice = $state<string | undefined>(undefined);
  aim = $state.raw<Aim | undefined>(undefined);
  search = $state.raw<Search | undefined>(undefined);
  match = $state.raw<Match | undefined>(undefined);
  readonly #held = new Held();
  #generation = 0;
  #delay = SOON_MS;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isAsking = false;
  #abort = new AbortController();
  #searching: AbortController | undefined;

  constructor(
    private readonly read: ReadPart,
    private readonly isHidden: () => boolean = () => document.hidden,
    /** What searches read by. */
    private readonly ranges: ReadRange = byParts(read),
  ) {}

  /** Opens the file, and follows it until the function that is given back is called. */
  watch(): () => void {
    void this.#open();
    return () => {
      this.#generation += 1;
      clearTimeout(this.#timer);
      this.#abort.abort();
      this.#searching?.abort();
    };
  }

  /** Asks at once, as when the page is seen again. */
  wake(): void {
    this.#delay = SOON_MS;
    this.#plan(0);
  }

  /** Stops following: whoever reads is not to be moved. */
  pause(): void {
    this.isFollowing = false;
  }

  /** Goes to the end, and stays there. */
  async toEnd(): Promise<void> {
    if (this.isStale || this.phase !== 'open') {
      this.notice = undefined;
      await this.#open();
      return;
    }
    this.isFollowing = true;
    if (this.size - this.end > MAX_LAG) await this.#load((size) => Math.max(0, size - CHUNK_BYTES));
    else this.wake();
  }

  /** Goes to the beginning. */
  async toStart(): Promise<void> {
    this.pause();
    if (this.start > 0 && !this.isStale) await this.#load(() => 0);
    this.aim = { at: this.start };
  }

  /** Goes to an offset. */
  async goTo(at: number): Promise<void> {
    this.pause();
    if ((at < this.start || at >= this.end) && !this.isStale) await this.#load(() => Math.max(0, at - CHUNK_BYTES / 2));
    this.aim = { at };
  }

  /** Loads what comes before. */
  async loadEarlier(): Promise<void> {
    if (this.start === 0) return;
    const at = Math.max(0, this.start - CHUNK_BYTES);
    await this.#extend(at, this.start - at, (data) => this.#held.prepend(data));
  }

  /** Loads what comes after, if what is held ends before the file does. */
  async loadLater(): Promise<void> {
    if (this.end >= this.size || this.isFollowing) return;
    await this.#extend(this.end, CHUNK_BYTES, (data) => this.#held.append(data, true));
  }

  /** All that is held, as text without colours. */
  text(): string {
    return this.rows.map((row) => plain(textOf(row)) + (row.isEnd ? '\n' : '')).join('');
  }

  /** Looks for a text from the last match on, or from an offset when there is none. */
  async find(text: string, isCaseSensitive: boolean, isBackwards: boolean, from: number): Promise<void> {
    this.#searching?.abort();
    if (text === '') {
      this.#searching = undefined;
      this.search = this.match = undefined;
      return;
    }
    if (this.isStale) {
      this.search = { said: 'Show the new file first' };
      return;
    }
    const searching = new AbortController();
    this.#searching = searching;
    const { signal } = searching;
    const last = this.match?.at;
    const begin = last === undefined ? from : isBackwards ? last : last + 1;
    this.search = { progress: 0, said: '' };
    const progress = (share: number): void => {
      if (!signal.aborted) this.search = { progress: share, said: '' };
    };
    const size = this.size;
    const question = { needle: needleOf(text, isCaseSensitive), from: Math.min(begin, size), size, isBackwards, signal, progress };
    try {
      const found = await search(this.ranges, question);
      if (signal.aborted) return;
      if (!found) {
        this.match = undefined;
        this.search = { said: 'Not found' };
        return;
      }
      this.match = found.match;
      this.search = { said: found.isWrapped ? `Found, past the ${isBackwards ? 'start' : 'end'}` : 'Found' };
      await this.goTo(found.match.at);
    } catch (error) {
      if (!signal.aborted) this.search = { said: `The search failed: ${words(error)}` };
    }
  }

  /** Begins anew with what is looked for next. */
  forget(): void {
    this.match = undefined;
  }

  cancelSearch(): void {
    this.#searching?.abort();
    if (this.search?.progress !== undefined) this.search = { said: 'Cancelled' };
  }

  async #open(): Promise<void> {
    const generation = this.#renew();
    this.isStale = false;
    this.isFollowing = true;
    try {
      const head = await this.#ask(0, CHUNK_BYTES);
      const from = Math.max(0, head.size - CHUNK_BYTES);
      const tail = from === 0 ? head : await this.#ask(from, CHUNK_BYTES);
      if (generation !== this.#generation) return;
      this.error = undefined;
      this.size = tail.size;
      if (isBinary(head.data) && isBinary(tail.data)) {
        this.phase = 'binary';
        return;
      }
      this.#held.reset(from, tail.data);
      if (this.phase === 'missing') this.notice = undefined;
      this.phase = 'open';
      this.#publish();
    } catch (error) {
      if (generation !== this.#generation) return;
      this.#failed(error);
    }
    this.#plan(this.#delay);
  }

  /** Reads around an offset that depends on the size, instead of what is held. */
  async #load(where: (size: number) => number): Promise<void> {
    const generation = this.#renew();
    this.isLoading = true;
    try {
      const at = where(this.size);
      const { size, data } = await this.#ask(at, CHUNK_BYTES);
      if (generation !== this.#generation) return;
      this.error = undefined;
      if (size < this.size) {
        this.#replaced('The file has become shorter: it was cut off or replaced.');
        return;
      }
      this.size = size;
      this.#held.reset(at, data);
      this.#publish();
    } catch (error) {
      if (generation === this.#generation) this.#failed(error);
    } finally {
      if (generation === this.#generation) {
        this.isLoading = false;
        this.#plan(SOON_MS);
      }
    }
  }

  /** Reads what is next to what is held. */
  async #extend(at: number, length: number, add: (data: Uint8Array) => void): Promise<void> {
    if (this.isLoading || this.isStale || this.phase !== 'open') return;
    const generation = this.#generation;
    this.isLoading = true;
    try {
      const { size, data } = await this.#ask(at, length);
      if (generation !== this.#generation) return;
      if (size < this.size || (data.length < length && at + data.length < size)) {
        this.#replaced('The file has become shorter: it was cut off or replaced.');
        return;
      }
      // Following may have added to it meanwhile.
      if (at === this.end || at + length === this.start) {
        add(data);
        this.#publish();
      }
    } catch (error) {
      if (generation === this.#generation) this.#failed(error);
    } finally {
      if (generation === this.#generation) this.isLoading = false;
    }
  }

  #plan(delay: number): void {
    clearTimeout(this.#timer);
    // Nobody sees a page that is hidden; it is woken when that changes.
    if (this.isHidden() || this.#abort.signal.aborted) return;
    this.#timer = setTimeout(() => void this.#tick(), delay);
  }

  async #tick(): Promise<void> {
    if (this.#isAsking) return;
    if (this.phase === 'missing' || this.phase === 'opening') {
      await this.#open();
      return;
    }
    if (this.phase !== 'open' || this.isStale) return;
    const generation = this.#generation;
    this.#isAsking = true;
    try {
      const checked = Math.min(CHECKED_BYTES, this.end - this.start);
      const length = this.isFollowing ? CHUNK_BYTES : checked;
      const { end } = this;
      const part = await this.#ask(end - checked, length);
      if (generation !== this.#generation) return;
      this.error = undefined;
      // What comes next may have been loaded meanwhile.
      if (end === this.end) this.#take(part, checked);
    } catch (error) {
      if (generation !== this.#generation) return;
      this.#failed(error);
    } finally {
      if (generation === this.#generation) this.#isAsking = false;
    }
    if (generation === this.#generation) this.#plan(this.#delay);
  }

  /** Takes what was read from the end of what is held on, with some bytes that were known before it. */
  #take({ size, data }: Part, checked: number): void {
    if (size < this.size) {
      this.#replaced('The file has become shorter: it was cut off or replaced.');
      return;
    }
    if (!this.#isSame(data.subarray(0, checked))) {
      this.#replaced('The file has been replaced by another one.');
      return;
    }
    const hasGrown = size > this.size;
    this.size = size;
    const fresh = data.subarray(checked);
    if (this.isFollowing && fresh.length > 0) {
      if (size - this.end > MAX_LAG) {
        void this.#load((now) => Math.max(0, now - CHUNK_BYTES));
        return;
      }
      this.#held.append(fresh);
      this.#publish();
    }
    const isBehind = this.isFollowing && this.end < size;
    this.#delay = isBehind ? 0 : hasGrown ? SOON_MS : Math.min(LATE_MS, Math.max(SOON_MS, this.#delay * 1.5));
  }

  /** Whether the last bytes that are held are these. */
  #isSame(bytes: Uint8Array): boolean {
    let left = bytes.length;
    for (let place = this.rows.length - 1; place >= 0 && left > 0; place -= 1) {
      const row = this.rows[place]!;
      if (row.isEnd) {
        left -= 1;
        if (bytes[left] !== 10) return false;
      }
      for (let at = row.bytes.length - 1; at >= 0 && left > 0; at -= 1) {
        left -= 1;
        if (bytes[left] !== row.bytes[at]) return false;
      }
    }
    return true;
  }

  /** Whoever follows is shown the new file; whoever reads the old one may go on. */
  #replaced(what: string): void {
    if (this.isFollowing) {
      this.notice = `${what} It is shown anew.`;
      void this.#open();
    } else {
      this.notice = `${what} What you see is of the old one.`;
      this.isStale = true;
    }
  }

  #failed(error: unknown): void {
    this.#delay = LATE_MS;
    const status = error instanceof ApiError ? error.status : 0;
    if (status === 400) {
      this.phase = 'directory';
    } else if (status === 404 && this.phase !== 'open') {
      this.phase = 'missing';
    } else if (status === 404 && !this.isFollowing) {
      this.notice = 'The file is gone. What you see was read before.';
      this.isStale = true;
    } else if (status === 404) {
      this.notice = 'The file is gone; it is shown again when it comes back.';
      this.phase = 'missing';
    } else {
      this.error = words(error);
    }
  }

  #ask(offset: number, length: number): Promise<Part> {
    return this.read(offset, length, this.#abort.signal);
  }

  /** What was asked for before does not count any more. */
  #renew(): number {
    clearTimeout(this.#timer);
    this.#generation += 1;
    this.#isAsking = false;
    this.isLoading = false;
    this.#delay = SOON_MS;
    return this.#generation;
  }

  #publish(): void {
    ({ rows: this.rows, start: this.start, end: this.end } = this.#held);
  }
}
