import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { stringify } from 'yaml';
import type { RealRegistry } from '../../fakes/real-registry.js';
import { until, untilWith } from '../../fakes/until.js';
import { CHART } from '../../tools/helm.js';
import type { Helm } from '../../tools/helm.js';
import { expectOk } from '../cluster/kube-api.js';
import type { ApiObject } from '../cluster/kube-api.js';
import { pod, tryOut } from '../cluster/pods.js';
import type { PodObject } from '../cluster/pods.js';
import { imageOf, push } from './images.js';
import type { Node } from './node.js';
import { pauseProgram } from './node-tools.js';
import { serviceImage } from './service-image.js';
import { deployment, rolledOut, scale } from './workloads.js';
import type { ContainerStatus } from './workloads.js';

const RELEASE = 'table';
const NAMESPACE = 'team-away';
/** Images whose Pods run when the outage begins. */
const RUNNING = 3;
/** Images that only Pod templates name, so that the node must pull all of them during the outage. */
const PENDING_PODS = 3;

type RunningPod = PodObject & { readonly status?: { readonly containerStatuses?: readonly ContainerStatus[] } };

interface App {
  readonly image: string;
  readonly object: ApiObject;
}

/** Numbers of an outage. */
export interface AwayReport {
  readonly rounds: number;
  /** Pods that were created and ran, each with its mirrored image name. */
  readonly pods: number;
  /** Requests from the node to the target. */
  readonly pulls: number;
}

/**
 * Installs the chart with the engine `mutatingadmissionpolicy`, stops every replica of the service and the source
 * registry, and recreates every Pod repeatedly.
 *
 * @param seconds duration of the outage
 * @throws if a Pod is refused, keeps its source, cannot be pulled, or does not run
 */
export async function recreateWhileAway(node: Node, helm: Helm, seconds: number): Promise<AwayReport> {
  const { api } = node.plane;
  const [source, target] = [await node.registry(), await node.registry()];
  await api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
  await install(node, helm, source, target);
  const apps = await makeApps(node, source);
  const mirrored = ({ image }: App): string => `${target.host}/mirror/${image.replace(':', '_')}`;
  const untilLogged = untilWith(() => logOf(node));
  for (const app of apps) {
    await untilLogged(`${app.image} is in the table`, async () => {
      const admission = await tryOut(api, pod(app.image, {}, { namespace: NAMESPACE }));
      return admission.admitted && admission.images['app'] === mirrored(app);
    });
  }
  await endService(node);
  await source.stop();
  for (const { object } of apps) await scale(node, NAMESPACE, object.metadata.name, 2);
  const pullsBefore = target.accessLog('containerd/').length;
  const seen = new Set<unknown>();
  let rounds = 0;
  const end = performance.now() + seconds * 1_000;
  do {
    await recreateAll(node);
    for (const app of apps) expect(new Set(await rolledOut(node, app.object))).toEqual(new Set([mirrored(app)]));
    for (const { metadata, status } of await podsOf(node)) {
      expect(status?.containerStatuses?.map(({ state }) => Object.keys(state))).toEqual([['running']]);
      seen.add(metadata['uid']);
    }
    rounds += 1;
  } while (performance.now() < end);
  expect(await podProblems(node)).toEqual([]);
  // The node still shows the old name for an image that it had pulled from the source.
  const pendingPods = (await podsOf(node)).filter(({ spec }) =>
    apps.slice(RUNNING).some((app) => spec.containers[0]?.image === mirrored(app)),
  );
  expect(pendingPods).toHaveLength(2 * PENDING_PODS);
  for (const { status } of pendingPods)
    expect(status?.containerStatuses?.[0]?.imageID).toMatch(new RegExp(`^${target.host}/mirror/`));
  const pulls = target.accessLog('containerd/');
  for (const { image } of apps) {
    const path = `/v2/mirror/${image.replace(':', '_').replace(/:1$/, '')}/manifests/1`;
    expect(pulls.some((access) => access.path === path && access.status === 200)).toBe(true);
  }
  await helm.ok(['uninstall', RELEASE, '-n', RELEASE, '--wait', '--timeout', '3m']);
  return { rounds, pods: seen.size, pulls: pulls.length - pullsBefore };
}

async function install(node: Node, helm: Helm, source: RealRegistry, target: RealRegistry): Promise<void> {
  const values = {
    image: await serviceImage(node),
    policies: { engine: 'mutatingadmissionpolicy', manage: true },
    config: {
      target: { oci: { registry: target.host, prefix: 'mirror', insecure: true } },
      source: { registries: [{ type: 'oci', oci: { registry: source.host, insecure: true } }] },
    },
  };
  const args = ['-n', RELEASE, '--create-namespace', '--wait', '--timeout', '3m', '-f', '-'];
  await helm.ok(['install', RELEASE, CHART, ...args], stringify(values));
}

/** Creates Deployments. Some have running Pods from the source, and the others are scaled to zero. */
async function makeApps(node: Node, source: RealRegistry): Promise<readonly App[]> {
  const pause = await pauseProgram();
  const apps: App[] = [];
  for (let number = 0; number < RUNNING + PENDING_PODS; number += 1) {
    const built = imageOf({ files: { '/pause': pause }, texts: { '/away': `${number}` }, entrypoint: ['/pause'] });
    const image = await push(source, `away-${number}`, built);
    const object = deployment(`away-${number}`, NAMESPACE, image);
    const spec = object['spec'] as object;
    expectOk(
      await node.plane.api.create({ ...object, spec: { ...spec, replicas: number < RUNNING ? 2 : 0 } }),
      object.metadata.name,
    );
    apps.push({ image, object });
  }
  for (const { object } of apps.slice(0, RUNNING)) await rolledOut(node, object);
  return apps;
}

/**
 * Ends every replica. The leader stops as in an orderly shutdown, so it could still change the table. The others are
 * deleted without a grace period, as after the loss of a node.
 */
async function endService(node: Node): Promise<void> {
  const { api } = node.plane;
  const leases = expectOk(await api.send('GET', `/apis/coordination.k8s.io/v1/namespaces/${RELEASE}/leases`), 'Leases');
  const holders = (leases.body as { readonly items: readonly Lease[] }).items.map(
    ({ spec }) => spec?.holderIdentity ?? '',
  );
  const isLeader = ({ metadata }: ApiObject): boolean => holders.some((one) => one.startsWith(metadata.name));
  const { body } = expectOk(await api.send('GET', `/apis/apps/v1/namespaces/${RELEASE}/deployments`), 'the service');
  for (const { metadata } of (body as { readonly items: readonly ApiObject[] }).items)
    await scale(node, RELEASE, metadata.name, 0);
  const pods = `/api/v1/namespaces/${RELEASE}/pods`;
  const replicas = async (): Promise<readonly ApiObject[]> => {
    const { body: list } = expectOk(await api.send('GET', pods), 'list the replicas');
    return (list as { readonly items: readonly ApiObject[] }).items;
  };
  const running = await replicas();
  expect(running.filter(isLeader)).toHaveLength(1);
  for (const replica of running) {
    if (isLeader(replica)) continue;
    await api.send('DELETE', `${pods}/${replica.metadata.name}?gracePeriodSeconds=0`);
  }
  await until('no replica of the service is left', async () => (await replicas()).length === 0);
}

interface Lease {
  readonly spec?: { readonly holderIdentity?: string };
}

async function recreateAll(node: Node): Promise<void> {
  const path = `/api/v1/namespaces/${NAMESPACE}/pods`;
  const old = new Set((await podsOf(node)).map(({ metadata }) => metadata['uid']));
  expectOk(await node.plane.api.send('DELETE', path), 'delete every Pod');
  // The deletion may also take a Pod that a ReplicaSet has just created.
  await until('the deleted Pods are gone', async () =>
    (await podsOf(node)).every(
      ({ metadata }) => !old.has(metadata['uid']) && metadata['deletionTimestamp'] === undefined,
    ),
  );
}

async function podsOf(node: Node): Promise<readonly RunningPod[]> {
  const { body } = expectOk(await node.plane.api.send('GET', `/api/v1/namespaces/${NAMESPACE}/pods`), 'list the Pods');
  return (body as { readonly items: readonly RunningPod[] }).items;
}

/** Returns the Events of controllers that cannot create a Pod, and of kubelets that cannot pull an image. */
async function podProblems(node: Node): Promise<readonly string[]> {
  const { body } = expectOk(await node.plane.api.send('GET', `/api/v1/namespaces/${NAMESPACE}/events`), 'list Events');
  const { items } = body as { readonly items: readonly { readonly reason: string; readonly message: string }[] };
  return items
    .filter(({ reason }) => ['FailedCreate', 'Failed', 'BackOff', 'ErrImagePull'].includes(reason))
    .map(({ reason, message }) => `${reason}: ${message}`);
}

/** Returns the ends of the logs of the service's Pods. */
function logOf({ machine }: Node): string {
  const folder = join(machine.folder, 'logs');
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.startsWith(`${RELEASE}_`) && name.endsWith('.log'))
    .map((name) => `${name}:\n${readFileSync(join(folder, name), 'utf8').split('\n').slice(-15).join('\n')}`)
    .join('\n');
}
