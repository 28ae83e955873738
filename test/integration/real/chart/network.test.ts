import { beforeAll, describe, expect, it } from 'vitest';
import { AWS } from '../../../tools/chart/cases.js';
import { Helm, objectOf } from '../../../tools/helm.js';
import { goToolsAvailable } from '../../../tools/tool.js';

const available = await goToolsAvailable("the chart's NetworkPolicy");
const DEFAULT_PORTS = [80, 443, 6443, 8443, 16443, 988];

interface Rule {
  readonly from?: readonly object[];
  readonly ports: readonly { readonly protocol: string; readonly port: number }[];
}

describe.skipIf(!available)("the chart's NetworkPolicy", () => {
  let helm: Helm;
  beforeAll(async () => {
    helm = await Helm.create();
  });

  async function rules(
    values: object,
  ): Promise<{ readonly ingress: readonly Rule[]; readonly egress: readonly Rule[] }> {
    const objects = await helm.objects({ values: { config: { target: AWS }, ...values } });
    return objectOf(objects, 'NetworkPolicy')['spec'] as Awaited<ReturnType<typeof rules>>;
  }
  async function egressPorts(values: object): Promise<number[]> {
    const { egress } = await rules(values);
    return egress[1]?.ports.map(({ port }) => port) ?? [];
  }
  const oci = (registry: string) => ({ config: { target: { oci: { registry } } } });
  const env = (name: string, value?: string) => ({ extraEnv: [{ name, ...(value !== undefined && { value }) }] });

  it.each([
    ['API servers of the usual clusters', {}, []],
    ['a registry of another port', oci('harbor.example.com:8444'), [8444]],
    ['a registry on 443', oci('harbor.example.com'), []],
    ["Services in the cluster, by their Pods' ports", oci('registry.tools.svc:80'), [5000, 8080]],
    ['Services by their whole name', oci('harbor.tools.svc.cluster.local'), [5000, 8080]],
    ['Services by their name alone', oci('registry:5001'), [5001, 5000, 8080]],
    ['an IPv6 address', oci('[fd00::1]:5000'), [5000]],
    ['a proxy', env('HTTPS_PROXY', 'http://proxy.example.com:3128'), [3128]],
    ['a proxy with an account', env('http_proxy', 'http://user:77@proxy.example.com:3129/'), [3129]],
    ['a proxy without a scheme', env('HTTP_PROXY', 'proxy.example.com:3130'), [3130]],
    ['a proxy on 80', env('HTTPS_PROXY', 'http://user:77@proxy.example.com'), []],
    ['an endpoint of AWS', env('AWS_ENDPOINT_URL_ECR', 'https://ecr.example.com:4566/path:99'), [4566]],
    ['no port of other variables', env('NO_PROXY', 'example.com:3128'), []],
    [
      'no port of a variable from elsewhere',
      { extraEnv: [{ name: 'HTTPS_PROXY', valueFrom: { secretKeyRef: {} } }] },
      [],
    ],
    ['more ports', { networkPolicy: { egress: { extraPorts: [8445] } } }, [8445]],
  ])('allows egress to %s', async (_name, values, more) => {
    expect(await egressPorts(values)).toEqual([...DEFAULT_PORTS, ...more]);
  });

  it("allows egress to DNS, including OpenShift's", async () => {
    const { egress } = await rules({});
    expect(egress[0]?.ports.map(({ protocol, port }) => `${protocol} ${port}`)).toEqual([
      'UDP 53',
      'TCP 53',
      'UDP 5353',
      'TCP 5353',
    ]);
  });

  it.each([[[]], [null]])(
    'allows ingress only from extraIngress when no caller is named: apiServerCidrs %j',
    async (apiServerCidrs) => {
      const extra = { from: [{ podSelector: {} }], ports: [{ protocol: 'TCP', port: 8443 }] };
      const values = (networkPolicy: object) => ({ policies: { engine: 'webhook' }, networkPolicy });
      const callers = async (networkPolicy: object): Promise<readonly Rule[]> =>
        (await rules(values({ apiServerCidrs, ...networkPolicy }))).ingress.filter(({ ports }) =>
          ports.some(({ port }) => port === 8443),
        );
      expect(await callers({})).toEqual([]);
      expect(await callers({ extraIngress: [extra] })).toEqual([extra]);
      expect((await callers({ engineNamespaces: ['a'] })).map(({ from }) => from)).toEqual([
        [
          {
            namespaceSelector: {
              matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'In', values: ['a'] }],
            },
          },
        ],
      ]);
    },
  );

  it('allows metrics only for Pods of the cluster or of the named namespaces', async () => {
    const metrics = async (values: object): Promise<Rule | undefined> => {
      const { ingress } = await rules(values);
      return ingress.find(({ ports }) => ports.some(({ port }) => port === 8080));
    };
    expect((await metrics({}))?.from).toEqual([{ namespaceSelector: {} }]);
    expect((await metrics({ networkPolicy: { metricsNamespaces: ['monitoring'] } }))?.from).toEqual([
      {
        namespaceSelector: {
          matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'In', values: ['monitoring'] }],
        },
      },
    ]);
  });
});
