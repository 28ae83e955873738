import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeApiServer } from '../../fakes/apiserver.js';
import { post } from '../../fakes/https-client.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import type { FakeRegistry } from '../../fakes/registry.js';
import type { RunningService } from '../../fakes/service.js';
import { until } from '../../fakes/until.js';
import { admissionRequest, KNOWN_CALLER, metric, mirrors, pathOf, plainRegistry, World } from './world.js';

/** The built service with `source.accessCheck` and `source.directTarget`. The tests call it as the engines do. */

const CALLER = KNOWN_CALLER.auth.kyverno.secret;
const PATH = 'a'.repeat(32);
const image = buildImage({ layerSize: 1_000 });
const users = { alice: 'alice-word', bob: 'bob-word' };
const world = new World();
let api: FakeApiServer;
let folder: string;
let source: FakeRegistry;
let open: FakeRegistry;
let target: FakeRegistry;
let service: RunningService;
let replica: RunningService;

/** The two replicas share only the target. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-'));
  api = await FakeApiServer.start();
  await writeFile(join(folder, 'kubeconfig'), api.kubeconfig('swapper'));
  source = await world.registry({ auth: { type: 'basic', users } });
  [open, target] = [await world.registry(), await world.registry()];
  loadImage(source, 'team/app', image, '1');
  loadImage(open, 'public/app', image, '1');
  const login = (user: keyof typeof users) => ({ [source.host]: { username: user, password: users[user] } });
  api.putPullSecret('team-a', 'registry', login('alice'));
  api.putPullSecret('team-b', 'registry', { [source.host]: { username: 'alice', password: 'wrong-word' } });
  for (const namespace of ['team-a', 'team-b', 'team-c']) api.putServiceAccount(namespace, 'default', []);
  const config = {
    source: {
      registries: [plainRegistry(source), plainRegistry(open)],
      accessCheck: 'pullSecrets',
      directTarget: 'refuse',
    },
    target: plainRegistry(target, { prefix: 'mirror' }),
    reconcile: { enabled: false },
    auth: { ...KNOWN_CALLER.auth, webhook: { path: PATH } },
    server: { routes: ['kyverno', 'webhook'] },
    policies: { engine: 'webhook' },
  };
  const env = { KUBECONFIG: join(folder, 'kubeconfig') };
  [service, replica] = await Promise.all([world.serve(config, { env }), world.serve(config, { env })]);
  await webhook(service, 'team-a', privateImage());
  await webhook(service, 'team-c', publicImage());
  await until(
    'both images are mirrored',
    async () => (await mirrors(service)).filter(({ state }) => state === 'done').length === 2,
  );
});

afterAll(async () => {
  await world.close();
  await api.close();
  await rm(folder, { recursive: true });
});

const privateImage = (): string => `${source.host}/team/app:1`;
const publicImage = (): string => `${open.host}/public/app:1`;
const mirrored = (registry: FakeRegistry, name: string): string => `${target.host}/mirror/${pathOf(registry, name)}:1`;

const SECRET = { imagePullSecrets: [{ name: 'registry' }] };

interface Answer {
  readonly allowed: boolean;
  readonly image: string;
  readonly message: string;
}

/** Returns the webhook's response for a Pod with one container. */
async function webhook(of: RunningService, namespace: string, name: string, more: object = {}): Promise<Answer> {
  const spec = namespace === 'team-c' ? {} : SECRET;
  const request = admissionRequest({ app: name }, { namespace, spec, ...more });
  const review = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request };
  const reply = await post(`${of.url}/webhook/${PATH}`, JSON.stringify(review), { ca: of.ca });
  const { response } = reply.json() as {
    response: { allowed: boolean; patch?: string; status?: { message: string; code: number } };
  };
  const patch = JSON.parse(Buffer.from(response.patch ?? 'W10=', 'base64').toString()) as { value: string }[];
  return { allowed: response.allowed, image: patch[0]?.value ?? name, message: response.status?.message ?? '' };
}

/**
 * Returns the webhook's response once the source's response is known. A busy machine may take longer than the budget.
 */
async function swapped(of: RunningService, namespace: string, name: string, expected: string): Promise<void> {
  await until(`${name} is ${expected} for ${namespace}`, async () => {
    const { allowed, image } = await webhook(of, namespace, name);
    return allowed && image === expected;
  });
}

async function kyverno(of: RunningService, namespace: string, name: string): Promise<{ status: number; text: string }> {
  const request = admissionRequest({ app: name }, { namespace, spec: namespace === 'team-c' ? {} : SECRET });
  const headers = { 'Image-Swapper-Secret': CALLER };
  const { status, text } = await post(`${of.url}/v1/kyverno`, JSON.stringify({ request }), { ca: of.ca, headers });
  return { status, text };
}

describe('the mirror of an image that needed a pull secret', () => {
  it.each([
    ['for a Pod whose own secret reads the source', 'team-a', true],
    ['not for one whose secret is refused', 'team-b', false],
    ['not for one without a secret', 'team-c', false],
  ])('is %s, on every replica and engine', async (_, namespace, swaps) => {
    const expected = swaps ? mirrored(source, 'team/app') : privateImage();
    for (const one of [service, replica]) {
      await swapped(one, namespace, privateImage(), expected);
      const { status, text } = await kyverno(one, namespace, privateImage());
      expect({ status, swaps: text.includes(mirrored(source, 'team/app')) }).toEqual({ status: 200, swaps });
    }
  });

  it('never uses a secret of another namespace at the source', async () => {
    source.accessLog.length = 0;
    await webhook(replica, 'team-c', privateImage());
    await webhook(replica, 'team-b', privateImage());
    expect(source.accessLog.filter(({ user }) => user !== undefined)).toEqual([]);
  });

  it('is kept from a Pod with the reason in the log, the metric and explain', async () => {
    const refused = (): Promise<number> =>
      metric(service, 'image_swapper_containers_total', { outcome: 'access-refused' });
    await until('the refusal is known', async () => {
      await webhook(service, 'team-c', privateImage());
      return (await refused()) > 0;
    });
    const reason = `${privateImage()}: the Pod cannot read it at its source`;
    expect(JSON.stringify(service.log)).toContain(reason);
    const pod = {
      kind: 'Pod',
      metadata: { namespace: 'team-c' },
      spec: { containers: [{ name: 'app', image: privateImage() }] },
    };
    const { text } = await post(`${service.url}/v1/explain?output=text`, JSON.stringify(pod), { ca: service.ca });
    expect(text).toContain(`The Pod cannot read it: ${reason}`);
  });
});

describe('the mirror of a public image', () => {
  it.each(['team-a', 'team-b', 'team-c'])('is for Pods of %s', async (namespace) => {
    await swapped(service, namespace, publicImage(), mirrored(open, 'public/app'));
  });
});

describe('a Pod that names the target itself', () => {
  it.each([
    ['is admitted where its own secret reads the source', 'team-a', {}, true],
    ['is refused where it does not', 'team-b', {}, false],
    ['is refused without a secret', 'team-c', {}, false],
    ['is refused although it opts out', 'team-c', { labels: { 'image-swapper.io/skip': 'true' } }, false],
  ])('%s', async (_, namespace, more, allowed) => {
    const name = mirrored(source, 'team/app');
    if (allowed) return swapped(replica, namespace, name, name);
    const answer = await webhook(replica, namespace, name, more);
    expect(answer).toMatchObject({ allowed, image: name });
    expect(answer.message).toContain('source.directTarget is refuse');
    expect(answer.message).toContain(`use ${privateImage()} instead`);
    expect((await kyverno(replica, namespace, name)).status).toBe(403);
  });

  it('is refused with an image volume as with a container', async () => {
    const spec = { volumes: [{ name: 'data', image: { reference: mirrored(source, 'team/app') } }] };
    expect((await webhook(service, 'team-c', publicImage(), { spec })).allowed).toBe(false);
  });

  it('is admitted with public images and with other repositories of the registry', async () => {
    for (const name of [mirrored(open, 'public/app'), `${target.host}/elsewhere/app:1`])
      await swapped(service, 'team-c', name, name);
  });
});

describe('while the source is unavailable', () => {
  it('the last positive answer counts, and no other Pod gets the image', async () => {
    await source.close();
    await swapped(service, 'team-a', privateImage(), mirrored(source, 'team/app'));
    expect((await webhook(service, 'team-b', privateImage())).image).toBe(privateImage());
  });
});
