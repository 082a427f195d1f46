// Where the user is: the part of the address behind `#`, read and written.
// Knows no pages.

/** A place: the path's segments, and what follows `?`. */
export interface Place {
  path: string[];
  query: URLSearchParams;
}

/** Reads what stands behind `#`. What cannot be decoded is taken as it is. */
export function parse(hash: string): Place {
  const [path = '', query = ''] = split(hash.replace(/^#/, ''));
  const segments = path.split('/').filter((segment) => segment !== '');
  // Old links have whole ids encoded as one segment.
  const path_ = segments.flatMap((segment) => decode(segment).split('/')).filter((segment) => segment !== '');
  return { path: path_, query: new URLSearchParams(query) };
}

function split(text: string): [string, string] {
  const at = text.indexOf('?');
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The id of an app or group that the segments of a place make. */
export function idOf(segments: string[]): string {
  return `/${segments.join('/')}`;
}

/** A link to a place. */
export function link(page: string, id = '', query: Record<string, string> = {}): string {
  const rest = id.split('/').filter(Boolean).map(encodeURIComponent).join('/');
  const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== '')).toString();
  return `#/${page}${rest === '' ? '' : `/${rest}`}${search === '' ? '' : `?${search}`}`;
}

class Router {
  place = $state.raw<Place>(parse(location.hash));

  constructor() {
    addEventListener('hashchange', () => {
      this.place = parse(location.hash);
    });
  }

  /**
   * Goes on from a place, unless the user has gone elsewhere meanwhile. The address itself is asked:
   * it is another one some time before the page is told so.
   */
  goOn(from: Place, to: string): void {
    if (idOf(parse(location.hash).path) === idOf(from.path)) location.hash = to;
  }

  /** Changes the query without a step in the history. */
  refine(query: Record<string, string>): void {
    const merged = new URLSearchParams(this.place.query);
    for (const [name, value] of Object.entries(query)) {
      if (value === '') merged.delete(name);
      else merged.set(name, value);
    }
    const here = this.place.path.map(encodeURIComponent).join('/');
    const search = merged.toString();
    history.replaceState(null, '', `#/${here}${search === '' ? '' : `?${search}`}`);
    this.place = parse(location.hash);
  }
}

export const router = new Router();
