import { rename, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as tlsConnect } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { FakeApiServer } from '../../fakes/apiserver.js';
import { makeCertificates } from '../../fakes/certificates.js';
import { get, post } from '../../fakes/https-client.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import type { BuiltImage } from '../../fakes/images.js';
import { FakeRegistry } from '../../fakes/registry.js';
import type { FakeRegistryOptions } from '../../fakes/registry.js';
import { RunningService } from '../../fakes/service.js';
import type { ServiceOptions } from '../../fakes/service.js';
import { KNOWN_CALLER } from './world.js';
import { until } from '../../fakes/until.js';

/** The built service as a process between two registries: what Pods get, what the registries saw. */

interface Mirror {
  readonly source: string;
  readonly state: string;
  readonly failure?: { readonly reason: string; readonly message: string };
}

let source: FakeRegistry;
let target: FakeRegistry;
let image: BuiltImage;
let services: RunningService[];

beforeEach(async () => {
  [source, target] = await Promise.all([FakeRegistry.start(), FakeRegistry.start()]);
  image = buildImage({ platforms: ['linux/amd64', 'linux/arm64'], layerSize: 10_000 });
  loadImage(source, 'app', image, '1.0');
  services = [];
});

afterEach(async () => {
  const running = services.filter(
    (service) => service.process.exitCode === null && service.process.signalCode === null,
  );
  await Promise.all(running.map((service) => service.stop('SIGKILL')));
  await Promise.all([source.close(), target.close()]);
});

async function start(
  config: Record<string, unknown> = {},
  options: Partial<ServiceOptions> = {},
): Promise<RunningService> {
  const service = await RunningService.start({ config: configText(config), ...options });
  services.push(service);
  return service;
}

function configText(config: Record<string, unknown> = {}): string {
  return stringify({
    target: { type: 'oci', oci: { registry: target.host, prefix: 'mirror', insecure: true } },
    source: { registries: [{ type: 'oci', oci: { registry: source.host, insecure: true } }] },
    answerBudget: '700ms',
    ...config,
  });
}

interface Asked {
  readonly image?: string;
  readonly dryRun?: boolean;
  readonly spec?: object;
  readonly container?: object;
}

async function admit(
  service: RunningService,
  asked: Asked = {},
): Promise<{ status: number; image: string | undefined; text: string }> {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web' },
    spec: {
      containers: [{ name: 'app', image: asked.image ?? `${source.host}/app:1.0`, ...asked.container }],
      ...asked.spec,
    },
  };
  const request = { uid: 'u', namespace: 'team-a', operation: 'CREATE', dryRun: asked.dryRun ?? false, object: pod };
  const headers = { 'Image-Swapper-Secret': KNOWN_CALLER.auth.kyverno.secret };
  const reply = await post(`${service.url}/v1/kyverno`, JSON.stringify({ request }), { ca: service.ca, headers });
  const answer = reply.json() as { images?: { containers?: { app?: string } } };
  return { status: reply.status, image: answer.images?.containers?.app, text: reply.text };
}

async function mirrors(service: RunningService): Promise<Mirror[]> {
  return ((await get(`${service.operations}/v1/mirrors`)).json() as { mirrors: Mirror[] }).mirrors;
}

const settled = async (service: RunningService): Promise<void> =>
  until('the mirrors settle', async () => {
    const all = await mirrors(service);
    return all.length > 0 && all.every(({ state }) => state !== 'queued' && state !== 'running');
  });

/** The port's colon becomes an underscore: no registry takes a colon in a path. */
const repository = (): string => `mirror/${source.host.replace(':', '_')}/app`;
const mirrored = (): string => `${target.host}/${repository()}:1.0`;
const keys = (registry: FakeRegistry, method: string, part: string): number =>
  registry.accessLog.filter((entry) => entry.method === method && entry.path.includes(part)).length;

describe('imageCopyPolicy delayed, imageSwapPolicy exists', () => {
  it('keeps the image, mirrors it, and swaps it for the next Pod', async () => {
    const service = await start();
    expect(await admit(service)).toMatchObject({ status: 200, image: undefined });
    await settled(service);
    expect(await mirrors(service)).toMatchObject([{ state: 'done', source: `${source.host}/app:1.0` }]);
    expect(await admit(service)).toMatchObject({ status: 200, image: mirrored() });
    expect(target.manifest(repository(), '1.0')?.digest).toBe(image.digest);
    for (const [, digest] of image.platforms) expect(target.manifest(repository(), digest)?.digest).toBe(digest);
    for (const blob of image.blobs) expect(target.blob(blob.digest, repository())?.size).toBe(blob.size);
  });

  it('puts blobs before manifests, manifests before the index, and the tag last', async () => {
    const service = await start();
    await admit(service);
    await settled(service);
    const puts = target.accessLog
      .filter(({ method, status }) => method === 'PUT' && status === 201)
      .map(({ path }) => path);
    const lastBlob = puts.findLastIndex((path) => path.includes('/blobs/'));
    const firstManifest = puts.findIndex((path) => path.includes('/manifests/'));
    expect(puts.at(-1)).toBe(`/v2/${repository()}/manifests/1.0`);
    expect(puts.filter((path) => path.includes('/manifests/'))).toHaveLength(image.manifests.length);
    expect(lastBlob).toBeGreaterThan(-1);
    expect(firstManifest).toBeGreaterThan(-1);
  });

  it('copies once however many Pods ask at once', async () => {
    const service = await start();
    await Promise.all(Array.from({ length: 40 }, () => admit(service)));
    await settled(service);
    expect(keys(target, 'PUT', '/manifests/1.0')).toBe(1);
    expect(keys(source, 'GET', '/manifests/')).toBe(image.manifests.length);
    for (const blob of image.blobs) expect(keys(source, 'GET', blob.digest)).toBe(1);
  });

  it('answers by digest, tags with a keeper tag and leaves the original tag alone', async () => {
    const service = await start();
    const asked = `${source.host}/app:1.0@${image.digest}`;
    await admit(service, { image: asked });
    await settled(service);
    expect(await admit(service, { image: asked })).toMatchObject({
      image: `${target.host}/${repository()}@${image.digest}`,
    });
    expect(target.tags(repository())).toEqual([`keep-${image.digest.slice('sha256:'.length, 'sha256:'.length + 12)}`]);
  });
});

describe('the other policies', () => {
  it('always: swaps before anything is there, and starts the copy', async () => {
    const service = await start({ imageSwapPolicy: 'always' });
    expect(await admit(service)).toMatchObject({ image: mirrored() });
    await settled(service);
    expect(target.manifest(repository(), '1.0')?.digest).toBe(image.digest);
  });

  it('always: swaps although the target does not answer, as air-gapped users need', async () => {
    target.fault({ action: { type: 'hang' } });
    const service = await start({ imageSwapPolicy: 'always', imageCopyPolicy: 'none' });
    expect(await admit(service)).toMatchObject({ image: mirrored() });
    expect(target.accessLog).toEqual([]);
  });

  it('immediate: the first Pod waits for the copy and is swapped', async () => {
    const service = await start({ imageCopyPolicy: 'immediate' });
    expect(await admit(service)).toMatchObject({ image: mirrored() });
    expect(target.manifest(repository(), '1.0')?.digest).toBe(image.digest);
  });

  it('immediate: waits no longer than the deadline of the request, whatever the number of containers', async () => {
    source.fault({ path: '/blobs/', action: { type: 'hang' } });
    const service = await start({ imageCopyPolicy: 'immediate', imageCopyDeadline: '600ms' });
    for (const name of ['b', 'c']) loadImage(source, name, buildImage({ seed: name.charCodeAt(0) }), '1.0');
    const containers = ['app', 'b', 'c'].map((name) => ({ name, image: `${source.host}/${name}:1.0` }));
    const started = Date.now();
    expect(await admit(service, { spec: { containers } })).toMatchObject({ status: 200, image: undefined });
    expect(Date.now() - started).toBeLessThan(5_000);
  });

  it('force: copies what the source has now although the target has the tag', async () => {
    const service = await start({ imageCopyPolicy: 'force' });
    await admit(service);
    const newer = buildImage({ seed: 9 });
    loadImage(source, 'app', newer, '1.0');
    expect(await admit(service)).toMatchObject({ image: mirrored() });
    expect(target.manifest(repository(), '1.0')?.digest).toBe(newer.digest);
  });

  it('none: never copies, and swaps what is there', async () => {
    const service = await start({ imageCopyPolicy: 'none' });
    expect(await admit(service)).toMatchObject({ image: undefined });
    loadImage(target, `mirror/${source.host.replace(':', '_')}/other`, image, '1.0');
    expect(await admit(service, { image: `${source.host}/other:1.0` })).toMatchObject({
      image: `${target.host}/mirror/${source.host.replace(':', '_')}/other:1.0`,
    });
    expect(await mirrors(service)).toEqual([]);
    expect(source.accessLog).toEqual([]);
  });

  it('imagePullPolicy Always: asks the source by HEAD again, and sends nothing that is equal', async () => {
    const service = await start();
    await admit(service);
    await settled(service);
    const pulls = (): number => keys(source, 'GET', '/manifests/') + keys(source, 'GET', '/blobs/');
    const pulled = pulls();
    const puts = keys(target, 'PUT', '/v2/');
    await admit(service, { container: { imagePullPolicy: 'Always' } });
    await until('the source is asked again', () => keys(source, 'HEAD', '/manifests/1.0') > 1);
    await settled(service);
    expect(pulls()).toBe(pulled);
    expect(keys(target, 'PUT', '/v2/')).toBe(puts);
    const newer = buildImage({ seed: 5 });
    loadImage(source, 'app', newer, '1.0');
    await admit(service, { container: { imagePullPolicy: 'Always' } });
    await until('the moved tag is mirrored', () => target.manifest(repository(), '1.0')?.digest === newer.digest);
  });

  it('imageCopyFailure deny: a Pod whose immediate copy failed gets a 5xx that says why', async () => {
    const service = await start({ imageCopyPolicy: 'immediate', imageCopyFailure: 'deny' });
    const { status, text } = await admit(service, { image: `${source.host}/missing:1.0` });
    expect(status).toBe(502);
    expect(JSON.parse(text)).toMatchObject({
      error: { code: 'copy_failed', message: expect.stringMatching(/container app: .*missing:1\.0/) as unknown },
    });
  });
});

describe('dry runs', () => {
  it('of a request are decided and not copied', async () => {
    const service = await start({ imageSwapPolicy: 'always' });
    expect(await admit(service, { dryRun: true })).toMatchObject({ image: mirrored() });
    await sleep(100);
    expect(await mirrors(service)).toEqual([]);
    expect(source.accessLog).toEqual([]);
  });

  it('of the configuration change nothing, copy nothing, and are logged', async () => {
    const service = await start({ dryRun: true, imageSwapPolicy: 'always' });
    expect(await admit(service)).toMatchObject({ status: 200, image: undefined });
    await sleep(100);
    expect(await mirrors(service)).toEqual([]);
    expect(source.accessLog).toEqual([]);
    await until('the decision is logged', () => service.log.some(({ message }) => message === 'decided'));
    expect(service.log.find(({ message }) => message === 'decided')).toMatchObject({
      containers: [{ outcome: 'dry-run', swappedTo: mirrored() }],
    });
    expect((await get(`${service.operations}/metrics`)).text).toContain('outcome="dry-run"} 1');
  });
});

describe('credentials', () => {
  const users: FakeRegistryOptions['auth'][] = [
    { type: 'basic', users: { puller: 'secret-word' } },
    { type: 'bearer', users: { puller: 'secret-word' } },
  ];

  it.each(users)('of the Pod and its ServiceAccount read a private source ($type)', async (auth) => {
    if (auth === undefined) throw new Error('no auth');
    const priv = await FakeRegistry.start({ auth });
    const api = await FakeApiServer.start();
    try {
      loadImage(priv, 'app', image, '1.0');
      api.putServiceAccount('team-a', 'default', ['account-secret']);
      api.putPullSecret('team-a', 'pod-secret', { [priv.host]: { username: 'puller', password: 'wrong' } });
      api.putPullSecret('team-a', 'account-secret', { [priv.host]: { username: 'puller', password: 'secret-word' } });
      const registries = [source, priv].map(({ host }) => ({ type: 'oci', oci: { registry: host, insecure: true } }));
      const service = await start({ source: { registries } });
      await writeFile(join(service.folder, 'kubeconfig'), api.kubeconfig('swapper'));
      await service.stop();
      const kubeconfig = join(service.folder, '..', `kubeconfig-${process.pid}-${auth.type}`);
      await writeFile(kubeconfig, api.kubeconfig('swapper'));
      // The API server knows no Leases; nobody waits for one here.
      const config = { source: { registries }, reconcile: { enabled: false }, ...KNOWN_CALLER };
      const withCluster = await start(config, { env: { KUBECONFIG: kubeconfig } });
      await admit(withCluster, { image: `${priv.host}/app:1.0`, spec: { imagePullSecrets: [{ name: 'pod-secret' }] } });
      await settled(withCluster);
      expect(await mirrors(withCluster)).toMatchObject([{ state: 'done' }]);
      expect(target.manifest(`mirror/${priv.host.replace(':', '_')}/app`, '1.0')?.digest).toBe(image.digest);
      const log = JSON.stringify(withCluster.log);
      for (const secret of ['secret-word', 'wrong', Buffer.from('puller:secret-word').toString('base64')]) {
        expect(log).not.toContain(secret);
      }
      await unlink(kubeconfig);
    } finally {
      await Promise.all([priv.close(), api.close()]);
    }
  });

  it('of the configuration read a private source and write a private target', async () => {
    const [priv, into] = await Promise.all([
      FakeRegistry.start({ auth: { type: 'basic', users: { reader: 'r-word' } } }),
      FakeRegistry.start({ auth: { type: 'bearer', users: { writer: 'w-word' } } }),
    ]);
    try {
      loadImage(priv, 'app', image, '1.0');
      const credentials = (username: string, password: string) => ({ credentials: { username, password } });
      const service = await start({
        target: { type: 'oci', oci: { registry: into.host, insecure: true, ...credentials('writer', 'w-word') } },
        source: {
          registries: [
            { type: 'oci', oci: { registry: priv.host, insecure: true, ...credentials('reader', 'r-word') } },
          ],
        },
      });
      await admit(service, { image: `${priv.host}/app:1.0` });
      await settled(service);
      expect(into.manifest(`${priv.host.replace(':', '_')}/app`, '1.0')?.digest).toBe(image.digest);
      expect(new Set(priv.accessLog.map(({ user }) => user))).not.toContain('writer');
      expect(new Set(into.accessLog.map(({ user }) => user))).not.toContain('reader');
    } finally {
      await Promise.all([priv.close(), into.close()]);
    }
  });

  it('that are missing fail the copy with the reason and what to do, and the Pod keeps its image', async () => {
    const priv = await FakeRegistry.start({ auth: { type: 'basic', users: { reader: 'r-word' } } });
    try {
      loadImage(priv, 'app', image, '1.0');
      const service = await start({
        source: { registries: [{ type: 'oci', oci: { registry: priv.host, insecure: true } }] },
      });
      expect(await admit(service, { image: `${priv.host}/app:1.0` })).toMatchObject({ status: 200, image: undefined });
      await settled(service);
      const [mirror] = await mirrors(service);
      expect(mirror).toMatchObject({ state: 'failed', failure: { reason: 'unauthorized' } });
      expect(mirror?.failure?.message).toContain('no pull secret of the Pod');
    } finally {
      await priv.close();
    }
  });
});

describe('a registry that lies or fails', () => {
  it.each([
    ['bytes that are not what their digest says', '/blobs/', { type: 'wrong-bytes' }],
    ['a manifest that is not what its digest says', '/manifests/sha256', { type: 'wrong-bytes' }],
    ['a truncated blob', '/blobs/', { type: 'truncate', after: 100 }],
    ['a blob that is longer than its descriptor', '/blobs/', { type: 'content-length', delta: 1_000 }],
    ['a blob that is shorter than its descriptor', '/blobs/', { type: 'content-length', delta: -100 }],
    ['a connection cut in the middle of a blob', '/blobs/', { type: 'reset', after: 100 }],
    ['an HTML page', '/manifests/', { type: 'html', status: 200 }],
    ['an HTML error page', '/manifests/', { type: 'html', status: 502 }],
    ['errors', '/v2/', { type: 'status', status: 500 }],
  ] as const)(
    'gives %s: nothing appears under a tag, the Pod is untouched, the reason is logged',
    async (_name, path, action) => {
      source.fault({ path, action });
      const service = await start();
      expect(await admit(service)).toMatchObject({ status: 200, image: undefined });
      await settled(service);
      const [mirror] = await mirrors(service);
      expect(mirror?.failure?.message).toContain(source.host);
      expect(target.tags(repository())).toEqual([]);
      expect(await admit(service)).toMatchObject({ status: 200, image: undefined });
      expect((await get(`${service.operations}/healthz`)).status).toBe(200);
    },
  );

  it('that is a target without an answer costs a Pod no more than the budget', async () => {
    target.fault({ action: { type: 'hang' } });
    const service = await start({ answerBudget: '150ms' });
    const started = Date.now();
    expect(await admit(service)).toMatchObject({ status: 200, image: undefined });
    expect(Date.now() - started).toBeLessThan(3_000);
  });

  it('is not contacted at all when a Pod names a host that is refused by default', async () => {
    const hidden = await FakeRegistry.start();
    try {
      const service = await start();
      await admit(service, { image: `${hidden.host}/app:1.0` });
      await settled(service);
      expect(hidden.accessLog).toEqual([]);
      expect(await mirrors(service)).toMatchObject([{ state: 'failed', failure: { reason: 'refused' } }]);
    } finally {
      await hidden.close();
    }
  });
});

describe('images that are none', () => {
  it.each(['library/UPPER', 'a b', 'x'.repeat(300), 'nginx@sha256:123', '{{ request.object }}', '-', ':5000/x'])(
    '%s: the Pod is untouched and the log says why',
    async (bad) => {
      const service = await start();
      expect(await admit(service, { image: bad })).toMatchObject({ status: 200, text: '{"images":{},"patches":[]}' });
      await until('the log line', () => service.log.some(({ message }) => message === 'decided'));
      expect(service.log.find(({ message }) => message === 'decided')).toMatchObject({
        level: 'warn',
        containers: [{ reason: 'invalid-image', detail: expect.any(String) as unknown }],
      });
    },
  );
});

describe('files that change', () => {
  const filtered = { source: { filters: [{ jmespath: "container.name == 'app'" }] } };

  it('a new configuration is in force within seconds, a broken one is not', async () => {
    const service = await start({ imageSwapPolicy: 'always', imageCopyPolicy: 'none' });
    expect((await admit(service)).image).toBe(mirrored());
    await writeFile(service.configFile, 'imageSwapPolicy: sometimes\n');
    await until('the refusal', () =>
      service.log.some(({ message }) => message.startsWith('configuration not reloaded')),
    );
    expect((await admit(service)).image).toBe(mirrored());
    expect((await get(`${service.operations}/readyz`)).status).toBe(200);
    expect((await get(`${service.operations}/metrics`)).text).toContain('image_swapper_config_reload_failure_total 1');
    // A guard that the engine cannot apply must not be taken for one.
    await writeFile(service.configFile, configText({ source: { directTarget: 'refuse' } }));
    await until('the refusal of a guard', () =>
      service.log.some(({ err }) => String(err).includes('source.directTarget: is refuse')),
    );
    await writeFile(
      service.configFile,
      configText({ imageSwapPolicy: 'always', imageCopyPolicy: 'none', ...filtered }),
    );
    await until('the filter comes into force', async () => (await admit(service)).image === undefined);
  });

  it('so does one that a mounted ConfigMap swaps in by its ..data link', async () => {
    const service = await start({ imageSwapPolicy: 'always', imageCopyPolicy: 'none' });
    const { folder } = service;
    const { mkdir } = await import('node:fs/promises');
    await mkdir(join(folder, '..2'));
    await writeFile(
      join(folder, '..2', 'image-swapper.yaml'),
      configText({ imageSwapPolicy: 'always', imageCopyPolicy: 'none', ...filtered }),
    );
    await symlink('..2', join(folder, '..data'));
    await symlink(join('..data', 'image-swapper.yaml'), join(folder, 'next'));
    await rename(join(folder, 'next'), service.configFile);
    await until('the filter comes into force', async () => (await admit(service)).image === undefined);
  });

  it('a new certificate is served to new connections, a broken one is not', async () => {
    const service = await start();
    const next = await makeCertificates({ hosts: ['127.0.0.1'] });
    await writeFile(join(service.folder, 'tls.key'), 'not a key');
    await until('the refusal', () =>
      service.log.some(({ message }) => message.startsWith('serving certificate not reloaded')),
    );
    expect((await admit(service)).status).toBe(200);
    await writeFile(join(service.folder, 'tls.crt'), next.cert);
    await writeFile(join(service.folder, 'tls.key'), next.key);
    await until('the reload', () => service.log.some(({ message }) => message === 'serving certificate reloaded'));
    const { port } = new URL(service.url);
    const socket = tlsConnect({ host: '127.0.0.1', port: Number(port), ca: next.ca });
    await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
    socket.destroy();
  });
});

describe('SIGTERM', () => {
  it('lets a running copy finish and ends with 0', async () => {
    source.fault({ path: '/blobs/', action: { type: 'delay', milliseconds: 2_000 } });
    const service = await start();
    await admit(service);
    await until('the copy runs', async () => (await mirrors(service))[0]?.state === 'running');
    expect(await service.stop()).toEqual({ code: 0, signal: null });
    expect(target.manifest(repository(), '1.0')?.digest).toBe(image.digest);
  });

  it('ends an idle service at once, with 0', async () => {
    const service = await start();
    const started = Date.now();
    expect(await service.stop()).toEqual({ code: 0, signal: null });
    expect(Date.now() - started).toBeLessThan(5_000);
  });

  it('answers what is in flight first', async () => {
    source.fault({ path: '/blobs/', action: { type: 'delay', milliseconds: 2_000 } });
    const service = await start({ imageCopyPolicy: 'immediate' });
    const answer = admit(service);
    await until('the copy runs', async () => (await mirrors(service))[0]?.state === 'running');
    const stopped = service.stop();
    expect(await answer).toMatchObject({ status: 200, image: mirrored() });
    expect((await stopped).code).toBe(0);
  });
});

describe('other callers', () => {
  it('explain tells the decision as JSON', async () => {
    const service = await start();
    const reply = await post(`${service.url}/v1/explain`, JSON.stringify({ image: `${source.host}/app:1.0` }), {
      ca: service.ca,
    });
    expect(reply.json()).toMatchObject({
      containers: [{ action: 'mirror', reference: mirrored(), existence: { state: 'absent' }, swapped: false }],
    });
  });

  it('Gatekeeper gets what is in the target and never starts a copy', async () => {
    const service = await start();
    const ask = async (): Promise<unknown> => {
      const body = {
        apiVersion: 'externaldata.gatekeeper.sh/v1beta1',
        kind: 'ProviderRequest',
        request: { keys: [`${source.host}/app:1.0`] },
      };
      return (await post(`${service.url}/v1/gatekeeper`, JSON.stringify(body), { ca: service.ca })).json();
    };
    expect(await ask()).toMatchObject({ response: { items: [{ value: `${source.host}/app:1.0` }] } });
    expect(await mirrors(service)).toEqual([]);
    await admit(service);
    await settled(service);
    expect(await ask()).toMatchObject({ response: { idempotent: true, items: [{ value: mirrored() }] } });
  });

  it('Gatekeeper gets everything back unchanged when a filter needs the Pod', async () => {
    const service = await start({
      imageSwapPolicy: 'always',
      source: { filters: [{ jmespath: "obj.metadata.namespace == 'x'" }] },
    });
    const body = { kind: 'ProviderRequest', request: { keys: ['nginx'] } };
    const reply = await post(`${service.url}/v1/gatekeeper`, JSON.stringify(body), { ca: service.ca });
    expect(reply.json()).toMatchObject({ response: { items: [{ key: 'nginx', value: 'nginx' }] } });
  });

  it('a second, plain listener answers the admission routes for MutatingPolicies', async () => {
    const service = await start(
      { imageSwapPolicy: 'always', imageCopyPolicy: 'none' },
      { flags: ['--http-listen-address', '127.0.0.1:0'] },
    );
    const plain = (): unknown =>
      service.log.find(
        ({ message, protocol, purpose }) => message === 'listening' && protocol === 'http' && purpose === 'admission',
      )?.['address'];
    await until('the second listener', () => plain() !== undefined);
    const request = {
      operation: 'CREATE',
      object: { kind: 'Pod', spec: { containers: [{ name: 'app', image: 'nginx' }] } },
    };
    const reply = await post(`http://${String(plain())}/v1/kyverno`, JSON.stringify({ request }));
    expect(reply.json()).toMatchObject({
      images: { containers: { app: `${target.host}/mirror/docker.io/library/nginx:latest` } },
    });
  });
});
