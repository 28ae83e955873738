import { describe, expect, it } from 'vitest';
import {
  DockerConfigError,
  matchDockerConfig,
  parseDockerConfig,
} from '../../../extension-service/src/credentials/docker-config.js';

const basic = (text: string): string => Buffer.from(text).toString('base64');

function resolve(auths: Readonly<Record<string, unknown>>, host: string, repository: string): unknown[] {
  const entries = parseDockerConfig(JSON.stringify({ auths }), 'secret a/b');
  return matchDockerConfig(entries, host, repository).map((found) => ('username' in found ? found.username : found));
}

describe('parseDockerConfig', () => {
  it.each([
    ['auth', { auth: basic('me:pa:ss') }, { username: 'me', password: 'pa:ss' }],
    [
      'auth over the plain fields',
      { auth: basic('me:a'), username: 'x', password: 'y' },
      { username: 'me', password: 'a' },
    ],
    ['plain fields', { username: 'me', password: 'p' }, { username: 'me', password: 'p' }],
    ['an identity token', { auth: basic('me:'), identitytoken: 'refresh' }, { identityToken: 'refresh' }],
    ['a registry token', { registrytoken: 'bearer' }, { registryToken: 'bearer' }],
    ['the mark of an identity token', { username: '<token>', password: 'refresh' }, { identityToken: 'refresh' }],
    ['a service account file', { auth: basic('_json_key:{"a":1}') }, { username: '_json_key', password: '{"a":1}' }],
  ])('reads %s', (_, entry, credentials) => {
    expect(parseDockerConfig(JSON.stringify({ auths: { 'r.example': entry } }), 'x')).toEqual([
      { key: 'r.example', credentials },
    ]);
  });

  it('reads the older form without "auths", and a config that leaves its passwords to a helper', () => {
    expect(parseDockerConfig(JSON.stringify({ 'r.example': { auth: basic('a:b') } }), 'x')).toHaveLength(1);
    expect(parseDockerConfig(JSON.stringify({ auths: { 'r.example': {} }, credsStore: 'desktop' }), 'x')).toEqual([]);
    expect(parseDockerConfig('{}', 'x')).toEqual([]);
  });

  it.each([
    [
      '{"auths": {"r": {"auth": "c2VjcmV0"}}}',
      'secret a/b: the entry for r has an "auth" that is not base64 of username:password',
    ],
    ['secret', 'secret a/b is not JSON'],
    ['[]', 'secret a/b is not a JSON object'],
    ['{"auths": []}', 'secret a/b: "auths" is not an object'],
    ['{"auths": {"r": "c2VjcmV0"}}', 'secret a/b: the entry for r is not an object'],
  ])('refuses %s without repeating what is in it', (text, message) => {
    expect(() => parseDockerConfig(text, 'secret a/b')).toThrow(new DockerConfigError(message));
  });
});

describe('matchDockerConfig', () => {
  const auth = (user: string): unknown => ({ auth: basic(`${user}:p`) });

  it.each([
    ['https://index.docker.io/v1/', 'docker.io', 'library/nginx', true],
    ['docker.io', 'docker.io', 'library/nginx', true],
    ['registry-1.docker.io', 'docker.io', 'library/nginx', true],
    ['https://ghcr.io', 'ghcr.io', 'a/b', true],
    ['ghcr.io/v2/', 'ghcr.io', 'a/b', true],
    ['GHCR.io', 'ghcr.io', 'a/b', true],
    ['ghcr.io/a', 'ghcr.io', 'a/b', true],
    ['ghcr.io/a/b', 'ghcr.io', 'a/b', true],
    ['ghcr.io/a', 'ghcr.io', 'ab/b', false],
    ['*.example.com', 'r.example.com', 'x', true],
    ['*.example.com', 'example.com', 'x', false],
    ['*.example.com', 'a.b.example.com', 'x', false],
    ['*.*.example.com', 'a.b.example.com', 'x', true],
    ['reg-*-eu.example.com', 'reg-1-eu.example.com', 'x', true],
    ['*', 'example.com', 'x', false],
    ['r.example.com', 'r.example.com:5000', 'x', false],
    ['r.example.com:5000', 'r.example.com:5000', 'x', true],
    ['r.example.com:443', 'r.example.com', 'x', true],
    ['r.example.com', 'evil-r.example.com', 'x', false],
    ['r.example.com', 'r.example.com.evil', 'x', false],
  ])('the key %s for %s/%s: %s', (key, host, repository, matches) => {
    expect(resolve({ [key]: auth('me') }, host, repository)).toEqual(matches ? ['me'] : []);
  });

  it('orders by how specific the keys are, whatever the order of the document', () => {
    const auths = {
      '*.example.com': auth('glob'),
      'r.example.com/team': auth('team'),
      'r.example.com': auth('host'),
      'r.example.com/team/app': auth('app'),
    };
    expect(resolve(auths, 'r.example.com', 'team/app')).toEqual(['app', 'team', 'host', 'glob']);
    expect(resolve(auths, 'r.example.com', 'other')).toEqual(['host', 'glob']);
  });
});
