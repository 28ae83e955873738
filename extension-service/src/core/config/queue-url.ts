import { quoteInput } from '../image/quote.js';

const SCHEMES: Readonly<Record<string, RegExp>> = { redis: /^rediss?:\/\//, postgres: /^postgres(?:ql)?:\/\// };

/** Why the URL is not valid for the type of queue; never quotes the URL, which may contain a password. */
export function queueUrlFault(type: string, url: string): string | undefined {
  return SCHEMES[type]?.test(url) === false ? `not a ${type} URL, but type is ${quoteInput(type)}` : undefined;
}
