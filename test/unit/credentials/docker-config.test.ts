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

  it.each([
    [
      'auths',
      { auths: { 'r.example': { auth: basic('me:'), identityToken: 'refresh' } } },
      { identityToken: 'refresh' },
    ],
    ['Auths', { Auths: { 'r.example': { Username: 'me', Password: 'p' } } }, { username: 'me', password: 'p' }],
    ['the older form', { 'r.example': { Auth: basic('me:p') } }, { username: 'me', password: 'p' }],
  ])('ignores the case of keys in %s, as docker and the kubelet do', (_, config, credentials) => {
    expect(parseDockerConfig(JSON.stringify(config), 'x')).toEqual([{ key: 'r.example', credentials }]);
  });

  it('prefers the exact key to one that differs in case', () => {
    const entry = { Username: 'other', username: 'me', password: 'p' };
    expect(parseDockerConfig(JSON.stringify({ auths: { r: entry } }), 'x')).toMatchObject([
      { credentials: { username: 'me' } },
    ]);
  });

  it('skips entries without a login: null, {}, and an empty user with an empty password', () => {
    const auths = { 'a.example': null, 'b.example': {}, 'c.example': { auth: basic(':') } };
    expect(parseDockerConfig(JSON.stringify({ auths }), 'x')).toEqual([]);
  });

  it('reports the entries that it cannot use, and returns the others', () => {
    const problems: string[] = [];
    const auths = { a: 'c2VjcmV0', b: { auth: 'c2VjcmV0' }, 'r.example': { auth: basic('me:p') }, c: { auth: '%' } };
    const entries = parseDockerConfig(JSON.stringify({ auths }), 'x', ({ message }) => problems.push(message));
    expect(entries.map(({ key }) => key)).toEqual(['r.example']);
    const malformed = 'has an "auth" that is not base64 of username:password';
    expect(problems).toEqual([
      'x: the entry for a is not an object',
      `x: the entry for b ${malformed}`,
      `x: the entry for c ${malformed}`,
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
  ])('refuses %s without repeating its content', (text, message) => {
    expect(() => parseDockerConfig(text, 'secret a/b')).toThrow(new DockerConfigError(message));
  });

  it('reads at most a thousand entries and a megabyte', () => {
    const auths = (count: number): string =>
      JSON.stringify({
        auths: Object.fromEntries(Array.from({ length: count }, (_, n) => [`r${n}`, { username: 'u', password: 'p' }])),
      });
    expect(parseDockerConfig(auths(1_000), 'secret a/b')).toHaveLength(1_000);
    expect(() => parseDockerConfig(auths(1_001), 'secret a/b')).toThrow(
      new DockerConfigError('secret a/b has 1001 entries; the maximum is 1000'),
    );
    const padded = (length: number): string => auths(1).padEnd(length);
    expect(parseDockerConfig(padded(1_048_576), 'secret a/b')).toHaveLength(1);
    expect(() => parseDockerConfig(padded(1_048_577), 'secret a/b')).toThrow(
      new DockerConfigError('secret a/b is larger than 1 MiB'),
    );
  });

  it.each([
    ['me:hunter2@r.example', 'r.example'],
    ['https://me:hunter2@r.example/v1/', 'r.example/v1/'],
    ['https://me:hunt@er2@r.example:5000/team', 'r.example:5000/team'],
    ['https://me:hunt/er2?a#b@r.example', 'r.example'],
    ['hunter2@', ''],
    ['me:hunter2@r.example\nlevel=error', 'r.example\ufffdlevel=error'],
    [`me:hunter2@${'r'.repeat(300)}`, 'r'.repeat(200)],
    ['r.example', 'r.example'],
  ])('names an entry by its key without user and password: %j', (key, shown) => {
    const refused = (entry: unknown): void => {
      parseDockerConfig(JSON.stringify({ auths: { [key]: entry } }), 'secret a/b');
    };
    const where = `secret a/b: the entry for ${shown}`;
    for (const [entry, what] of [
      ['c2VjcmV0', 'is not an object'],
      [{ auth: 'c2VjcmV0' }, 'has an "auth" that is not base64 of username:password'],
      [{ username: 'a\nb', password: 'p' }, 'has a line break in its username'],
    ] as const) {
      expect(() => refused(entry)).toThrow(new DockerConfigError(`${where} ${what}`));
    }
  });
});
