import { describe, expect, it } from 'vitest';
import { DockerConfigError, parseDockerConfig } from '../../../extension-service/src/credentials/docker-config.js';

const basic = (text: string): string => Buffer.from(text).toString('base64');

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
