// A server that answers from a table, in the place of the network.
// Tests nothing itself.
import { vi } from 'vitest';

export interface Asked {
  method: string;
  path: string;
  body: unknown;
}

/** An answer, which is sent when `after` has come to pass. */
type Answer = { status?: number; body: unknown; after?: Promise<void> };

/** Answers each `METHOD path?query` by the first entry whose beginning it has; gives what was asked. */
export function serve(table: Record<string, Answer | (() => Answer)>): Asked[] {
  const asked: Asked[] = [];
  vi.stubGlobal('fetch', async (url: URL, init: RequestInit) => {
    const path = url.pathname + url.search;
    asked.push({ method: init.method ?? 'GET', path, body: init.body === undefined ? undefined : JSON.parse(String(init.body)) });
    const key = Object.keys(table).find((key) => `${init.method} ${path}`.startsWith(key));
    const entry = key === undefined ? { status: 500, body: { message: `no answer to ${init.method} ${path}` } } : table[key];
    const { status = 200, body, after }: Answer = typeof entry === 'function' ? entry() : entry!;
    await after;
    return new Response(status === 204 ? null : JSON.stringify(body), { status });
  });
  return asked;
}
