/** Why a text is not JSON. */
export interface JsonProblem {
  /** From 0, in UTF-16 units. */
  readonly offset: number;
  readonly message: string;
}

/** `value`, or the problem and its position: JSON.parse of Node 20 does not always report it. */
export type JsonResult = { readonly value: unknown } | { readonly problem: JsonProblem };

const depthLimit = 200;
const space = /[ \t\r\n]*/y;
const numberPattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
// \p{Cc} is a little more than the control characters that JSON forbids: those are below U+0020.
const stringPattern = /"(?:[^"\\\p{Cc}]|[\x7f-\x9f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/uy;
const wordPattern = /true|false|null/y;

/** Parses JSON by RFC 8259, accepting duplicate keys as JSON.parse does. Never throws. */
export function readJson(text: string): JsonResult {
  const problem = new Scanner(text).document();
  return problem === undefined ? { value: JSON.parse(text) as unknown } : { problem };
}

/** Only checks the grammar; JSON.parse creates the value. */
class Scanner {
  #offset = 0;

  constructor(private readonly text: string) {}

  document(): JsonProblem | undefined {
    const problem = this.value(0);
    if (problem !== undefined) return problem;
    this.take(space);
    return this.#offset === this.text.length ? undefined : this.fail('expected the end of the JSON text');
  }

  private value(depth: number): JsonProblem | undefined {
    if (depth > depthLimit) return this.fail('nested too deeply');
    this.take(space);
    const first = this.text[this.#offset];
    if (first === '{') return this.sequence('}', () => this.member(depth));
    if (first === '[') return this.sequence(']', () => this.value(depth + 1));
    if (first === '"') return this.string('a string');
    if (this.take(wordPattern) || this.take(numberPattern)) return undefined;
    return this.fail('expected a value');
  }

  private member(depth: number): JsonProblem | undefined {
    this.take(space);
    const key = this.string('a key in double quotes');
    if (key !== undefined) return key;
    this.take(space);
    if (this.text[this.#offset] !== ':') return this.fail('expected ":"');
    this.#offset++;
    return this.value(depth + 1);
  }

  /** `{…}` or `[…]` with commas between its parts. */
  private sequence(close: string, part: () => JsonProblem | undefined): JsonProblem | undefined {
    this.#offset++;
    this.take(space);
    if (this.text[this.#offset] === close) {
      this.#offset++;
      return undefined;
    }
    for (;;) {
      const problem = part();
      if (problem !== undefined) return problem;
      this.take(space);
      const next = this.text[this.#offset];
      if (next !== ',' && next !== close) return this.fail(`expected "," or "${close}"`);
      this.#offset++;
      if (next === close) return undefined;
    }
  }

  private string(wanted: string): JsonProblem | undefined {
    if (this.text[this.#offset] !== '"') return this.fail(`expected ${wanted}`);
    return this.take(stringPattern)
      ? undefined
      : this.fail('this string does not end, or contains a character that must be escaped');
  }

  private take(pattern: RegExp): boolean {
    pattern.lastIndex = this.#offset;
    if (!pattern.test(this.text)) return false;
    this.#offset = pattern.lastIndex;
    return true;
  }

  private fail(message: string): JsonProblem {
    return { offset: this.#offset, message };
  }
}
