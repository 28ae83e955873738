import { stringify } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectOk } from '../e2e/cluster/kube-api.js';
import { imagesOf, NAMESPACE as TEAM, pod, stored, tryOut } from '../e2e/cluster/pods.js';
import { installGatekeeper } from '../e2e/node/gatekeeper-install.js';
import { imageOf, push } from '../e2e/node/images.js';
import { installKyverno } from '../e2e/node/kyverno-install.js';
import { leftovers } from '../e2e/node/leftovers.js';
import { Node } from '../e2e/node/node.js';
import { pauseProgram } from '../e2e/node/node-tools.js';
import { serviceImage } from '../e2e/node/service-image.js';
import { deployment, restart, rolledOut, running, scale } from '../e2e/node/workloads.js';
import type { RealRegistry } from '../fakes/real-registry.js';
import { until } from '../fakes/until.js';
import { CHART, Helm } from '../tools/helm.js';
import { versionBefore } from './version-before.js';
import type { PreviousVersion } from './version-before.js';

const RELEASE = 'image-swapper';

/** The tests run in order on one node. Each test continues with the cluster of the previous one. */
describe('a cluster whose Pods run', () => {
  let node: Node;
  let helm: Helm;
  let source: RealRegistry;
  let target: RealRegistry;
  let pause: string;
  let pushed = 0;

  beforeAll(async () => {
    node = await Node.start();
    helm = await Helm.create({ KUBECONFIG: node.plane.kubeconfig }, 4);
    [source, target, pause] = [await node.registry(), await node.registry(), await pauseProgram()];
    await node.plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: TEAM } });
  });
  afterAll(async () => node?.stop());

  async function newImage(): Promise<string> {
    pushed += 1;
    const built = imageOf({ files: { '/pause': pause }, texts: { '/number': `${pushed}` }, entrypoint: ['/pause'] });
    return push(source, `app-${pushed}`, built);
  }
  const mirrored = (original: string): string => `${target.host}/mirror/${original.replace(':', '_')}`;

  async function isMirrored(original: string): Promise<void> {
    await until(`${original} is mirrored`, async () => {
      const admission = await tryOut(node.plane.api, pod(original));
      return admission.admitted && admission.images['app'] === mirrored(original);
    });
  }

  function values(image: object, more: object = {}): string {
    const oci = { registry: target.host, prefix: 'mirror', insecure: true };
    const registries = [{ type: 'oci', oci: { registry: source.host, insecure: true } }];
    return stringify({ image, config: { target: { oci }, source: { registries } }, ...more });
  }
  const args = (...words: string[]) => [...words, '-n', RELEASE, '--wait', '--timeout', '3m'];

  /** Creates the second Pod of a new image, which the node must pull from the mirror. @returns that image */
  async function secondPodImage(): Promise<string> {
    const original = await newImage();
    const [first, second] = [pod(original), pod(original)];
    await running(node, first);
    expect(imagesOf(await stored(node.plane.api, first))).toEqual({ app: original });
    await isMirrored(original);
    await running(node, second);
    expect(imagesOf(await stored(node.plane.api, second))).toEqual({ app: mirrored(original) });
    const path = `/v2/mirror/${original.replace(':', '_').replace(/:1$/, '')}/manifests/1`;
    expect(target.accessLog('containerd/')).toContainEqual(expect.objectContaining({ method: 'HEAD', path }));
    return original;
  }

  async function expectCleanUninstall(): Promise<void> {
    await helm.ok(args('uninstall', RELEASE));
    let left: string[] = [];
    await until('nothing is left', async () => {
      left = await leftovers(node.plane.api, RELEASE, RELEASE);
      return left.length === 0;
    }).catch(() => expect(left).toEqual([]));
  }

  describe('with Gatekeeper as in the guide, and Helm 4', () => {
    const gatekeeper = { policies: { engine: 'gatekeeper' } };
    let image: object;
    beforeAll(async () => {
      [image] = await Promise.all([serviceImage(node), installGatekeeper(node, helm)]);
    });

    it('runs the second Pod of an image from the mirror', async () => {
      await helm.ok([...args('install', RELEASE, CHART), '--create-namespace', '-f', '-'], values(image, gatekeeper));
      await secondPodImage();
    });

    it('continues after an upgrade and a rollback to the first revision', async () => {
      await helm.ok([...args('upgrade', RELEASE, CHART), '-f', '-'], values(image, { ...gatekeeper, replicaCount: 1 }));
      await secondPodImage();
      await helm.ok(args('rollback', RELEASE, '1'));
      await secondPodImage();
    });

    it('admits Pods unchanged while the service is scaled to zero', async () => {
      const original = await secondPodImage();
      await scale(node, RELEASE, RELEASE, 0);
      await until('the service is gone', async () => {
        const { body } = await node.plane.api.send('GET', `/api/v1/namespaces/${RELEASE}/pods`);
        return (body as { items: unknown[] }).items.length === 0;
      });
      const object = pod(original);
      const start = performance.now();
      expectOk(await node.plane.api.create(object), 'a Pod');
      process.stderr.write(
        `a Pod without the service was admitted after ${Math.round(performance.now() - start)} ms\n`,
      );
      expect(imagesOf(await stored(node.plane.api, object))).toEqual({ app: original });
    });

    it('leaves nothing behind when it is uninstalled', expectCleanUninstall);
  });

  describe('with Kyverno and the previous version', () => {
    let before: PreviousVersion;
    beforeAll(async () => {
      before = await versionBefore();
      await installKyverno(node, helm);
    });

    it('is upgraded and rolled back while a Deployment is rolled out', async () => {
      const [old, current] = [
        await serviceImage(node, { bundle: before.bundle, repository: 'image-swapper-before' }),
        await serviceImage(node),
      ];
      await helm.ok([...args('install', RELEASE, before.chart), '--create-namespace', '-f', '-'], values(old));
      const original = await secondPodImage();
      const object = deployment('demo', TEAM, original);
      expectOk(await node.plane.api.create(object), 'demo');
      await rolledOut(node, object);
      for (const change of [
        () => helm.ok([...args('upgrade', RELEASE, CHART), '-f', '-'], values(current)),
        () => helm.ok(args('rollback', RELEASE, '1')),
        () => helm.ok([...args('upgrade', RELEASE, CHART), '-f', '-'], values(current)),
      ]) {
        const changed = change();
        await restart(node, object);
        await rolledOut(node, object);
        await changed;
        // The service fails open, so a Pod that is created during a change of replicas may keep its image.
        await isMirrored(original);
        await restart(node, object);
        expect(new Set(await rolledOut(node, object))).toEqual(new Set([mirrored(original)]));
      }
      await secondPodImage();
    });

    it('leaves nothing behind when it is uninstalled', expectCleanUninstall);
  });
});
