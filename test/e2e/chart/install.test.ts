import { stringify } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pushImage } from '../../bench/push-image.js';
import { makeCertificates } from '../../fakes/certificates.js';
import { ChartRepository } from '../../fakes/chart-repository.js';
import { post } from '../../fakes/https-client.js';
import { buildImage } from '../../fakes/images.js';
import { RealRegistry } from '../../fakes/real-registry.js';
import { documentedCommands } from '../../tools/chart/documented.js';
import { Helm, installArgs } from '../../tools/helm.js';
import { goToolsAvailable } from '../../tools/tool.js';
import { ControlPlane } from '../cluster/control-plane.js';
import { Discovery } from '../cluster/discovery.js';
import { expectOk } from '../cluster/kube-api.js';
import { startKyverno } from '../cluster/kyverno-controller.js';
import { PodProcess } from '../cluster/pod-process.js';
import type { PodTemplateSpec } from '../cluster/pod-process.js';
import { eventually, imagesOf, NAMESPACE as TEAM, pod, stored, tryOut } from '../cluster/pods.js';
import type { Program } from '../cluster/program.js';

const available = await goToolsAvailable('an install of the Helm chart');
const NAMESPACE = 'image-swapper';
/** The Pod's address; Kyverno knows it by the Service's name, whose ports are the container's by default. */
const ADDRESS = '127.77.7.7';

/** A cluster as a new user has it: Kyverno, nothing of ours. */
class Cluster {
  private constructor(
    readonly plane: ControlPlane,
    readonly helm: Helm,
    readonly discovery: Discovery,
    private readonly kyverno: Program,
  ) {}

  static async start(): Promise<Cluster> {
    const plane = await ControlPlane.start();
    await plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: TEAM } });
    const { ca } = await makeCertificates({ hosts: ['nobody.example'] });
    const hosts = { [`image-swapper.${NAMESPACE}.svc`]: ADDRESS };
    const kyverno = await startKyverno(plane, { trusted: ca, hosts });
    const helm = await Helm.create({ KUBECONFIG: plane.kubeconfig });
    return new Cluster(plane, helm, new Discovery(plane.api), kyverno);
  }

  async stop(): Promise<void> {
    await this.kyverno.stop();
    await this.plane.stop();
  }

  /** The container of the Deployment that the API server has. */
  async container(): Promise<PodProcess> {
    const deployment = await this.object('apps/v1', 'Deployment', 'image-swapper');
    const { template } = deployment['spec'] as { readonly template: { readonly spec: PodTemplateSpec } };
    const process = await PodProcess.start(this.plane, NAMESPACE, template.spec, ADDRESS);
    await process.waitUntilReady();
    return process;
  }

  async object(apiVersion: string, kind: string, name: string): Promise<Record<string, unknown>> {
    const reply = await this.discovery.get({ apiVersion, kind, metadata: { name, namespace: NAMESPACE } });
    return expectOk(reply, `${kind} ${name}`).body as Record<string, unknown>;
  }

  async has(apiVersion: string, kind: string, name: string): Promise<boolean> {
    return (await this.discovery.get({ apiVersion, kind, metadata: { name, namespace: NAMESPACE } })).status === 200;
  }

  /** Policies, with what they do when the service fails, and Deployments in the order in which they go from now on. */
  async deletions(): Promise<string[]> {
    const metadata = { name: '', namespace: NAMESPACE };
    const seen = [
      { apiVersion: 'policies.kyverno.io/v1', kind: 'MutatingPolicy', metadata },
      { apiVersion: 'apps/v1', kind: 'Deployment', metadata },
    ].map(async (object) => {
      const path = await this.discovery.path(object, 'collection');
      // Every event has the number of the change that it tells.
      const { body } = await this.plane.api.send('GET', `${path}?watch=true&timeoutSeconds=10&resourceVersion=0`);
      return eventsOf(body).filter(({ type }) => type === 'DELETED');
    });
    const events = (await Promise.all(seen)).flat().map(({ object }) => object);
    events.sort((one, other) => Number(one.metadata.resourceVersion) - Number(other.metadata.resourceVersion));
    return events.map(({ kind, spec }) => [kind, spec.failurePolicy].join(' ').trim());
  }

  /** The image that a new Pod with this one gets. */
  async admitted(image: string): Promise<string> {
    const admission = await tryOut(this.plane.api, pod(image));
    return admission.admitted ? (admission.images['app'] ?? '') : `refused: ${admission.message}`;
  }
}

describe.skipIf(!available)('helm install', () => {
  let cluster: Cluster;
  let source: RealRegistry;
  let target: RealRegistry;
  let repository: ChartRepository;
  let pushed = 0;

  beforeAll(async () => {
    cluster = await Cluster.start();
    source = await RealRegistry.start();
    target = await RealRegistry.start();
    repository = await ChartRepository.start(cluster.helm);
  });
  afterAll(async () => {
    await cluster?.stop();
    await source?.stop();
    await target?.stop();
    await repository?.stop();
  });

  async function newImage(): Promise<string> {
    pushed += 1;
    const image = buildImage({ seed: 900 + pushed, platforms: ['linux/amd64'], layersPerPlatform: 1 });
    await pushImage(source.host, `app-${pushed}`, image, '1');
    return `${source.host}/app-${pushed}:1`;
  }
  const mirrored = (image: string): string => `${target.host}/mirror/${image.replace(':', '_')}`;

  /** What these two registries on loopback need beside what a real one does: they have no TLS. */
  function registries(): object {
    return {
      config: {
        target: { oci: { registry: target.host, prefix: 'mirror', insecure: true } },
        source: { registries: [{ type: 'oci', oci: { registry: source.host, insecure: true } }] },
      },
    };
  }

  it('by the documented commands and the default values swaps the second Pod of an image', async () => {
    const { helm, plane } = cluster;
    const image = await newImage();
    let notes = '';
    for (const [program, ...words] of await documentedCommands('any-registry')) {
      expect(program).toBe('helm');
      const args = words.map((word) =>
        word
          .replace('https://image-swapper.github.io/charts', repository.url)
          .replace('=harbor.example.com', `=${target.host}`),
      );
      const isInstall = args[0] === 'install';
      notes = await helm.ok([...args, ...(isInstall ? ['-f', '-'] : [])], isInstall ? stringify(registries()) : '');
    }
    expect(notes).toContain(`Pods are sent to it by kyverno, at http://image-swapper.${NAMESPACE}.svc:8081.`);
    expect(notes).toContain(`${target.host}/mirror/`);
    expect(notes).not.toContain('Warnings');

    // Nothing answers yet: Pods are admitted as they are.
    await eventually('the policy is in force', 60, async () => (await cluster.admitted(image)) === image);
    const container = await cluster.container();
    try {
      expect([await container.probe('livenessProbe'), await container.probe('readinessProbe')]).toEqual([200, 200]);
      const first = pod(image);
      expectOk(await plane.api.create(first), 'the first Pod');
      expect(imagesOf(await stored(plane.api, first))).toEqual({ app: image });
      await eventually(
        'a new Pod gets the mirrored image',
        60,
        async () => (await cluster.admitted(image)) === mirrored(image),
      );
      const second = pod(image);
      expectOk(await plane.api.create(second), 'the second Pod');
      expect(imagesOf(await stored(plane.api, second))).toEqual({ app: mirrored(image) });
      expect(imagesOf(await stored(plane.api, first))).toEqual({ app: image });
      expect(target.accessLog()).toContainEqual(expect.objectContaining({ method: 'PUT', status: 201 }));
    } finally {
      expect(await container.stop()).toBe(0);
    }
  });

  it('an upgrade keeps the certificate, and a changed configuration is read without a restart', async () => {
    const { helm } = cluster;
    const container = await cluster.container();
    try {
      const secret = await cluster.object('v1', 'Secret', 'image-swapper-tls');
      const authority = await cluster.object('v1', 'ConfigMap', 'image-swapper-ca');
      expect(Object.keys(secret['data'] as object).sort()).toEqual(['ca.crt', 'ca.key', 'tls.crt', 'tls.key']);
      expect((authority['data'] as Record<string, string>)['ca.crt']).toContain('BEGIN CERTIFICATE');

      const values = stringify({
        config: { source: { filters: [{ jmespath: "contains(container.image, '/app-')" }] } },
      });
      const chart = 'image-swapper/image-swapper';
      const upgrade = ['upgrade', ...installArgs({ chart, values, args: ['--reuse-values'] })];
      await helm.ok(upgrade, values);
      await container.refresh();
      const image = await newImage();
      await eventually(
        'the filter is in force',
        20,
        async () => (await cluster.admitted(image)) === image && container.output.includes('configuration reloaded'),
      );
      for (const revision of ['after the upgrade', 'after the rollback']) {
        expect((await cluster.object('v1', 'Secret', 'image-swapper-tls'))['data'], revision).toEqual(secret['data']);
        expect((await cluster.object('v1', 'ConfigMap', 'image-swapper-ca'))['data'], revision).toEqual(
          authority['data'],
        );
        if (revision === 'after the upgrade') await helm.ok(['rollback', 'image-swapper', '1', '-n', NAMESPACE]);
      }
      const manifest = await helm.ok(['get', 'manifest', 'image-swapper', '-n', NAMESPACE]);
      expect(manifest).not.toContain('ca.key');
    } finally {
      await container.stop();
    }
  });

  it('an uninstall leaves nothing behind', async () => {
    await cluster.helm.ok(['uninstall', 'image-swapper', '-n', NAMESPACE]);
    for (const [apiVersion, kind, name] of [
      ['policies.kyverno.io/v1', 'MutatingPolicy', 'image-swapper'],
      ['apps/v1', 'Deployment', 'image-swapper'],
      ['v1', 'Secret', 'image-swapper-tls'],
      ['v1', 'ConfigMap', 'image-swapper-ca'],
      ['v1', 'ServiceAccount', 'image-swapper'],
      ['rbac.authorization.k8s.io/v1', 'ClusterRole', `${NAMESPACE}:image-swapper`],
      ['rbac.authorization.k8s.io/v1', 'Role', 'image-swapper'],
    ] as const) {
      expect(await cluster.has(apiVersion, kind, name), `${kind} ${name}`).toBe(false);
    }
  });

  it('of a fail-closed policy is undone without a moment in which Pods are refused for good', async () => {
    const { helm } = cluster;
    const values = stringify({
      ...registries(),
      tls: { mode: 'disabled' },
      policies: { failClosed: true },
      replicaCount: 1,
    });
    const notes = await helm.ok(['install', ...installArgs({ values, args: ['--create-namespace'] })], values);
    expect(notes).toContain('Fail closed with one replica');
    const image = await newImage();
    await eventually('Pods are refused', 60, async () => (await cluster.admitted(image)).startsWith('refused'));
    const container = await cluster.container();
    try {
      await eventually('Pods are admitted', 20, async () => !(await cluster.admitted(image)).startsWith('refused'));
    } finally {
      await container.stop();
    }
    const deletions = cluster.deletions();
    await helm.ok(['uninstall', 'image-swapper', '-n', NAMESPACE]);
    expect((await deletions)[0]).toBe('MutatingPolicy Fail');
    expect(await deletions).toEqual(['MutatingPolicy Fail', 'MutatingPolicy Ignore', 'Deployment']);
    await eventually('Pods are admitted', 60, async () => (await cluster.admitted(image)) === image);
  });

  it('with a Secret of its own serves its certificate, and a changed one without a restart', async () => {
    const { helm, plane } = cluster;
    const hosts = [ADDRESS];
    const [one, other] = [await makeCertificates({ hosts }), await makeCertificates({ hosts })];
    const secret = (cert: string, key: string) => ({
      ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'own-tls', namespace: NAMESPACE } },
      stringData: { 'tls.crt': cert, 'tls.key': key },
    });
    await plane.api.apply(secret(one.cert, one.key));
    const values = stringify({
      ...registries(),
      tls: { mode: 'existingSecret', existingSecret: 'own-tls' },
      extraEnv: [{ name: 'IMAGE_SWAPPER_LOG_LEVEL', value: 'debug' }],
    });
    await helm.ok(['install', ...installArgs({ values })], values);
    const container = await cluster.container();
    try {
      const served = async (ca: string): Promise<boolean> => trusts(`https://${ADDRESS}:8443/v1/kyverno`, ca);
      expect([await served(one.ca), await served(other.ca)]).toEqual([true, false]);
      await plane.api.apply(secret(other.cert, other.key));
      await container.refresh();
      await eventually('the other certificate is served', 20, async () => served(other.ca));
    } finally {
      await container.stop();
      await helm.ok(['uninstall', 'image-swapper', '-n', NAMESPACE]);
    }
  });
});

interface WatchEvent {
  readonly type: string;
  readonly object: {
    readonly kind: string;
    readonly metadata: { readonly resourceVersion: string };
    readonly spec: { readonly failurePolicy?: string };
  };
}

/** The lines of a watch, as the client that reads whole answers gives them. */
function eventsOf(body: unknown): WatchEvent[] {
  const one = body as { readonly message?: string; readonly type?: string };
  if (one.type !== undefined) return [body as WatchEvent];
  return (one.message ?? '').split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as WatchEvent]));
}

async function trusts(url: string, ca: string): Promise<boolean> {
  return post(url, '{}', { ca }).then(
    () => true,
    () => false,
  );
}
