import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as tlsConnect } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { FakeApiServer } from '../../fakes/apiserver.js';
import { makeCertificates } from '../../fakes/certificates.js';
import { get, post } from '../../fakes/https-client.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import type { BuiltImage } from '../../fakes/images.js';
import { FakeRegistry } from '../../fakes/registry.js';
import type { FakeRegistryOptions } from '../../fakes/registry.js';
import { RunningService } from '../../fakes/service.js';
import type { LogLine, ServiceOptions } from '../../fakes/service.js';
import { KNOWN_CALLER } from './world.js';
import type { MirrorRow } from './world.js';
import { until } from '../../fakes/until.js';

/**
 * The built service as a process between registries. The tests check the images of Pods and the requests to the
 * registries.
 */

/** Each case has its own source, image and namespace. */
let source: FakeRegistry;
let image: BuiltImage;
let namespace: string;
let cases = 0;
/** The service of the case and its target. */
let service: RunningService;
let target: FakeRegistry;
/** Resources of a single case, which are closed after it. */
const own: (() => Promise<unknown>)[] = [];

async function closeOwn(): Promise<void> {
  for (const close of own.splice(0).reverse()) await close();
}

const plain = ({ host }: FakeRegistry, more: object = {}): object => ({
  type: 'oci',
  oci: { registry: host, insecure: true, ...more },
});

function configText(sources: readonly FakeRegistry[], { filters, ...config }: Configuration = {}): string {
  return stringify({
    target: plain(target, { prefix: 'mirror' }),
    source: { registries: sources.map((registry) => plain(registry)), ...(filters !== undefined && { filters }) },
    answerBudget: '700ms',
    ...config,
  });
}

/** The maximum, because a copy on loopback may be slow on a busy machine. */
const LONGEST_DEADLINE = { imageCopyDeadline: '28s' };

interface Configuration extends Record<string, unknown> {
  readonly filters?: readonly object[];
}

async function startService(config: string, options: Partial<ServiceOptions>): Promise<() => Promise<unknown>> {
  const started = await RunningService.start({ config, ...options });
  service = started;
  const { process } = started;
  return async () => process.exitCode ?? process.signalCode ?? (await started.stop('SIGKILL'));
}

/** Prepares the resources of each case. */
function begin(registry: FakeRegistry): void {
  cases += 1;
  source = registry;
  namespace = `team-${cases}`;
  image = buildImage({ platforms: ['linux/amd64', 'linux/arm64'], layerSize: 10_000, seed: 100 + cases });
  loadImage(source, 'app', image, '1.0');
}

/** Starts one service with many sources for all cases of a `describe`. */
function share(count: number, config: Configuration = {}, options: Partial<ServiceOptions> = {}): void {
  const closes: (() => Promise<unknown>)[] = [];
  let sources: FakeRegistry[];
  beforeAll(async () => {
    target = await FakeRegistry.start();
    sources = await Promise.all(Array.from({ length: count }, () => FakeRegistry.start()));
    for (const registry of [target, ...sources]) closes.push(() => registry.close());
    closes.push(await startService(configText(sources, config), options));
  });
  beforeEach(() => {
    const next = sources.shift();
    if (next === undefined) throw new Error('more cases than sources');
    begin(next);
  });
  afterEach(closeOwn);
  afterAll(async () => {
    for (const close of closes.reverse()) await close();
  });
}

/** Starts separate registries for each case. The case starts its own service. */
function alone(): void {
  beforeEach(async () => {
    target = await registry();
    begin(await registry());
  });
  afterEach(closeOwn);
}

async function registry(options: FakeRegistryOptions = {}): Promise<FakeRegistry> {
  const started = await FakeRegistry.start(options);
  own.push(() => started.close());
  return started;
}

async function start(config: Configuration = {}, options: Partial<ServiceOptions> = {}): Promise<void> {
  own.push(await startService(configText([source], config), options));
}

interface Asked {
  readonly image?: string;
  readonly dryRun?: boolean;
  readonly spec?: object;
  readonly container?: object;
}

async function admit(asked: Asked = {}): Promise<{ status: number; image: string | undefined; text: string }> {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web' },
    spec: {
      containers: [{ name: 'app', image: asked.image ?? `${source.host}/app:1.0`, ...asked.container }],
      ...asked.spec,
    },
  };
  const request = { uid: 'u', namespace, operation: 'CREATE', dryRun: asked.dryRun ?? false, object: pod };
  const headers = { 'Image-Swapper-Secret': KNOWN_CALLER.auth.kyverno.secret };
  const reply = await post(`${service.url}/v1/kyverno`, JSON.stringify({ request }), { ca: service.ca, headers });
  const answer = reply.json() as { images?: { containers?: { app?: string } } };
  return { status: reply.status, image: answer.images?.containers?.app, text: reply.text };
}

/** Returns the copies of this case. */
async function mirrors(from = source): Promise<MirrorRow[]> {
  const { mirrors: all } = (await get(`${service.operations}/v1/mirrors`)).json() as { mirrors: MirrorRow[] };
  return all.filter((row) => row.source.startsWith(`${from.host}/`));
}

const settled = async (from = source): Promise<void> =>
  until('the mirrors settle', async () => {
    const all = await mirrors(from);
    return all.length > 0 && all.every(({ state }) => state !== 'queued' && state !== 'running');
  });

/** Returns the log line about this case's Pod. */
async function decided(): Promise<LogLine | undefined> {
  const find = () => service.log.find((line) => line.message === 'decided' && line['namespace'] === namespace);
  await until('the decision is logged', () => find() !== undefined);
  return find();
}

/** The colon before the port becomes an underscore because registries do not accept a colon in a path. */
const repository = (name = 'app', from = source): string => `mirror/${from.host.replace(':', '_')}/${name}`;
const mirrored = (): string => `${target.host}/${repository()}:1.0`;
/** Returns requests to a registry, by method and part of the path. */
const count = (registry: FakeRegistry, method: string, part: string): number =>
  registry.accessLog.filter((entry) => entry.method === method && entry.path.includes(part)).length;
const puts = (): string[] =>
  target.accessLog
    .filter(({ method, path, status }) => method === 'PUT' && status === 201 && path.startsWith(`/v2/${repository()}/`))
    .map(({ path }) => path);

describe('imageCopyPolicy delayed, imageSwapPolicy exists', () => {
  share(25);

  it('keeps the image, mirrors it, and swaps it for the next Pod', async () => {
    expect(await admit()).toMatchObject({ status: 200, image: undefined });
    await settled();
    expect(await mirrors()).toMatchObject([{ state: 'done', source: `${source.host}/app:1.0` }]);
    expect(await admit()).toMatchObject({ status: 200, image: mirrored() });
    expect(target.manifest(repository(), '1.0')?.digest).toBe(image.digest);
    for (const [, digest] of image.platforms) expect(target.manifest(repository(), digest)?.digest).toBe(digest);
    for (const blob of image.blobs) expect(target.blob(blob.digest, repository())?.size).toBe(blob.size);
  });

  it('puts blobs before manifests, manifests before the index, and the tag last', async () => {
    await admit();
    await settled();
    const lastBlob = puts().findLastIndex((path) => path.includes('/blobs/'));
    const firstManifest = puts().findIndex((path) => path.includes('/manifests/'));
    expect(puts().at(-1)).toBe(`/v2/${repository()}/manifests/1.0`);
    expect(puts().filter((path) => path.includes('/manifests/'))).toHaveLength(image.manifests.length);
    expect(lastBlob).toBeGreaterThan(-1);
    expect(firstManifest).toBeGreaterThan(-1);
  });

  it('copies once for any number of concurrent Pods', async () => {
    await Promise.all(Array.from({ length: 40 }, () => admit()));
    await settled();
    expect(count(target, 'PUT', `/${repository()}/manifests/1.0`)).toBe(1);
    expect(count(source, 'GET', '/manifests/')).toBe(image.manifests.length);
    for (const blob of image.blobs) expect(count(source, 'GET', blob.digest)).toBe(1);
  });

  it('answers by digest, writes a keeper tag and does not move the original tag', async () => {
    const asked = `${source.host}/app:1.0@${image.digest}`;
    await admit({ image: asked });
    await settled();
    expect(await admit({ image: asked })).toMatchObject({
      image: `${target.host}/${repository()}@${image.digest}`,
    });
    expect(target.tags(repository())).toEqual([`keep-${image.digest.slice('sha256:'.length, 'sha256:'.length + 12)}`]);
  });

  it('imagePullPolicy Always: checks the source by HEAD again and sends nothing that is equal', async () => {
    await admit();
    await settled();
    const pulls = (): number => count(source, 'GET', '/manifests/') + count(source, 'GET', '/blobs/');
    const pulled = pulls();
    const sent = puts().length;
    await admit({ container: { imagePullPolicy: 'Always' } });
    await until('the source is asked again', () => count(source, 'HEAD', '/manifests/1.0') > 1);
    await settled();
    expect(pulls()).toBe(pulled);
    expect(puts()).toHaveLength(sent);
    const newer = buildImage({ seed: 5 });
    loadImage(source, 'app', newer, '1.0');
    await admit({ container: { imagePullPolicy: 'Always' } });
    await until('the moved tag is mirrored', () => target.manifest(repository(), '1.0')?.digest === newer.digest);
  });

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
    'a source returns %s: no tag appears, the Pod is unchanged, and the reason is logged',
    async (_name, path, action) => {
      source.fault({ path, action });
      expect(await admit()).toMatchObject({ status: 200, image: undefined });
      await settled();
      const [mirror] = await mirrors();
      expect(mirror?.failure?.message).toContain(source.host);
      expect(target.tags(repository())).toEqual([]);
      expect(await admit()).toMatchObject({ status: 200, image: undefined });
      expect((await get(`${service.operations}/healthz`)).status).toBe(200);
    },
  );

  it('contacts no host that a Pod names and the defaults deny', async () => {
    const hidden = await registry();
    await admit({ image: `${hidden.host}/app:1.0` });
    await settled(hidden);
    expect(hidden.accessLog).toEqual([]);
    expect(await mirrors(hidden)).toMatchObject([{ state: 'failed', failure: { reason: 'refused' } }]);
  });

  it.each(['library/UPPER', 'a b', 'x'.repeat(300), 'nginx@sha256:123', '{{ request.object }}', '-', ':5000/x'])(
    '%s is not an image: the Pod is unchanged and the log says why',
    async (bad) => {
      expect(await admit({ image: bad })).toMatchObject({ status: 200, text: '{"images":{},"patches":[]}' });
      expect(await decided()).toMatchObject({
        level: 'warn',
        containers: [{ reason: 'invalid-image', detail: expect.any(String) as unknown }],
      });
    },
  );

  it('explain prints the decision as JSON', async () => {
    const reply = await post(`${service.url}/v1/explain`, JSON.stringify({ image: `${source.host}/app:1.0` }), {
      ca: service.ca,
    });
    expect(reply.json()).toMatchObject({
      containers: [{ action: 'mirror', reference: mirrored(), existence: { state: 'absent' }, swapped: false }],
    });
  });

  it('Gatekeeper receives images in the target and never starts a copy', async () => {
    const ask = async (): Promise<unknown> => {
      const body = {
        apiVersion: 'externaldata.gatekeeper.sh/v1beta1',
        kind: 'ProviderRequest',
        request: { keys: [`${source.host}/app:1.0`] },
      };
      return (await post(`${service.url}/v1/gatekeeper`, JSON.stringify(body), { ca: service.ca })).json();
    };
    expect(await ask()).toMatchObject({ response: { items: [{ value: `${source.host}/app:1.0` }] } });
    expect(await mirrors()).toEqual([]);
    await admit();
    await settled();
    expect(await ask()).toMatchObject({ response: { idempotent: true, items: [{ value: mirrored() }] } });
  });
});

describe('imageSwapPolicy always', () => {
  share(3, { imageSwapPolicy: 'always', filters: [{ jmespath: "obj.metadata.namespace == 'x'" }] });

  it('swaps before the image is in the target, and starts the copy', async () => {
    expect(await admit()).toMatchObject({ image: mirrored() });
    await settled();
    expect(target.manifest(repository(), '1.0')?.digest).toBe(image.digest);
  });

  it('decides a dry run without copying', async () => {
    expect(await admit({ dryRun: true })).toMatchObject({ image: mirrored() });
    await sleep(100);
    expect(await mirrors()).toEqual([]);
    expect(source.accessLog).toEqual([]);
  });

  it('returns all images unchanged to Gatekeeper when a filter needs the Pod', async () => {
    const body = { kind: 'ProviderRequest', request: { keys: ['nginx'] } };
    const reply = await post(`${service.url}/v1/gatekeeper`, JSON.stringify(body), { ca: service.ca });
    expect(reply.json()).toMatchObject({ response: { items: [{ key: 'nginx', value: 'nginx' }] } });
  });
});

describe('imageSwapPolicy always, imageCopyPolicy none', () => {
  share(2, { imageSwapPolicy: 'always', imageCopyPolicy: 'none' }, { flags: ['--http-listen-address', '127.0.0.1:0'] });

  it('swaps although the target does not answer, for air-gapped clusters', async () => {
    target.fault({ action: { type: 'hang' } });
    expect(await admit()).toMatchObject({ image: mirrored() });
    expect(target.accessLog).toEqual([]);
  });

  it('a second, plain listener answers the admission routes for MutatingPolicies', async () => {
    const plainAddress = (): unknown =>
      service.log.find(
        ({ message, protocol, purpose }) => message === 'listening' && protocol === 'http' && purpose === 'admission',
      )?.['address'];
    await until('the second listener', () => plainAddress() !== undefined);
    const request = {
      operation: 'CREATE',
      object: { kind: 'Pod', spec: { containers: [{ name: 'app', image: 'nginx' }] } },
    };
    const reply = await post(`http://${String(plainAddress())}/v1/kyverno`, JSON.stringify({ request }));
    expect(reply.json()).toMatchObject({
      images: { containers: { app: `${target.host}/mirror/docker.io/library/nginx:latest` } },
    });
  });
});

describe('imageCopyPolicy immediate', () => {
  share(2, { imageCopyPolicy: 'immediate', imageCopyFailure: 'deny', ...LONGEST_DEADLINE });

  it('the first Pod waits for the copy and is swapped', async () => {
    expect(await admit()).toMatchObject({ image: mirrored() });
    expect(target.manifest(repository(), '1.0')?.digest).toBe(image.digest);
  });

  it('imageCopyFailure deny: a Pod whose copy failed gets a 5xx that says why', async () => {
    const { status, text } = await admit({ image: `${source.host}/missing:1.0` });
    expect(status).toBe(502);
    expect(JSON.parse(text)).toMatchObject({
      error: { code: 'copy_failed', message: expect.stringMatching(/container app: .*missing:1\.0/) as unknown },
    });
  });
});

describe('the other policies', () => {
  alone();

  it('immediate: waits no longer than the deadline of the request, whatever the number of containers', async () => {
    source.fault({ path: '/blobs/', action: { type: 'hang' } });
    await start({ imageCopyPolicy: 'immediate', imageCopyDeadline: '600ms' });
    for (const name of ['b', 'c']) loadImage(source, name, buildImage({ seed: name.charCodeAt(0) }), '1.0');
    const containers = ['app', 'b', 'c'].map((name) => ({ name, image: `${source.host}/${name}:1.0` }));
    const started = Date.now();
    expect(await admit({ spec: { containers } })).toMatchObject({ status: 200, image: undefined });
    // A copy that receives nothing ends after a minute.
    expect(Date.now() - started).toBeLessThan(50_000);
  });

  it('force: copies the source’s current image although the target has the tag', async () => {
    await start({ imageCopyPolicy: 'force', ...LONGEST_DEADLINE });
    await admit();
    const newer = buildImage({ seed: 9 });
    loadImage(source, 'app', newer, '1.0');
    expect(await admit()).toMatchObject({ image: mirrored() });
    expect(target.manifest(repository(), '1.0')?.digest).toBe(newer.digest);
  });

  it('none: never copies, and swaps images in the target', async () => {
    await start({ imageCopyPolicy: 'none' });
    expect(await admit()).toMatchObject({ image: undefined });
    loadImage(target, repository('other'), image, '1.0');
    // On a busy machine, a target lookup may take longer than the budget.
    await until('the image is swapped', async () => {
      const { image: answered } = await admit({ image: `${source.host}/other:1.0` });
      return answered === `${target.host}/${repository('other')}:1.0`;
    });
    expect(await mirrors()).toEqual([]);
    expect(source.accessLog).toEqual([]);
  });

  it('dryRun of the configuration changes nothing, copies nothing, and is logged', async () => {
    await start({ dryRun: true, imageSwapPolicy: 'always' });
    expect(await admit()).toMatchObject({ status: 200, image: undefined });
    await sleep(100);
    expect(await mirrors()).toEqual([]);
    expect(source.accessLog).toEqual([]);
    expect(await decided()).toMatchObject({ containers: [{ outcome: 'dry-run', swappedTo: mirrored() }] });
    expect((await get(`${service.operations}/metrics`)).text).toContain('outcome="dry-run"} 1');
  });

  it('a target that does not answer delays a Pod by at most the budget', async () => {
    target.fault({ action: { type: 'hang' } });
    await start({ answerBudget: '150ms' });
    expect(await admit()).toMatchObject({ status: 200, image: undefined });
    const { text } = await get(`${service.operations}/metrics`);
    expect(text).toContain('image_swapper_lookups_total{target="default",outcome="timeout"} 1');
  });
});

describe('credentials', () => {
  alone();

  it('of the Pod and its ServiceAccount read a private source, with passwords or tokens', async () => {
    const users = { puller: 'secret-word' };
    const privates = [
      await registry({ auth: { type: 'basic', users } }),
      await registry({ auth: { type: 'bearer', users } }),
    ];
    const api = await FakeApiServer.start();
    own.push(() => api.close());
    const folder = await mkdtemp(join(tmpdir(), 'image-swapper-'));
    own.push(() => rm(folder, { recursive: true }));
    const kubeconfig = join(folder, 'kubeconfig');
    await writeFile(kubeconfig, api.kubeconfig('swapper'));
    const logins = (password: string) =>
      Object.fromEntries(privates.map(({ host }) => [host, { username: 'puller', password }]));
    api.putServiceAccount(namespace, 'default', ['account-secret']);
    api.putPullSecret(namespace, 'pod-secret', logins('wrong'));
    api.putPullSecret(namespace, 'account-secret', logins('secret-word'));
    // The fake API server does not support Leases, and this test does not need one.
    const config = configText([source, ...privates], { reconcile: { enabled: false }, ...KNOWN_CALLER });
    own.push(await startService(config, { env: { KUBECONFIG: kubeconfig } }));
    for (const from of privates) {
      loadImage(from, 'app', image, '1.0');
      await admit({ image: `${from.host}/app:1.0`, spec: { imagePullSecrets: [{ name: 'pod-secret' }] } });
      await settled(from);
      expect(await mirrors(from)).toMatchObject([{ state: 'done' }]);
      expect(target.manifest(repository('app', from), '1.0')?.digest).toBe(image.digest);
    }
    const log = JSON.stringify(service.log);
    for (const secret of ['secret-word', 'wrong', Buffer.from('puller:secret-word').toString('base64')]) {
      expect(log).not.toContain(secret);
    }
  });

  it('of the configuration read a private source and write a private target, and missing ones are reported', async () => {
    const priv = await registry({ auth: { type: 'basic', users: { reader: 'r-word' } } });
    const unknown = await registry({ auth: { type: 'basic', users: { reader: 'r-word' } } });
    const into = await registry({ auth: { type: 'bearer', users: { writer: 'w-word' } } });
    for (const from of [priv, unknown]) loadImage(from, 'app', image, '1.0');
    const credentials = (username: string, password: string) => ({ credentials: { username, password } });
    await start({
      target: plain(into, credentials('writer', 'w-word')),
      source: { registries: [plain(priv, credentials('reader', 'r-word')), plain(unknown)] },
    });
    await admit({ image: `${priv.host}/app:1.0` });
    await settled(priv);
    expect(into.manifest(`${priv.host.replace(':', '_')}/app`, '1.0')?.digest).toBe(image.digest);
    expect(new Set(priv.accessLog.map(({ user }) => user))).not.toContain('writer');
    expect(new Set(into.accessLog.map(({ user }) => user))).not.toContain('reader');

    expect(await admit({ image: `${unknown.host}/app:1.0` })).toMatchObject({ status: 200, image: undefined });
    await settled(unknown);
    const [mirror] = await mirrors(unknown);
    expect(mirror).toMatchObject({ state: 'failed', failure: { reason: 'unauthorized' } });
    expect(mirror?.failure?.message).toContain("neither the Pod's pull secrets nor");
  });
});

describe('files that change', () => {
  alone();
  const always = { imageSwapPolicy: 'always', imageCopyPolicy: 'none' };
  const filters = [{ jmespath: "container.name == 'app'" }];

  it('a new configuration takes effect within seconds, and an invalid one does not', async () => {
    await start(always);
    expect((await admit()).image).toBe(mirrored());
    await writeFile(service.configFile, 'imageSwapPolicy: sometimes\n');
    await until('the refusal', () =>
      service.log.some(({ message }) => message.startsWith('configuration not reloaded')),
    );
    expect((await admit()).image).toBe(mirrored());
    expect((await get(`${service.operations}/readyz`)).status).toBe(200);
    expect((await get(`${service.operations}/metrics`)).text).toContain('image_swapper_config_reload_failure_total 1');
    // The service must refuse a guard that the engine cannot apply.
    await writeFile(service.configFile, configText([], { source: { directTarget: 'refuse' } }));
    await until('the refusal of a guard', () =>
      service.log.some(({ err }) => String(err).includes('source.directTarget: is refuse')),
    );
    await writeFile(service.configFile, configText([], { ...always, filters }));
    await until('the filter comes into force', async () => (await admit()).image === undefined);
  });

  it('a configuration that a mounted ConfigMap replaces through ..data takes effect', async () => {
    await start(always);
    const { folder } = service;
    await mkdir(join(folder, '..2'));
    await writeFile(join(folder, '..2', 'image-swapper.yaml'), configText([], { ...always, filters }));
    await symlink('..2', join(folder, '..data'));
    await symlink(join('..data', 'image-swapper.yaml'), join(folder, 'next'));
    await rename(join(folder, 'next'), service.configFile);
    await until('the filter comes into force', async () => (await admit()).image === undefined);
  });

  it('a new certificate is served to new connections, and an invalid one is not', async () => {
    await start();
    const next = await makeCertificates({ hosts: ['127.0.0.1'] });
    await writeFile(join(service.folder, 'tls.key'), 'not a key');
    await until('the refusal', () =>
      service.log.some(({ message }) => message.startsWith('serving certificate not reloaded')),
    );
    expect((await admit()).status).toBe(200);
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
  alone();

  it('finishes a running copy and exits with 0', async () => {
    source.fault({ path: '/blobs/', action: { type: 'delay', milliseconds: 2_000 } });
    await start();
    await admit();
    await until('the copy runs', async () => (await mirrors())[0]?.state === 'running');
    expect(await service.stop()).toEqual({ code: 0, signal: null });
    expect(target.manifest(repository(), '1.0')?.digest).toBe(image.digest);
  });

  it('ends an idle service at once, with 0', async () => {
    await start();
    const started = Date.now();
    expect(await service.stop()).toEqual({ code: 0, signal: null });
    // Running copies would have 25 seconds.
    expect(Date.now() - started).toBeLessThan(24_000);
  });

  it('answers pending requests first', async () => {
    source.fault({ path: '/blobs/', action: { type: 'delay', milliseconds: 2_000 } });
    await start({ imageCopyPolicy: 'immediate', ...LONGEST_DEADLINE });
    const answer = admit();
    await until('the copy runs', async () => (await mirrors())[0]?.state === 'running');
    const stopped = service.stop();
    expect(await answer).toMatchObject({ status: 200, image: mirrored() });
    expect((await stopped).code).toBe(0);
  });
});
