import { readFile } from 'node:fs/promises';
import { stringify } from 'yaml';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { pushImage } from '../../bench/push-image.js';
import { ACCOUNT, ECR_HOST, EcrWorld } from '../../fakes/ecr-world.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { RealRegistry, TEST_LOGIN } from '../../fakes/real-registry.js';
import { documentedCommands } from '../../tools/chart/documented.js';
import { CHART, installArgs } from '../../tools/helm.js';
import { goToolsAvailable } from '../../tools/tool.js';
import { isAllowed } from '../cluster/access.js';
import { expectOk } from '../cluster/kube-api.js';
import { NAMESPACE as TEAM, pod } from '../cluster/pods.js';
import { ChartCluster, NAMESPACE } from './chart-cluster.js';
import { until } from '../../fakes/until.js';

const available = await goToolsAvailable('features of the Helm chart');

describe.skipIf(!available)('an install of the chart', () => {
  let cluster: ChartCluster;
  let open: RealRegistry;
  let closed: RealRegistry;
  let target: RealRegistry;
  let pushed = 0;

  beforeAll(async () => {
    [cluster, open, closed, target] = await Promise.all([
      ChartCluster.start(),
      RealRegistry.start(),
      RealRegistry.start({ htpasswd: TEST_LOGIN.htpasswd }),
      RealRegistry.start(),
    ]);
    await cluster.plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
  });
  afterEach(async () => {
    await cluster.helm.run(['uninstall', 'image-swapper', '-n', NAMESPACE, '--no-hooks', '--ignore-not-found']);
  });
  afterAll(async () => {
    await Promise.all([cluster?.stop(), open?.stop(), closed?.stop(), target?.stop()]);
  });

  async function newImage(source: RealRegistry): Promise<string> {
    pushed += 1;
    const image = buildImage({ seed: 1700 + pushed, platforms: ['linux/amd64'], layersPerPlatform: 1 });
    await pushImage(source.host, `app-${pushed}`, image, '1', source === closed ? TEST_LOGIN : undefined);
    return `${source.host}/app-${pushed}:1`;
  }
  async function isMirrored(image: string): Promise<boolean> {
    const path = image.replace(':', '_').replace(/:1$/, '');
    const url = `http://${target.host}/v2/mirror/${path}/manifests/1`;
    return (await fetch(url, { method: 'HEAD' })).status === 200;
  }

  async function install(values: object): Promise<void> {
    const registries = [open, closed].map(({ host }) => ({ type: 'oci', oci: { registry: host, insecure: true } }));
    const config = {
      target: { oci: { registry: target.host, prefix: 'mirror', insecure: true } },
      source: { registries },
    };
    const text = stringify({ config, ...values });
    await cluster.helm.ok(['install', ...installArgs({ values: text })], text);
  }

  it('with managed fail-closed policies leaves no refusing policy behind when uninstalled while neither the service nor a Job can run', async () => {
    const { helm, plane } = cluster;
    await install({ policies: { manage: true, failClosed: true } });
    const policy = ['policies.kyverno.io/v1', 'MutatingPolicy', 'image-swapper'] as const;
    const container = await cluster.container();
    await until('the service wrote its policy', () => cluster.has(...policy));
    await container.stop();
    const image = await newImage(open);
    await until('Pods are refused', async () => (await cluster.admitted(image)).startsWith('refused'));

    const uninstall = helm.run(['uninstall', 'image-swapper', '-n', NAMESPACE]);
    await cluster.failJob('image-swapper-uninstall');
    const { code, stderr } = await uninstall;
    expect([code, stderr]).toEqual([1, expect.stringContaining('DeadlineExceeded')]);
    expect(await cluster.has(...policy)).toBe(false);
    await until('Pods are admitted', async () => (await cluster.admitted(image)) === image);
    // As in the install page, the service exists but cannot write policies.
    expect(await cluster.has('apps/v1', 'Deployment', 'image-swapper')).toBe(true);
    const account = { namespace: NAMESPACE, name: 'image-swapper' };
    const write = { group: 'policies.kyverno.io', resource: 'mutatingpolicies', name: 'image-swapper' };
    expect(await isAllowed(plane.api, account, { verb: 'create', ...write })).toBe(false);
    await helm.ok(['uninstall', 'image-swapper', '-n', NAMESPACE, '--no-hooks']);
    expect(await cluster.has('apps/v1', 'Deployment', 'image-swapper')).toBe(false);
    expect(await cluster.has(...policy)).toBe(false);
  });

  it('leaves no table behind in the API server when it switches to another engine, or stops managing policies', async () => {
    const { helm, plane } = cluster;
    const config = {
      target: { oci: { registry: target.host, prefix: 'mirror', insecure: true } },
      source: { registries: [{ type: 'oci', oci: { registry: open.host, insecure: true } }] },
    };
    const upgrade = (policies: object) => {
      const values = stringify({ config, policies });
      return helm.run(['upgrade', '--install', ...installArgs({ values })], values);
    };
    const v1 = 'admissionregistration.k8s.io/v1';
    const left = async (): Promise<readonly string[]> => {
      const found: string[] = [];
      for (const kind of ['MutatingAdmissionPolicy', 'MutatingAdmissionPolicyBinding'])
        for (const name of ['image-swapper', 'image-swapper-recent'])
          if (await cluster.has(v1, kind, name)) found.push(`${kind} ${name}`);
      return found;
    };
    const table = { engine: 'mutatingadmissionpolicy', manage: true };
    expect((await upgrade(table)).code).toBe(0);
    const image = await newImage(open);
    const keeper = await cluster.container();
    try {
      await until('the policies are there', async () => (await left()).length === 4);
      expectOk(await plane.api.create(pod(image)), 'create the Pod');
      await until('the API server swaps the image', async () => (await cluster.admitted(image)) !== image);
    } finally {
      await keeper.stop();
    }

    for (const engine of ['none', 'webhook']) {
      const { code, stderr } = await upgrade({ engine, manage: false });
      expect([code, stderr]).toEqual([
        1,
        expect.stringMatching(/policies\.manage: is false, but MutatingAdmissionPolicy image-swapper has a table/),
      ]);
    }
    expect(await left()).toHaveLength(4);

    expect((await upgrade({ engine: 'webhook', manage: true })).code).toBe(0);
    const successor = await cluster.container();
    try {
      await until('the policies with the table are deleted', async () => (await left()).length === 0);
    } finally {
      await successor.stop();
    }

    expect((await upgrade(table)).code).toBe(0);
    const again = await cluster.container();
    try {
      await until('the policies are there again', async () => (await left()).length === 4);
      const uninstall = helm.ok(['uninstall', 'image-swapper', '-n', NAMESPACE]);
      await cluster.runJob('image-swapper-uninstall');
      await uninstall;
      expect(await left()).toEqual([]);
      await until('the image is no longer swapped', async () => (await cluster.admitted(image)) === image);
    } finally {
      await again.stop();
    }
  }, 240_000);

  it('with prewarm mirrors what workloads use, by the Job, with the rights that the chart gives', async () => {
    const image = await newImage(open);
    const labels = { app: 'prewarmed' };
    await cluster.plane.api.apply({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'prewarmed', namespace: TEAM },
      spec: {
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: 'app', image }] } },
      },
    });
    await install({ prewarm: { enabled: true } });
    const [job = ''] = (await cluster.jobs()).filter((name) => /^image-swapper-prewarm-[0-9a-f]{8}$/.test(name));
    await cluster.runJob(job);
    expect(await isMirrored(image)).toBe(true);
  });

  it.each([
    ['all Secrets', { enabled: true }],
    ['those of the names alone', { enabled: true, secretNames: ['private'] }],
  ])("with secretReader copies a private image by its Pod's pull secret: %s", async (_name, secretReader) => {
    const { plane } = cluster;
    const auth = Buffer.from(`${TEST_LOGIN.username}:${TEST_LOGIN.password}`).toString('base64');
    await plane.api.apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'private', namespace: TEAM },
      type: 'kubernetes.io/dockerconfigjson',
      stringData: { '.dockerconfigjson': JSON.stringify({ auths: { [closed.host]: { auth } } }) },
    });
    await install({ secretReader });
    const container = await cluster.container();
    try {
      const image = await newImage(closed);
      expectOk(await plane.api.create(pod(image, { imagePullSecrets: [{ name: 'private' }] })), 'a Pod');
      await until('the image is mirrored', () => isMirrored(image)).catch((error: unknown) => {
        throw new Error(`${String(error)}: ${container.output}`, { cause: error });
      });
    } finally {
      await container.stop();
    }
  });

  it("by the documented command for an IAM user signs with the Secret's key and copies to ECR", async () => {
    const { helm, plane } = cluster;
    const world = await EcrWorld.start();
    try {
      const { AWS_ACCESS_KEY_ID: id = '', AWS_SECRET_ACCESS_KEY: secret = '' } = world.control.userEnv;
      await plane.api.apply({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'image-swapper-aws', namespace: NAMESPACE },
        stringData: { aws_access_key_id: id, aws_secret_access_key: secret },
      });
      const commands = await documentedCommands('ecr-iam-user');
      const words = commands.find(([program, command]) => program === 'helm' && command === 'install')?.slice(1) ?? [];
      const args = words.map((word) =>
        word.replace('image-swapper/image-swapper', CHART).replace('012345678901', ACCOUNT),
      );
      // The URL is AWS's address. The chart disables the metadata server.
      const env = { ...world.env, NODE_EXTRA_CA_CERTS: '/etc/proxy-ca/ca.crt' };
      const extraEnv = Object.entries(env)
        .filter(([name]) => name !== 'AWS_EC2_METADATA_DISABLED')
        .map(([name, value]) => ({ name, value }));
      const ca = await readFile(world.env['NODE_EXTRA_CA_CERTS'] ?? '', 'utf8');
      const authority = {
        extraManifests: [
          { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'proxy-ca' }, data: { 'ca.crt': ca } },
        ],
        extraVolumes: [{ name: 'proxy-ca', configMap: { name: 'proxy-ca' } }],
        extraVolumeMounts: [{ name: 'proxy-ca', mountPath: '/etc/proxy-ca' }],
      };
      const source = { registries: [{ type: 'oci', oci: { registry: world.source.host, insecure: true } }] };
      await helm.ok([...args, '-f', '-'], stringify({ config: { source }, extraEnv, ...authority }));
      const container = await cluster.container();
      try {
        loadImage(world.source, 'app', buildImage({ seed: 1800, platforms: ['linux/amd64'] }), '1');
        const image = `${world.source.host}/app:1`;
        expectOk(await plane.api.create(pod(image)), 'the first Pod');
        const wanted = `${ECR_HOST}/${image.replace(':', '_')}`;
        await until('a new Pod gets the mirrored image', async () => (await cluster.admitted(image)) === wanted).catch(
          (error: unknown) => {
            throw new Error(`${String(error)}: ${container.output}`, { cause: error });
          },
        );
        const calls = world.control.calls();
        const actions = calls.map(({ action }) => action);
        expect(actions).toEqual(expect.arrayContaining(['CreateRepository', 'GetAuthorizationToken']));
        expect(new Set(calls.map(({ accessKey }) => accessKey))).toEqual(new Set([id]));
      } finally {
        await container.stop();
      }
    } finally {
      await world.close();
    }
  });
});
