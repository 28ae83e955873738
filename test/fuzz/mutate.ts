/** A small generator of pseudo-random numbers (xorshift32): the same seed gives the same inputs. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 1;
  }

  /** Returns an integer from 0 (inclusive) to `limit` (exclusive). */
  below(limit: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return (x >>> 0) % limit;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
}

const PIECES = [
  ...['', ' ', '\t', '\r\n', '\u0000', '\u001b[31m', '\u009b', '\u202e', '\ufeff', '\ud800', '\udfff', 'é', '１', '💥'],
  ...['"', "'", '\\', '\\"', '`', ',', ';', ':', '=', '/', '//', '?', '#', '&', '@', '%', '%2e%2e', '%00', '..', '../'],
  ...['[', ']', '{', '}', '{{', '}}', '(', ')', '<', '>', '|', '||', '&&', '!', '*', '$', '-', '+', '~', '^'],
  ...['0', '1', '-1', '1e999', '9007199254740993', 'NaN', 'null', 'true', '[]', '{}', '""', '{"a":', '[[[[[[[['],
  ...['__proto__', 'constructor', 'toString', 'sha256:', 'sha512:', 'md5:', 'a'.repeat(64), 'latest', 'library/'],
  ...[
    'http://',
    'https://',
    'file:///',
    'localhost',
    '127.0.0.1',
    '[::1]',
    '169.254.169.254',
    'docker.io',
    ':443',
    ':0',
  ],
  ...['Bearer ', 'Basic ', 'realm=', 'scope=', 'rel="next"', 'x'.repeat(300), '['.repeat(150), '\\'.repeat(50)],
];

/**
 * Changes a text in one to four places: inserts a piece, replaces, cuts or copies a part, or appends the end of another
 * seed.
 */
export function mutate(random: Random, seeds: readonly string[]): string {
  let text = random.pick(seeds);
  for (let changes = 1 + random.below(4); changes > 0; changes--) {
    const at = random.below(text.length + 1);
    const until = Math.min(text.length, at + random.below(12));
    switch (random.below(5)) {
      case 0:
        text = text.slice(0, at) + random.pick(PIECES) + text.slice(at);
        break;
      case 1:
        text = text.slice(0, at) + random.pick(PIECES) + text.slice(until);
        break;
      case 2:
        text = text.slice(0, at) + text.slice(until);
        break;
      case 3:
        text = text.slice(0, until) + text.slice(at);
        break;
      default: {
        const other = random.pick(seeds);
        text = text.slice(0, at) + other.slice(random.below(other.length + 1));
      }
    }
  }
  return text.length > MAX_LENGTH ? text.slice(0, MAX_LENGTH) : text;
}

const MAX_LENGTH = 4_096;
