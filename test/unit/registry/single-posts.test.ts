import { describe, expect, it } from 'vitest';
import { SinglePosts } from '../../../extension-service/src/registry/single-posts.js';

const HOST = 'registry.example.com';

describe('a registry that has not been tried', () => {
  it('gets one blob as a trial, and no other in the meantime', () => {
    const posts = new SinglePosts();
    expect([posts.begin(HOST), posts.begin(HOST), posts.begin('other.example.com')]).toEqual(['trial', 'no', 'trial']);
  });

  it.each<[string, (posts: SinglePosts) => void, string]>([
    ['stored the blob', (posts) => posts.took(HOST), 'yes'],
    ['began an upload', (posts) => posts.ignored(HOST), 'no'],
    ['failed', (posts) => posts.failed(HOST), 'no'],
    ['was not reached', (posts) => posts.untried(HOST), 'trial'],
    ['has no blob to lose', (posts) => posts.lost(HOST), 'no'],
  ])('that %s receives its next blob accordingly', (_, report, next) => {
    const posts = new SinglePosts();
    posts.begin(HOST);
    report(posts);
    expect(posts.begin(HOST)).toBe(next);
  });
});

it('a registry that failed is tried again after ten minutes, and one that began an upload never', () => {
  let now = 1_000;
  const posts = new SinglePosts(() => now);
  posts.failed(HOST);
  posts.ignored('other.example.com');
  now += 599_999;
  expect([posts.begin(HOST), posts.begin('other.example.com')]).toEqual(['no', 'no']);
  now += 1;
  expect([posts.begin(HOST), posts.begin('other.example.com')]).toEqual(['trial', 'no']);
});

it('a registry that lost a blob counts as failed', () => {
  const posts = new SinglePosts();
  posts.took(HOST);
  posts.untried(HOST);
  expect(posts.begin(HOST)).toBe('yes');
  posts.lost(HOST);
  expect(posts.begin(HOST)).toBe('no');
});
