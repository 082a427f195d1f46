// Requests to the server that the page came from, and what it refuses them with.
// Knows no paths of the APIs but the form of ids.

/** One thing that is wrong with a request, and where. */
export interface Detail {
  path: string;
  errors: string[];
}

/** A refusal, or that no answer came: then the status is 0. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly details: Detail[] = [],
    readonly deployments: string[] = [],
  ) {
    super(message);
  }

  /** Whether a running deployment is in the way, which `force=true` gets past. */
  get isLocked(): boolean {
    return this.status === 409;
  }
}

/** The server's root: pages are at it, or below it at /ui/. */
export function root(at: Location = location): URL {
  const below = /\/ui\/(index\.html)?$/.test(at.pathname);
  return new URL(below ? '../' : './', at.origin + at.pathname);
}

/** The full address of a path below the root. */
export function address(path: string): string {
  return new URL(path.replace(/^\//, ''), root()).href;
}

/** The path of an app below /v2/apps; each segment is encoded. */
export function appPath(id: string): string {
  return `v2/apps${id.split('/').map(encodeURIComponent).join('/')}`;
}

export interface Options {
  method?: string;
  body?: unknown;
  query?: Record<string, string | boolean | undefined>;
  signal?: AbortSignal;
}

/** Asks, and reads the answer as JSON; an empty answer is null. */
export async function ask<T>(path: string, options: Options = {}): Promise<T> {
  const url = new URL(address(path));
  for (const [name, value] of Object.entries(options.query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  const init: RequestInit = { method: options.method ?? 'GET', headers: { Accept: 'application/json' } };
  if (options.body !== undefined) {
    init.headers = { Accept: 'application/json', 'Content-Type': 'application/json' };
    init.body = JSON.stringify(options.body);
  }
  if (options.signal) init.signal = options.signal;
  let answer: Response;
  let text: string;
  try {
    answer = await fetch(url, init);
    text = await answer.text();
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError(0, 'the server does not answer; see whether it runs and can be reached from here');
  }
  if (!answer.ok) throw refusal(answer.status, text);
  try {
    return (text === '' ? null : JSON.parse(text)) as T;
  } catch {
    throw new ApiError(answer.status, 'the server answered something that is no JSON');
  }
}

/** What a refusal says, whatever its form. */
export function refusal(status: number, text: string): ApiError {
  try {
    const said = JSON.parse(text) as { message?: unknown; details?: unknown; deployments?: unknown };
    const details = Array.isArray(said.details) ? said.details.filter(isDetail) : [];
    let message = typeof said.message === 'string' ? said.message : `the server answered ${status}`;
    if (typeof said.details === 'string') message += `: ${said.details}`;
    const blocking = Array.isArray(said.deployments) ? said.deployments : [];
    return new ApiError(status, message, details, blocking.map((it) => String((it as { id?: unknown })?.id ?? it)));
  } catch {
    return new ApiError(status, text.trim() === '' ? `the server answered ${status}` : text.trim().slice(0, 500));
  }
}

function isDetail(value: unknown): value is Detail {
  const detail = value as Detail | null;
  return typeof detail?.path === 'string' && Array.isArray(detail.errors);
}

/** The words of any error. */
export function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
