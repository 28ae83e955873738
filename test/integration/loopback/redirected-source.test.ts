import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { loadImage } from '../../fakes/images.js';
import { FakeRegistry, type FakeRegistryOptions } from '../../fakes/registry.js';
import { ScriptedServer } from '../../fakes/scripted-server.js';
import { image, useCli } from './cli.js';
import { plainRegistry } from './world.js';

/** `mirror` from a source that only redirects to another registry. */
const cli = useCli();

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const users = { reader: 'other-secret', pusher: 'target-secret' };

async function start(auth: FakeRegistryOptions['auth'], repository: string): Promise<FakeRegistry> {
  const registry = await FakeRegistry.start(auth === undefined ? {} : { auth });
  cleanups.push(() => registry.close());
  loadImage(registry, repository, image, '1.0');
  return registry;
}

async function frontOf(registry: FakeRegistry): Promise<ScriptedServer> {
  const front = await ScriptedServer.start(({ path }) =>
    path === '/v2/' ? { status: 200 } : { status: 307, headers: { location: `${registry.origin}${path}` } },
  );
  cleanups.push(() => front.close());
  return front;
}

async function mirror(front: ScriptedServer, config: object, dockerConfig: object = {}): Promise<string> {
  const file = join(cli.folder, 'redirected.yaml');
  await writeFile(file, stringify(config));
  await writeFile(join(cli.folder, 'config.json'), JSON.stringify(dockerConfig));
  const args = ['mirror', '--config', file, `${front.host}/app:1.0`];
  const ended = await cli.swapper(args, '', { DOCKER_CONFIG: cli.folder });
  return `${ended.code} ${ended.stdout}`;
}

describe('a source that redirects', () => {
  it.each(['basic', 'bearer'] as const)(
    'to a registry with a %s login is copied with the login for that registry',
    async (type) => {
      const other = await start({ type, users }, 'app');
      const front = await frontOf(other);
      const credentials = { username: 'reader', password: 'other-secret' };
      const output = await mirror(front, {
        source: {
          registries: [
            plainRegistry(cli.source),
            { type: 'oci', oci: { registry: front.host, insecure: true } },
            plainRegistry(other, { credentials }),
          ],
        },
        target: plainRegistry(cli.target),
      });
      expect(output).toMatch(/^0 /);
      const repository = `${front.host.replace(':', '_')}/app`;
      expect(cli.target.manifest(repository, '1.0')?.digest).toBe(image.digest);
      expect(front.log.every(({ headers }) => headers.authorization === undefined)).toBe(true);
    },
  );

  it('to a registry that refuses is an error that names both', async () => {
    const other = await start({ type: 'basic', users }, 'app');
    const front = await frontOf(other);
    const output = await mirror(front, {
      source: { registries: [{ type: 'oci', oci: { registry: front.host, insecure: true } }, plainRegistry(other)] },
      target: plainRegistry(cli.target),
    });
    expect(output).toMatch(/^1 /);
    expect(output).toContain(`http://${other.host}/v2/app/manifests/1.0: HTTP 401`);
    expect(output).toContain(`(${front.host} redirects there)`);
    expect(output).toContain(`nor source.registries have credentials for ${other.host}`);
  });

  it("to a target's host is not read with the login for pushes", async () => {
    const target = await start({ type: 'basic', users }, 'private/app');
    const front = await ScriptedServer.start(({ path }) =>
      path === '/v2/'
        ? { status: 200 }
        : { status: 307, headers: { location: `${target.origin}${path.replace('/v2/', '/v2/private/')}` } },
    );
    cleanups.push(() => front.close());
    const auth = Buffer.from('pusher:target-secret').toString('base64');
    const output = await mirror(
      front,
      {
        source: { registries: [{ type: 'oci', oci: { registry: front.host, insecure: true } }] },
        target: plainRegistry(target, { prefix: 'mirror' }),
      },
      { auths: { [target.host]: { auth } } },
    );
    expect(output).toMatch(/^1 .*HTTP 401/s);
    const reads = target.accessLog.filter(({ path }) => path.startsWith('/v2/private/'));
    expect(reads.length).toBeGreaterThan(0);
    expect(reads.every(({ authorization }) => authorization === undefined)).toBe(true);
  });
});
