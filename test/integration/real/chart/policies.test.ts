import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { DEFAULT_OPERATORS } from '../../../../extension-service/src/core/decide/operators.js';
import { renderGatekeeper } from '../../../../extension-service/src/core/engines/gatekeeper/mutation.js';
import { renderKyvernoClusterPolicy } from '../../../../extension-service/src/core/engines/kyverno-clusterpolicy/cluster-policy.js';
import { renderKyvernoMutatingPolicy } from '../../../../extension-service/src/core/engines/kyverno/mutating-policy.js';
import { tableDefinition } from '../../../../extension-service/src/core/engines/kyverno-table/objects.js';
import { renderMutatingWebhook } from '../../../../extension-service/src/core/engines/webhook/mutating-webhook.js';
import { runProgram } from '../../../fakes/program.js';
import { AUTHORITY } from '../../../tools/chart/cases.js';
import { Helm, objectOf } from '../../../tools/helm.js';
import type { KubernetesObject } from '../../../tools/helm.js';
import { goToolsAvailable } from '../../../tools/tool.js';

const available = await goToolsAvailable("the Helm chart's policies");
const POLICIES = ['MutatingPolicy', 'ClusterPolicy', 'Provider', 'Assign', 'MutatingWebhookConfiguration'];

const OWN_OPERATORS = [
  { apiGroup: 'a.example.com', kind: 'A', label: 'a.example.com/name' },
  { apiGroup: 'b.example.com', kind: 'B', label: 'b=true' },
  { apiGroup: 'c.example.com', kind: 'C', label: 'c=' },
  { apiGroup: 'd.example.com', kind: 'D' },
];

/** Configurations for which the chart and the service must render the same target names. */
const TARGETS: readonly (readonly [string, object])[] = [
  ['ECR', { target: { aws: { accountId: '012345678901', region: 'eu-central-1' } } }],
  ['ECR with a prefix', { target: { aws: { accountId: '123456789012', region: 'us-east-1', prefix: '/a/b/' } } }],
  ...[
    'cn-north-1',
    'us-gov-west-1',
    'us-iso-east-1',
    'us-isob-east-1',
    'us-isof-south-1',
    'eu-isoe-west-1',
    'eusc-de-east-1',
    'ap-southeast-2',
  ].flatMap((region) =>
    // The service refuses the dual-stack endpoints in partitions where AWS does not offer them.
    (/iso|eusc/.test(region) ? ['standard', 'fips'] : ['standard', 'fips', 'dual-stack', 'fips-dual-stack']).map(
      (endpoint) =>
        [`ECR, ${region}, ${endpoint}`, { target: { aws: { accountId: '123456789012', region, endpoint } } }] as const,
    ),
  ),
  ['ECR, digits not in quotes', { target: { aws: { accountId: 123456789012, region: 'eu-west-1' } } }],
  ['Artifact Registry', { target: { gcp: { location: 'us-central1', projectId: 'my-shop', repositoryId: 'mirror' } } }],
  [
    'Artifact Registry, a domain',
    { target: { gcp: { location: 'europe', projectId: 'example.com:my-shop', repositoryId: 'm' } } },
  ],
  ['OCI', { target: { oci: { registry: 'Harbor.Example.com:5000', prefix: 'mirror/' } } }],
  ['OCI without a prefix', { target: { type: 'oci', oci: { registry: 'localhost:5000' } } }],
  ['OCI, IPv6', { target: { oci: { registry: '[fd00::1]:5000' } } }],
  ['OCI, Docker Hub', { target: { oci: { registry: 'index.docker.io', prefix: 'team' } } }],
  [
    'several',
    {
      targets: [
        {
          name: 'eu',
          match: "starts_with(obj.metadata.namespace, 'eu-')",
          aws: { accountId: '012345678901', region: 'eu-central-1' },
        },
        {
          name: 'us',
          match: "obj.metadata.namespace == 'us'",
          type: 'aws',
          aws: { accountId: '012345678901', region: 'us-east-1' },
        },
        { name: 'own', oci: { registry: 'harbor.example.com' } },
      ],
      target: { gcp: { location: 'us', projectId: 'my-shop', repositoryId: 'mirror' } },
    },
  ],
];

describe.skipIf(!available)("the chart's policies", () => {
  let helm: Helm;
  beforeAll(async () => {
    helm = await Helm.create();
  });

  /** Returns the policies that the chart renders, without the labels of the release. */
  async function rendered(values: object, namespace = 'image-swapper'): Promise<unknown[]> {
    const objects = await helm.objects({ values, namespace, args: ['--no-hooks'] });
    return objects
      .filter(({ kind }) => POLICIES.includes(kind))
      .map(withoutRelease)
      .sort(byKindAndName);
  }

  const config = {
    target: { oci: { registry: 'harbor.example.com', prefix: 'mirror' } },
    targets: [
      {
        name: 'gcp',
        match: "obj.metadata.namespace == 'a'",
        gcp: { location: 'us', projectId: 'my-shop', repositoryId: 'mirror' },
      },
    ],
    // The policies do not contain this filter.
    source: { filters: [{ jmespath: "obj.metadata.namespace == 'x'" }] },
  };
  /** A configuration that decides by image only, because Gatekeeper does not send the Pod. */
  const byImage = {
    ...config,
    targets: config.targets.map((target) => ({ ...target, match: "starts_with(container.image, 'a/')" })),
    source: { filters: [{ jmespath: "starts_with(container.image, 'x/')" }] },
  };
  const targets = ['us-docker.pkg.dev/my-shop/mirror/', 'harbor.example.com/mirror/'];
  const excludedNamespaces = ['monitoring'];
  const https = 'https://image-swapper.elsewhere.svc:8443';

  describe.each([false, true])('with failClosed %s', (failClosed) => {
    const policies = { failClosed, excludedNamespaces, annotations: { team: 'platform' } };
    const common = { failClosed, excludedNamespaces, annotations: { team: 'platform' } };

    it('equal the output of the MutatingPolicy renderer', async () => {
      const expected = renderKyvernoMutatingPolicy({
        ...common,
        targets,
        url: 'http://image-swapper.elsewhere.svc:8081',
      });
      expect(await rendered({ config, policies }, 'elsewhere')).toEqual([expected]);
    });

    it('equal the output of the ClusterPolicy renderer', async () => {
      const caConfigMap = { name: 'image-swapper-ca', namespace: 'elsewhere' };
      const expected = renderKyvernoClusterPolicy({ ...common, targets, url: https, caConfigMap });
      const values = { config, policies: { ...policies, engine: 'kyverno-clusterpolicy' } };
      expect(await rendered(values, 'elsewhere')).toEqual([expected]);
    });

    it('equal the output of the ClusterPolicy renderer over plain HTTP', async () => {
      const url = 'http://image-swapper.elsewhere.svc:8081';
      const expected = renderKyvernoClusterPolicy({ ...common, targets, url });
      const values = { config, tls: { mode: 'disabled' }, policies: { ...policies, engine: 'kyverno-clusterpolicy' } };
      expect(await rendered(values, 'elsewhere')).toEqual([expected]);
    });

    it.each([
      { ephemeralContainers: false, operators: undefined },
      { ephemeralContainers: true, operators: [] },
      { ephemeralContainers: true, operators: OWN_OPERATORS },
    ])(
      'equal the output of the Gatekeeper renderer: ephemeralContainers $ephemeralContainers, operators $operators',
      async ({ ephemeralContainers, operators }) => {
        const pods = { operators: operators ?? DEFAULT_OPERATORS };
        const expected = renderGatekeeper({ ...common, url: https, ephemeralContainers, caBundle: AUTHORITY, pods });
        const own = { ...byImage, source: { ...byImage.source, ...(operators && { operators }) } };
        const values = { config: own, policies: { ...policies, ephemeralContainers, engine: 'gatekeeper' } };
        expect(await rendered(values, 'elsewhere')).toEqual([...expected].sort(byKindAndName));
      },
    );

    it('equal the output of the webhook renderer', async () => {
      const options = { ...common, targets, url: https, timeoutSeconds: 7, reinvocationPolicy: 'Never' as const };
      const values = {
        config,
        policies: { ...policies, engine: 'webhook', timeoutSeconds: 7 },
        webhook: { reinvocationPolicy: 'Never' },
        tls: { caBundle: AUTHORITY },
      };
      expect(await rendered(values, 'elsewhere')).toEqual([renderMutatingWebhook({ ...options, caBundle: AUTHORITY })]);
      const url = 'https://swapper.example.com/base';
      expect(await rendered({ ...values, policies: { ...values.policies, url } }, 'elsewhere')).toEqual([
        expect.objectContaining({
          webhooks: [
            expect.objectContaining({
              clientConfig: { url: `${url}/webhook`, caBundle: expect.any(String) as string },
            }),
          ],
        }),
      ]);
    });
  });

  it.each(TARGETS)('accept images of the targets that the service names: %s', async (_name, target) => {
    const folder = await mkdtemp(join(tmpdir(), 'image-swapper-chart-'));
    const file = join(folder, 'image-swapper.yaml');
    const objects = await helm.objects({ values: { config: target } });
    const { data } = objectOf(objects, 'ConfigMap', 'image-swapper') as unknown as { data: Record<string, string> };
    await writeFile(file, data['image-swapper.yaml'] ?? '');
    const printed = await runProgram(['policies', '--engine', 'kyverno', '--config', file], {});
    expect(printed.code, printed.stderr).toBe(0);
    expect(guardOf(objectOf(objects, 'MutatingPolicy'))).toEqual(guardOf(parse(printed.stdout) as KubernetesObject));
  });

  it.each(['kyverno', 'kyverno-clusterpolicy', 'gatekeeper', 'webhook'])(
    'are left to the service with policies.manage, and to the user with none: %s',
    async (engine) => {
      expect(await rendered({ config: byImage, policies: { engine, manage: true } })).toEqual([]);
      expect(await rendered({ config: byImage, policies: { engine: 'none' } })).toEqual([]);
    },
  );
});

describe.skipIf(!available)('the definition of the table in the chart', () => {
  it('equals what the service prints, as does the right of Kyverno', async () => {
    const helm = await Helm.create();
    const values = { config: TARGETS[0]?.[1], policies: { manage: true, table: true } };
    const objects = await helm.objects({ values });
    const [definition, reader] = tableDefinition();
    const { metadata, spec } = objectOf(objects, 'CustomResourceDefinition');
    expect(metadata.name).toBe(definition.metadata.name);
    expect(spec).toEqual(definition.spec);
    const role = objectOf(objects, 'ClusterRole', 'image-swapper:image-swapper-table');
    expect(role['rules']).toEqual(reader.rules);
    expect(role.metadata.labels).toMatchObject(reader.metadata.labels ?? {});
    expect(objects.filter(({ kind }) => kind === 'MutatingPolicy' || kind === 'GlobalContextEntry')).toEqual([]);
  });
});

/** Returns the image prefixes in a policy's guard. The chart leaves the groups of operators to the service. */
function guardOf(policy: KubernetesObject): string[] {
  const groups = DEFAULT_OPERATORS.map(({ apiGroup }) => `${apiGroup}/`);
  return [...stringify(policy, { lineWidth: 0 }).matchAll(/startsWith\(\\?"([^"\\]+)/g)]
    .map(([, prefix]) => prefix ?? '')
    .filter((prefix) => !groups.includes(prefix));
}

/** Labels that the chart adds to every object of a release. */
const RELEASE_LABEL = /^(helm\.sh\/chart|app\.kubernetes\.io\/(instance|version|managed-by|component))$/;

function withoutRelease({ metadata, ...object }: KubernetesObject): object {
  const labels = Object.entries(metadata.labels ?? {}).filter(([key]) => !RELEASE_LABEL.test(key));
  return { ...object, metadata: { ...metadata, labels: Object.fromEntries(labels) } };
}

function byKindAndName(one: object, other: object): number {
  const key = (object: object): string => {
    const { kind, metadata } = object as { readonly kind: string; readonly metadata: { readonly name: string } };
    return `${kind} ${metadata.name}`;
  };
  return key(one) < key(other) ? -1 : 1;
}
