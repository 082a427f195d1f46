// Reads something again and again while the page is seen, where no event tells of its changes.
// Knows nothing of what is read.
import type { Read } from './read.svelte';

/** Reads now, then every so many milliseconds, and when the page is seen again; until the function that is given back is called. */
export function poll(read: Pick<Read<unknown>, 'now' | 'again'>, every: number): () => void {
  read.now();
  const seen = (): void => {
    if (!document.hidden) read.again();
  };
  const timer = setInterval(seen, every);
  document.addEventListener('visibilitychange', seen);
  return () => {
    clearInterval(timer);
    document.removeEventListener('visibilitychange', seen);
  };
}
