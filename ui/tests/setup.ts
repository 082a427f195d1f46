// Gives jsdom what browsers have and it lacks, as far as components need it.
// Tests nothing.
import { vi } from 'vitest';

vi.stubGlobal('matchMedia', (query: string) => ({ matches: false, media: query, addEventListener: () => {}, removeEventListener: () => {} }));
vi.stubGlobal('scrollTo', () => {});
vi.stubGlobal('ResizeObserver', class { observe(): void {} disconnect(): void {} });
Element.prototype.scrollIntoView = () => {};
HTMLDialogElement.prototype.showModal = function (this: HTMLDialogElement) {
  this.open = true;
};
