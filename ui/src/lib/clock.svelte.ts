// The present, for times that are shown as so long ago.
// Ticks only while the page is seen.

const TICK_MS = 1000;

class Clock {
  now = $state(Date.now());

  constructor() {
    setInterval(() => {
      if (!document.hidden) this.now = Date.now();
    }, TICK_MS);
  }
}

export const clock = new Clock();
