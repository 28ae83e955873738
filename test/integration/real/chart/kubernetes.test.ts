import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { FIRST_CERTIFICATE_TIMEOUT_MS } from '../../../../extension-service/src/cli/serve.js';
import { AUTHORITY, AWS } from '../../../tools/chart/cases.js';
import { CHART, Helm, objectOf } from '../../../tools/helm.js';
import type { KubernetesObject, RenderOptions } from '../../../tools/helm.js';
import { goToolsAvailable } from '../../../tools/tool.js';

const available = await goToolsAvailable('what the Helm chart makes of values');
const ENGINES = ['kyverno', 'kyverno-clusterpolicy', 'gatekeeper', 'webhook', 'none'];
const config = { target: AWS };

interface DeploymentSpec {
  readonly strategy: { readonly rollingUpdate: object };
  readonly template: { readonly spec: { readonly containers: readonly [Readonly<Record<string, unknown>>] } };
}

describe.skipIf(!available)('the chart', () => {
  let helm: Helm;
  beforeAll(async () => {
    helm = await Helm.create();
  });

  const render = async (values: object, options: RenderOptions = {}): Promise<KubernetesObject[]> =>
    helm.objects({ values: { config, ...values }, ...options });
  const deployment = async (values: object): Promise<DeploymentSpec> =>
    objectOf(await render(values), 'Deployment')['spec'] as DeploymentSpec;

  /** Returns null for every value that is a mapping or list from the user. */
  async function allNull(): Promise<object> {
    const values = parse(await readFile(join(CHART, 'values.yaml'), 'utf8')) as Readonly<Record<string, unknown>>;
    const withNulls = (value: unknown, path: string): unknown => {
      if (typeof value !== 'object' || value === null || Array.isArray(value))
        return Array.isArray(value) ? null : undefined;
      const isUsers =
        /(?:ontext|esources|Probe|ffinity|elector|abels|nnotations)$/.test(path) || Object.keys(value).length === 0;
      if (isUsers) return null;
      return Object.fromEntries(
        Object.entries(value).flatMap(([key, child]) => {
          const result = withNulls(child, `${path}.${key}`);
          return result === undefined ? [] : [[key, result]];
        }),
      );
    };
    return withNulls(values, '') as object;
  }

  it.each(ENGINES)('accepts null for every mapping and list of the user, with engine %s', async (engine) => {
    const values = (await allNull()) as Readonly<Record<string, object>>;
    expect(values).toMatchObject({
      serviceAccount: { annotations: null },
      webhook: { namespaceSelector: null },
      resources: null,
    });
    const features = Object.fromEntries(
      ['serviceMonitor', 'prometheusRule', 'dashboard', 'prewarm', 'secretReader'].map((key) => [
        key,
        { ...values[key], enabled: true },
      ]),
    );
    const objects = await render({ ...values, ...features, policies: { ...values['policies'], engine }, config });
    const { containers } = (objectOf(objects, 'Deployment')['spec'] as DeploymentSpec).template.spec;
    expect(Object.keys(containers[0]).filter((key) => /Probe|Context|resources/.test(key))).toEqual([]);
  });

  it.each(ENGINES)('keeps names that look like numbers as strings, with engine %s', async (engine) => {
    const values = {
      policies: { engine, excludedNamespaces: ['456'] },
      tls: { caBundle: AUTHORITY },
      nameOverride: '789',
      fullnameOverride: 'swapper',
      secretReader: { enabled: true },
      prewarm: { enabled: true },
      serviceMonitor: { enabled: true },
    };
    const objects = await render(values, { release: '321', namespace: '123' });
    for (const object of objects) {
      expect(
        numbers(object).filter((line) => /\b(?:123|321|456|789)$/.test(line)),
        object.kind,
      ).toEqual([]);
      if (object.metadata.namespace !== undefined) expect(object.metadata.namespace).toBe('123');
    }
    if (engine !== 'none') expect(JSON.stringify(objects)).toContain('"456"');
  });

  it('keeps a disruption budget whose minAvailable is null', async () => {
    for (const minAvailable of [null, '']) {
      expect(objectOf(await render({ pdb: { minAvailable } }), 'PodDisruptionBudget')['spec']).toMatchObject({
        maxUnavailable: 1,
      });
    }
    const nothing = await render({ pdb: { minAvailable: null, maxUnavailable: null } });
    expect(objectOf(nothing, 'PodDisruptionBudget')['spec']).toMatchObject({ maxUnavailable: 1 });
    const { stdout } = await helm.template({ values: { config, pdb: { minAvailable: null } } });
    expect(stdout).not.toContain('minAvailable');
    expect(objectOf(await render({ pdb: { minAvailable: 0 } }), 'PodDisruptionBudget')['spec']).toMatchObject({
      minAvailable: 0,
    });
  });

  it.each([
    [null, ['aws_access_key_id', 'aws_secret_access_key']],
    [{ accessKeyID: null }, ['aws_access_key_id', 'aws_secret_access_key']],
    [{ secretAccessKey: 'secret' }, ['aws_access_key_id', 'secret']],
  ])('finds the common keys of an AWS Secret with awsSecretKeys %j', async (awsSecretKeys, keys) => {
    const { containers } = (await deployment({ awsSecretName: 'aws', awsSecretKeys })).template.spec;
    const env = containers[0]['env'] as readonly { readonly valueFrom?: { readonly secretKeyRef?: object } }[];
    expect(env.flatMap(({ valueFrom }) => valueFrom?.secretKeyRef ?? [])).toEqual(
      keys.map((key) => ({ name: 'aws', key })),
    );
  });

  it("writes every label once: the chart's labels have priority, then those of one object, then those of all", async () => {
    const ours = Object.fromEntries(
      ['name', 'instance', 'version', 'managed-by', 'component'].map((key) => [`app.kubernetes.io/${key}`, 'mine']),
    );
    const labels = (team: string) => ({ ...ours, 'helm.sh/chart': 'mine', team });
    const monitored = { enabled: true, labels: labels('monitoring') };
    for (const manage of [false, true]) {
      const objects = await render({
        commonLabels: labels('all'),
        podLabels: labels('pods'),
        serviceMonitor: monitored,
        prometheusRule: monitored,
        dashboard: monitored,
        prewarm: { enabled: true },
        policies: { manage, failClosed: true },
      });
      expect(JSON.stringify(objects)).not.toContain('"mine"');
      const of = (kind: string, name?: string) => objectOf(objects, kind, name).metadata.labels;
      expect(of('Deployment')).toMatchObject({ team: 'all' });
      expect(of('ServiceMonitor')).toMatchObject({ team: 'monitoring', 'app.kubernetes.io/name': 'image-swapper' });
      expect(of('ConfigMap', 'image-swapper-dashboard')).toMatchObject({ team: 'monitoring' });
    }
    const pods = (await deployment({ commonLabels: labels('all'), podLabels: labels('pods') })).template;
    expect(pods).toMatchObject({
      metadata: { labels: { team: 'pods', 'app.kubernetes.io/component': 'service' } },
    });
  });

  it('requests resources in every container, as a quota may require', async () => {
    const containers = async (values: object): Promise<[string, unknown][]> =>
      (await render({ prewarm: { enabled: true }, policies: { manage: true }, ...values })).flatMap((object) => {
        const { template } = object['spec'] === undefined ? {} : (object['spec'] as Partial<DeploymentSpec>);
        return (template?.spec.containers ?? []).map((one): [string, unknown] => [
          object.metadata.name.replace(/-[0-9a-f]{8}$/, ''),
          one['resources'],
        ]);
      });
    const usual = { requests: { cpu: '100m', memory: '256Mi' }, limits: { memory: '1Gi' } };
    const names = ['image-swapper', 'image-swapper-prewarm', 'image-swapper-uninstall'];
    expect((await containers({})).sort()).toEqual(names.map((name) => [name, usual]));
    const limits = { ...usual, limits: { cpu: 1, memory: '1Gi' } };
    const own = { limits: { cpu: 2 } };
    const given = { resources: { limits: limits.limits }, prewarm: { enabled: true, resources: own } };
    expect((await containers(given)).sort()).toEqual(
      names.map((name) => [name, name === 'image-swapper-prewarm' ? own : limits]),
    );
  });

  it('leaves users and groups to OpenShift by the documented flags', async () => {
    const flags = /`--set (podSecurityContext\.[^`]*=null)`/.exec(
      await readFile(new URL('../../../../docs/faq.md', import.meta.url), 'utf8'),
    )?.[1];
    const args = ['--set', flags ?? 'none'];
    const objects = await render({ prewarm: { enabled: true }, policies: { manage: true } }, { args });
    const contexts = objects.flatMap(({ spec }) => {
      const { template } = (spec ?? {}) as {
        readonly template?: { readonly spec: { readonly securityContext: object } };
      };
      return template === undefined ? [] : [template.spec.securityContext];
    });
    expect(contexts).toEqual(
      Array.from({ length: 3 }, () => ({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } })),
    );
  });

  it('shortens the names of Jobs to the limit of Kubernetes', async () => {
    const fullnameOverride = 'a'.repeat(63);
    const prewarm = { enabled: true };
    expect(objectOf(await render({ fullnameOverride, prewarm }), 'Job').metadata.name).toMatch(
      /^a{46}-prewarm-[0-9a-f]{8}$/,
    );
    const byTime = await render({ fullnameOverride, prewarm: { ...prewarm, schedule: '0 3 * * *' } });
    expect(objectOf(byTime, 'CronJob').metadata.name).toBe(`${'a'.repeat(44)}-prewarm`);
  });

  it('renames the prewarm Job when its content changes, without a revision', async () => {
    const name = async (values: object, args: readonly string[] = []): Promise<string> => {
      const objects = await render({ prewarm: { enabled: true }, ...values }, { args });
      return objectOf(objects, 'Job').metadata.name;
    };
    const first = await name({});
    expect(await name({})).toBe(first);
    expect(await name({ image: { tag: '9.9.9' } })).not.toBe(first);
    expect(await name({ config: { ...config, source: { filters: [{ jmespath: 'true' }] } } })).not.toBe(first);
  });

  it('gives the container more time to start than to wait for its certificate, so that it can report a missing one', async () => {
    const { containers } = (await deployment({})).template.spec;
    const probe = containers[0]['startupProbe'] as {
      readonly periodSeconds: number;
      readonly failureThreshold: number;
    };
    expect(probe).toMatchObject({ httpGet: { path: '/healthz', port: 'metrics' } });
    expect(probe.periodSeconds * probe.failureThreshold * 1000).toBeGreaterThanOrEqual(
      FIRST_CERTIFICATE_TIMEOUT_MS + 30_000,
    );
  });

  it('ends a Pod before the next starts when they use ports of the node', async () => {
    expect((await deployment({})).strategy.rollingUpdate).toEqual({ maxUnavailable: 0, maxSurge: 1 });
    expect((await deployment({ hostNetwork: true })).strategy.rollingUpdate).toEqual({
      maxUnavailable: 1,
      maxSurge: 0,
    });
  });

  describe('after it is uninstalled', () => {
    const leases = async (values: object): Promise<object[]> =>
      (await render(values)).filter(({ kind }) => kind === 'Lease').map(({ metadata }) => metadata);
    const annotations = {
      'helm.sh/hook': 'post-delete',
      'helm.sh/hook-delete-policy': 'before-hook-creation,hook-succeeded',
    };

    it('deletes the Lease that the service wrote, in any namespace', async () => {
      expect(await leases({})).toEqual([expect.objectContaining({ name: 'image-swapper', annotations })]);
      expect(await leases({ config: { ...config, lease: { name: 'leader', namespace: 'leases' } } })).toEqual([
        expect.objectContaining({ name: 'leader', namespace: 'leases', annotations }),
      ]);
    });

    it('does not delete Leases if the replicas need none, or without uninstall.hooks', async () => {
      const without = { config: { ...config, reconcile: { enabled: false }, imageCopyPolicy: 'none' } };
      expect(await leases({ ...without, tls: { mode: 'disabled' } })).toEqual([]);
      expect(await leases({ uninstall: { hooks: false } })).toEqual([]);
    });
  });

  describe('before it is uninstalled', () => {
    /** Returns the policies with which hooks replace others, as `WEIGHT KIND NAME`, in Helm's order. */
    async function hooks(values: object): Promise<string[]> {
      const objects = await render(values);
      return objects
        .flatMap(({ kind, metadata: { name, annotations = {} } }) => {
          const weight = annotations['helm.sh/hook-weight'];
          return weight === undefined ? [] : [{ weight: Number(weight), text: `${weight} ${kind} ${name}` }];
        })
        .sort((one, other) => one.weight - other.weight)
        .map(({ text }) => text);
    }
    const opened = {
      kyverno: ['MutatingPolicy image-swapper'],
      'kyverno-clusterpolicy': ['ClusterPolicy image-swapper'],
      // The Provider is not replaced, because a closed Assign without it refuses everything.
      gatekeeper: ['containers', 'initcontainers', 'volumes'].map((list) => `Assign zz-image-swapper-${list}`),
      webhook: ['MutatingWebhookConfiguration image-swapper'],
    };

    describe.each(Object.entries(opened))('with %s', (engine, policies) => {
      const weighted = policies.map((policy) => `-15 ${policy}`);

      it('opens only refusing policies, without a Pod', async () => {
        expect(await hooks({ policies: { engine, failClosed: true } })).toEqual(weighted);
        expect(await hooks({ policies: { engine } })).toEqual([]);
        const text = JSON.stringify(
          (await render({ policies: { engine, failClosed: true } })).filter(
            ({ metadata }) => metadata.annotations?.['helm.sh/hook'] === 'pre-delete',
          ),
        );
        expect(text).toContain('"failurePolicy":"Ignore"');
        expect(text).not.toContain('"failurePolicy":"Fail"');
      });

      it('opens the policies of the service after its write access is removed and before the Job', async () => {
        const all = await hooks({ policies: { engine, failClosed: true, manage: true } });
        expect(all.slice(0, 1 + policies.length)).toEqual([
          '-20 ClusterRole image-swapper:image-swapper-policies',
          ...weighted,
        ]);
        expect(all.at(-1)).toBe('0 Job image-swapper-uninstall');
      });

      it('has every kind and name once without uninstall.hooks, since Argo CD keeps the last of two', async () => {
        const identities = async (values: object): Promise<string[]> =>
          (await render(values)).map(({ kind, metadata: { name, namespace } }) => `${kind} ${namespace ?? ''}/${name}`);
        for (const manage of [false, true]) {
          const values = { policies: { engine, manage, failClosed: true }, rbac: { create: true } };
          const repeated = (all: readonly string[]) => all.filter((one, index) => all.indexOf(one) !== index);
          expect(repeated(await identities(values))).not.toEqual([]);
          const off = { ...values, uninstall: { hooks: false } };
          expect(repeated(await identities(off))).toEqual([]);
          expect(await hooks(off)).toEqual([]);
          // Only the hooks are missing.
          const objects = await helm.objects({ values: { config, ...values }, args: ['--no-hooks'] });
          expect(await render(off)).toEqual(objects);
        }
      });
    });
  });

  it.each([
    [
      "another program's image",
      { image: { repository: 'ghcr.io/estahn/k8s-image-swapper', tag: '1.5.10' } },
      'image.repository: ghcr.io/estahn/k8s-image-swapper is the image of k8s-image-swapper: leave out image.repository and image.tag; `image-swapper migrate VALUES`',
    ],
    [
      "another program's tag",
      { image: { tag: '1.5.7' } },
      'image.tag: 1.5.7 is a version of k8s-image-swapper, and this chart is for image-swapper 0.1.0: leave image.tag out',
    ],
    [
      'a closed port that Kyverno asks',
      { plainHttp: { enabled: false } },
      'plainHttp.enabled is false, but kyverno calls http://image-swapper.image-swapper.svc:8081: leave it at auto, or set policies.url=https://image-swapper.image-swapper.svc:8443',
    ],
    ['the same, managed', { plainHttp: { enabled: false }, policies: { manage: true } }, 'plainHttp.enabled is false'],
  ])('stops with a remedy: %s', async (_name, values, message) => {
    const { code, stderr } = await helm.template({ values: { config, ...values } });
    expect([code, stderr]).toEqual([1, expect.stringContaining(message)]);
  });

  it.each([
    ['a URL of TLS', { policies: { url: 'https://image-swapper.image-swapper.svc:8443' } }],
    ['a URL of something before the service', { policies: { url: 'http://mesh.example' } }],
    ['nobody who asks', { policies: { engine: 'none' } }],
    ['no TLS', { tls: { mode: 'disabled' } }],
  ])('leaves the plain port closed with %s', async (_name, values) => {
    expect((await helm.template({ values: { config, plainHttp: { enabled: false }, ...values } })).code).toBe(0);
  });
});

/** Returns the numeric leaves as `PATH: NUMBER`. */
function numbers(value: unknown, path = ''): string[] {
  if (typeof value === 'number') return [`${path}: ${value}`];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) => numbers(child, `${path}.${key}`));
}
