import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keyringQuestion, answerOfKeyring } from './keyring-questions.js';

const matches = (key: string, image: string): boolean => answerOfKeyring({ secrets: [[key]], image }).length === 1;

describe('a key of a Docker config', () => {
  it.each([
    // Hosts with the schemes and suffixes that users and `docker login` write.
    ['r.example.com', 'r.example.com/x', true],
    ['https://r.example.com', 'r.example.com/x', true],
    ['http://r.example.com/', 'r.example.com/x', true],
    ['https://r.example.com/v1/', 'r.example.com/x', true],
    ['r.example.com/v2/', 'r.example.com/a/b', true],
    ['r.example.com/v2', 'r.example.com/a/b', true],
    ['R.Example.com', 'r.example.com/x', true],
    ['r.example.com', 'evil-r.example.com/x', false],
    ['r.example.com', 'r.example.com.evil/x', false],
    ['r.example.com', 'example.com/x', false],
    ['example.com', 'example.org/x', false],
    ['user@r.example.com', 'r.example.com/x', true],
    ['r.example.com@evil.example', 'r.example.com/x', false],
    // Wildcards match within one label.
    ['*.example.com', 'r.example.com/x', true],
    ['r.*.com', 'r.example.com/x', true],
    ['r.example.*', 'r.example.com/x', true],
    ['*-eu.example.com', 'reg-eu.example.com/x', true],
    ['reg-*-eu.example.com', 'reg-1-eu.example.com/x', true],
    ['*.*.example.com', 'a.b.example.com/x', true],
    ['*.example.com', 'example.com/x', false],
    ['*.example.com', 'a.b.example.com/x', false],
    ['*.*.example.com', 'a.example.com/x', false],
    ['*', 'example.com/x', false],
    ['e*.io', 'quay.io/x', false],
    ['a*a.io', 'a.io/x', false],
    ['https://*.example.com', 'r.example.com/x', true],
    // A port is part of the host.
    ['r.example.com:5000', 'r.example.com:5000/x', true],
    ['*.example.com:5000', 'r.example.com:5000/x', true],
    ['https://r.example.com:5000/v1/', 'r.example.com:5000/x', true],
    ['r.example.com', 'r.example.com:5000/x', false],
    ['r.example.com:5000', 'r.example.com/x', false],
    ['r.example.com:443', 'r.example.com/x', false],
    ['*.example.com:5000', 'r.example.com:5001/x', false],
    ['r.example.com:*', 'r.example.com:5000/x', false],
    ['[::1]:5000', '[::1]:5000/x', true],
    // A path is a prefix of the repository name.
    ['r.example.com/team', 'r.example.com/team/app', true],
    ['r.example.com/team/app', 'r.example.com/team/app', true],
    ['r.example.com/team', 'r.example.com/teams/app', true],
    ['r.example.com/team/', 'r.example.com/teams/app', false],
    ['r.example.com/team/', 'r.example.com/team/app', true],
    ['r.example.com/team', 'r.example.com/other/team', false],
    ['r.example.com/te*', 'r.example.com/team/app', false],
    ['*.example.com/team', 'r.example.com/team/app', true],
    ['*.example.com:5000/team', 'r.example.com:5000/team/app', true],
    ['https://r.example.com/v2/team', 'r.example.com/team/app', true],
    ['https://r.example.com/v2/team', 'r.example.com/other/app', false],
    // Docker Hub.
    ['https://index.docker.io/v1/', 'nginx', true],
    ['index.docker.io', 'team/app', true],
    ['https://index.docker.io/v1/', 'docker.io/team/app', true],
    ['https://index.docker.io/v1/', 'index.docker.io/team/app', true],
    ['docker.io', 'nginx', true],
    ['docker.io/library', 'nginx', true],
    ['docker.io/team', 'nginx', false],
    ['*.io', 'nginx', true],
    ['*.docker.io', 'nginx', false],
    ['https://index.docker.io/v1/team', 'team/app', false],
    ['registry-1.docker.io', 'nginx', true],
    ['https://index.docker.io/v1/', 'r.example.com/team/app', false],
    ['https://index.docker.io/v1/', 'mydocker.io/team/app', false],
    // Keys without a host.
    ['', 'nginx', false],
    ['https://', 'r.example.com/x', false],
    ['/team', 'team/app', false],
  ])('%s for %s: %s', (key, image, expected) => {
    expect(matches(key, image)).toBe(expected);
  });
});

describe('the order of several keys', () => {
  it.each([
    [
      'longer before shorter, names before wildcards, whatever the order in the Secret',
      [['*.example.com', 'r.example.com/team', 'r.example.com', 'r.example.com/team/app']],
      'r.example.com/team/app',
      ['0.3', '0.1', '0.2', '0.0'],
    ],
    [
      'a name without a path before a wildcard with one',
      [['*.example.com/team', 'r.example.com']],
      'r.example.com/team/app',
      ['0.1', '0.0'],
    ],
    ['over the Secrets', [['r.example.com'], ['r.example.com/team']], 'r.example.com/team/app', ['1.0', '0.0']],
    [
      'by the Secret for equal keys',
      [['r.example.com'], ['https://r.example.com/v1/'], ['r.example.com/']],
      'r.example.com/x',
      ['0.0', '1.0', '2.0'],
    ],
    ['only those that match', [['r.example.com/other', 'r.example.com']], 'r.example.com/x', ['0.1']],
    [
      "Docker Hub's own name, and index.docker.io only without it",
      [['https://index.docker.io/v1/', 'docker.io']],
      'nginx',
      ['0.1'],
    ],
    ['all for index.docker.io', [['https://index.docker.io/v1/'], ['index.docker.io']], 'nginx', ['0.0', '1.0']],
  ])('%s', (_, secrets, image, users) => {
    expect(answerOfKeyring({ secrets, image })).toEqual(users);
  });
});

describe('for any keys and image', () => {
  it('tries each credential once, for its own host only, and longer keys first', () => {
    fc.assert(
      fc.property(keyringQuestion, (question) => {
        const users = answerOfKeyring(question);
        expect(new Set(users).size).toBe(users.length);
        const keys = users.map((user) => {
          const [secret = 0, place = 0] = user.split('.').map(Number);
          return question.secrets[secret]?.[place] ?? '';
        });
        // Each key also matches without the others.
        expect(keys.every((key) => matches(key, question.image))).toBe(true);
        const bare = keys.map((key) => {
          const [, host = '', path = ''] = /^(?:https?:\/\/)?([^/]*)(?:\/v[12](?=\/|$))?(.*?)\/?$/.exec(key) ?? [];
          return host + path;
        });
        for (const [index, key] of bare.entries()) {
          expect(bare.slice(0, index).filter((before) => key.startsWith(`${before}/`))).toEqual([]);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('a hostile key takes no noticeable time', () => {
    expect(matches(`${'*a'.repeat(5_000)}b.example.com`, `${'a'.repeat(60)}.example.com/x`)).toBe(false);
  });
});
