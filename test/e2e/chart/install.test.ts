import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pushImage } from '../../bench/push-image.js';
import { makeCertificates } from '../../fakes/certificates.js';
import { ChartRepository } from '../../fakes/chart-repository.js';
import { post } from '../../fakes/https-client.js';
import { buildImage } from '../../fakes/images.js';
import { RealRegistry } from '../../fakes/real-registry.js';
import { documentedCommands } from '../../tools/chart/documented.js';
import { CHART, installArgs } from '../../tools/helm.js';
import { goModule, goToolsAvailable } from '../../tools/tool.js';
import { isAllowed } from '../cluster/access.js';
import { installCrds } from '../cluster/crds.js';
import { expectOk } from '../cluster/kube-api.js';
import { outsideAddress } from '../cluster/pod-process.js';
import type { PodProcess } from '../cluster/pod-process.js';
import { imagesOf, pod, stored } from '../cluster/pods.js';
import { ChartCluster, NAMESPACE } from './chart-cluster.js';
import { until } from '../../fakes/until.js';

const available = await goToolsAvailable('an install of the Helm chart');
const OUTSIDE = outsideAddress();
if (OUTSIDE === undefined) {
  const skipped = "the README's lines alone: this machine has no address but loopback, where no source may be";
  if (process.env['CI'] !== undefined) throw new Error(skipped);
  process.stderr.write(`SKIPPED: ${skipped}\n`);
}
describe.skipIf(!available)('helm install', () => {
  let cluster: ChartCluster;
  let source: RealRegistry;
  let target: RealRegistry;
  let repository: ChartRepository;
  let pushed = 0;

  beforeAll(async () => {
    cluster = await ChartCluster.start();
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

  /** Settings that only these two registries on loopback need: they have no TLS. */
  function registries(): object {
    return {
      config: {
        target: { oci: { registry: target.host, prefix: 'mirror', insecure: true } },
        source: { registries: [{ type: 'oci', oci: { registry: source.host, insecure: true } }] },
      },
    };
  }

  it.skipIf(OUTSIDE === undefined)('with only the commands of the README leads to the first swapped Pod', async () => {
    const { helm, plane } = cluster;
    // Realistic registries: another machine's address, TLS, and a CA that this process trusts.
    const address = OUTSIDE ?? '';
    const { ca, ...tls } = await makeCertificates({ hosts: [address] });
    const folder = await mkdtemp(join(tmpdir(), 'image-swapper-trusted-'));
    await chmod(folder, 0o755);
    await writeFile(join(folder, 'ca.crt'), ca);
    const shown = await RealRegistry.start({ tls, address, sameAs: source });
    const target = await RealRegistry.start({ tls, address });
    const image = (await newImage()).replace(source.host, shown.host);
    const mirrored = `${target.host}/mirror/${image.replace(':', '_')}`;
    const pods = new Map<string, ReturnType<typeof pod>>();
    const done: string[] = [];
    let container: PodProcess | undefined;
    try {
      for (const [program = '', ...words] of await documentedCommands('first-pod', 'README.md')) {
        const args = words.map((word) => word.replace('=harbor.example.com', `=${target.host}`));
        const verb = args.find((word) => ['install', 'create', 'rollout', 'run', 'get'].includes(word)) ?? '';
        const name = args[args.indexOf(verb) + 1] ?? '';
        const line = verb === '' ? program : `${program} ${verb} ${name}`;
        done.push(line);
        switch (line) {
          case 'helm install image-swapper':
            await helm.ok(args, '');
            await until('the policy is in force', async () => (await cluster.admitted(image)) === image);
            break;
          case 'kubectl create secret':
            expectOk(await plane.api.create(loginSecret(args, target.host)), line);
            break;
          case 'kubectl rollout status':
            container = await cluster.container({ NODE_EXTRA_CA_CERTS: join(folder, 'ca.crt') });
            break;
          case 'kubectl run first':
          case 'kubectl run second':
            expect(args).toContain('--image=nginx:1.27');
            pods.set(name, pod(image));
            expectOk(await plane.api.create(pods.get(name) as ReturnType<typeof pod>), name);
            break;
          case 'sleep':
            await until('the image is copied', async () => {
              return (await cluster.admitted(image)) === mirrored;
            });
            break;
          case 'kubectl get pod':
            expect(args[args.indexOf('pod') + 1]).toBe('second');
        }
      }
      const images = async (name: string) => imagesOf(await stored(plane.api, pods.get(name) ?? pod(image)));
      expect([await images('first'), await images('second')]).toEqual([{ app: image }, { app: mirrored }]);
      expect(done).toEqual([
        // The test does not really run these commands: the plane already runs Kyverno, and the Pod runs the build of
        // this checkout.
        ...['helm install kyverno', 'npm run build', 'docker', 'kind'],
        ...[
          'helm install image-swapper',
          'kubectl create secret',
          'kubectl rollout status',
          'kubectl run first',
          'sleep',
        ],
        ...['kubectl run second', 'kubectl get pod'],
      ]);
    } finally {
      await container?.stop();
      await helm.run(['uninstall', 'image-swapper', '-n', NAMESPACE]);
      await Promise.all([shown.stop(), target.stop(), rm(folder, { recursive: true })]);
    }
  });

  it('by the documented commands and the default values swaps the second Pod of an image', async () => {
    const { helm, plane } = cluster;
    const image = await newImage();
    let notes = '';
    for (const [program, ...words] of await documentedCommands('any-registry', 'README.md')) {
      expect(program).toBe('helm');
      const args = words.map((word) =>
        word
          .replace('https://image-swapper.github.io/charts', repository.url)
          .replace('=harbor.example.com', `=${target.host}`),
      );
      const isInstallCommand = args[0] === 'install';
      notes = await helm.ok(
        [...args, ...(isInstallCommand ? ['-f', '-'] : [])],
        isInstallCommand ? stringify(registries()) : '',
      );
    }
    expect(notes).toContain(`Pods are sent to it by kyverno, at http://image-swapper.${NAMESPACE}.svc:8081.`);
    expect(notes).toContain(`${target.host}/mirror/`);
    expect(notes.split('\n').filter((line) => line.startsWith('* '))).toEqual([
      expect.stringContaining('policies.engine kyverno: its requests are not authenticated'),
    ]);

    // The service does not respond yet, so Pods are admitted unchanged.
    await until('the policy is in force', async () => (await cluster.admitted(image)) === image);
    const container = await cluster.container();
    try {
      for (const which of ['startupProbe', 'livenessProbe', 'readinessProbe'] as const) {
        expect(await container.probe(which), which).toBe(200);
      }
      const first = pod(image);
      expectOk(await plane.api.create(first), 'the first Pod');
      expect(imagesOf(await stored(plane.api, first))).toEqual({ app: image });
      await until('a new Pod gets the mirrored image', async () => (await cluster.admitted(image)) === mirrored(image));
      const second = pod(image);
      expectOk(await plane.api.create(second), 'the second Pod');
      expect(imagesOf(await stored(plane.api, second))).toEqual({ app: mirrored(image) });
      expect(imagesOf(await stored(plane.api, first))).toEqual({ app: image });
      expect(target.accessLog()).toContainEqual(expect.objectContaining({ method: 'PUT', status: 201 }));
    } finally {
      expect(await container.stop()).toBe(0);
    }
  });

  it('an upgrade to another version of the chart keeps the certificate, and a changed configuration is read without a restart', async () => {
    const { helm } = cluster;
    const container = await cluster.container();
    try {
      const secret = await cluster.object('v1', 'Secret', 'image-swapper-tls');
      const authority = await cluster.object('v1', 'ConfigMap', 'image-swapper-ca');
      expect(Object.keys(secret['data'] as object).sort()).toEqual(
        expect.arrayContaining(['ca.crt', 'ca.key', 'tls.crt', 'tls.key']),
      );
      expect((authority['data'] as Record<string, string>)['ca.crt']).toContain('BEGIN CERTIFICATE');

      const values = stringify({
        config: { source: { filters: [{ jmespath: "contains(container.image, '/app-')" }] } },
      });
      const packaged = await helm.ok(['package', CHART, '--version', '0.2.0', '-d', container.folder]);
      const chart = /saved it to: (.*)/.exec(packaged)?.[1] ?? '';
      const upgrade = ['upgrade', ...installArgs({ chart, values, args: ['--reuse-values'] })];
      await helm.ok(upgrade, values);
      await container.refresh();
      const image = await newImage();
      await until(
        'the filter is in force',
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
      ['coordination.k8s.io/v1', 'Lease', 'image-swapper'],
    ] as const) {
      expect(await cluster.has(apiVersion, kind, name), `${kind} ${name}`).toBe(false);
    }
  });

  it('of a fail-closed policy is undone without permanently refusing a Pod', async () => {
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
    await until('Pods are refused', async () => (await cluster.admitted(image)).startsWith('refused'));
    const container = await cluster.container();
    try {
      await until('Pods are admitted', async () => !(await cluster.admitted(image)).startsWith('refused'));
    } finally {
      await container.stop();
    }
    const deletions = cluster.deletions();
    await helm.ok(['uninstall', 'image-swapper', '-n', NAMESPACE]);
    expect((await deletions)[0]).toBe('MutatingPolicy Fail');
    expect(await deletions).toEqual(['MutatingPolicy Fail', 'MutatingPolicy Ignore', 'Deployment']);
    await until('Pods are admitted', async () => (await cluster.admitted(image)) === image);
  });

  it.each([
    ['gatekeeper', 'externaldata.gatekeeper.sh/v1beta1', 'Provider', 3],
    ['gatekeeper', 'externaldata.gatekeeper.sh/v1beta1', 'Provider', 4],
    ['webhook', 'admissionregistration.k8s.io/v1', 'MutatingWebhookConfiguration', 3],
    ['webhook', 'admissionregistration.k8s.io/v1', 'MutatingWebhookConfiguration', 4],
  ] as const)('lets the service put its CA certificate into the policy of %s (%s %s, Helm %d)', async (...row) => {
    const [engine, apiVersion, kind, major] = row;
    const { plane } = cluster;
    const helm = await cluster.helmOf(major);
    const crd = [
      'apiextensions.k8s.io/v1',
      'CustomResourceDefinition',
      'providers.externaldata.gatekeeper.sh',
    ] as const;
    if (engine === 'gatekeeper' && !(await cluster.has(...crd))) {
      const module = await goModule('gatekeeper', 'github.com/open-policy-agent/gatekeeper/v3');
      await installCrds(plane.api, [join(module, 'charts', 'gatekeeper', 'crds')]);
    }
    const values = stringify({ ...registries(), policies: { engine } });
    await helm.ok(['install', ...installArgs({ values, args: ['--create-namespace'] })], values);
    const container = await cluster.container();
    try {
      const trusted = async (): Promise<string> => {
        const text = JSON.stringify(await cluster.object(apiVersion, kind, 'image-swapper'));
        return Buffer.from(/"caBundle":"([^"]*)"/.exec(text)?.[1] ?? '', 'base64').toString();
      };
      const published = async (): Promise<string> => {
        const map = (await cluster.object('v1', 'ConfigMap', 'image-swapper-ca')) as { data?: Record<string, string> };
        return map.data?.['ca.crt'] ?? 'nothing yet';
      };
      await until('the policy trusts the CA', async () => (await trusted()) === (await published()));
      // An upgrade and a rollback do not delete it.
      const known = await trusted();
      // Helm 4 applies server-side by default, so a field with another owner is a conflict.
      expect(writesOf(await cluster.object(apiVersion, kind, 'image-swapper'), 'helm')).toEqual([
        major === 4 ? 'Apply' : 'Update',
      ]);
      await helm.ok(['upgrade', ...installArgs({ values, args: ['--set', 'replicaCount=3'] })], values);
      expect(await trusted()).toBe(known);
      await helm.ok(['rollback', 'image-swapper', '1', '-n', NAMESPACE]);
      // The first Provider needed a CA, so the service must repair it after the rollback.
      if (engine === 'webhook') expect(await trusted()).toBe(known);
      else await until('the policy trusts the CA', async () => (await trusted()) === known);
    } finally {
      await container.stop();
      await helm.ok(['uninstall', 'image-swapper', '-n', NAMESPACE]);
    }
    expect(await cluster.has(apiVersion, kind, 'image-swapper')).toBe(false);
  });

  it('with policies.manage lets the service write policies, and an uninstall deletes these first', async () => {
    const { helm } = cluster;
    const { config } = registries() as { readonly config: { readonly source: object } };
    const source = { ...config.source, filters: [{ jmespath: "obj.metadata.namespace == 'filtered'" }] };
    const values = stringify({ config: { ...config, source }, policies: { manage: true, failClosed: true } });
    await helm.ok(['install', ...installArgs({ values, args: ['--create-namespace'] })], values);
    const container = await cluster.container();
    try {
      const policy = ['policies.kyverno.io/v1', 'MutatingPolicy', 'image-swapper'] as const;
      await until('the service wrote its policy', () => cluster.has(...policy));
      expect(JSON.stringify(await cluster.object(...policy))).toContain('\\"filtered\\"');
      // The service still exists, but its objects must not be recreated.
      const deletions = cluster.deletions();
      const uninstall = helm.ok(['uninstall', 'image-swapper', '-n', NAMESPACE]);
      await until('the Job is there', () => cluster.has('batch/v1', 'Job', 'image-swapper-uninstall'));
      const account = { namespace: NAMESPACE, name: 'image-swapper' };
      const write = { group: 'policies.kyverno.io', resource: 'mutatingpolicies', name: 'image-swapper' };
      await until('the service cannot write policies any more', async () => {
        const rights = ['create', 'patch', 'update'].map((verb) =>
          isAllowed(cluster.plane.api, account, { verb, ...write }),
        );
        return !(await Promise.all(rights)).includes(true);
      });
      await cluster.runJob('image-swapper-uninstall');
      await uninstall;
      expect(await deletions).toEqual(['MutatingPolicy Fail', 'MutatingPolicy Ignore', 'Deployment']);
      expect(await cluster.has(...policy)).toBe(false);
      for (const name of ['image-swapper', 'image-swapper-policies', 'image-swapper-uninstall']) {
        const role = `${NAMESPACE}:${name}`;
        expect(await cluster.has('rbac.authorization.k8s.io/v1', 'ClusterRole', role), role).toBe(false);
        expect(await cluster.has('rbac.authorization.k8s.io/v1', 'ClusterRoleBinding', role), role).toBe(false);
      }
    } finally {
      await container.stop();
    }
  });

  it('with a Secret of its own serves its certificate, and a changed one without a restart', async () => {
    const { helm, plane } = cluster;
    const hosts = [cluster.address];
    const [one, other] = [await makeCertificates({ hosts }), await makeCertificates({ hosts })];
    const secret = (cert: string, key: string) => ({
      ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'own-tls', namespace: NAMESPACE } },
      stringData: { 'tls.crt': cert, 'tls.key': key },
    });
    await plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
    await plane.api.apply(secret(one.cert, one.key));
    const values = stringify({
      ...registries(),
      tls: { mode: 'existingSecret', existingSecret: 'own-tls' },
      extraEnv: [{ name: 'IMAGE_SWAPPER_LOG_LEVEL', value: 'debug' }],
    });
    await helm.ok(['install', ...installArgs({ values, args: ['--create-namespace'] })], values);
    const container = await cluster.container();
    try {
      const served = async (ca: string): Promise<boolean> =>
        isTrusted(`https://${cluster.address}:8443/v1/kyverno`, ca);
      expect([await served(one.ca), await served(other.ca)]).toEqual([true, false]);
      await plane.api.apply(secret(other.cert, other.key));
      await container.refresh();
      await until('the other certificate is served', async () => served(other.ca));
    } finally {
      await container.stop();
      await helm.ok(['uninstall', 'image-swapper', '-n', NAMESPACE]);
    }
  });
});

/** Returns the operations with which this manager wrote fields of the object. */
function writesOf(object: Record<string, unknown>, manager: string): (string | undefined)[] {
  const { managedFields = [] } = object['metadata'] as {
    readonly managedFields?: readonly { readonly manager?: string; readonly operation?: string }[];
  };
  return managedFields.filter((one) => one.manager === manager).map(({ operation }) => operation);
}

async function isTrusted(url: string, ca: string): Promise<boolean> {
  return post(url, '{}', { ca }).then(
    () => true,
    () => false,
  );
}

/** Creates the same Secret as `kubectl create secret docker-registry NAME`, for the registry of the test. */
function loginSecret(args: readonly string[], host: string): ReturnType<typeof pod> {
  const flag = (name: string): string => args.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1) ?? '';
  const auth = Buffer.from(`${flag('--docker-username').replaceAll("'", '')}:word`).toString('base64');
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: args[args.indexOf('docker-registry') + 1] ?? '', namespace: NAMESPACE },
    type: 'kubernetes.io/dockerconfigjson',
    stringData: { '.dockerconfigjson': JSON.stringify({ auths: { [host]: { auth } } }) },
  } as unknown as ReturnType<typeof pod>;
}
