import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pushImage } from '../../bench/push-image.js';
import { get } from '../../fakes/https-client.js';
import { buildImage } from '../../fakes/images.js';
import { RealRegistry, TEST_LOGIN } from '../../fakes/real-registry.js';
import { RunningService } from '../../fakes/service.js';
import { untilWith } from '../../fakes/until.js';
import { goToolsAvailable } from '../../tools/tool.js';
import { ControlPlane } from './control-plane.js';
import { expectOk, messageOf } from './kube-api.js';
import type { ApiObject, ApiReply } from './kube-api.js';
import { NAMESPACE } from './pods.js';
import { serviceAccount, WATCHING } from './service-account.js';
import type { Rights } from './service-account.js';
import { SidecarWebhook } from './sidecar-webhook.js';

const available = await goToolsAvailable("the API server's own table of images");
const NAMES = ['image-swapper', 'image-swapper-recent'];
const KINDS = ['mutatingadmissionpolicies', 'mutatingadmissionpolicybindings'];

/** By name alone, as the chart grants it. */
const RIGHTS: Rights = {
  ...WATCHING,
  cluster: [
    ...(WATCHING.cluster ?? []),
    {
      apiGroups: ['admissionregistration.k8s.io'],
      resources: KINDS,
      verbs: ['get', 'create', 'patch', 'update', 'delete'],
      resourceNames: NAMES,
    },
  ],
};

/** As the chart grants it with `secretReader.enabled`. */
const READ_SECRETS = { apiGroups: [''], resources: ['secrets', 'serviceaccounts'], verbs: ['get', 'list', 'watch'] };

const POLICY = { apiVersion: 'admissionregistration.k8s.io/v1', kind: 'MutatingAdmissionPolicy' };
const policyNamed = (name: string): ApiObject => ({ ...POLICY, metadata: { name } });

interface Spec {
  readonly containers: readonly { readonly image: string }[];
  readonly initContainers?: readonly { readonly image: string }[];
  readonly ephemeralContainers?: readonly { readonly image: string }[];
  readonly volumes?: readonly { readonly image?: { readonly reference: string } }[];
}

/** kube-apiserver, two registries, and the service with the rights above and no others. No engine and no webhook of the service. */
describe.skipIf(!available)("the API server's own table of images", () => {
  let plane: ControlPlane;
  let source: RealRegistry;
  let closedSource: RealRegistry;
  let target: RealRegistry;
  let kubeconfig: string;
  let service: RunningService;
  let pods = 0;
  let pushed = 0;
  const until = untilWith(() =>
    service.log
      .slice(-30)
      .map((line) => JSON.stringify(line))
      .join('\n'),
  );

  beforeAll(async () => {
    [plane, source, closedSource, target] = await Promise.all([
      ControlPlane.start(),
      RealRegistry.start(),
      RealRegistry.start({ htpasswd: TEST_LOGIN.htpasswd }),
      RealRegistry.start(),
    ]);
    kubeconfig = join(plane.folder, 'service-kubeconfig');
    await grant(RIGHTS);
    for (const name of [NAMESPACE, 'monitoring'])
      await plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    service = await start();
  }, 180_000);
  afterAll(async () => {
    await service?.stop('SIGKILL');
    await Promise.all([plane, source, closedSource, target].map((one) => one?.stop()));
  }, 60_000);

  async function grant(rights: Rights): Promise<void> {
    const account = { namespace: 'image-swapper', name: 'image-swapper', rights };
    await writeFile(kubeconfig, await serviceAccount(plane.api, account));
  }

  async function start(accessCheck: 'none' | 'pullSecrets' = 'none'): Promise<RunningService> {
    const registries = [source, closedSource].map(
      ({ host }) => `{type: oci, oci: {registry: '${host}', insecure: true}}`,
    );
    return RunningService.start({
      config: [
        `target: {type: oci, oci: {registry: '${target.host}', prefix: mirror, insecure: true}}`,
        `source: {accessCheck: ${accessCheck}, registries: [${registries.join(', ')}], filters: [`,
        `  {jmespath: "obj.metadata.labels.tier == 'system'"}, {jmespath: "container.name == 'left'"}]}`,
        `policies: {engine: mutatingadmissionpolicy, manage: true, excludedNamespaces: [monitoring]}`,
      ].join('\n'),
      env: { KUBECONFIG: kubeconfig },
      plain: true,
    });
  }

  async function push(to = source): Promise<string> {
    pushed += 1;
    const image = buildImage({ seed: pushed, layerSize: 2_000, platforms: ['linux/amd64'] });
    await pushImage(to.host, `app-${pushed}`, image, '1', to === closedSource ? TEST_LOGIN : undefined);
    return `${to.host}/app-${pushed}:1`;
  }

  function swapped(reference: string): string {
    return `${target.host}/mirror/${reference.replace(':', '_')}`;
  }

  async function create(spec: object, metadata: object = {}, namespace = NAMESPACE, query = ''): Promise<ApiReply> {
    pods += 1;
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: `pod-${pods}`, namespace, ...metadata }, spec };
    return plane.api.create(pod, query);
  }

  /** The images of a Pod as the API server would store it. */
  async function admitted(spec: object, metadata: object = {}, namespace = NAMESPACE): Promise<readonly string[]> {
    return imagesOf(expectOk(await create(spec, metadata, namespace, '?dryRun=All'), 'create the Pod'));
  }

  const containers = (...images: readonly string[]) => ({
    containers: images.map((image, index) => ({ name: `c${index}`, image })),
  });

  /** Runs it once, so that the watch sees it, and waits until the API server swaps it. */
  async function inTable(): Promise<string> {
    const image = await push();
    expect(imagesOf(expectOk(await create(containers(image)), 'create the Pod'))).toEqual([image]);
    await until(`${image} is swapped by the API server`, async () => (await admitted(containers(image)))[0] !== image);
    return image;
  }

  async function explained(image: string): Promise<unknown> {
    const init = { method: 'POST', headers: { 'content-type': 'application/json' } };
    const body = JSON.stringify({ image, namespace: NAMESPACE });
    const response = await fetch(`${service.url}/v1/explain`, { ...init, body });
    return ((await response.json()) as { readonly containers: readonly unknown[] }).containers[0];
  }

  async function requests(): Promise<number> {
    const { text } = await get(`${service.operations}/metrics`);
    return [...text.matchAll(/^image_swapper_resolve_requests_total\{[^}]*\} (\d+)$/gm)]
      .map(([, count]) => Number(count))
      .reduce((sum, count) => sum + count, 0);
  }

  async function metric(name: string): Promise<number> {
    const { text } = await get(`${service.operations}/metrics`);
    return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
  }

  it('swaps an unknown image from its second Pod on, without a call', async () => {
    const image = await inTable();
    expect(await admitted(containers(image, 'unknown.test/x:1'))).toEqual([swapped(image), 'unknown.test/x:1']);
    expect(await requests()).toBe(0);
    expect(await explained(image)).toMatchObject({
      swapped: true,
      table: { state: 'present', since: expect.any(String) as string },
    });
    expect(await explained('unknown.test/x:1')).toMatchObject({ swapped: false, table: { state: 'absent' } });
    expect(await metric('image_swapper_table_entries')).toBe(1);
    expect(await metric('image_swapper_table_writes_total')).toBeGreaterThan(0);
  }, 90_000);

  it('swaps every place of a Pod, and leaves what is opted out, filtered or excluded', async () => {
    const image = await inTable();
    const pod = {
      ...containers(image, image),
      initContainers: [
        { name: 'first', image },
        { name: 'left', image },
      ],
      volumes: [
        { name: 'model', image: { reference: image } },
        { name: 'empty', emptyDir: {} },
      ],
    };
    const to = swapped(image);
    expect(await admitted(pod)).toEqual([to, to, to, image, to]);
    expect(
      await admitted(pod, { annotations: { 'image-swapper.io/skip-containers': 'c1, first, volumes/model' } }),
    ).toEqual([...[to, image, image, image, image]]);
    expect(await admitted(containers(image), { labels: { 'image-swapper.io/skip': 'true' } })).toEqual([image]);
    expect(await admitted(containers(image), { annotations: { 'image-swapper.io/skip': 'true' } })).toEqual([image]);
    expect(await admitted(containers(image), { labels: { tier: 'system' } })).toEqual([image]);
    expect(await admitted(containers(image), {}, 'monitoring')).toEqual([image]);
    expect(await admitted(containers(to))).toEqual([to]);
  }, 90_000);

  it('swaps new ephemeral containers and leaves the old ones alone when their image becomes known', async () => {
    const known = await inTable();
    const later = await push();
    expectOk(await create(containers('unknown.test/x:1'), { name: 'debugged' }), 'create the Pod');
    const debug = async (...images: readonly string[]) => {
      const ephemeralContainers = images.map((image, index) => ({ name: `debug-${index}`, image }));
      const path = `/api/v1/namespaces/${NAMESPACE}/pods/debugged/ephemeralcontainers`;
      return plane.api.send('PATCH', path, { spec: { ephemeralContainers } }, 'application/strategic-merge-patch+json');
    };
    expect(ephemeral(expectOk(await debug(later), 'debug'))).toEqual([later]);
    await until(`${later} is swapped`, async () => (await admitted(containers(later)))[0] !== later);
    expect(ephemeral(expectOk(await debug(later, known), 'debug'))).toEqual([later, swapped(known)]);
  }, 90_000);

  it('swaps the sidecar of a later webhook, also in a Pod that names the mirror already', async () => {
    const image = await inTable();
    const webhook = await SidecarWebhook.start(image);
    const labels = { sidecar: 'wanted' };
    try {
      await plane.api.apply(webhook.configuration);
      await until('the webhook is called', async () => {
        return (await admitted(containers('unknown.test/x:1'), { labels })).length === 2;
      });
      expect(await admitted(containers(swapped(image)), { labels })).toEqual([swapped(image), swapped(image)]);
    } finally {
      await plane.api.remove(webhook.configuration);
      await webhook.stop();
    }
  }, 90_000);

  it('goes on swapping mirrored images while the service is away, and keeps the table afterwards', async () => {
    const image = await inTable();
    const before = await entries();
    await service.stop('SIGKILL');
    expect(await admitted(containers(image))).toEqual([swapped(image)]);
    service = await start();
    const other = await inTable();
    expect(await admitted(containers(image, other))).toEqual([swapped(image), swapped(other)]);
    expect(await entries()).toBe(before + 1);
  }, 120_000);

  it('writes nothing while nothing changes', async () => {
    const versions = async () =>
      Promise.all(
        NAMES.map(async (name) => {
          const { body } = expectOk(await plane.api.get(policyNamed(name)), 'read the policy');
          return (body as ApiObject).metadata['resourceVersion'];
        }),
      );
    const before = await versions();
    const writes = await metric('image_swapper_table_writes_total');
    // Longer than the pause between two writes.
    await new Promise((resolve) => setTimeout(resolve, 7_000));
    expect(await versions()).toEqual(before);
    expect(await metric('image_swapper_table_writes_total')).toBe(writes);
  }, 60_000);

  it('makes a deleted policy again', async () => {
    const image = await inTable();
    await plane.api.remove(policyNamed('image-swapper-recent'));
    await until(
      'the policy is there again',
      async () => (await plane.api.get(policyNamed(NAMES[1] ?? ''))).status === 200,
    );
    await until('its images are swapped again', async () => (await admitted(containers(image)))[0] === swapped(image));
  }, 120_000);

  it('says that it may not write, and swaps nothing more, when its rights are taken away', async () => {
    const image = await push();
    await grant(WATCHING);
    expectOk(await create(containers(image)), 'create the Pod');
    await until('the log names the right', async () =>
      Promise.resolve(service.log.some(({ message }) => /image-swapper-recent: not allowed:.*grant/.test(message))),
    );
    expect(await admitted(containers(image))).toEqual([image]);
    await grant(RIGHTS);
    await until('it is swapped', async () => (await admitted(containers(image)))[0] === swapped(image));
  }, 120_000);

  it('keeps the source of images that needed a pull secret with source.accessCheck, and swaps the others', async () => {
    const open = await inTable();
    const closed = await push(closedSource);
    const spec = { ...containers(closed, open), imagePullSecrets: [{ name: 'login' }] };
    await putLogin();
    await grant({ ...RIGHTS, cluster: [...(RIGHTS.cluster ?? []), READ_SECRETS] });
    await service.stop();
    service = await start('pullSecrets');
    expectOk(await create(spec), 'create the Pod');
    await until('the private image is copied', async () => {
      const accept = 'application/vnd.oci.image.index.v1+json';
      const path = swapped(closed).slice(target.host.length + 1, -2);
      const url = `http://${target.host}/v2/${path}/manifests/1`;
      return (await fetch(url, { method: 'HEAD', headers: { accept } })).ok;
    });
    // An image that is copied later is in the table; the private image is not.
    await inTable();
    await until('the public image is swapped again', async () => (await admitted(spec))[1] === swapped(open));
    expect(await admitted(spec)).toEqual([closed, swapped(open)]);
    expect(await explained(closed)).toMatchObject({ swapped: false, table: { state: 'absent' } });
    expect(JSON.stringify((await plane.api.get(policyNamed('image-swapper-recent'))).body)).not.toContain(
      closed.slice(closed.indexOf('/') + 1, -2),
    );
    // Without the check it is like any other image.
    await service.stop();
    service = await start();
    await until('the private image is swapped', async () => (await admitted(spec))[0] === swapped(closed));
    // A table of all images is not continued as one of public images.
    await service.stop();
    service = await start('pullSecrets');
    await until('the private image is not swapped', async () => (await admitted(spec))[0] === closed);
  }, 240_000);

  async function putLogin(): Promise<void> {
    const auth = Buffer.from(`${TEST_LOGIN.username}:${TEST_LOGIN.password}`).toString('base64');
    await plane.api.apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { namespace: NAMESPACE, name: 'login' },
      type: 'kubernetes.io/dockerconfigjson',
      stringData: { '.dockerconfigjson': JSON.stringify({ auths: { [closedSource.host]: { auth } } }) },
    });
  }

  /** Images in both policies, counted in the API server's objects. */
  async function entries(): Promise<number> {
    let count = 0;
    for (const name of NAMES) {
      const { body } = expectOk(await plane.api.get(policyNamed(name)), 'read the policy');
      count += [...JSON.stringify(body).matchAll(/\\"app-\d+\\":/g)].length;
    }
    return count;
  }
});

function specOf({ body }: ApiReply): Spec {
  return (body as { readonly spec: Spec }).spec;
}

function imagesOf(reply: ApiReply): readonly string[] {
  if (reply.status >= 300) throw new Error(messageOf(reply));
  const { containers, initContainers = [], volumes = [] } = specOf(reply);
  return [
    ...[...containers, ...initContainers].map(({ image }) => image),
    ...volumes.flatMap(({ image }) => (image === undefined ? [] : [image.reference])),
  ];
}

function ephemeral(reply: ApiReply): readonly string[] {
  return (specOf(reply).ephemeralContainers ?? []).map(({ image }) => image);
}
