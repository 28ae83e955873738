import { describe, expect, it } from 'vitest';
import { NewRepositories } from '../../../extension-service/src/registry/new-repositories.js';

const HOST = 'registry.test';

/** A registry without repositories that counts the requests. */
class EmptyRegistry {
  readonly host = HOST;
  asked = 0;

  isRepositoryUnknown(): Promise<boolean> {
    this.asked += 1;
    return Promise.resolve(true);
  }
}

describe('new repositories', () => {
  it('remember copied blobs for ten minutes', async () => {
    let now = 0;
    const repositories = new NewRepositories(() => now);
    const registry = new EmptyRegistry();
    await Promise.all([1, 2, 3].map(() => repositories.learn(registry, 'app', {})));
    expect(registry.asked).toBe(1);
    expect(repositories.has(HOST, 'app', 'v1')).toBe(false);
    repositories.add(HOST, 'app', 'v1');
    expect(repositories.has(HOST, 'app', 'v1')).toBe(true);
    now = 600_000;
    expect(repositories.has(HOST, 'app', 'v1')).toBeUndefined();
    await repositories.learn(registry, 'app', {});
    expect(registry.asked).toBe(1);
  });

  it('are treated as existing when content is lost or exceeds the memory', async () => {
    const repositories = new NewRepositories(() => 0);
    const registry = new EmptyRegistry();
    for (const name of ['lost', 'large']) await repositories.learn(registry, name, {});
    repositories.forget(HOST, 'lost');
    for (let i = 0; i <= 1_000; i += 1) repositories.add(HOST, 'large', `sha256:${i}`);
    expect(repositories.has(HOST, 'lost', 'v1')).toBeUndefined();
    expect(repositories.has(HOST, 'large', 'sha256:1')).toBeUndefined();
  });

  it('are remembered up to a limit, the newest ones', async () => {
    const repositories = new NewRepositories(() => 0);
    const registry = new EmptyRegistry();
    for (let i = 0; i <= 200; i += 1) await repositories.learn(registry, `app-${i}`, {});
    expect(repositories.has(HOST, 'app-0', 'v1')).toBeUndefined();
    expect(repositories.has(HOST, 'app-1', 'v1')).toBe(false);
    expect(repositories.has(HOST, 'app-200', 'v1')).toBe(false);
  });
});
