// Takes a long JSON text apart while it comes: hands out one by one the objects that its lists hold.
// Holds none of them: a state with 100,000 tasks is never in memory as a whole.
import { joined } from './recordio';

const [QUOTE, COMMA, BACKSLASH] = [34, 44, 92];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [91, 93, 123, 125];

/** Objects in lists that are so deep in the text, and the text without them. */
export class Elements {
  #depth = 0;
  #isInString = false;
  #isEscaped = false;
  #isInElement = false;
  #isBehindElement = false;
  /** Name of the list that elements are taken from; none until one is looked for. */
  #list: string | undefined;
  /** Whether what is open at the depth of the lists is one. */
  #isList = false;
  #pieces: Uint8Array[] = [];
  #rest = '';
  readonly #restDecoder = new TextDecoder();
  readonly #decoder = new TextDecoder();

  /** `depth` counts what is open around an element: 3 for those of `{"get_agents":{"agents":[{…}]}}`. */
  constructor(
    private readonly depth: number,
    private readonly take: (list: string, element: unknown) => void,
  ) {}

  /** Takes the next bytes of the text, which may be split anywhere. */
  feed(bytes: Uint8Array): void {
    let start = 0;
    for (let at = 0; at < bytes.length; at += 1) {
      const byte = bytes[at];
      if (this.#isInString) {
        if (this.#isEscaped) this.#isEscaped = false;
        else if (byte === BACKSLASH) this.#isEscaped = true;
        else if (byte === QUOTE) this.#isInString = false;
      } else if (byte === QUOTE) {
        this.#isInString = true;
      } else if (byte === OPEN_OBJECT || byte === OPEN_LIST) {
        if (this.#depth === this.depth && this.#isList && byte === OPEN_OBJECT) {
          this.#keep(bytes.subarray(start, at));
          start = at;
          this.#isInElement = true;
        }
        this.#depth += 1;
        if (this.#depth === this.depth) {
          this.#isList = byte === OPEN_LIST;
          this.#list = undefined;
        }
      } else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) {
        this.#depth -= 1;
        if (this.#depth < this.depth) this.#isBehindElement = false;
        if (this.#isInElement && this.#depth === this.depth) {
          this.#finish(bytes.subarray(start, at + 1));
          start = at + 1;
        }
      } else if (byte === COMMA && this.#isBehindElement && this.#depth === this.depth) {
        this.#keep(bytes.subarray(start, at));
        start = at + 1;
        this.#isBehindElement = false;
      }
    }
    if (this.#isInElement) this.#pieces.push(bytes.subarray(start));
    else this.#keep(bytes.subarray(start));
  }

  /** The text without the elements, once all of it has come. Throws when it is no JSON. */
  end(): unknown {
    return JSON.parse(this.#rest + this.#restDecoder.decode());
  }

  #keep(bytes: Uint8Array): void {
    this.#rest += this.#restDecoder.decode(bytes, { stream: true });
  }

  #finish(last: Uint8Array): void {
    this.#pieces.push(last);
    const element: unknown = JSON.parse(this.#decoder.decode(joined(this.#pieces)));
    this.#pieces = [];
    this.#isInElement = false;
    this.#isBehindElement = true;
    this.#list ??= /"([^"]*)"\s*:\s*\[\s*$/.exec(this.#rest)?.[1] ?? '';
    this.take(this.#list, element);
  }
}
