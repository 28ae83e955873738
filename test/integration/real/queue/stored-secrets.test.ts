import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { FakeCluster } from '../../../fakes/cluster/fake-cluster.js';
import { smallPod } from '../../../fakes/cluster/pods.js';
import { buildImage, loadImage } from '../../../fakes/images.js';
import { Postgres } from '../../../fakes/postgres.js';
import { RedisServer } from '../../../fakes/redis.js';
import { FakeRegistry } from '../../../fakes/registry.js';
import { ScriptedServer } from '../../../fakes/scripted-server.js';
import { RunningService } from '../../../fakes/service.js';
import { until, untilWith } from '../../../fakes/until.js';
import { run } from '../../../tools/tool.js';
import { metric } from '../../loopback/world.js';

/**
 * Three services copy private images with the pull secrets of Pods. The tests read everything that the queue server
 * stores and everything that it has received, with its own tools.
 */

const PASSWORD = 'pull-word-7f3d1c';
const ECHO_TOKEN = 'tok-5f3a1c9e7b2d4f60';
const SECRET = 'team-pull-secret';
const REPEATED = 'MANIFEST_INVALID: the login was';

/** A server and what an administrator of it can see. */
interface SeenServer {
  readonly config: object;
  /** Everything that the server stores, as text. */
  stored(): Promise<string>;
  /** Every command or statement that the server has received, with its parameters. */
  received(): Promise<string>;
  stop(): Promise<void>;
}

async function redis(): Promise<SeenServer> {
  const server = await RedisServer.start();
  const client = new Redis(server.port);
  const monitor = await client.monitor();
  const commands: string[] = [];
  monitor.on('monitor', (_: string, args: readonly string[]) => void commands.push(args.join(' ')));
  return {
    config: { type: 'redis', url: server.url },
    stored: async () => {
      const texts: string[] = [];
      for (const key of await client.keys('*')) texts.push(key, JSON.stringify(await valueOf(client, key)));
      return texts.join('\n');
    },
    received: () => Promise.resolve(commands.join('\n')),
    stop: async () => {
      client.disconnect();
      monitor.disconnect();
      await server.stop();
    },
  };
}

async function valueOf(client: Redis, key: string): Promise<unknown> {
  const type = await client.type(key);
  switch (type) {
    case 'none':
      return undefined;
    case 'string':
      return client.get(key);
    case 'hash':
      return client.hgetall(key);
    case 'list':
      return client.lrange(key, 0, -1);
    case 'set':
      return client.smembers(key);
    case 'zset':
      return client.zrange(key, '0', '-1');
    case 'stream':
      return client.xrange(key, '-', '+');
    default:
      throw new Error(`${key} has the type ${type}, which this test does not read`);
  }
}

async function postgres(): Promise<SeenServer> {
  const logging = { logging_collector: 'on', log_directory: 'statements', log_statement: 'all' };
  const server = await Postgres.start(undefined, logging);
  const { folder } = server;
  return {
    config: { type: 'postgres', url: `postgres://postgres@socket/postgres?host=${folder}` },
    stored: () => run('pg_dump', ['-h', folder, '-U', 'postgres', '--inserts', 'postgres']),
    received: async () => {
      const logs = join(folder, 'data', 'statements');
      const texts = (await readdir(logs)).map((name) => readFile(join(logs, name), 'utf8'));
      return (await Promise.all(texts)).join('\n');
    },
    stop: () => server.stop(),
  };
}

/** The text, and its base64 at each offset, as in the `auth` of a Docker config. */
function formsOf(secret: string): readonly string[] {
  const shifted = [0, 1, 2].map((offset) => {
    const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(secret)]);
    // The first and the last characters depend on the neighbors.
    return bytes
      .toString('base64')
      .replaceAll('=', '')
      .slice(offset === 0 ? 0 : offset + 1, -2);
  });
  return [secret, encodeURIComponent(secret), Buffer.from(secret).toString('hex'), ...shifted];
}

describe.each([
  ['Redis', redis],
  ['PostgreSQL', postgres],
] as const)('a queue in %s', (_, startServer) => {
  let cluster: FakeCluster;
  let source: FakeRegistry;
  let echoing: ScriptedServer;
  let target: FakeRegistry;
  let server: SeenServer;
  let folder: string;
  const services: RunningService[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'image-swapper-stored-'));
    const auth = { type: 'bearer', users: { robot: PASSWORD } } as const;
    [cluster, source, target, server] = [
      await FakeCluster.start(),
      await FakeRegistry.start({ auth }),
      await FakeRegistry.start(),
      await startServer(),
    ];
    // A registry that repeats the login in its errors, which replicas tell each other through the queue.
    echoing = await ScriptedServer.start(({ path, headers }, { origin }) => {
      // An anonymous request must not get an answer with a password that this replica has not sent.
      if (path === '/token') return { status: 200, body: { token: headers.authorization ? ECHO_TOKEN : 'anonymous' } };
      const challenge = `Bearer realm="${origin}/token",service="s"`;
      if (headers.authorization !== `Bearer ${ECHO_TOKEN}`)
        return { status: 401, headers: { 'www-authenticate': challenge } };
      const message = `the login was ${PASSWORD} ${Buffer.from(`robot:${PASSWORD}`).toString('base64')} ${ECHO_TOKEN}`;
      return { status: 400, body: { errors: [{ code: 'MANIFEST_INVALID', message }] } };
    });
    await writeFile(join(folder, 'kubeconfig'), cluster.kubeconfig());
  });
  afterEach(async () => {
    await Promise.all(services.splice(0).map((service) => service.stop('SIGKILL')));
    await Promise.all([cluster, source, target, echoing].map((one) => one.close()));
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  });

  async function start(name: string): Promise<void> {
    const registry = (host: string): object => ({ type: 'oci', oci: { registry: host, insecure: true } });
    const config = stringify({
      target: registry(target.host),
      source: { registries: [registry(source.host), registry(echoing.host)] },
      queue: server.config,
    });
    const env = { KUBECONFIG: join(folder, 'kubeconfig'), POD_NAME: name };
    services.push(await RunningService.start({ config, plain: true, env }));
  }

  function addPullSecret(): void {
    const auth = Buffer.from(`robot:${PASSWORD}`).toString('base64');
    const login = { username: 'robot', password: PASSWORD, auth };
    const auths = { [source.host]: login, [echoing.host]: login };
    const data = { '.dockerconfigjson': Buffer.from(JSON.stringify({ auths })).toString('base64') };
    cluster.putObject(`/api/v1/namespaces/team-a/secrets/${SECRET}`, {
      ...{ apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/dockerconfigjson', data },
      metadata: { name: SECRET, namespace: 'team-a', resourceVersion: '1' },
    });
    cluster.putObject('/api/v1/namespaces/team-a/serviceaccounts/default', {
      ...{ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace: 'team-a' } },
    });
  }

  function addPod(name: string, image: string): void {
    const pod = smallPod(name, image);
    const spec = { ...(pod as unknown as { readonly spec: object }).spec, imagePullSecrets: [{ name: SECRET }] };
    cluster.collection('/api/v1/pods').put({ ...pod, spec });
  }

  const isMirrored = (name: string): boolean =>
    target.manifest(`${source.host.replace(':', '_')}/${name}`, '1') !== undefined;

  /**
   * Adds Pods until this many of their copies are stored and do not end. A replica that cannot store a job, because the
   * server does not answer in time, makes the copy itself. Such a copy may end, so that it keeps no slot from others.
   */
  async function holdStored(count: number): Promise<{ readonly name: string; readonly release: () => void }[]> {
    const held: { readonly name: string; readonly release: () => void }[] = [];
    for (let number = 0; held.length < count; number += 1) {
      const name = `held-${number}`;
      let release = (): void => undefined;
      const released = new Promise<void>((resolve) => (release = resolve));
      source.fault({ path: `/v2/${name}/blobs/`, action: { type: 'wait', until: released } });
      loadImage(source, name, buildImage({ seed: 10 + number, platforms: ['linux/amd64'] }), '1');
      addPod(name, `${source.host}/${name}:1`);
      let isStored = false;
      await untilCopied(`${name} is stored, or copied without the server`, async () => {
        const begins = source.requests().some((line) => line.includes(`/${name}/blobs/`));
        isStored = (await server.stored()).includes(`${source.host}/${name}:1`);
        return isStored || begins;
      });
      if (isStored) held.push({ name, release });
      else release();
    }
    return held;
  }

  /** Shows what the services reported, when the machine or a service keeps a copy from being made. */
  const untilCopied = untilWith(() =>
    services
      .flatMap(({ log }) => log.map((line) => JSON.stringify(line)))
      .slice(-60)
      .join('\n'),
  );

  it('holds and receives names of pull secrets, and no password, token or login', async () => {
    addPullSecret();
    for (const [seed, name] of ['first', 'second'].entries())
      loadImage(source, name, buildImage({ seed, platforms: ['linux/amd64'] }), '1');
    await Promise.all([start('a'), start('b'), start('c')]);
    await until('all are connected', async () =>
      (await Promise.all(services.map((service) => metric(service, 'image_swapper_queue_server_replicas')))).every(
        (count) => count === services.length,
      ),
    );
    const seen: string[] = [];
    for (const name of ['first', 'second']) addPod(name, `${source.host}/${name}:1`);
    await until('the copies', () => ['first', 'second'].every(isMirrored));
    // A replica that has not seen the Pod yet has no login that could be repeated, so one Pod may not be enough.
    let echoes = 0;
    await until('a stored failure that repeats the login', async () => {
      echoes += 1;
      addPod(`echo-${echoes}`, `${echoing.host}/app-${echoes}:1`);
      return (await server.received()).includes(REPEATED);
    });
    seen.push(await server.stored());

    // A job that runs is stored with all that a replica needs to copy it.
    const held = await holdStored(2);
    seen.push(await server.stored());
    for (const copy of held) copy.release();
    await until('the other copies', () => held.every(({ name }) => isMirrored(name)));
    seen.push(await server.stored(), await server.received());

    const tokens = source.accessLog.flatMap(
      ({ headers }) => /^Bearer (\S+)$/.exec(headers.authorization ?? '')?.[1] ?? [],
    );
    expect(tokens.length).toBeGreaterThan(0);
    const text = seen.join('\n');
    // The references to Secrets are there, so the text is what the services stored.
    expect(text).toContain(SECRET);
    const forms = [PASSWORD, `robot:${PASSWORD}`, ECHO_TOKEN, ...new Set(tokens)].flatMap(formsOf);
    expect(forms.filter((form) => text.includes(form))).toEqual([]);
  });
});
