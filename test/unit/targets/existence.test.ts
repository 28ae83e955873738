import { describe, expect, it } from 'vitest';
import type { TargetReference } from '../../../extension-service/src/core/naming/name.js';
import { CircuitBreaker } from '../../../extension-service/src/targets/breaker.js';
import { ExistenceIndex } from '../../../extension-service/src/targets/existence.js';
import type { TargetLookup, UnknownReason } from '../../../extension-service/src/targets/existence.js';

const NEVER = new Promise<void>(() => undefined);
const DIGEST = `sha256:${'b'.repeat(64)}`;

function reference(name: string): TargetReference {
  const repository = `docker.io/library/${name}`;
  const names = { tag: 'latest', shownAs: 'latest', published: 'latest' };
  return { registry: 'mirror.test', repository, ...names, text: `mirror.test/${repository}:latest` };
}

class Refusal extends Error {
  constructor(readonly reason: UnknownReason) {
    super(`refused: ${reason}`);
  }
}

/** A registry that records requests. The function `answer` may throw an error or return a promise. */
class Registry implements TargetLookup {
  readonly asked: string[] = [];
  constructor(
    private readonly answer: (reference: TargetReference) => string | undefined | Promise<string | undefined>,
  ) {}

  async head(_target: string, asked: TargetReference): Promise<{ digest: string } | undefined> {
    this.asked.push(asked.text);
    const digest = await this.answer(asked);
    return digest === undefined ? undefined : { digest };
  }

  classify(error: unknown): { reason: UnknownReason; message: string } {
    return error instanceof Refusal
      ? { reason: error.reason, message: error.message }
      : { reason: 'other', message: String(error) };
  }
}

function setup(answer: (reference: TargetReference) => string | undefined | Promise<string | undefined>) {
  const registry = new Registry(answer);
  const clock = { now: 0 };
  const index = new ExistenceIndex(registry, { now: () => clock.now, random: () => 0.5, capacity: 100 });
  return { registry, clock, index };
}

describe('lifetimes of answers', () => {
  it('keeps "present" for a minute, and detects within it that the image was pruned', async () => {
    let digest: string | undefined = DIGEST;
    const { registry, clock, index } = setup(() => digest);
    expect(await index.find('t', reference('nginx'), NEVER)).toEqual({
      state: 'present',
      digest: DIGEST,
      from: 'registry',
    });
    digest = undefined;
    clock.now = 59_000;
    expect(await index.find('t', reference('nginx'), NEVER)).toEqual({
      state: 'present',
      digest: DIGEST,
      from: 'memory',
    });
    clock.now = 60_001;
    expect(await index.find('t', reference('nginx'), NEVER)).toEqual({ state: 'absent', from: 'registry' });
    expect(registry.asked).toHaveLength(2);
  });

  it('keeps "absent" for five seconds', async () => {
    const { registry, clock, index } = setup(() => undefined);
    await index.find('t', reference('nginx'), NEVER);
    clock.now = 4_999;
    expect(await index.find('t', reference('nginx'), NEVER)).toEqual({ state: 'absent', from: 'memory' });
    clock.now = 5_001;
    await index.find('t', reference('nginx'), NEVER);
    expect(registry.asked).toHaveLength(2);
  });

  it.each([
    [0, 48_000],
    [0.999, 71_900],
  ])('varies the lifetime of "present" by a fifth (random %f)', async (random, life) => {
    const clock = { now: 0 };
    const index = new ExistenceIndex(new Registry(() => DIGEST), { now: () => clock.now, random: () => random });
    await index.find('t', reference('nginx'), NEVER);
    clock.now = life - 1;
    expect(index.known(reference('nginx'))?.state).toBe('present');
    clock.now = life + 100;
    expect(index.known(reference('nginx'))).toBeUndefined();
  });

  it('knows its own copies at once, even after "absent" was remembered', async () => {
    const { registry, index } = setup(() => undefined);
    await index.find('t', reference('nginx'), NEVER);
    index.learn(reference('nginx'), DIGEST);
    expect(await index.find('t', reference('nginx'), NEVER)).toEqual({
      state: 'present',
      digest: DIGEST,
      from: 'copy',
    });
    expect(registry.asked).toHaveLength(1);
  });

  it('remembers no more than its capacity', async () => {
    const { index } = setup(() => DIGEST);
    for (let i = 0; i < 1_000; i += 1) await index.find('t', reference(`image-${i}`), NEVER);
    expect(index.size).toBe(100);
    expect(index.known(reference('image-999'))?.state).toBe('present');
    expect(index.known(reference('image-0'))).toBeUndefined();
  });
});

describe('one lookup', () => {
  it('is shared by all concurrent callers', async () => {
    const { registry, index } = setup(() => new Promise((resolve) => setImmediate(() => resolve(DIGEST))));
    const answers = await Promise.all(Array.from({ length: 50 }, () => index.find('t', reference('nginx'), NEVER)));
    expect(new Set(answers.map(({ state }) => state))).toEqual(new Set(['present']));
    expect(registry.asked).toHaveLength(1);
  });

  it('that exceeds the budget answers unknown, and its result is remembered for the next', async () => {
    let answer: (digest: string) => void = () => undefined;
    const { registry, index } = setup(() => new Promise((resolve) => (answer = resolve)));
    const late = await index.find('t', reference('nginx'), Promise.resolve());
    expect(late).toMatchObject({ state: 'unknown', reason: 'timeout' });
    answer(DIGEST);
    await new Promise(setImmediate);
    expect(await index.find('t', reference('nginx'), NEVER)).toMatchObject({ state: 'present' });
    expect(registry.asked).toHaveLength(1);
  });
});

describe('a target that fails', () => {
  it.each(['unauthorized', 'forbidden', 'throttled', 'unreachable'] as const)(
    'is distinguished: %s',
    async (reason) => {
      const { index } = setup(() => Promise.reject(new Refusal(reason)));
      expect(await index.find('t', reference('nginx'), NEVER)).toEqual({
        state: 'unknown',
        reason,
        message: `refused: ${reason}`,
      });
    },
  );

  it('is not remembered as absent', async () => {
    let broken = true;
    const { index } = setup(() => (broken ? Promise.reject(new Refusal('throttled')) : DIGEST));
    await index.find('t', reference('nginx'), NEVER);
    broken = false;
    expect(await index.find('t', reference('nginx'), NEVER)).toMatchObject({ state: 'present' });
  });

  it('and does not answer gets no requests for some time, then one', async () => {
    let broken = true;
    const { registry, clock, index } = setup(() => (broken ? Promise.reject(new Refusal('unreachable')) : DIGEST));
    for (let i = 0; i < 10; i += 1) await index.find('t', reference(`image-${i}`), NEVER);
    expect(registry.asked).toHaveLength(3);
    expect(await index.find('t', reference('nginx'), NEVER)).toMatchObject({
      state: 'unknown',
      reason: 'breaker-open',
    });
    broken = false;
    clock.now = 5_001;
    expect(await index.find('t', reference('nginx'), NEVER)).toMatchObject({ state: 'present' });
    expect(await index.find('t', reference('redis'), NEVER)).toMatchObject({ state: 'present' });
  });

  it('does not prevent lookups in other targets', async () => {
    const { index } = setup(({ repository }) =>
      repository.endsWith('down') ? Promise.reject(new Refusal('unreachable')) : DIGEST,
    );
    for (let i = 0; i < 5; i += 1) await index.find('broken', reference('down'), NEVER);
    expect(await index.find('broken', reference('nginx'), NEVER)).toMatchObject({ reason: 'breaker-open' });
    expect(await index.find('good', reference('nginx'), NEVER)).toMatchObject({ state: 'present' });
  });
});

describe('the breaker', () => {
  it('allows one caller after the pause, and stays open when it fails', () => {
    let now = 0;
    const breaker = new CircuitBreaker({ now: () => now, threshold: 2, pause: 100 });
    breaker.failed();
    expect(breaker.allows()).toBe(true);
    breaker.failed();
    expect(breaker.allows()).toBe(false);
    now = 100;
    expect(breaker.allows()).toBe(true);
    expect(breaker.allows()).toBe(false);
    breaker.failed();
    now = 199;
    expect(breaker.allows()).toBe(false);
    now = 200;
    expect(breaker.allows()).toBe(true);
    breaker.succeeded();
    expect(breaker.allows()).toBe(true);
  });
});
