import { describe, expect, it } from 'vitest';
import { configKeychain } from '../../../extension-service/src/credentials/config-credentials.js';
import { DockerConfigSource } from '../../../extension-service/src/credentials/docker-config-source.js';
import { chainKeychains, hostKeychain, keyring } from '../../../extension-service/src/credentials/keychain.js';
import type { CredentialsConfig } from '../../../extension-service/src/credentials/config-credentials.js';

const secret = (user: string): string =>
  JSON.stringify({ auths: { 'r.example': { auth: Buffer.from(`${user}:p`).toString('base64') } } });

describe('keyring', () => {
  const configs = (texts: Readonly<Record<string, string>>, problems: string[] = []): DockerConfigSource[] =>
    Object.entries(texts).map(
      ([origin, text]) =>
        new DockerConfigSource(
          origin,
          () => text,
          (problem) => problems.push(problem),
        ),
    );

  it('tries equal keys in the order of the configs, equal credentials once, and skips an invalid config', async () => {
    const problems: string[] = [];
    const texts = {
      'secret a/broken': 'hunter2',
      first: secret('first'),
      again: secret('first'),
      second: secret('second'),
    };
    const keychain = keyring(configs(texts, problems));
    expect(await keychain.resolve('r.example', 'x')).toMatchObject([{ username: 'first' }, { username: 'second' }]);
    await keychain.resolve('r.example', 'y');
    expect(problems).toEqual(['secret a/broken is not JSON']);
    expect(await keychain.resolve('other.example', 'x')).toEqual([]);
  });

  it('uses the other entries of a config with an unusable one, which it reports once', async () => {
    const problems: string[] = [];
    const mixed = secret('me').replace('{"r.example"', '{"broken.example":{"auth":"x"},"r.example"');
    const keychain = keyring(configs({ 'secret a/mixed': mixed }, problems));
    expect(await keychain.resolve('r.example', 'x')).toMatchObject([{ username: 'me' }]);
    await keychain.resolve('broken.example', 'y');
    expect(problems).toEqual([expect.stringMatching(/^secret a\/mixed: the entry for broken\.example has an "auth"/)]);
  });

  it('tries the most specific key first, whichever config has it', async () => {
    const team = secret('team').replace('r.example', 'r.example/team');
    const keychain = keyring(configs({ first: secret('host'), second: team }));
    expect(await keychain.resolve('r.example', 'team/x')).toMatchObject([{ username: 'team' }, { username: 'host' }]);
  });

  it('parses a config when it is first asked for, once', async () => {
    let reads = 0;
    const source = new DockerConfigSource(
      'x',
      () => (reads++, secret('me')),
      () => undefined,
    );
    const keychain = keyring([source]);
    expect(reads).toBe(0);
    await Promise.all([keychain.resolve('r.example', 'x'), keychain.resolve('r.example', 'y')]);
    expect(reads).toBe(1);
  });
});

describe('chainKeychains', () => {
  it('keeps the order and the hosts', async () => {
    const one = hostKeychain('R.example', async () => [{ username: 'one', password: '1' }]);
    const two = hostKeychain('r.example', async () => [{ username: 'two', password: '2' }]);
    const keychain = chainKeychains([one, two]);
    expect(await keychain.resolve('r.example', 'x')).toMatchObject([{ username: 'one' }, { username: 'two' }]);
    expect(await keychain.resolve('evil.example', 'x')).toEqual([]);
  });
});

describe('configKeychain', () => {
  let reads = 0;
  let clock = 0;
  let content = 'pw\n';
  const sources = {
    readFile: async (path: string) => {
      reads++;
      if (path === '/missing') throw new Error('ENOENT: no such file');
      if (path === '/mixed.json') {
        return secret('mixed').replace('{"r.example"', '{"broken.example":{"auth":"x"},"r.example"');
      }
      return path.endsWith('.json') ? secret('file') : content;
    },
    readSecret: async (name: string, namespace: string | undefined) => secret(`${namespace ?? 'own'}/${name}`),
    now: () => clock,
  };
  const resolve = (config: CredentialsConfig, host = 'r.example') =>
    configKeychain('r.example', config, sources).resolve(host, 'x');

  it('uses a document with an unusable entry of another registry, which is an error if there is no login', async () => {
    const config = { dockerConfigFile: '/mixed.json' };
    expect(await resolve(config)).toMatchObject([{ username: 'mixed' }]);
    const broken = configKeychain('broken.example', config, sources).resolve('broken.example', 'x');
    await expect(broken).rejects.toThrow(/\/mixed\.json: the entry for broken\.example has an "auth"/);
  });

  it.each([
    [
      { username: 'me', password: 'p' },
      { username: 'me', password: 'p' },
    ],
    [
      { username: 'me', passwordFile: '/run/pw' },
      { username: 'me', password: 'pw' },
    ],
    [{ dockerConfigFile: '/config.json' }, { username: 'file', password: 'p' }],
    [{ secretName: 's' }, { username: 'own/s', password: 'p' }],
    [
      { secretName: 's', namespace: 'n' },
      { username: 'n/s', password: 'p' },
    ],
  ])('%j returns %j, and only for its own registry', async (config, credentials) => {
    expect(await resolve(config)).toEqual([credentials]);
    expect(await resolve(config, 'other.example')).toEqual([]);
  });

  it('reads a file once for many requests, and again after an interval', async () => {
    const keychain = configKeychain('r.example', { username: 'me', passwordFile: '/run/pw' }, sources);
    reads = 0;
    await Promise.all([keychain.resolve('r.example', 'a'), keychain.resolve('r.example', 'b')]);
    expect(reads).toBe(1);
    content = 'rotated';
    clock += 2_900;
    expect(await keychain.resolve('r.example', 'a')).toEqual([{ username: 'me', password: 'pw' }]);
    expect(reads).toBe(1);
    clock += 200;
    expect(await keychain.resolve('r.example', 'a')).toEqual([{ username: 'me', password: 'rotated' }]);
    expect(reads).toBe(2);
  });

  it('uses the last content for a minute when the file cannot be read any more', async () => {
    let there = true;
    const readSecret = async (name: string): Promise<string> => {
      if (!there) throw new Error('ECONNREFUSED');
      return secret(name);
    };
    const keychain = configKeychain('r.example', { secretName: 's' }, { ...sources, readSecret });
    const before = await keychain.resolve('r.example', 'a');
    there = false;
    clock += 59_000;
    expect(await keychain.resolve('r.example', 'a')).toEqual(before);
    clock += 3_001;
    await expect(keychain.resolve('r.example', 'a')).rejects.toThrow('credentials.secretName: secret s cannot be read');
    there = true;
    expect(await keychain.resolve('r.example', 'a')).toEqual(before);
  });

  it('names the key and the file that cannot be read, and tries again', async () => {
    const keychain = configKeychain('r.example', { passwordFile: '/missing' }, sources);
    reads = 0;
    for (let i = 0; i < 2; i++) {
      await expect(keychain.resolve('r.example', 'x')).rejects.toThrow(
        'credentials.passwordFile: /missing cannot be read: ENOENT',
      );
    }
    expect(reads).toBe(2);
  });
});
