import { describe, expect, it } from 'vitest';
import { TokenReviewError, TokenReviews } from '../../../extension-service/src/server/token-reviews.js';

const MINUTE = 60_000;

function world(users: Readonly<Record<string, string>> = { good: 'kyverno' }) {
  let now = 1_000;
  const asked: string[] = [];
  const answers: (() => void)[] = [];
  const reviews = new TokenReviews(
    (token) => {
      asked.push(token);
      return new Promise((resolve) => answers.push(() => resolve(users[token])));
    },
    () => now,
  );
  const answer = async (): Promise<void> => {
    for (const resolve of answers.splice(0)) resolve();
    await new Promise((resolve) => setImmediate(resolve));
  };
  const ask = async (token: string): Promise<string | undefined> => {
    const user = reviews.user(token, 'audience');
    await answer();
    return user;
  };
  return { asked, reviews, answer, ask, wait: (ms: number) => (now += ms) };
}

describe('reviews of tokens', () => {
  it('keep a valid token for five minutes and an invalid one for ten seconds', async () => {
    const { ask, asked, wait } = world();
    for (const token of ['good', 'bad', 'good', 'bad']) await ask(token);
    expect(asked).toEqual(['good', 'bad']);
    wait(10_000);
    await ask('bad');
    wait(5 * MINUTE - 10_001);
    expect(await ask('good')).toBe('kyverno');
    expect(asked).toEqual(['good', 'bad', 'bad']);
    wait(1);
    await ask('good');
    expect(asked.at(-1)).toBe('good');
    expect(asked).toHaveLength(4);
  });

  it('send one review for a token, however many requests contain it', async () => {
    const { asked, answer, reviews } = world();
    const users = Array.from({ length: 50 }, () => reviews.user('good', 'audience'));
    await answer();
    expect(new Set(await Promise.all(users))).toEqual(new Set(['kyverno']));
    expect(asked).toEqual(['good']);
  });

  it('keep audiences separate', async () => {
    const { asked, answer, reviews } = world();
    const users = [reviews.user('good', 'one'), reviews.user('good', 'two')];
    await answer();
    await Promise.all(users);
    expect(asked).toEqual(['good', 'good']);
  });

  it('send at most sixteen reviews at once, and keep valid tokens when clients invent thousands', async () => {
    const { asked, answer, ask, reviews } = world();
    await ask('good');
    const flood = Array.from({ length: 17 }, (_, index) => reviews.user(`bad-${index}`, 'audience'));
    await expect(flood[16]).rejects.toThrow(TokenReviewError);
    await answer();
    await Promise.all(flood.slice(0, 16));
    for (let index = 0; index < 1_500; index += 1) await ask(`worse-${index}`);
    const before = asked.length;
    expect(await ask('good')).toBe('kyverno');
    expect(asked).toHaveLength(before);
  });

  it('do not remember failed reviews', async () => {
    let isDown = true;
    const reviews = new TokenReviews(
      () => (isDown ? Promise.reject(new Error('TokenReview: status 500')) : Promise.resolve('kyverno')),
      () => 0,
    );
    await expect(reviews.user('good', 'audience')).rejects.toThrow('TokenReview: status 500');
    isDown = false;
    expect(await reviews.user('good', 'audience')).toBe('kyverno');
  });

  it('send no review for invalid tokens', async () => {
    const { asked, reviews } = world();
    expect(await reviews.user('', 'audience')).toBeUndefined();
    expect(await reviews.user('x'.repeat(20_000), 'audience')).toBeUndefined();
    expect(asked).toEqual([]);
  });
});
