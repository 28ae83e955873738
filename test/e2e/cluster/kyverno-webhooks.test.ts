import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { renderKyvernoClusterPolicy } from '../../../extension-service/src/core/engines/kyverno-clusterpolicy/cluster-policy.js';
import { renderKyvernoMutatingPolicy } from '../../../extension-service/src/core/engines/kyverno/mutating-policy.js';
import { makeCertificates } from '../../fakes/certificates.js';
import { goToolsAvailable } from '../../tools/tool.js';
import { ControlPlane } from './control-plane.js';
import type { ApiObject } from './kube-api.js';
import { startKyverno } from './kyverno-controller.js';
import type { Program } from './program.js';
import { until } from '../../fakes/until.js';

const available = await goToolsAvailable('the webhooks that Kyverno makes of its policies');

interface Rule {
  readonly operations: readonly string[];
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
}
interface Webhook {
  readonly clientConfig: { readonly url: string };
  readonly rules: readonly Rule[];
  readonly failurePolicy: string;
  readonly timeoutSeconds: number;
}

/**
 * The webhooks that Kyverno configures for our policies when there are also policies of others. These tests need no
 * Pod.
 */
describe.skipIf(!available)('the webhooks that Kyverno makes of its policies', () => {
  const url = 'https://image-swapper.image-swapper.svc:8443';
  const targets = ['registry.example.com/mirror/'];
  let plane: ControlPlane;
  let kyverno: Program;
  let ca: string;
  let applied: ApiObject[];

  beforeAll(async () => {
    ({ ca } = await makeCertificates({ hosts: ['127.0.0.1'] }));
    plane = await ControlPlane.start();
    kyverno = await startKyverno(plane, { trusted: ca });
    // Policies of other owners. With one that fails open and one that fails closed, policies in shared webhooks run
    // twice.
    for (const failurePolicy of ['Fail', 'Ignore']) await plane.api.apply(foreignWebhook(failurePolicy));
    applied = [];
  });
  afterEach(async () => {
    for (const object of applied) await plane.api.remove(object);
    applied = [];
    await until('the webhooks are gone', async () => (await swapperWebhooks()).length === 0);
  });
  afterAll(async () => {
    await kyverno?.stop();
    await plane?.stop();
  });

  it.each([
    [false, 'Ignore'],
    [true, 'Fail'],
  ])(
    'a MutatingPolicy with failClosed %s has its own webhook for new Pods and ephemeral containers',
    async (failClosed, failurePolicy) => {
      const webhooks = await apply(renderKyvernoMutatingPolicy({ url, targets, failClosed, timeoutSeconds: 7 }));
      expect(webhooks).toHaveLength(1);
      expect(webhooks[0]).toMatchObject({ failurePolicy, timeoutSeconds: 7 });
      expect(new URL(webhooks[0]?.clientConfig.url ?? '').pathname).toBe('/mpol/image-swapper');
      expect(asked(webhooks)).toEqual(['CREATE pods', 'UPDATE pods/ephemeralcontainers']);
    },
  );

  it('a MutatingPolicy for Pods is not extended to Deployments and similar kinds', async () => {
    const { spec, ...policy } = renderKyvernoMutatingPolicy({ url, targets });
    // Kyverno would not change a policy with two rules.
    const resourceRules = spec.matchConstraints.resourceRules.slice(0, 1);
    const object = { ...policy, spec: { ...spec, matchConstraints: { ...spec.matchConstraints, resourceRules } } };
    const webhooks = await apply(object);
    expect(asked(webhooks)).toEqual(['CREATE pods']);
    // Kyverno may write the status after the webhook.
    const status = async (): Promise<{ readonly autogen?: object } | undefined> =>
      ((await plane.api.get(object as unknown as ApiObject)).body as { status?: object }).status;
    await until('the status', async () => (await status()) !== undefined);
    expect((await status())?.autogen ?? {}).toEqual({});
  });

  it.each([
    { kind: 'MutatingPolicy', seconds: 3, render: () => renderKyvernoMutatingPolicy({ url, targets }) },
    // This is Kyverno's --webhookTimeout, which a ClusterPolicy can only increase.
    { kind: 'ClusterPolicy', seconds: 10, render: () => renderKyvernoClusterPolicy({ url, targets, caBundle: ca }) },
  ])('a $kind delays a Pod by at most $seconds s by default', async ({ seconds, render }) => {
    const policy = render();
    expect(JSON.stringify(policy)).toContain('"timeoutSeconds":3');
    const webhooks = await apply(policy);
    expect(webhooks.map(({ timeoutSeconds }) => timeoutSeconds)).toEqual([seconds]);
  });

  it('a ClusterPolicy is called for new Pods and ephemeral containers', async () => {
    const webhooks = await apply(renderKyvernoClusterPolicy({ url, targets, caBundle: ca, timeoutSeconds: 12 }));
    expect(webhooks).toHaveLength(1);
    expect(webhooks[0]).toMatchObject({ failurePolicy: 'Ignore', timeoutSeconds: 12 });
    // Ephemeral containers are never created with their Pod, so the third webhook, which Kyverno adds, never matches.
    const all = ['CREATE pods', 'CREATE pods/ephemeralcontainers', 'UPDATE pods/ephemeralcontainers'];
    expect(asked(webhooks)).toEqual(all);
  });

  async function apply(policy: object): Promise<readonly Webhook[]> {
    const object = policy as ApiObject;
    await plane.api.apply(object);
    applied.push(object);
    await until('Kyverno has a webhook for it', async () => (await swapperWebhooks()).length > 0);
    return swapperWebhooks();
  }

  /** Returns the webhooks that can call our policies. Webhooks of the other policies match only Secrets. */
  async function swapperWebhooks(): Promise<readonly Webhook[]> {
    const path = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations';
    const { body } = await plane.api.send('GET', `${path}/kyverno-resource-mutating-webhook-cfg`);
    const { webhooks = [] } = body as { readonly webhooks?: readonly Webhook[] };
    return webhooks.filter(({ clientConfig, rules }) =>
      clientConfig.url.includes('/mpol/') ? clientConfig.url.includes('image-swapper') : rules.length > 0,
    );
  }
});

/** Returns the distinct operations and resources of a list of webhooks. */
function asked(webhooks: readonly Webhook[]): readonly string[] {
  const pairs = webhooks.flatMap(({ rules }) =>
    rules.flatMap(({ operations, apiGroups, resources }) =>
      operations.flatMap((operation) =>
        resources.map(
          (resource) => `${operation} ${apiGroups.join(',')}${apiGroups.join('') === '' ? '' : '/'}${resource}`,
        ),
      ),
    ),
  );
  return [...new Set(pairs)].sort();
}

function foreignWebhook(failurePolicy: string): ApiObject {
  return {
    apiVersion: 'policies.kyverno.io/v1',
    kind: 'MutatingPolicy',
    metadata: { name: `other-${failurePolicy.toLowerCase()}` },
    spec: {
      failurePolicy,
      matchConstraints: {
        resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['secrets'] }],
      },
      mutations: [
        {
          patchType: 'ApplyConfiguration',
          applyConfiguration: {
            expression: 'Object{metadata: Object.metadata{labels: Object.metadata.labels{other: "yes"}}}',
          },
        },
      ],
    },
  };
}
