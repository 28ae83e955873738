import { quoteInput } from '../image/quote.js';

const SCHEMES: Readonly<Record<string, RegExp>> = { redis: /^rediss?:\/\//, postgres: /^postgres(?:ql)?:\/\// };

/** Why the URL is not one of the queue's type; quotes nothing of the URL, which may have a password in it. */
export function queueUrlFault(type: string, url: string): string | undefined {
  return SCHEMES[type]?.test(url) === false ? `not a ${type} URL, but type is ${quoteInput(type)}` : undefined;
}
