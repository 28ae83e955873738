import { describe, expect, it } from 'vitest';
import { otherOwner, ownerOf } from '../../../extension-service/src/kubernetes/managed-policies/owner.js';

describe('ownership of a managed policy', () => {
  const own = ownerOf({ lease: { name: 'a' } }, 'tools');
  const other = ownerOf({ lease: { name: 'a' } }, 'elsewhere');
  it.each<readonly [string, object, string | undefined]>([
    ['ours', own, undefined],
    ['another install’s', other, 'elsewhere/a'],
    ['nobody’s', {}, undefined],
    ['somebody’s who uses no install’s labels', { labels: { app: 'x' } }, undefined],
    ['ours, with a label that somebody changed', { ...own, labels: other.labels }, undefined],
    ['ours, with an annotation that somebody changed', { ...own, annotations: other.annotations }, undefined],
  ])('%s', (_, metadata, expected) => {
    expect(otherOwner({ metadata }, own)).toBe(expected);
  });
});
