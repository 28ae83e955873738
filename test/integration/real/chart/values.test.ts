import { dirname } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { AUTHORITY, AWS, CASES } from '../../../tools/chart/cases.js';
import { Helm, objectOf } from '../../../tools/helm.js';
import type { RenderOptions } from '../../../tools/helm.js';
import { goToolsAvailable } from '../../../tools/tool.js';
import { REGISTRY_TYPES as TYPES } from '../../../../extension-service/src/kinds/kinds.js';

const available = await goToolsAvailable("the Helm chart's values");
const REGION = ['--set', 'config.target.aws.region=eu-central-1'];
const ACCOUNT = 'config.target.aws.accountId';

interface Deployment {
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly containers: readonly { readonly volumeMounts: readonly { readonly mountPath: string }[] }[];
        readonly volumes: readonly { readonly name: string; readonly configMap?: { readonly name: string } }[];
      };
    };
  };
}

describe.skipIf(!available)("the chart's values", () => {
  let helm: Helm;
  beforeAll(async () => {
    helm = await Helm.create();
  });

  const { values: good } = CASES[0] as { readonly values: { readonly config: object } };

  async function configOf(options: RenderOptions): Promise<Record<string, unknown>> {
    const map = objectOf(await helm.objects(options), 'ConfigMap', 'image-swapper') as unknown as {
      readonly data: Readonly<Record<string, string>>;
    };
    return parse(map.data['image-swapper.yaml'] ?? '') as Record<string, unknown>;
  }

  it('that users of charts expect have the names of Kubernetes', async () => {
    const sidecar = { name: 'sidecar', image: 'sidecar:1' };
    const values = {
      ...good,
      strategy: { type: 'Recreate' },
      revisionHistoryLimit: 2,
      minReadySeconds: 5,
      dnsPolicy: 'None',
      dnsConfig: { nameservers: ['10.0.0.10'] },
      hostAliases: [{ ip: '10.0.0.5', hostnames: ['harbor.internal'] }],
      runtimeClassName: 'gvisor',
      lifecycle: { preStop: { sleep: { seconds: 5 } } },
      initContainers: [{ name: 'first', image: 'init:1' }],
      extraContainers: [sidecar],
      service: { ipFamilyPolicy: 'PreferDualStack', ipFamilies: ['IPv6', 'IPv4'] },
      prewarm: { enabled: true },
    };
    const objects = await helm.objects({ values });
    const runtime = {
      dnsPolicy: 'None',
      dnsConfig: values.dnsConfig,
      hostAliases: values.hostAliases,
      runtimeClassName: 'gvisor',
    };
    expect(objectOf(objects, 'Deployment')).toMatchObject({
      spec: {
        strategy: { type: 'Recreate' },
        revisionHistoryLimit: 2,
        minReadySeconds: 5,
        template: {
          spec: {
            ...runtime,
            initContainers: values.initContainers,
            containers: [{ name: 'image-swapper', lifecycle: values.lifecycle }, sidecar],
          },
        },
      },
    });
    expect(objectOf(objects, 'Service', 'image-swapper')).toMatchObject({ spec: values.service });
    const jobs = objects.filter(({ kind }) => kind === 'Job' || kind === 'CronJob');
    expect(jobs.length).toBeGreaterThan(0);
    for (const job of jobs) expect(JSON.stringify(job)).toContain('"runtimeClassName":"gvisor"');
  });

  it.each(['30s', '28.5s', '1m'])('whose copies can exceed the admission timeout are refused: %s', async (deadline) => {
    for (const more of [{}, { policies: { manage: true } }]) {
      const config = { ...good.config, imageCopyPolicy: 'immediate', imageCopyDeadline: deadline };
      const { code, stderr } = await helm.template({ values: { ...good, ...more, config } });
      expect(stderr).toContain(`config.imageCopyDeadline: ${deadline} is longer than 28s`);
      expect(code).toBe(1);
      const delayed = { ...config, imageCopyPolicy: 'delayed' };
      expect((await helm.template({ values: { ...good, ...more, config: delayed } })).code).toBe(0);
    }
  });

  it.each([
    [{}, 'mirror.internal:5000', 'mirror.internal:5000/image-swapper/image-swapper:'],
    [{ repository: 'team/swapper', tag: '1' }, 'mirror.internal', 'mirror.internal/team/swapper:1'],
    [{ repository: 'localhost/swapper', tag: '1' }, 'mirror.internal/proxy', 'mirror.internal/proxy/swapper:1'],
    [{}, '', 'ghcr.io/image-swapper/image-swapper:'],
  ])('image %j comes from global.imageRegistry %j', async (image, imageRegistry, expected) => {
    const objects = await helm.objects({ values: { ...good, image, global: { imageRegistry, other: 1 } } });
    const { containers } = (objectOf(objects, 'Deployment') as unknown as Deployment).spec.template.spec;
    expect((containers[0] as unknown as { readonly image: string }).image).toContain(expected);
  });

  it.each([
    { dnsPolicy: 'Cluster' },
    { service: { ipFamilies: ['IPv5'] } },
    { revisionHistoryLimit: -1 },
    { strategy: 'Recreate' },
  ])('of a wrong type are refused: %j', async (wrong) => {
    expect((await helm.template({ values: { ...good, ...wrong } })).code).toBe(1);
  });

  describe('extraCaCertificates', () => {
    const podOf = async (...args: string[]): Promise<unknown> => {
      const objects = await helm.objects({ args: [...REGION, '--set', `${ACCOUNT}=123456789012`, ...args] });
      return (objectOf(objects, 'Deployment') as unknown as Deployment).spec.template.spec;
    };
    const file = '/etc/image-swapper-extra-ca';

    it.each([
      [
        'a ConfigMap',
        ['--set', 'extraCaCertificates.configMapName=company'],
        { configMap: { name: 'company' } },
        'ca.crt',
      ],
      [
        'a Secret with another key',
        ['--set', 'extraCaCertificates.secretName=company,extraCaCertificates.key=root.pem'],
        { secret: { secretName: 'company' } },
        'root.pem',
      ],
    ])('of %s are mounted, and node is given the file', async (_, args, volume, key) => {
      expect(await podOf(...args)).toMatchObject({
        containers: [
          {
            env: expect.arrayContaining([{ name: 'NODE_EXTRA_CA_CERTS', value: `${file}/${key}` }]) as unknown,
            volumeMounts: expect.arrayContaining([{ name: 'extra-ca', mountPath: file, readOnly: true }]) as unknown,
          },
        ],
        volumes: expect.arrayContaining([{ name: 'extra-ca', ...volume }]) as unknown,
      });
    });

    it('are neither mounted nor named by default', async () => {
      expect(JSON.stringify(await podOf())).not.toMatch(/extra-ca|NODE_EXTRA_CA_CERTS/);
    });
  });

  describe('config.target.aws.accountId', () => {
    const file = (account: string): RenderOptions => ({
      values: `config: {target: {aws: {accountId: ${account}, region: eu-central-1}}}`,
    });

    it.each([
      ['--set with a leading zero', { args: [...REGION, '--set', `${ACCOUNT}=012345678901`] }, '012345678901'],
      ['--set, octal digits only', { args: [...REGION, '--set', `${ACCOUNT}=012345670123`] }, '012345670123'],
      ['--set without a leading zero', { args: [...REGION, '--set', `${ACCOUNT}=123456789012`] }, '123456789012'],
      ['--set-string', { args: [...REGION, '--set-string', `${ACCOUNT}=012345678901`] }, '012345678901'],
      ['--set-json', { args: [...REGION, '--set-json', `${ACCOUNT}="012345678901"`] }, '012345678901'],
      ['a values file with quotes', file('"012345678901"'), '012345678901'],
      ['a values file without quotes', file('123456789012'), '123456789012'],
      ['a values file that says it as a float', file('1.23456789012e+11'), '123456789012'],
      ['a values file that read octal digits', file('012345670123'), String(0o12345670123)],
    ])('is digits, as written, in the configuration and the policy: %s', async (_name, options, digits) => {
      expect(await configOf(options)).toMatchObject({ target: { aws: { accountId: digits } } });
      const policy = JSON.stringify(objectOf(await helm.objects(options), 'MutatingPolicy'));
      expect(policy).toContain(`startsWith(\\"${digits}.dkr.ecr.eu-central-1.amazonaws.com/\\")`);
    });

    it('is digits in every registry', async () => {
      const aws = { accountId: 123456789012, region: 'eu-central-1' };
      const values = { config: { targets: [{ name: 'a', aws }], source: { registries: [{ type: 'aws', aws }] } } };
      const text = { aws: { accountId: '123456789012' } };
      expect(await configOf({ values })).toMatchObject({ targets: [text], source: { registries: [text] } });
    });
  });

  it.each([
    ['config.target.aws', { config: { target: { aws: { accountId: 12345678901, region: 'eu-central-1' } } } }],
    [
      'config.targets[0].aws',
      { config: { targets: [{ name: 'a', aws: { accountId: '12345678901', region: 'eu-central-1' } }] } },
    ],
    [
      'config.source.registries[0].aws',
      {
        config: {
          ...good.config,
          source: { registries: [{ type: 'aws', aws: { accountId: 12345678901, region: 'eu-central-1' } }] },
        },
      },
    ],
  ])('whose account has lost its leading zero stop the rendering: %s', async (key, values) => {
    const { code, stderr } = await helm.template({ values });
    expect(stderr).toContain(`${key}.accountId is 12345678901, which has 11 digits, and AWS accounts have 12`);
    expect(stderr).toContain('Put quotes around them: accountId: "012345678901"');
    expect(code).toBe(1);
  });

  it.each([null, ''])('without an image stop the rendering with what to do: %j', async (repository) => {
    for (const more of [{}, { global: { imageRegistry: 'registry.example.com' } }, { prewarm: { enabled: true } }]) {
      const { code, stderr } = await helm.template({ values: { ...good, ...more, image: { repository } } });
      expect(stderr).toContain('image.repository: is empty: leave it out for the image of this chart, or set');
      expect(code).toBe(1);
    }
  });

  it("spread the service's Pods by constraints without a selector, and keep the selectors of others", async () => {
    const constraint = { maxSkew: 1, topologyKey: 'topology.kubernetes.io/zone', whenUnsatisfiable: 'DoNotSchedule' };
    const own = { matchLabels: { a: 'b' } };
    const topologySpreadConstraints = [
      constraint,
      { ...constraint, labelSelector: null },
      { ...constraint, labelSelector: own },
      { ...constraint, labelSelector: {} },
    ];
    const deployment = objectOf(await helm.objects({ values: { ...good, topologySpreadConstraints } }), 'Deployment');
    const { selector, template } = deployment['spec'] as {
      readonly selector: object;
      readonly template: { readonly spec: { readonly topologySpreadConstraints: readonly object[] } };
    };
    expect(template.spec.topologySpreadConstraints).toEqual(
      [selector, selector, own, {}].map((labelSelector) => ({ ...constraint, labelSelector })),
    );
  });

  it('of the chart are in the configuration, which has priority', async () => {
    const { values } = CASES[0] as { readonly values: { readonly config: object } };
    const reader = { secretReader: { enabled: true, secretNames: ['one'] } };
    expect(await configOf({ values: { ...values, ...reader } })).toMatchObject(reader);
    const config = {
      ...values.config,
      secretReader: { enabled: false },
      lease: { name: 'other' },
      policies: { engine: 'webhook', failClosed: true },
      tls: { secretName: 'own' },
    };
    const options = { values: { ...values, ...reader, config }, args: ['--no-hooks'] };
    expect(await configOf(options)).toMatchObject({
      secretReader: { enabled: false, secretNames: ['one'] },
      lease: { name: 'other' },
      policies: { engine: 'webhook', failClosed: true, manage: false },
      tls: { mode: 'selfSigned', secretName: 'own', configMapName: 'image-swapper-ca' },
    });
    expect(objectOf(await helm.objects(options), 'MutatingWebhookConfiguration')).toMatchObject({
      webhooks: [{ failurePolicy: 'Fail' }],
    });
  });

  it('use all of config.policies, and one name for policies, rights and service', async () => {
    const values = {
      config: { ...good.config, policies: { name: 'swap', excludedNamespaces: ['from-config'] } },
      policies: { excludedNamespaces: ['from-values'], engine: 'webhook' },
    };
    const policies = {
      name: 'swap',
      excludedNamespaces: ['image-swapper', 'from-values', 'from-config'],
      url: 'https://image-swapper.image-swapper.svc:8443',
    };
    const objects = await helm.objects({ values, args: ['--no-hooks'] });
    expect(await configOf({ values })).toMatchObject({ policies: { ...policies, engine: 'webhook', manage: false } });
    const webhook = objectOf(objects, 'MutatingWebhookConfiguration');
    expect(webhook.metadata.name).toBe('swap');
    expect(JSON.stringify(webhook)).toContain('"image-swapper","from-values","from-config"]');
    expect(objectOf(objects, 'ClusterRole')['rules']).toContainEqual({
      apiGroups: ['admissionregistration.k8s.io'],
      resources: ['mutatingwebhookconfigurations'],
      resourceNames: ['swap'],
      verbs: ['get', 'patch'],
    });
    const managed = { ...values, policies: { ...values.policies, manage: true } };
    expect(await configOf({ values: managed })).toMatchObject({ policies: { ...policies, manage: true } });
    const role = objectOf(
      await helm.objects({ values: managed, args: ['--no-hooks'] }),
      'ClusterRole',
      'image-swapper:image-swapper-policies',
    );
    expect(role['rules']).toContainEqual(expect.objectContaining({ resourceNames: ['swap'] }));
  });

  it.each([
    ['closed', {}, 'https://image-swapper.tools.svc:8443'],
    ['open', { plainHttp: { enabled: true } }, 'http://image-swapper.tools.svc:8081'],
    ['asked for by the URL', { policies: { engine: 'none', url: 'http://swap.example' } }, 'http://swap.example'],
  ])('with engine none name the address of the service, with the plain port %s', async (name, values, url) => {
    const options = { values: { ...good, policies: { engine: 'none' }, ...values }, namespace: 'tools' };
    expect(await configOf(options)).toMatchObject({ policies: { engine: 'none', url, excludedNamespaces: ['tools'] } });
    const ports = objectOf(await helm.objects(options), 'Service')['spec'];
    expect(JSON.stringify(ports).includes('"name":"http"')).toBe(name !== 'closed');
    const network = JSON.stringify(objectOf(await helm.objects(options), 'NetworkPolicy'));
    expect(network.includes('8081')).toBe(name !== 'closed');
  });

  it('accept the token that ClusterPolicies send, and refuse no caller unless authentication is configured', async () => {
    const withEngine = async (engine: string, auth?: object): Promise<unknown> =>
      (await configOf({ values: { config: { ...good.config, ...(auth && { auth }) }, policies: { engine } } }))['auth'];
    expect(await withEngine('kyverno-clusterpolicy')).toEqual({ kyverno: { token: true, tokenRequired: false } });
    const extraEnv = [{ name: 'IMAGE_SWAPPER_AUTH_KYVERNO_SERVICE_ACCOUNTS', value: 'a/b' }];
    const policies = { engine: 'kyverno-clusterpolicy' };
    expect((await configOf({ values: { ...good, policies, extraEnv } }))['auth']).toBeUndefined();
    for (const kyverno of [{ token: true }, { token: false }, { serviceAccounts: ['a/b'] }]) {
      expect(await withEngine('kyverno-clusterpolicy', { kyverno })).toEqual({ kyverno });
    }
    for (const engine of ['kyverno', 'gatekeeper', 'webhook', 'none']) expect(await withEngine(engine)).toBeUndefined();
    const grants = await helm.objects({ values: { ...good, policies: { engine: 'kyverno-clusterpolicy' } } });
    expect(JSON.stringify(objectOf(grants, 'ClusterRole'))).toContain('"tokenreviews"');
  });

  it('keep client certificates in every tls.mode', async () => {
    const tls = { clients: { gatekeeper: { caFile: '/etc/gatekeeper/ca.crt' } } };
    for (const chart of [
      {},
      { tls: { mode: 'existingSecret', existingSecret: 'a' } },
      { certmanager: { enabled: true } },
    ]) {
      expect(await configOf({ values: { config: { ...good.config, tls }, ...chart } })).toMatchObject({ tls });
    }
  });

  it.each([
    ['certManager', {}, '/etc/image-swapper-tls/ca.crt', undefined],
    ['existingSecret', {}, '/etc/image-swapper-tls/ca.crt', undefined],
    ['existingSecret', { caBundle: AUTHORITY }, '/etc/image-swapper-ca/ca.crt', 'image-swapper-ca'],
    ['certManager', { caConfigMap: { name: 'bundle', key: 'ca.pem' } }, '/etc/image-swapper-ca/ca.pem', 'bundle'],
    ['selfSigned', {}, undefined, undefined],
  ])('give managed policies the CA certificate: tls.mode %s, %j', async (mode, more, caFile, configMap) => {
    for (const engine of ['gatekeeper', 'webhook', 'kyverno-clusterpolicy']) {
      const tls = { mode, ...(mode === 'existingSecret' && { existingSecret: 'own' }), ...more };
      const options = { values: { ...good, tls, policies: { manage: true, engine } } };
      const { policies } = (await configOf(options)) as { readonly policies: object };
      expect(policies, engine).toEqual({ ...policies, ...(caFile !== undefined && { caFile }) });
      expect('caFile' in policies, engine).toBe(caFile !== undefined);
      const { spec } = (objectOf(await helm.objects(options), 'Deployment') as unknown as Deployment).spec.template;
      const mounted = spec.containers[0]?.volumeMounts.map(({ mountPath }) => mountPath);
      if (caFile !== undefined) expect(mounted, engine).toContain(dirname(caFile));
      expect(spec.volumes.find(({ name }) => name === 'ca')?.configMap?.name, engine).toBe(configMap);
    }
  });

  it.each([
    "obj.metadata.namespace == 'a'",
    "container.image == 'x' && obj.metadata.labels.a",
    "contains(container.name, 'a')",
    'container',
    '"obj".metadata.name',
    "!(obj.metadata.namespace == 'a')",
  ])('that Gatekeeper cannot answer without the Pod are refused: %s', async (jmespath) => {
    const values = {
      config: { ...good.config, source: { filters: [{ jmespath }] } },
      policies: { engine: 'gatekeeper' },
    };
    const { code, stderr } = await helm.template({ values });
    expect(stderr).toContain('config.source.filters[0]: Gatekeeper sends only images');
    expect(stderr).toContain('set policies.manage=true');
    expect(code).toBe(1);
    expect(
      (await helm.template({ values: { ...values, policies: { engine: 'gatekeeper', manage: true } } })).code,
    ).toBe(0);
    const other = await helm.template({ values: { ...values, policies: { engine: 'kyverno' } } });
    expect(other.code).toBe(0);
    const match = { config: { targets: [{ name: 'a', match: jmespath, ...AWS }] }, policies: { engine: 'gatekeeper' } };
    expect((await helm.template({ values: match })).stderr).toContain(
      'config.targets[0].match: Gatekeeper sends only images',
    );
  });

  it.each([
    "contains(container.image, 'obj')",
    "starts_with( container . image, 'container.name')",
    "container.image == 'it\\'s obj' || contains(container.image, `\"obj\"`)",
    "split(container.image, '/')[?@ == 'objx'].obj",
    '`true`',
  ])('that Gatekeeper can answer are taken: %s', async (jmespath) => {
    const values = {
      config: { ...good.config, source: { filters: [{ jmespath }] } },
      policies: { engine: 'gatekeeper' },
    };
    expect(await helm.template({ values })).toMatchObject({ code: 0 });
  });

  describe("the engine's timeout", () => {
    const timeout = async (values: object): Promise<unknown> =>
      /timeoutSeconds: (\d+)/.exec(
        (await helm.template({ values })).stdout.replace(/.*kind: MutatingPolicy/s, ''),
      )?.[1];
    const immediate = { ...good.config, imageCopyPolicy: 'immediate' };

    it.each([
      ['no copy is waited for', { ...good.config, imageCopyDeadline: '20s' }, '3'],
      ['a short deadline', { ...immediate, imageCopyDeadline: '200ms' }, '3'],
      ['the usual deadline', immediate, '10'],
      ['a longer one', { ...immediate, imageCopyDeadline: '20s' }, '22'],
      ['a part of a second', { ...immediate, imageCopyDeadline: '19.2s' }, '22'],
      ['several units', { ...immediate, imageCopyDeadline: '0m12s1ms' }, '15'],
      ['the longest', { ...immediate, imageCopyDeadline: '28s' }, '30'],
      [
        'every target has its own policy',
        { ...immediate, imageCopyDeadline: '20s', target: { ...AWS, imageCopyPolicy: 'delayed' } },
        '3',
      ],
      [
        'one of several targets waits',
        {
          imageCopyDeadline: '20s',
          targets: [
            { name: 'a', ...AWS },
            { name: 'b', ...AWS, imageCopyPolicy: 'force' },
          ],
        },
        '22',
      ],
    ])('leaves time for copies that Pods wait for: %s', async (_name, config, seconds) => {
      expect(await timeout({ config })).toBe(seconds);
    });

    it('is the configured value when it is longer than the deadline or nothing waits', async () => {
      const config = { ...immediate, imageCopyDeadline: '9.9s' };
      expect(await timeout({ config, policies: { timeoutSeconds: 10 } })).toBe('10');
      expect(await timeout({ ...good, policies: { timeoutSeconds: 3 } })).toBe('3');
    });

    it('of Gatekeeper, which waits for no copy, stays short', async () => {
      const config = { ...immediate, imageCopyDeadline: '20s' };
      for (const policies of [{ engine: 'gatekeeper' }, { engine: 'gatekeeper', timeoutSeconds: 3 }]) {
        const provider = objectOf(await helm.objects({ values: { config, policies } }), 'Provider');
        expect(provider['spec']).toMatchObject({ timeout: 'timeoutSeconds' in policies ? 3 : 1 });
      }
    });
  });

  it('allow Gatekeeper without a watch when nothing is copied', async () => {
    const policies = { engine: 'gatekeeper' };
    const config = { ...good.config, reconcile: { enabled: false } };
    for (const none of [
      { ...config, imageCopyPolicy: 'none' },
      { ...config, target: { ...AWS, imageCopyPolicy: 'none' } },
    ]) {
      expect(await helm.template({ values: { config: none, policies } })).toMatchObject({ code: 0 });
    }
    expect(await helm.template({ values: { config } })).toMatchObject({ code: 0 });
  });

  describe('that have no effect in this configuration', () => {
    // Only an install renders NOTES.txt, and an install needs a cluster. This ConfigMap renders the same warnings
    // without one.
    const lister = [
      'apiVersion: v1',
      'kind: ConfigMap',
      'metadata: {name: warnings}',
      `data: {text: {{ include "image-swapper.warnings" . | fromYamlArray | join "\\n" | quote }}}`,
    ].join('\n');
    const warnings = async (values: object): Promise<string | undefined> => {
      const objects = await helm.objects({ values: { ...values, extraManifestsTemplated: [lister] } });
      return (objectOf(objects, 'ConfigMap', 'warnings')['data'] as Readonly<Record<string, string>>)['text'];
    };

    it.each([
      ['kyverno', {}, [{ name: 'IMAGE_SWAPPER_AUTH_KYVERNO_SECRET', value: 'x' }]],
      ['kyverno-clusterpolicy', { auth: { kyverno: { token: true } } }, []],
      ['webhook', {}, [{ name: 'IMAGE_SWAPPER_AUTH_WEBHOOK_PATH', value: 'x' }]],
      ['webhook', { tls: { clients: { webhook: { caFile: '/ca.crt' } } } }, []],
      ['gatekeeper', { tls: { clients: { gatekeeper: { caFile: '/ca.crt' } } } }, []],
    ])('do not report an open route when callers of %s authenticate: %j', async (engine, more, extraEnv) => {
      const config = { ...good.config, ...more };
      const text = await warnings({ config, extraEnv, policies: { engine, manage: true } });
      expect(text ?? '').not.toMatch(/requests/);
    });

    it.each([
      [{ policies: { engine: 'kyverno-clusterpolicy' } }, 'Kyverno 1.20 refuses to create or change a ClusterPolicy'],
      [
        { policies: { engine: 'kyverno-clusterpolicy' } },
        "requests without Kyverno's token are also answered, but their pull secrets are ignored",
      ],
      [{ policies: { engine: 'kyverno' } }, 'its requests are not authenticated'],
      [
        { policies: { engine: 'webhook' } },
        'IMAGE_SWAPPER_AUTH_WEBHOOK_PATH in extraEnv, or config.tls.clients.webhook',
      ],
      [{ policies: { engine: 'gatekeeper' } }, 'set config.tls.clients.gatekeeper (docs/callers.md)'],
      [{ certmanager: { issuerName: 'company' } }, 'certmanager.issuerName and certmanager.issuerKind have no effect'],
      [
        { certmanager: { issuerKind: 'ClusterIssuer' } },
        'because tls.mode is selfSigned: set certmanager.enabled=true',
      ],
      [{ secretReader: { secretNames: ['a'] } }, 'secretReader.secretNames: has no effect'],
      [{ prewarm: { schedule: '0 3 * * *' } }, 'prewarm.schedule: has no effect'],
    ])('are reported after the install: %j', async (values, message) => {
      expect(await warnings({ ...good, ...values })).toContain(message);
    });

    it('are not reported when they have an effect', async () => {
      const values = {
        config: { ...good.config, secretReader: { enabled: true }, imageCopyPolicy: 'force' },
        certmanager: { enabled: true, issuerName: 'company', issuerKind: 'ClusterIssuer' },
        secretReader: { secretNames: ['a'] },
        prewarm: { enabled: true, schedule: '0 3 * * *' },
      };
      const extraEnv = [{ name: 'IMAGE_SWAPPER_AUTH_KYVERNO_SECRET', value: 'x' }];
      expect(await warnings({ ...values, extraEnv })).toBe('');
      expect(await warnings({ ...good, extraEnv })).toBe('');
      expect(await warnings({ ...good, policies: { engine: 'none' } })).toBe('');
    });
  });

  it('support another release name', async () => {
    const objects = await helm.objects({ values: CASES[0]?.values ?? {}, release: 'swap', namespace: 'tools' });
    expect(objectOf(objects, 'Service').metadata).toMatchObject({ name: 'swap-image-swapper', namespace: 'tools' });
    const policy = JSON.stringify(objectOf(objects, 'MutatingPolicy'));
    expect(policy).toContain('http://swap-image-swapper.tools.svc:8081/v1/kyverno');
  });

  it.each<readonly [string, object, string]>([
    ['no target', {}, 'config.target: required: the registry to mirror images to, for example --set config.target.aws'],
    [
      'two targets in one',
      {
        config: {
          target: { aws: { accountId: '1', region: 'r' }, gcp: { location: 'l', projectId: 'p', repositoryId: 'r' } },
        },
      },
      `config.target: set exactly one of ${TYPES.join(', ')}; set now: aws and gcp`,
    ],
    [
      'a target of a missing kind',
      { config: { target: { type: 'oci', aws: { accountId: '1', region: 'r' } } } },
      'config.target: type is oci, but config.target.oci',
    ],
    [
      'a host that is none',
      { config: { target: { oci: { registry: 'a b' } } } },
      'config.target.oci: images would begin with "a b/", which is not a registry and path',
    ],
    [
      'a host that reads as a path',
      { config: { target: { oci: { registry: 'Harbor' } } } },
      'config.target.oci.registry: "harbor" has neither a dot nor a port: write harbor:443',
    ],
    ...(
      [
        ['target', { target: { oci: { registry: 'https://harbor.example.com' } } }, 'https://harbor.example.com'],
        ['targets/0', { targets: [{ name: 'a', oci: { registry: 'h.example/mirror' } }] }, 'h.example/mirror'],
        [
          'source/registries/0',
          { ...good.config, source: { registries: [{ oci: { registry: 'h.example/' } }] } },
          'h.example/',
        ],
      ] as const
    ).map(
      ([path, config, text]) =>
        [
          `a registry that is a URL or a path in ${path}`,
          { config },
          `at '/config/${path}/oci/registry': '${text}' does not match pattern`,
        ] as const,
    ),
    [
      'Gatekeeper, which shows no Pod, with source.accessCheck',
      { config: { ...good.config, source: { accessCheck: 'pullSecrets' } }, policies: { engine: 'gatekeeper' } },
      'config.source.accessCheck: is pullSecrets, but policies.engine is gatekeeper',
    ],
    [
      'policies of the chart with source.directTarget',
      { config: { ...good.config, source: { directTarget: 'refuse' } }, policies: { engine: 'webhook' } },
      'config.source.directTarget: is refuse, but the policies that the chart renders do not send every Pod',
    ],
    [
      'fields beside images with policies of the chart, which do not accept them',
      { config: { ...good.config, pods: { pullSecret: 'mirror' } } },
      'config.pods: the Kyverno policies that the chart renders change only images',
    ],
    ...[false, true].map(
      (manage) =>
        [
          `Gatekeeper without anything that copies, manage ${manage}`,
          { config: { ...good.config, reconcile: { enabled: false } }, policies: { engine: 'gatekeeper', manage } },
          'config.reconcile.enabled: is false, but policies.engine is gatekeeper: nothing would ever be copied',
        ] as const,
    ),
    [
      'a Secret that nobody reads',
      { ...good, tls: { existingSecret: 'own' } },
      'tls.existingSecret is own, but tls.mode is selfSigned: set tls.mode=existingSecret, or leave out tls.existingSecret',
    ],
    [
      "a Secret beside cert-manager's",
      { ...good, tls: { mode: 'existingSecret', existingSecret: 'own' }, certmanager: { enabled: true } },
      'tls.existingSecret is own, but tls.mode is certManager: set certmanager.enabled=false and tls.mode=existingSecret',
    ],
    [
      'a certificate without TLS',
      { ...good, tls: { mode: 'disabled' }, certmanager: { enabled: true } },
      'certmanager.enabled is true, but tls.mode is disabled',
    ],
    ['an unknown key', { config: { targt: {} } }, "at '/config': additional properties 'targt' not allowed"],
    [
      'an unknown key of a target',
      { config: { target: { aws: { accountId: '1', region: 'r', acount: 1 } } } },
      "at '/config/target/aws': additional properties 'acount' not allowed",
    ],
    [
      'a key that is missing',
      { config: { target: { aws: { accountId: '1' } } } },
      "at '/config/target/aws': missing property 'region'",
    ],
    [
      'a choice that is none',
      { config: { ...good.config, imageSwapPolicy: 'never' } },
      "at '/config/imageSwapPolicy': value must be one of 'exists', 'always'",
    ],
    [
      'a text for a flag',
      { config: { ...good.config, dryRun: 'perhaps' } },
      "at '/config/dryRun': got string, want boolean",
    ],
    [
      'no duration',
      { config: { ...good.config, imageCopyDeadline: '8 seconds' } },
      "at '/config/imageCopyDeadline': '8 seconds' does not match pattern",
    ],
    ['an unknown value', { ...good, replicas: 2 }, "at '': additional properties 'replicas' not allowed"],
    [
      'an unknown engine',
      { ...good, policies: { engine: 'opa' } },
      "at '/policies/engine': value must be one of 'kyverno'",
    ],
    [
      'a mode in the wrong place',
      { config: { ...good.config, tls: { mode: 'files' } } },
      "config.tls.mode: leave it out, and set the chart's value tls.mode",
    ],
    [
      'Gatekeeper without TLS',
      { ...good, tls: { mode: 'disabled' }, policies: { engine: 'gatekeeper' } },
      'tls.mode: disabled works only with Kyverno; gatekeeper calls only https',
    ],
    [
      'a webhook by plain HTTP',
      { ...good, policies: { engine: 'webhook', url: 'http://a.example' } },
      'policies.url: webhook calls only https',
    ],
    [
      'no Secret',
      { ...good, tls: { mode: 'existingSecret' } },
      'tls.existingSecret: name a Secret with tls.crt and tls.key',
    ],
    [
      'nobody to trust, Gatekeeper',
      { ...good, tls: { mode: 'certManager' }, policies: { engine: 'gatekeeper' } },
      'tls.caBundle: with tls.mode certManager, set the CA certificate',
    ],
    [
      'nobody to trust, ClusterPolicy',
      { ...good, certmanager: { enabled: true }, policies: { engine: 'kyverno-clusterpolicy' } },
      'or tls.caConfigMap.name',
    ],
    [
      'nobody to trust, webhook',
      { ...good, tls: { mode: 'existingSecret', existingSecret: 'a' }, policies: { engine: 'webhook' } },
      'tls.caBundle: with tls.mode existingSecret',
    ],
    [
      "keys of a certificate that is not the service's",
      { config: { ...good.config, tls: { secretName: 'a' } }, certmanager: { enabled: true } },
      'config.tls.secretName: requires tls.mode selfSigned, but tls.mode is certManager',
    ],
    [
      'certificates of clients without TLS',
      { config: { ...good.config, tls: { clients: { webhook: { caFile: '/a' } } } }, tls: { mode: 'disabled' } },
      'config.tls.clients: client certificates require TLS',
    ],
    [
      'a Provider that waits as long as the webhook',
      { ...good, policies: { engine: 'gatekeeper', timeoutSeconds: 29 } },
      'policies.timeoutSeconds: the maximum is 28 with gatekeeper',
    ],
    ...(
      [
        [
          'policies',
          '10s',
          10,
          'policies.timeoutSeconds: the engine would stop waiting after 10 s, but Pods wait for copies',
        ],
        [
          'policies',
          '10s',
          10,
          'leave policies.timeoutSeconds out, set it to 12, or set config.imageCopyDeadline to less than 10s',
        ],
        ['webhook', '1m', 30, 'webhook.timeoutSeconds: the engine would stop waiting after 30 s'],
        ['webhook', '1m', 30, 'set both, such as config.imageCopyDeadline=28s and 30'],
        ['policies', undefined, 8, 'until config.imageCopyDeadline, 8s'],
      ] as const
    ).map(
      ([key, imageCopyDeadline, timeoutSeconds, message]) =>
        [
          `a timeout before the end of a copy: ${message}`,
          {
            config: {
              target: { ...AWS, imageCopyPolicy: 'force' },
              ...(imageCopyDeadline !== undefined && { imageCopyDeadline }),
            },
            [key]: { timeoutSeconds },
          },
          message,
        ] as const,
    ),
    [
      'nobody to manage',
      { ...good, policies: { engine: 'none', manage: true } },
      'policies.manage: requires an engine, but policies.engine is none',
    ],
    [
      'a table that no component writes',
      { ...good, policies: { table: true } },
      'policies.table: requires policies.manage=true: the service writes the table',
    ],
    ...['kyverno-clusterpolicy', 'gatekeeper', 'webhook', 'mutatingadmissionpolicy', 'none'].map(
      (engine) =>
        [
          `a table with an engine that does not read it: ${engine}`,
          { ...good, policies: { engine, manage: engine !== 'none', table: true } },
          `policies.table: is true, but policies.engine is ${engine}`,
        ] as const,
    ),
    [
      'managed policies by plain HTTP',
      { ...good, tls: { mode: 'disabled' }, policies: { engine: 'webhook', manage: true } },
      'tls.mode: disabled works only with Kyverno',
    ],
    ...Object.entries({
      'policies.timeoutSeconds': { policies: { timeoutSeconds: 5 } },
      'policies.annotations': { policies: { annotations: { a: 'b' } } },
      'policies.ephemeralContainers': { policies: { ephemeralContainers: true } },
      'webhook.timeoutSeconds': { webhook: { timeoutSeconds: 5 } },
      'webhook.reinvocationPolicy': { webhook: { reinvocationPolicy: 'Never' } },
      'webhook.namespaceSelector': { webhook: { namespaceSelector: { matchLabels: { a: 'b' } } } },
      'webhook.objectSelector': { webhook: { objectSelector: { matchLabels: { a: 'b' } } } },
    }).map(
      ([key, values]) =>
        [
          `${key} of managed policies`,
          {
            ...good,
            ...values,
            policies: { ...('policies' in values && values.policies), engine: 'webhook', manage: true },
          },
          `${key}: cannot be combined with policies.manage`,
        ] as const,
    ),
  ])('that are invalid are refused with helpful messages: %s', async (_name, values, message) => {
    const { code, stderr } = await helm.template({ values });
    expect(stderr).toContain(message);
    expect(code).toBe(1);
  });

  describe('of a queue server', () => {
    const queue = { type: 'redis', url: 'redis://redis.queue.svc/0' };
    const withQueue = (more: object, of: object = queue): object => ({
      ...good,
      config: { ...good.config, queue: of },
      ...more,
    });

    it.each<readonly [string, object, Readonly<Record<string, string>>]>([
      ['a password', {}, { passwordFile: '/etc/image-swapper-queue/password' }],
      [
        'everything under other keys',
        { passwordKey: 'pass', caKey: 'ca.crt', sentinelPasswordKey: 'sentinel' },
        {
          passwordFile: '/etc/image-swapper-queue/pass',
          caFile: '/etc/image-swapper-queue/ca.crt',
          sentinelPasswordFile: '/etc/image-swapper-queue/sentinel',
        },
      ],
    ])('mount an existing Secret with %s, and name its files in the configuration', async (_name, keys, files) => {
      const values = withQueue({ queue: { existingSecret: 'redis-login', ...keys } });
      expect((await configOf({ values }))['queue']).toEqual({ ...queue, ...files });
      const pod = (objectOf(await helm.objects({ values }), 'Deployment') as unknown as Deployment).spec.template.spec;
      expect(pod.volumes).toContainEqual({ name: 'queue', secret: { secretName: 'redis-login' } });
      const mount = { name: 'queue', mountPath: '/etc/image-swapper-queue', readOnly: true };
      expect(pod.containers[0]?.volumeMounts).toContainEqual(mount);
    });

    it('let the service read the Secret that config.queue.secretName names, and no other', async () => {
      const values = withQueue({}, { type: 'postgres', secretName: 'database' });
      const role = objectOf(await helm.objects({ values }), 'Role', 'image-swapper') as unknown as {
        readonly rules: readonly {
          readonly resources: readonly string[];
          readonly resourceNames?: readonly string[];
        }[];
      };
      const named = role.rules.filter(({ resourceNames = [] }) => resourceNames.includes('database'));
      expect(named).toEqual([{ apiGroups: [''], resources: ['secrets'], resourceNames: ['database'], verbs: ['get'] }]);
    });

    it.each<readonly [string, object, string]>([
      [
        'a Secret without a server',
        { ...good, queue: { existingSecret: 'redis-login' } },
        'queue.existingSecret is redis-login, but config.queue.type is memory',
      ],
      [
        'two passwords',
        withQueue({ queue: { existingSecret: 'redis-login' } }, { ...queue, passwordFile: '/etc/password' }),
        'config.queue.passwordFile: leave it out, or queue.passwordKey',
      ],
      ['a misspelt key', withQueue({ queue: { existingSecrets: 'redis-login' } }), 'existingSecrets'],
    ])('are refused in words that help: %s', async (_name, values, message) => {
      const { code, stderr } = await helm.template({ values });
      expect(stderr).toContain(message);
      expect(code).toBe(1);
    });
  });

  describe("Node's heap", () => {
    it.each<readonly [string, object, readonly string[]]>([
      ['the memory limit of the chart', {}, ['--max-old-space-size=341']],
      ['a limit in GiB', { resources: { limits: { memory: '1.5Gi' } } }, ['--max-old-space-size=512']],
      ['a limit in MB', { resources: { limits: { memory: '600M' } } }, ['--max-old-space-size=190']],
      ['a limit in bytes', { resources: { limits: { memory: '536870912' } } }, ['--max-old-space-size=170']],
      ['no limit', { resources: { limits: { memory: null } } }, []],
      ['options of the user', { extraEnv: [{ name: 'NODE_OPTIONS', value: '--trace-gc' }] }, ['--trace-gc']],
    ])('fits %s', async (_name, values, expected) => {
      const objects = await helm.objects({ values: { ...good, ...values } });
      const { containers } = (objectOf(objects, 'Deployment', 'image-swapper') as unknown as Deployment).spec.template
        .spec;
      const { env = [] } = containers[0] as {
        readonly env?: readonly { readonly name: string; readonly value: string }[];
      };
      expect(env.filter(({ name }) => name === 'NODE_OPTIONS').map(({ value }) => value)).toEqual(expected);
    });
  });
});
