import { parse as parseYaml, stringify } from 'yaml';
import { describeKeys } from '../../../extension-service/src/config/reference.js';

/** Two values of each key, in the format of an environment variable. */
export const SAMPLES: Readonly<Record<string, readonly [string, string]>> = {
  dryRun: ['true', 'false'],
  logLevel: ['debug', 'warn'],
  logFormat: ['console', 'json'],
  imageSwapPolicy: ['always', 'exists'],
  imageCopyPolicy: ['none', 'force'],
  imageCopyDeadline: ['5s', '1m30s'],
  imageCopyFailure: ['deny', 'ignore'],
  answerBudget: ['100ms', '300ms'],
  source: ['{deny: [a.test]}', '{allow: [b.test]}'],
  'source.filters': ["[{jmespath: container.image == 'a'}]", "[{jmespath: container.name == 'b'}]"],
  'source.registries': ['[{oci: {registry: a.test}}]', '[{oci: {registry: b.test}}, {oci: {registry: c.test}}]'],
  'source.allow': ['a.test,10.0.0.0/8', '[b.test, "c.test:5000"]'],
  'source.deny': ['a.test', 'b.test, c.test'],
  'source.accessCheck': ['pullSecrets', 'none'],
  'source.directTarget': ['refuse', 'keep'],
  'source.volumes': ['false', 'true'],
  'source.operators': ['[{apiGroup: a.example, kind: A}]', '[]'],
  pods: ['{annotate: true}', '{pullSecret: a}'],
  'pods.pullSecret': ['a', 'b'],
  'pods.annotate': ['true', 'false'],
  target: ['{oci: {registry: a.test}}', '{oci: {registry: b.test, prefix: x}}'],
  'target.type': ['oci', 'oci'],
  'target.gate': ['{minimumAge: 72h}', '{webhook: {url: "https://a.test"}}'],
  'target.gate.minimumAge': ['72h', '24h'],
  'target.gate.verify': ['{keys: [/a.pub]}', '{keys: [/b.pub]}'],
  'target.gate.verify.keys': ['/a.pub,/b.pub', '[/c.pub]'],
  'target.gate.verify.identities': [
    '[{issuer: "https://i.test", subject: a}]',
    '[{issuer: "https://i.test", subjectPattern: "b.*"}]',
  ],
  'target.gate.verify.trustedRoot': ['/a.json', '/b.json'],
  'target.gate.verify.attestations': ['https://a.test/v1', '[b]'],
  'target.gate.webhook': ['{url: "https://a.test"}', '{url: "https://b.test", timeout: 5s}'],
  'target.gate.webhook.url': ['https://a.test', 'https://me:p-word@b.test'],
  'target.gate.webhook.caFile': ['/a.pem', '/b.pem'],
  'target.gate.webhook.timeout': ['5s', '1m'],
  'target.gate.webhook.onError': ['allow', 'hold'],
  'target.aws': [
    '{accountId: "000000000001", region: eu-west-1}',
    '{accountId: "123456789012", region: eu-central-1, prefix: mirror}',
  ],
  'target.aws.accountId': ['000000000001', '012345678901'],
  'target.aws.region': ['eu-west-1', 'us-east-1'],
  'target.aws.role': ['arn:aws:iam::123456789012:role/a', 'arn:aws:iam::123456789012:role/b'],
  'target.aws.endpoint': ['fips', 'dual-stack'],
  'target.aws.externalId': ['one', 'two'],
  'target.aws.roleSessionName': ['one', 'two'],
  'target.aws.repositories': ['{mode: preexisting}', '{reconcilePolicies: false}'],
  'target.aws.repositories.mode': ['preexisting', 'createOnPush'],
  'target.aws.repositories.reconcilePolicies': ['false', 'true'],
  'target.aws.quotas': ['{putImage: 5}', '{initiateLayerUpload: 50}'],
  'target.aws.quotas.putImage': ['5', '20'],
  'target.aws.quotas.initiateLayerUpload': ['50', '200'],
  'target.aws.quotas.completeLayerUpload': ['50', '200'],
  'target.aws.ecrOptions.imageTagMutabilityExclusionFilters': [
    '[{filter: "latest*", filterType: WILDCARD}]',
    '[{filter: "dev*", filterType: WILDCARD}]',
  ],
  'target.aws.prefix': ['mirror', 'team/mirror'],
  'target.aws.ecrOptions': ['{imageTagMutability: IMMUTABLE}', '{tags: [{key: a, value: b}]}'],
  'target.aws.ecrOptions.tags': ['[{key: a, value: "1"}]', '[{key: b, value: "2"}, {key: c, value: "3"}]'],
  'target.aws.ecrOptions.imageTagMutability': ['IMMUTABLE', 'MUTABLE'],
  'target.aws.ecrOptions.imageScanningConfiguration': ['{imageScanOnPush: false}', '{imageScanOnPush: true}'],
  'target.aws.ecrOptions.imageScanningConfiguration.imageScanOnPush': ['false', 'true'],
  'target.aws.ecrOptions.encryptionConfiguration': [
    '{encryptionType: KMS, kmsKey: alias/a}',
    '{encryptionType: AES256}',
  ],
  'target.aws.ecrOptions.encryptionConfiguration.encryptionType': ['KMS', 'KMS_DSSE'],
  'target.aws.ecrOptions.encryptionConfiguration.kmsKey': ['alias/a', 'alias/b'],
  'target.aws.ecrOptions.accessPolicy': [
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}]}',
    '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:BatchGetImage"}]}',
  ],
  'target.aws.ecrOptions.lifecyclePolicy': [
    '{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":5},"action":{"type":"expire"}}]}',
    '{"rules":[{"rulePriority":2,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":9},"action":{"type":"expire"}}]}',
  ],
  'target.name': ['one', 'two'],
  'target.match': ["container.image == 'a'", "container.name == 'b'"],
  'target.imageSwapPolicy': ['always', 'exists'],
  'target.imageCopyPolicy': ['none', 'immediate'],
  'target.platforms': ['linux/amd64', 'all'],
  'target.paths': ['{docker.io: hub}', '{quay.io: quay, docker.io: hub/x}'],
  'target.acr': ['{registry: one.azurecr.io}', '{registry: two.azurecr.io, prefix: mirror}'],
  'target.acr.registry': ['one.azurecr.io', 'two.azurecr.io'],
  'target.acr.prefix': ['a', 'b/c'],
  'target.acr.tenantId': ['11111111-2222-3333-4444-555555555555', '66666666-2222-3333-4444-555555555555'],
  'target.acr.clientId': ['aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee', 'ffffffff-bbbb-cccc-dddd-eeeeeeeeeeee'],
  'target.gcp': [
    '{location: europe-west4, projectId: my-project, repositoryId: a}',
    '{location: europe, projectId: my-project, repositoryId: b}',
  ],
  'target.gcp.location': ['europe-west4', 'us'],
  'target.gcp.projectId': ['project-one', 'example.com:project-two'],
  'target.gcp.repositoryId': ['one', 'two'],
  'target.gcp.serviceAccount': ['a@my-project.iam.gserviceaccount.com', 'b@my-project.iam.gserviceaccount.com'],
  'target.gcp.credentialsFile': ['/one.json', '/two.json'],
  'target.gcp.endpoint': ['one.example.com', 'two.example.com:8443'],
  'target.gcp.createRepository': ['true', 'false'],
  'target.gcp.reconcilePolicies': ['false', 'true'],
  'target.gcp.repository': ['{description: one}', '{immutableTags: true}'],
  'target.gcp.repository.description': ['one', 'two'],
  'target.gcp.repository.labels': ['[{key: a, value: b}]', '[{key: c, value: d}]'],
  'target.gcp.repository.kmsKey': [
    'projects/p/locations/asia/keyRings/r/cryptoKeys/one',
    'projects/p/locations/asia/keyRings/r/cryptoKeys/two',
  ],
  'target.gcp.repository.immutableTags': ['true', 'false'],
  'target.gcp.repository.vulnerabilityScanning': ['inherited', 'disabled'],
  'target.gcp.cleanupPolicies': [
    '[{name: a, action: keep, mostRecentVersions: {keepCount: 3}}]',
    '[{name: b, action: delete, condition: {olderThan: 24h}}]',
  ],
  'target.gcp.cleanupDryRun': ['true', 'false'],
  'target.gcp.readers': ['user:a@example.com', 'user:b@example.com,group:c@example.com'],
  'target.oci': ['{registry: a.test}', '{registry: b.test, insecure: true}'],
  'target.oci.registry': ['a.test', 'b.test:5000'],
  'target.oci.prefix': ['a', 'b/c'],
  'target.oci.insecure': ['true', 'false'],
  'target.oci.caFile': ['/a.pem', '/b.pem'],
  'target.oci.clientCertificate': ['{certFile: /a.crt, keyFile: /a.key}', '{certFile: /b.crt, keyFile: /b.key}'],
  'target.oci.clientCertificate.certFile': ['/a.crt', '/b.crt'],
  'target.oci.clientCertificate.keyFile': ['/a.key', '/b.key'],
  'target.oci.tokenHosts': ['auth.test', 'auth.test,token.test:8443'],
  'target.oci.uploadChunk': ['1048576', '50000000'],
  'target.oci.credentials': ['{secretName: a}', '{username: u, password: p-word}'],
  'target.oci.credentials.secretName': ['a', 'b'],
  'target.oci.credentials.namespace': ['team-a', 'team-b'],
  'target.oci.credentials.username': ['me', 'you'],
  'target.oci.credentials.password': ['p-word-one', 'p-word-two'],
  'target.oci.credentials.passwordFile': ['/a', '/b'],
  'target.oci.credentials.dockerConfigFile': ['/a.json', '/b.json'],
  targets: [
    "[{name: a, match: 'container.stdin', oci: {registry: a.test}}]",
    "[{name: b, match: 'container.tty', oci: {registry: b.test}}, {name: c, match: 'container.stdin', oci: {registry: c.test}}]",
  ],
  mirror: ['{concurrency: 2}', '{referrers: false}'],
  'mirror.concurrency': ['2', '8'],
  'mirror.perSource': ['1', '3'],
  'mirror.perTarget': ['2', '4'],
  'mirror.platforms': ['linux/amd64,linux/arm64', '[linux/s390x]'],
  'mirror.referrers': ['false', 'true'],
  'mirror.refresh': ['{interval: 2h}', '{interval: 3h}'],
  'mirror.refresh.interval': ['2h', '3h'],
  'mirror.audit': ['{interval: 12h}', '{interval: 48h}'],
  'mirror.audit.interval': ['12h', '48h'],
  queue: ['{type: redis, url: "redis://a.test"}', '{type: postgres, url: "postgres://b.test/x"}'],
  'queue.type': ['redis', 'redis'],
  'queue.url': ['redis://a.test', 'redis://me:p-word@b.test'],
  'queue.secretName': ['a', 'b'],
  'queue.passwordFile': ['/a', '/b'],
  'queue.caFile': ['/a', '/b'],
  'queue.prefix': ['a', 'b'],
  'queue.sentinels': ['a.test:1,b.test:2', '["c.test:3"]'],
  'queue.sentinelPasswordFile': ['/a', '/b'],
  gc: ['{after: 48h}', '{clusters: [a]}'],
  'gc.enabled': ['true', 'false'],
  'gc.after': ['24h', '9600h'],
  'gc.cluster': ['a', 'b'],
  'gc.clusters': ['a,b', '[c]'],
  'gc.deletePlatforms': ['false', 'true'],
  reconcile: ['{enabled: false}', '{interval: 5m}'],
  'reconcile.enabled': ['false', 'true'],
  'reconcile.interval': ['5m', '20m'],
  secretReader: ['{enabled: false}', '{secretNames: [a]}'],
  'secretReader.enabled': ['false', 'true'],
  'secretReader.secretNames': ['a,b', '[c]'],
  lease: ['{name: a}', '{namespace: b}'],
  'lease.name': ['a', 'b'],
  'lease.namespace': ['a', 'b'],
  events: ['{enabled: false}', '{enabled: true}'],
  'events.enabled': ['false', 'true'],
  tls: ['{mode: selfSigned, dnsNames: [a.svc]}', '{secretName: a}'],
  'tls.mode': ['selfSigned', 'files'],
  'tls.secretName': ['a', 'b'],
  'tls.configMapName': ['a', 'b'],
  'tls.dnsNames': ['a.svc,b.svc', '[c.svc]'],
  'tls.clients': ['{gatekeeper: {caFile: /a}}', '{webhook: {caFile: /b}}'],
  'tls.clients.gatekeeper': ['{caFile: /a}', '{caFile: /b}'],
  'tls.clients.gatekeeper.caFile': ['/a', '/b'],
  'tls.clients.gatekeeper.names': ['a.svc,b.svc', '[c.svc]'],
  'tls.clients.webhook': ['{caFile: /a}', '{caFile: /b}'],
  'tls.clients.webhook.caFile': ['/a', '/b'],
  'tls.clients.webhook.names': ['kube-apiserver,b', '[c]'],
  server: ['{routes: [kyverno]}', '{routes: [webhook, explain]}'],
  'server.routes': ['kyverno', 'webhook,explain'],
  auth: ['{kyverno: {token: true}}', '{explain: {secret: p-word-p-word-p-word-p-word-p-word}}'],
  'auth.kyverno': ['{token: true}', '{audience: one}'],
  'auth.kyverno.secret': ['p-word-p-word-p-word-p-word-p-word-1', 'p-word-p-word-p-word-p-word-p-word-2'],
  'auth.kyverno.secretName': ['one', 'two'],
  'auth.kyverno.secretNamespace': ['one', 'two'],
  'auth.kyverno.token': ['true', 'false'],
  'auth.kyverno.tokenRequired': ['true', 'false'],
  'auth.kyverno.audience': ['one', 'two'],
  'auth.kyverno.serviceAccounts': ['one/a', 'one/a,two/b'],
  'auth.webhook': ['{path: 00000000000000000000000000000001}', '{path: 00000000000000000000000000000002}'],
  'auth.webhook.path': ['0123456789abcdef0123456789abcdef', 'fedcba9876543210fedcba9876543210'],
  'auth.explain': ['{secret: p-word-p-word-p-word-p-word-p-word-1}', '{secret: p-word-p-word-p-word-p-word-p-word-2}'],
  'auth.explain.secret': ['p-word-p-word-p-word-p-word-p-word-1', 'p-word-p-word-p-word-p-word-p-word-2'],
  policies: ['{manage: true}', '{engine: webhook}'],
  'policies.manage': ['true', 'false'],
  'policies.engine': ['webhook', 'none'],
  'policies.undecidable': ['refuse', 'webhook'],
  'policies.table': ['true', 'false'],
  'policies.name': ['a', 'b'],
  'policies.url': ['https://a.test', 'http://b.test:8081'],
  'policies.caFile': ['/a.pem', '/b.pem'],
  'policies.failClosed': ['true', 'false'],
  'policies.excludedNamespaces': ['a,b', '[c]'],
};

/** A configuration with the other keys that the key requires. */
export function baseOf(key: string): string {
  if (key === 'target' || key === 'target.oci')
    return 'targets: [{name: z, match: container.stdin, oci: {registry: z.test}}]\n';
  if (key === 'gc.enabled') return 'target: {oci: {registry: z.test}}\ngc: {cluster: z, clusters: [z]}\n';
  if (key === 'policies.undecidable')
    return 'target: {oci: {registry: z.test}}\npolicies: {engine: mutatingadmissionpolicy, manage: true}\n';
  if (key === 'policies.table') return 'target: {oci: {registry: z.test}}\npolicies: {manage: true}\n';
  if (key === 'tls.mode') return 'target: {oci: {registry: z.test}}\ntls: {dnsNames: [z.svc]}\n';
  if (key === 'source.directTarget') return 'target: {oci: {registry: z.test}}\npolicies: {failClosed: true}\n';
  if (['target.acr', 'target.aws', 'target.gcp'].includes(key)) return '{}\n';
  if (key.startsWith('target.aws')) {
    const needed: Record<string, string> = {
      kmsKey: ', ecrOptions: {encryptionConfiguration: {encryptionType: KMS}}',
      encryptionType: ', ecrOptions: {encryptionConfiguration: {kmsKey: alias/z}}',
      imageTagMutabilityExclusionFilters: ', ecrOptions: {imageTagMutability: IMMUTABLE_WITH_EXCLUSION}',
      externalId: ', role: "arn:aws:iam::123456789012:role/z"',
      roleSessionName: ', role: "arn:aws:iam::123456789012:role/z"',
    };
    const more = needed[key.split('.').pop() ?? ''] ?? '';
    return `target: {type: aws, aws: {accountId: "999999999999", region: ap-south-1${more}}}\n`;
  }
  if (key.startsWith('target.gate.verify.'))
    return 'target: {oci: {registry: z.test}, gate: {verify: {keys: [/z.pub], trustedRoot: /z.json}}}\n';
  if (key.startsWith('target.gate.webhook.'))
    return 'target: {oci: {registry: z.test}, gate: {webhook: {url: "https://z.test"}}}\n';
  if (key.startsWith('target.acr')) return 'target: {acr: {registry: zzz.azurecr.io}}\n';
  if (key.startsWith('target.gcp')) return 'target: {gcp: {location: asia, projectId: my-project, repositoryId: z}}\n';
  const oci: Record<string, string> = {
    username: 'password: z-word',
    password: 'username: z',
    passwordFile: 'username: z',
    namespace: 'secretName: z',
  };
  const other = oci[/^target\.oci\.credentials\.(\w+)$/.exec(key)?.[1] ?? ''];
  const credentials = other === undefined ? '' : `, credentials: {${other}}`;
  const otherFile = { certFile: 'keyFile: /z', keyFile: 'certFile: /z' }[
    /^target\.oci\.clientCertificate\.(\w+)$/.exec(key)?.[1] ?? ''
  ];
  const certificate = otherFile === undefined ? '' : `, clientCertificate: {${otherFile}}`;
  const queue = { 'queue.type': 'queue: {url: "redis://z.test"}\n', 'queue.url': 'queue: {type: redis}\n' }[key];
  const ofServer: Readonly<Record<string, string>> = {
    'queue.secretName': 'queue: {type: redis}\n',
    'queue.passwordFile': 'queue: {type: redis, url: "redis://z.test"}\n',
    'queue.caFile': 'queue: {type: redis, url: "rediss://z.test"}\n',
    'queue.prefix': 'queue: {type: redis, url: "redis://z.test"}\n',
    'queue.sentinels': 'queue: {type: redis, url: "redis://z.test"}\n',
    'queue.sentinelPasswordFile': 'queue: {type: redis, url: "redis://z", sentinels: ["z.test:1"]}\n',
  };
  const secret = ofServer[key] ?? '';
  const client = /^tls\.clients\.(\w+)\.names$/.exec(key)?.[1];
  const clients = client === undefined ? '' : `tls: {clients: {${client}: {caFile: /z}}}\n`;
  return `target: {oci: {registry: z.test${credentials}${certificate}}}\n${queue ?? secret}${clients}`;
}

/** The same configuration with the key set in the file. */
export function inFile(key: string, text: string): string {
  const whole = parseYaml(baseOf(key)) as Record<string, unknown>;
  const path = key.split('.');
  const last = path.pop() ?? '';
  const parent = path.reduce<Record<string, unknown>>(
    (node, name) => (node[name] ??= {}) as Record<string, unknown>,
    whole,
  );
  parent[last] = asWritten(key, text);
  return stringify(whole);
}

/** The value for the file: a comma-separated list becomes a YAML list, and a string stays a string. */
function asWritten(key: string, text: string): unknown {
  const { type = '' } = described.get(key) ?? {};
  if (type === 'list of strings' || key.endsWith('platforms')) {
    if (text === 'all') return text;
    return text.startsWith('[') ? (parseYaml(text) as unknown) : text.split(',').map((part) => part.trim());
  }
  return type === 'string' ? text : (parseYaml(text) as unknown);
}

/** The keys that have an environment variable. */
export const described = new Map(
  describeKeys().flatMap((one) => (one.environment === undefined ? [] : [[one.key, one]])),
);
