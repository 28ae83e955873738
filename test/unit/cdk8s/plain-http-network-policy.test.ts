import { Testing } from 'cdk8s';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { PlainHttpNetworkPolicy } from '../../../cdk8s/src/index.js';
import type { ImageSwapperProps, PlainHttpNetworkPolicyProps } from '../../../cdk8s/src/index.js';
import { swapper } from './swapper.js';

afterEach(() => vi.restoreAllMocks());

const config = { target: { oci: { registry: 'harbor.example.com' } } };
const whole = (props: Omit<ImageSwapperProps, 'config'>) => swapper({ config, ...props });

function alone(props: PlainHttpNetworkPolicyProps): unknown {
  const chart = Testing.chart();
  new PlainHttpNetworkPolicy(chart, 'guard', props);
  return (Testing.synth(chart) as unknown[])[0];
}

const expected = (podLabels: object, namespace: string, port: number) => ({
  spec: {
    podSelector: { matchLabels: podLabels },
    ingress: [
      {
        from: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } } }],
        ports: [{ protocol: 'TCP', port }],
      },
      {
        ports: [
          { protocol: 'TCP', port: 1, endPort: port - 1 },
          { protocol: 'TCP', port: port + 1, endPort: 65_535 },
        ],
      },
    ],
  },
});

describe('the NetworkPolicy of the plain listener', () => {
  it('selects other Pods, another port and another namespace of Kyverno when configured', () => {
    const props = { podLabels: { app: 'swapper', tier: 'edge' }, podPort: 9000, engineNamespace: 'policy' };
    const said = expected(props.podLabels, 'policy', 9000);
    expect(alone({ url: 'http://a.b.svc', ...props })).toMatchObject(said);
    const [policy, guard] = whole({ url: 'http://a.b.svc', ...props }).manifests;
    expect(guard).toMatchObject({ metadata: { name: 'a-plain-http', namespace: 'b' }, ...said });
    expect(JSON.stringify(policy)).toContain('"policy"');
  });

  it.each([
    ['http://image-swapper.image-swapper.svc:8081', 'image-swapper'],
    // The chart includes the release name in the name of the Service, but not in the name label of its Pods.
    ['http://production-image-swapper.images.svc:8081', 'image-swapper'],
    ['http://mirror.images.svc:8081', 'mirror'],
  ])('selects the Pods behind %s by default', (url, name) => {
    expect(alone({ url })).toMatchObject(expected({ 'app.kubernetes.io/name': name }, 'kyverno', 8081));
  });

  it("has the construct's labels", () => {
    const [, guard] = whole({ labels: { team: 'platform' } }).manifests;
    expect(guard?.metadata.labels).toEqual({ 'app.kubernetes.io/name': 'image-swapper', team: 'platform' });
  });

  it.each<[Omit<ImageSwapperProps, 'config'>, string]>([
    [{ podPort: 0 }, 'podPort: 0 must be'],
    [{ podLabels: {} }, 'podLabels: must have at least one label'],
    [{ podLabels: { 'a b': 'c' } }, 'podLabels["a b"]: the key must be'],
    [{ engineNamespace: 'Kyverno' }, 'engineNamespace: "Kyverno" must be'],
    [{ podPort: 9000, networkPolicy: false }, 'podPort: has no effect'],
    [{ podLabels: { a: 'b' }, url: 'http://10.0.0.1:8081' }, 'podLabels: has no effect'],
  ])('refuses %j', (props, message) => {
    expect(() => whole(props)).toThrow(`test/swapper: props.${message}`);
  });

  it.each<[Omit<ImageSwapperProps, 'config'>, RegExp]>([
    [{ networkPolicy: false }, /networkPolicy is false, so no NetworkPolicy .* is rendered/],
    [{ url: 'http://10.0.0.1:8081' }, /"http:\/\/10\.0\.0\.1:8081" is not a Service/],
  ])('is reported when it is missing: %j', (props, why) => {
    const { construct, manifests } = whole(props);
    expect(manifests.map(({ kind }) => kind)).toEqual(['MutatingPolicy']);
    expect(construct.warnings).toEqual([expect.stringMatching(why)]);
    // The construct cannot see whether the chart has a NetworkPolicy, and such a policy does not prevent eavesdropping.
    expect(construct.warnings[0]).toMatch(
      /the network in between can read and change requests\. Apply the NetworkPolicy of the service's chart/,
    );
    expect(construct.warnings[0]).toMatch(/https with a certificate of your own CA/);
  });
});
