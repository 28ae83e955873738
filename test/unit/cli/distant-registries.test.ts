import { describe, expect, it } from 'vitest';
import { whenDistant } from '../../../extension-service/src/cli/distant-registries.js';

/** Reports answers of registries; returns how often they counted as distant. */
function distant(...answers: readonly (readonly [host: string, milliseconds: number | undefined])[]): number {
  let times = 0;
  const onRequest = whenDistant(() => (times += 1));
  for (const [host, milliseconds] of answers) {
    onRequest({ host, action: 'head-manifest', code: '200', ...(milliseconds !== undefined && { milliseconds }) });
  }
  return times;
}

const answers = (count: number, host: string, milliseconds: number): (readonly [string, number])[] =>
  Array.from({ length: count }, () => [host, milliseconds]);

describe('a registry is distant', () => {
  it.each<[string, number, readonly (readonly [string, number | undefined])[]]>([
    ['when its 24 answers take a round trip', 1, answers(24, 'far', 20)],
    ['once, however many answers follow', 1, answers(40, 'far', 20)],
    ['not before 24 answers', 0, answers(23, 'far', 20)],
    [
      'not when one of its answers is fast, as of a busy registry nearby',
      0,
      [...answers(23, 'near', 300), ['near', 2]],
    ],
    ['not when it slows down later', 0, [...answers(24, 'near', 2), ...answers(40, 'near', 300)]],
    ['although another one is near', 1, [...answers(20, 'near', 2), ...answers(24, 'far', 20)]],
    ['by its answers alone, not by failed requests', 0, [...answers(23, 'far', 20), ['far', undefined]]],
  ])('%s', (_, expected, given) => {
    expect(distant(...given)).toBe(expected);
  });
});
