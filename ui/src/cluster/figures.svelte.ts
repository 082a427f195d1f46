// Reads the master's metrics every few seconds and keeps their course.
// Judges none of them.
import { ask, words } from '../lib/api';
import { RESOURCES, SAMPLE_MS, amounts, withSample, type Course, type Metrics, type Resource } from './figures';

export class Figures {
  metrics = $state.raw<Metrics | undefined>(undefined);
  error = $state.raw<string | undefined>(undefined);
  courses = $state.raw<Record<Resource, Course>>({
    cpus: [[], [], [], []],
    mem: [[], [], [], []],
    disk: [[], [], [], []],
    gpus: [[], [], [], []],
  });

  /** Reads until the function that is given back is called; also while the page is not seen, lest charts have holes. */
  start(): () => void {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const read = async (): Promise<void> => {
      try {
        this.take(await ask<Metrics>('metrics/snapshot', { signal: abort.signal }), Date.now() / 1000);
        this.error = undefined;
      } catch (error) {
        if (abort.signal.aborted) return;
        this.error = words(error);
      }
      timer = setTimeout(() => void read(), SAMPLE_MS);
    };
    void read();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }

  /** Notes a sample, taken at `at` seconds. */
  take(metrics: Metrics, at: number): void {
    this.metrics = metrics;
    const added = RESOURCES.map((name) => [name, withSample(this.courses[name], at, amounts(metrics, name))] as const);
    this.courses = Object.fromEntries(added) as Record<Resource, Course>;
  }
}
