/** Values with which the chart is rendered and validated. Each case covers one topic. */
export interface ChartCase {
  readonly name: string;
  readonly values: object;
}

export const AWS = { aws: { accountId: '012345678901', region: 'eu-central-1' } };
export const GCP = { gcp: { location: 'europe-west3', projectId: 'my-shop', repositoryId: 'mirror' } };
const OCI = { oci: { registry: 'harbor.example.com:5000', prefix: 'mirror', credentials: { secretName: 'harbor' } } };
const config = { target: AWS };

/** A CA certificate that nothing uses. The API server requires a valid certificate in a policy. */
export const AUTHORITY = `-----BEGIN CERTIFICATE-----
MIIBozCCAUqgAwIBAgIRAIg7GbRSrMg+4V9+Tq+KrUUwCgYIKoZIzj0EAwIwLzEt
MCsGA1UEAxMkcmVwbGFjZSBtZTogaW1hZ2Utc3dhcHBlciBleGFtcGxlIENBMCAX
DTI2MDEwMTAwMDAwMFoYDzIxMjYwMTAxMDAwMDAwWjAvMS0wKwYDVQQDEyRyZXBs
YWNlIG1lOiBpbWFnZS1zd2FwcGVyIGV4YW1wbGUgQ0EwWTATBgcqhkjOPQIBBggq
hkjOPQMBBwNCAATlQWlzrwkQ7IIXJJ/o7+Wh9ZZ4uuzf6UefKxPtAPevS9Djs5ZH
rjWC4hsxesOb54OIPWIyGomB+jeAVoYovJ7qo0UwQzASBgNVHRMBAf8ECDAGAQH/
AgEAMA4GA1UdDwEB/wQEAwICBDAdBgNVHQ4EFgQUIHU4YYwPjkj4XBKFr2olKTb1
s2QwCgYIKoZIzj0EAwIDRwAwRAIgPm+/0F+UcsqqjFY78pX0mMBeI5FF3W0Hh0J9
ePsxjdsCIHenjRzXDrYKl1DLZb8gOuh7HRIpC59Q2B1B3O+TxAQ/
-----END CERTIFICATE-----
`;

export const CASES: readonly ChartCase[] = [
  { name: 'defaults', values: { config } },
  { name: 'engine-kyverno-clusterpolicy', values: { config, policies: { engine: 'kyverno-clusterpolicy' } } },
  {
    name: 'engine-gatekeeper',
    values: { config, policies: { engine: 'gatekeeper', ephemeralContainers: true, timeoutSeconds: 2 } },
  },
  {
    name: 'engine-webhook',
    values: {
      config,
      policies: { engine: 'webhook', excludedNamespaces: ['monitoring'], annotations: { team: 'platform' } },
      webhook: {
        reinvocationPolicy: 'Never',
        timeoutSeconds: 5,
        namespaceSelector: { matchLabels: { swap: 'wanted' }, matchExpressions: [{ key: 'env', operator: 'Exists' }] },
        objectSelector: { matchLabels: { swap: 'wanted' } },
      },
    },
  },
  {
    name: 'pull-through-caches',
    values: {
      config: {
        imageSwapPolicy: 'always',
        imageCopyPolicy: 'none',
        targets: [
          { name: 'ecr', ...AWS, paths: { 'quay.io': 'quay', 'docker.io': 'docker-hub' } },
          { name: 'google', gcp: { location: 'europe-west3', projectId: 'my-shop' }, paths: { 'ghcr.io': 'github' } },
        ],
        target: { oci: { registry: 'harbor.example.com:5000', prefix: 'team' }, paths: { 'registry.k8s.io': '/k8s/' } },
      },
    },
  },
  { name: 'engine-none', values: { config, policies: { engine: 'none' } } },
  {
    name: 'engine-none-plain-http',
    values: { config, policies: { engine: 'none' }, plainHttp: { enabled: true } },
  },
  { name: 'fail-closed', values: { config, policies: { failClosed: true }, replicaCount: 3 } },
  { name: 'managed-kyverno', values: { config, policies: { manage: true } } },
  { name: 'managed-kyverno-table', values: { config, policies: { manage: true, table: true } } },
  {
    name: 'managed-kyverno-clusterpolicy',
    values: { config, policies: { manage: true, engine: 'kyverno-clusterpolicy' } },
  },
  { name: 'managed-gatekeeper', values: { config, policies: { manage: true, engine: 'gatekeeper' } } },
  {
    name: 'managed-mutatingadmissionpolicy',
    values: { config, policies: { manage: true, engine: 'mutatingadmissionpolicy' } },
  },
  {
    name: 'managed-mutatingadmissionpolicy-webhook',
    values: { config, policies: { manage: true, engine: 'mutatingadmissionpolicy', undecidable: 'webhook' } },
  },
  {
    name: 'managed-gatekeeper-cert-manager',
    values: { config, certmanager: { enabled: true }, policies: { manage: true, engine: 'gatekeeper' } },
  },
  {
    name: 'managed-webhook-ca-bundle',
    values: {
      config: {
        ...config,
        policies: { name: 'swap', excludedNamespaces: ['from-config'] },
        tls: { clients: { webhook: { caFile: '/etc/api-server/ca.crt' } } },
      },
      tls: { mode: 'existingSecret', existingSecret: 'own-tls', caBundle: AUTHORITY },
      policies: { manage: true, engine: 'webhook', excludedNamespaces: ['monitoring'] },
    },
  },
  {
    name: 'secret-reader',
    values: {
      config: { ...config, reconcile: { enabled: false }, events: { enabled: false } },
      secretReader: { enabled: true },
    },
  },
  {
    name: 'secret-reader-some-secrets',
    values: {
      config: { target: OCI, lease: { namespace: 'leases' } },
      secretReader: { enabled: true, secretNames: ['regcred'] },
    },
  },
  {
    name: 'aws-iam-user',
    values: {
      config,
      awsSecretName: 'aws',
      awsSecretKeys: { accessKeyID: 'access_key', secretAccessKey: 'secret_key' },
    },
  },
  {
    name: 'queue-server',
    values: {
      config: { ...config, queue: { type: 'redis', url: 'rediss://mirror@redis.queue.svc:6380/0' } },
      queue: { existingSecret: 'redis-login', passwordKey: 'redis-password', caKey: 'ca.crt' },
      networkPolicy: { enabled: true },
    },
  },
  {
    name: 'aws-irsa',
    values: {
      config,
      serviceAccount: { annotations: { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::012345678901:role/swapper' } },
    },
  },
  {
    name: 'gcp-workload-identity',
    values: {
      config: { target: GCP },
      serviceAccount: { annotations: { 'iam.gke.io/gcp-service-account': 'swapper@my-shop.iam.gserviceaccount.com' } },
    },
  },
  {
    name: 'acr-workload-identity',
    values: {
      config: {
        target: { acr: { registry: 'contoso.azurecr.io', clientId: 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee' } },
      },
      prewarm: { enabled: true },
      podLabels: { team: 'platform' },
      serviceAccount: { annotations: { owner: 'platform' } },
    },
  },
  {
    name: 'tls-cert-manager',
    values: { config, certmanager: { enabled: true }, policies: { engine: 'webhook' } },
  },
  {
    name: 'tls-cert-manager-clusterpolicy',
    values: {
      config,
      tls: { mode: 'certManager', caBundle: AUTHORITY },
      certmanager: { issuerKind: 'ClusterIssuer', issuerName: 'company' },
      policies: { engine: 'kyverno-clusterpolicy' },
    },
  },
  {
    name: 'tls-existing-secret',
    values: {
      config,
      tls: { mode: 'existingSecret', existingSecret: 'own-tls', caBundle: AUTHORITY },
      policies: { engine: 'gatekeeper' },
    },
  },
  { name: 'tls-disabled', values: { config, tls: { mode: 'disabled' } } },
  {
    name: 'external-url',
    values: {
      config,
      policies: { engine: 'webhook', url: 'https://swapper.example.com/base' },
      tls: { caBundle: AUTHORITY },
    },
  },
  {
    name: 'prewarm-and-scale',
    values: {
      config,
      prewarm: { enabled: true },
      autoscaling: { enabled: true, targetMemoryUtilizationPercentage: 80 },
      pdb: { minAvailable: '1' },
    },
  },
  { name: 'prewarm-by-schedule', values: { config, prewarm: { enabled: true, schedule: '0 3 * * *' } } },
  {
    name: 'prewarm-without-reconcile',
    values: { config: { ...config, reconcile: { enabled: false } }, prewarm: { enabled: true } },
  },
  {
    name: 'monitoring',
    values: {
      config,
      serviceMonitor: { enabled: true, labels: { release: 'prometheus' } },
      prometheusRule: { enabled: true, labels: { release: 'prometheus' } },
      dashboard: { enabled: true, annotations: { grafana_folder: 'images' } },
      networkPolicy: { metricsNamespaces: ['monitoring'] },
    },
  },
  {
    name: 'network',
    values: {
      config: {
        target: OCI,
        source: { registries: [{ type: 'oci', oci: { registry: 'quay.example.com:8444' } }] },
      },
      networkPolicy: {
        engineNamespaces: ['policy-engine'],
        egress: { extraPorts: [8443] },
        extraEgress: [{ to: [{ ipBlock: { cidr: '10.0.0.0/8' } }] }],
      },
    },
  },
  {
    name: 'everything-of-kubernetes',
    values: {
      config,
      image: { repository: 'registry.example.com/swapper', digest: `sha256:${'0'.repeat(64)}` },
      imagePullSecrets: [{ name: 'pull' }],
      nameOverride: 'swapper',
      commonLabels: { team: '{{ .Release.Name }}-team' },
      serviceAccount: { create: false, name: 'mine' },
      deployment: { annotations: { a: 'b' }, priorityClassName: 'system-cluster-critical' },
      podAnnotations: { c: 'd' },
      podLabels: { e: 'f' },
      nodeSelector: { 'kubernetes.io/os': 'linux' },
      tolerations: [{ operator: 'Exists' }],
      affinity: { nodeAffinity: {} },
      topologySpreadConstraints: [
        {
          maxSkew: 1,
          topologyKey: 'zone',
          whenUnsatisfiable: 'ScheduleAnyway',
          labelSelector: { matchLabels: { a: 'b' } },
        },
      ],
      hostNetwork: true,
      containerPort: 9443,
      service: { type: 'NodePort', port: 443, annotations: { g: 'h' } },
      extraEnv: [{ name: 'HTTPS_PROXY', value: 'http://proxy.example.com:3128' }],
      extraEnvFrom: [{ secretRef: { name: 'env' } }],
      extraArgs: ['--log-level=debug'],
      extraVolumes: [{ name: 'ca', configMap: { name: 'company-ca' } }],
      extraVolumeMounts: [{ name: 'ca', mountPath: '/etc/company-ca' }],
      extraManifests: [
        { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'as-mapping' }, data: { braces: '{{ kept }}' } },
        'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: as-text}\n',
      ],
      extraManifestsTemplated: [
        { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: '{{ .Release.Name }}-extra' } },
      ],
    },
  },
  {
    name: 'gates',
    values: {
      config: {
        target: {
          ...AWS,
          gate: { minimumAge: '72h', webhook: { url: 'https://user:secret@scanner.example.com:8444/judge' } },
        },
      },
    },
  },
  {
    name: 'values-of-k8s-image-swapper',
    values: {
      config: {
        dryRun: true,
        logLevel: 'debug',
        logFormat: 'console',
        source: { filters: [{ jmespath: "obj.metadata.namespace == 'kube-system'" }] },
        target: { aws: { accountId: 123456789, region: 'ap-southeast-2' } },
      },
      patch: { enabled: true, image: { repository: 'k8s.gcr.io/ingress-nginx/kube-webhook-certgen' } },
      webhook: { failurePolicy: 'Ignore', timeoutSeconds: 10, namespaceSelector: {}, objectSelector: {} },
      podSecurityPolicy: { enabled: false },
      dev: { enabled: false, webhookURL: 'https://xxx.ngrok.io' },
      test: { enabled: true },
      cacheVolume: { emptyDir: {} },
      clusterSuffix: 'cluster.example',
      kubeVersionOverride: '',
      replicaCount: 1,
      pdb: { enabled: true, minAvailable: '1' },
    },
  },
];
