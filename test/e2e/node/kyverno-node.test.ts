import { stringify } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TEST_LOGIN } from '../../fakes/real-registry.js';
import type { RealRegistry } from '../../fakes/real-registry.js';
import { until } from '../../fakes/until.js';
import { CHART, Helm } from '../../tools/helm.js';
import { expectOk } from '../cluster/kube-api.js';
import { imagesOf, NAMESPACE as TEAM, pod, stored, tryOut } from '../cluster/pods.js';
import type { PodObject } from '../cluster/pods.js';
import { imageOf, push } from './images.js';
import { installKyverno } from './kyverno-install.js';
import { leftovers } from './leftovers.js';
import { Node } from './node.js';
import { pauseProgram } from './node-tools.js';
import { serviceImage } from './service-image.js';
import { deployment, restart, rolledOut, running, scale } from './workloads.js';

const RELEASE = 'image-swapper';
const LOGIN = { username: TEST_LOGIN.username, password: TEST_LOGIN.password };

/** The tests run in order. Each test continues with the cluster of the previous one. */
describe('a cluster with running Pods, Kyverno and the chart with default values', () => {
  let node: Node;
  let helm: Helm;
  let source: RealRegistry;
  let closedSource: RealRegistry;
  let target: RealRegistry;
  let closedTarget: RealRegistry;
  let image: { readonly repository: string; readonly tag: string };
  let pause: string;
  let pushed = 0;
  const demo = { image: '', object: deployment('demo', TEAM, '') };

  beforeAll(async () => {
    node = await Node.start();
    helm = await Helm.create({ KUBECONFIG: node.plane.kubeconfig });
    [source, closedSource, target, closedTarget] = [
      await node.registry(),
      await node.registry({ htpasswd: TEST_LOGIN.htpasswd }),
      await node.registry(),
      await node.registry({ htpasswd: TEST_LOGIN.htpasswd }),
    ];
    pause = await pauseProgram();
    await node.plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: TEAM } });
    [image] = await Promise.all([serviceImage(node), installKyverno(node, helm)]);
  });
  afterAll(async () => {
    await node?.stop();
  });

  async function newImage(registry = source): Promise<string> {
    pushed += 1;
    const built = imageOf({ files: { '/pause': pause }, texts: { '/number': `${pushed}` }, entrypoint: ['/pause'] });
    return push(registry, `app-${pushed}`, built, registry === closedSource ? LOGIN : undefined);
  }
  const mirrored = (original: string, registry = target): string =>
    `${registry.host}/mirror/${original.replace(':', '_')}`;

  async function isMirrored(original: string, registry = target, spec: Partial<PodObject['spec']> = {}): Promise<void> {
    await until(`${original} is mirrored`, async () => {
      const admission = await tryOut(node.plane.api, pod(original, spec));
      return admission.admitted && admission.images['app'] === mirrored(original, registry);
    });
  }
  const manifestPath = (original: string): string =>
    `/v2/mirror/${original.replace(':', '_').replace(/:1$/, '')}/manifests/1`;
  /** Paths below /v2/ that the node requested from this registry. */
  const pulled = (registry: RealRegistry): string[] =>
    registry.accessLog('containerd/').map(({ method, path }) => `${method} ${path}`);

  function values(to: RealRegistry, more: object = {}): string {
    const registries = [source, closedSource].map(({ host }) => ({
      type: 'oci',
      oci: { registry: host, insecure: true },
    }));
    const oci = {
      ...{ registry: to.host, prefix: 'mirror', insecure: true },
      ...(to === closedTarget && { credentials: { secretName: 'target-login' } }),
    };
    return stringify({ image, config: { target: { oci }, source: { registries } }, ...more });
  }
  const args = (...words: string[]) => [...words, '-n', RELEASE, '--wait', '--timeout', '3m'];

  function loginSecret(name: string, namespace: string, registry: RealRegistry): object {
    const auths = { [registry.host]: { auth: Buffer.from(`${LOGIN.username}:${LOGIN.password}`).toString('base64') } };
    return {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'kubernetes.io/dockerconfigjson',
      metadata: { name, namespace },
      stringData: { '.dockerconfigjson': JSON.stringify({ auths }) },
    };
  }

  /** Restarts the Deployment repeatedly until the other task is done. @returns the number of rollouts */
  async function rolloutsDuring(other: Promise<unknown>): Promise<number> {
    let isDone = false;
    const done = other.finally(() => (isDone = true));
    let count = 0;
    do {
      await restart(node, demo.object);
      await rolledOut(node, demo.object);
      count += 1;
    } while (!isDone);
    await done;
    return count;
  }

  it('runs the second Pod of an image from the mirror', async () => {
    await helm.ok([...args('install', RELEASE, CHART), '--create-namespace', '-f', '-'], values(target));
    const original = await newImage();
    const [first, second] = [pod(original), pod(original)];
    await until('the policy is in force', async () => {
      await tryOut(node.plane.api, first);
      return true;
    });
    expect((await running(node, first)).imageID).toContain(`${source.host}/app-`);
    await isMirrored(original);
    await running(node, second);
    expect(imagesOf(await stored(node.plane.api, second))).toEqual({ app: mirrored(original) });
    expect(pulled(target)).toContain(`HEAD ${manifestPath(original)}`);
    expect(imagesOf(await stored(node.plane.api, first))).toEqual({ app: original });
  });

  it('contacts the mirror at each start of a Pod with imagePullPolicy Always', async () => {
    const original = await newImage();
    const always = (): PodObject =>
      pod(original, { containers: [{ name: 'app', image: original, imagePullPolicy: 'Always' }] });
    await running(node, always());
    await isMirrored(original);
    const askedBefore = pulled(target).length;
    await running(node, always());
    const askedOnce = pulled(target).length;
    await running(node, always());
    expect([askedOnce > askedBefore, pulled(target).length > askedOnce]).toEqual([true, true]);
  });

  it('runs an image that the node has, and never pulls it, for a Pod with imagePullPolicy Never', async () => {
    const original = await newImage();
    await running(node, pod(original));
    await isMirrored(original);
    const askedBefore = pulled(target).length;
    const never = pod(original, { containers: [{ name: 'app', image: original, imagePullPolicy: 'Never' }] });
    await running(node, never);
    expect(imagesOf(await stored(node.plane.api, never))).toEqual({ app: original });
    expect(pulled(target)).toHaveLength(askedBefore);
  });

  it('rolls out a Deployment while the release is upgraded to a target with a login and private sources', async () => {
    const { api } = node.plane;
    demo.image = await newImage();
    demo.object = deployment('demo', TEAM, demo.image);
    expectOk(await api.create(demo.object), 'demo');
    await rolledOut(node, demo.object);
    for (const secret of [
      loginSecret('target-login', RELEASE, closedTarget),
      loginSecret('target-login', TEAM, closedTarget),
      loginSecret('source-login', TEAM, closedSource),
    ])
      expectOk(await api.create(secret as PodObject), 'Secret');
    // As docs/install.md explains, nodes pull with the pull secret of each namespace's ServiceAccount.
    const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace: TEAM } };
    await api.apply({ ...account, imagePullSecrets: [{ name: 'target-login' }] });
    const upgrade = helm.ok(
      [...args('upgrade', RELEASE, CHART), '-f', '-'],
      values(closedTarget, { secretReader: { enabled: true } }),
    );
    expect(await rolloutsDuring(upgrade)).toBeGreaterThan(0);
    await isMirrored(demo.image, closedTarget);
    await restart(node, demo.object);
    expect(new Set(await rolledOut(node, demo.object))).toEqual(new Set([mirrored(demo.image, closedTarget)]));
  });

  it('copies from a private source with the pull secret of the Pod', async () => {
    const original = await newImage(closedSource);
    const spec = { imagePullSecrets: [{ name: 'source-login' }, { name: 'target-login' }] };
    await running(node, pod(original, spec));
    await isMirrored(original, closedTarget, spec);
    await running(node, pod(original, spec));
    expect(pulled(closedTarget)).toContain(`HEAD ${manifestPath(original)}`);
  });

  it('rolls out a Deployment while the release is rolled back', async () => {
    expect(await rolloutsDuring(helm.ok(args('rollback', RELEASE, '1')))).toBeGreaterThan(0);
    await isMirrored(demo.image);
  });

  it('admits Pods unchanged within the policy timeout while the service is scaled to zero', async () => {
    await scale(node, RELEASE, RELEASE, 0);
    await until('the service is gone', async () => {
      const { body } = await node.plane.api.send('GET', `/api/v1/namespaces/${RELEASE}/pods`);
      return (body as { items: unknown[] }).items.length === 0;
    });
    const path = '/apis/policies.kyverno.io/v1/mutatingpolicies/image-swapper';
    const policy = expectOk(await node.plane.api.send('GET', path), 'policy').body;
    expect(policy).toMatchObject({ spec: { failurePolicy: 'Ignore', webhookConfiguration: { timeoutSeconds: 3 } } });
    const start = performance.now();
    const object = pod(demo.image);
    await running(node, object);
    expect(imagesOf(await stored(node.plane.api, object))).toEqual({ app: demo.image });
    process.stderr.write(`a Pod without the service ran after ${Math.round(performance.now() - start)} ms\n`);
    await scale(node, RELEASE, RELEASE, 2);
    await isMirrored(demo.image);
  });

  it('rolls out a Deployment from the mirror while its source is unavailable', async () => {
    await source.stop();
    await restart(node, demo.object);
    expect(new Set(await rolledOut(node, demo.object))).toEqual(new Set([mirrored(demo.image)]));
  });

  it('leaves nothing behind when it is uninstalled', async () => {
    await helm.ok(args('uninstall', RELEASE));
    expectOk(await node.plane.api.send('DELETE', `/api/v1/namespaces/${RELEASE}/secrets/target-login`), 'Secret');
    let left: string[] = [];
    await until(`nothing is left`, async () => {
      left = await leftovers(node.plane.api, RELEASE, RELEASE);
      return left.length === 0;
    }).catch(() => expect(left).toEqual([]));
    const object = pod(demo.image);
    expect(await tryOut(node.plane.api, object)).toMatchObject({ admitted: true, images: { app: demo.image } });
  });
});
