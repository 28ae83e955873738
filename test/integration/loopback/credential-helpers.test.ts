import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { FakeRegistry } from '../../fakes/registry.js';
import { useCli } from './cli.js';
import { plainRegistry } from './world.js';

/** Docker configs that use a program for the login, as `docker login` writes them on many machines. */
const cli = useCli();

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function privateSource(): Promise<FakeRegistry> {
  const registry = await FakeRegistry.start({ auth: { type: 'basic', users: { user: 'secret' } } });
  cleanups.push(() => registry.close());
  return registry;
}

const FORMS: readonly (readonly [string, (host: string) => object, string])[] = [
  ['credHelpers', (host) => ({ credHelpers: { [host]: 'ecr-login' } }), 'ecr-login'],
  ['credsStore', (host) => ({ auths: { [host]: {} }, credsStore: 'desktop' }), 'desktop'],
  ['both', (host) => ({ auths: { [host]: {} }, credsStore: 'desktop', credHelpers: { [host]: 'pass' } }), 'pass'],
];

describe.each(FORMS)('a Docker config with %s', (_, document, helper) => {
  it('that dockerConfigFile names: check warns, and the refusal of the registry says which helper is not run', async () => {
    const source = await privateSource();
    const dockerConfigFile = join(cli.folder, 'docker.json');
    await writeFile(dockerConfigFile, JSON.stringify(document(source.host)));
    const file = join(cli.folder, 'swapper.yaml');
    const registry = plainRegistry(source, { credentials: { dockerConfigFile } });
    await writeFile(file, stringify({ source: { registries: [registry] }, target: plainRegistry(cli.target) }));
    const line = `uses the credential helper "${helper}" for ${source.host}, but image-swapper does not run credential helpers`;

    const checked = await cli.swapper(['check', '--config', file]);
    expect(checked.code).toBe(0);
    expect(checked.stdout).toContain('source.registries[0].oci.credentials.dockerConfigFile');
    expect(checked.stdout).toContain(`${dockerConfigFile} ${line}`);

    const mirrored = await cli.swapper(['mirror', '--config', file, `${source.host}/app:1.0`]);
    expect(mirrored.code).toBe(1);
    expect(mirrored.stdout).toContain(`credentials.dockerConfigFile: ${dockerConfigFile} ${line}`);
    expect(source.accessLog.every(({ authorization }) => authorization === undefined)).toBe(true);
  });

  it("of the service's own user: the refusal says which helper is not run", async () => {
    const source = await privateSource();
    const folder = join(cli.folder, `docker-${helper}`);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'config.json'), JSON.stringify(document(source.host)));
    const file = join(cli.folder, 'own.yaml');
    const config = { source: { registries: [plainRegistry(source)] }, target: plainRegistry(cli.target) };
    await writeFile(file, stringify(config));
    const mirrored = await cli.swapper(['mirror', '--config', file, `${source.host}/app:1.0`], '', {
      DOCKER_CONFIG: folder,
    });
    expect(mirrored.stdout).toContain(`${join(folder, 'config.json')} uses the credential helper "${helper}"`);
  });
});

describe('a Docker config with a login beside a helper', () => {
  it('is used without a warning about the helper', async () => {
    const source = await privateSource();
    const dockerConfigFile = join(cli.folder, 'docker.json');
    const auth = Buffer.from('user:secret').toString('base64');
    await writeFile(dockerConfigFile, JSON.stringify({ auths: { [source.host]: { auth } }, credsStore: 'desktop' }));
    const file = join(cli.folder, 'swapper.yaml');
    const registry = plainRegistry(source, { credentials: { dockerConfigFile } });
    await writeFile(file, stringify({ source: { registries: [registry] }, target: plainRegistry(cli.target) }));
    expect((await cli.swapper(['check', '--config', file])).stdout).not.toContain('credential helper');
    const mirrored = await cli.swapper(['mirror', '--config', file, `${source.host}/none:1.0`]);
    expect(mirrored.stdout).not.toContain('credential helper');
    expect(source.accessLog.some(({ user }) => user === 'user')).toBe(true);
  });
});

describe('a Docker config that is malformed', () => {
  it.each([
    ['no JSON', 'auths: {}', /docker\.json is not JSON/],
    ['a list', '[]', /docker\.json is not a JSON object/],
    ['a list of logins', '{"auths": []}', /"auths" is not an object/],
    ['a login in plain text', '{"auths": {"registry.test": {"auth": "user"}}}', /has an "auth" that is not base64/],
  ])('(%s) is a warning of check that names the key and the file', async (_, text, problem) => {
    const dockerConfigFile = join(cli.folder, 'docker.json');
    await writeFile(dockerConfigFile, text);
    const registry = plainRegistry(cli.source, { credentials: { dockerConfigFile } });
    const file = await cli.config({ source: { registries: [registry] } });
    const { code, stdout } = await cli.swapper(['check', '--config', file]);
    expect(code).toBe(0);
    expect(stdout).toMatch(problem);
    expect(stdout).toContain('source.registries[0].oci.credentials.dockerConfigFile');
  });
});
