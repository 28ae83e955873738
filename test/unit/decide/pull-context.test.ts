import { describe, expect, it } from 'vitest';
import { pullContext } from '../../../extension-service/src/core/decide/mirror-job.js';
import type { JsonObject } from '../../../extension-service/src/core/decide/pod.js';

describe('pullContext', () => {
  it.each<[string, JsonObject, string]>([
    ['serviceAccountName', { serviceAccountName: 'robot' }, 'robot'],
    ['only the deprecated serviceAccount, as in older manifests', { serviceAccount: 'robot' }, 'robot'],
    ['an empty serviceAccountName beside it', { serviceAccountName: '', serviceAccount: 'robot' }, 'robot'],
    ['both', { serviceAccountName: 'robot', serviceAccount: 'other' }, 'robot'],
    ['neither', {}, 'default'],
    ['a name that is not a text', { serviceAccountName: {} }, 'default'],
    ['a name that no ServiceAccount can have', { serviceAccount: '../../secrets/x' }, ''],
  ])('finds the ServiceAccount of a Pod with %s', (_, spec, serviceAccount) => {
    expect(pullContext({ spec }, 'team-a')).toEqual({ namespace: 'team-a', serviceAccount, secretNames: [] });
  });
});
