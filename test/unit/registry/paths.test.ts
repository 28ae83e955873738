import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { repositoryPath } from '../../../extension-service/src/registry/paths.js';

const HOST = 'r.example';

describe('repositoryPath', () => {
  it.each([
    ['library/nginx', ['manifests', 'latest'], '/v2/library/nginx/manifests/latest'],
    ['app', ['manifests', 'sha256:ab'], '/v2/app/manifests/sha256:ab'],
    ['app', ['blobs', 'uploads'], '/v2/app/blobs/uploads'],
    ['a__b/c-d.e', ['manifests', 'v1.0_x'], '/v2/a__b/c-d.e/manifests/v1.0_x'],
    ['app', ['manifests', 'a/b'], '/v2/app/manifests/a%2Fb'],
    ['app', ['manifests', 'a?b#c'], '/v2/app/manifests/a%3Fb%23c'],
    ['app', ['manifests', '%2e%2e'], '/v2/app/manifests/%252e%252e'],
    ['app', ['manifests', 'a\\b'], '/v2/app/manifests/a%5Cb'],
  ])('%s with %j is %s', (repository, rest, expected) => {
    expect(repositoryPath(HOST, repository, ...rest)).toBe(expected);
  });

  it.each([
    ['app', ['manifests', '..']],
    ['app', ['manifests', '.']],
    ['app', ['manifests', '']],
    ['app/../other', ['manifests', '1']],
    ['app//x', ['manifests', '1']],
    ['', ['manifests', '1']],
    ['app', ['manifests', 'a\nb']],
    ['app', ['manifests', '\u009b']],
    ['app', ['manifests', '\ud800']],
  ])('refuses %j with %j', (repository, rest) => {
    expect(() => repositoryPath(HOST, repository, ...rest)).toThrow(/cannot be part of a repository, tag or digest/);
  });

  it('never leaves the repository for any reference', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom('.', '/', '%', '2', 'e', '\\', '?', '#') })),
        (text) => {
          let path: string;
          try {
            path = repositoryPath(HOST, 'team/app', 'manifests', text);
          } catch {
            return;
          }
          const url = new URL(path, 'https://r.example');
          expect(url.host).toBe('r.example');
          expect(url.pathname.split('/')).toHaveLength(6);
          expect(url.pathname.startsWith('/v2/team/app/manifests/')).toBe(true);
          expect(decodeURIComponent(url.pathname.slice('/v2/team/app/manifests/'.length))).toBe(text);
        },
      ),
    );
  });
});
