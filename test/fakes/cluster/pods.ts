import type { FakeObject } from './collection.js';

/** A minimal Pod. */
export function smallPod(name: string, image: string, namespace = 'team-a'): FakeObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, uid: `uid-of-${namespace}-${name}` },
    spec: { containers: [{ name: 'app', image }] },
  };
}

const KEYS = ['app', 'version', 'pod-template-hash', 'app.kubernetes.io/managed-by', 'team'];

/**
 * A typical Pod of a cluster, about seven kilobytes of JSON: two containers, labels, environment and volumes. Managed
 * fields are half of it.
 */
export function realisticPod(index: number, registry: string): FakeObject {
  const image = `${registry}/team-${index % 40}/service-${index % 1_000}:v1.${index % 7}`;
  const name = `service-${index % 1_000}-${(index * 2_654_435_761).toString(16).slice(-9)}-${index.toString(36)}`;
  const namespace = `team-${index % 40}-production`;
  const uid = `${index.toString(16).padStart(8, '0')}-5f0c-4b5e-9d7e-${index.toString(16).padStart(12, 'a')}`;
  const owner = index % 20_000;
  const env = Array.from({ length: 12 }, (_, number) => ({
    name: `SETTING_${number}`,
    value: `value-${index}-${number}`,
  }));
  const container = (app: string, what: string): object => ({
    name: app,
    image: what,
    imagePullPolicy: 'IfNotPresent',
    env,
    ports: [{ name: 'http', containerPort: 8080, protocol: 'TCP' }],
    resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '256Mi' } },
    livenessProbe: { httpGet: { path: '/healthz', port: 'http', scheme: 'HTTP' }, periodSeconds: 10 },
    volumeMounts: [
      { name: 'kube-api-access', readOnly: true, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' },
    ],
    securityContext: { readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
  });
  const fields = Object.fromEntries(
    Array.from({ length: 60 }, (_, number) => [
      `f:field-${number}-of-${KEYS[number % KEYS.length]}`,
      { '.': {}, 'f:x': {} },
    ]),
  );
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      uid,
      generateName: `${name.slice(0, -6)}-`,
      creationTimestamp: '2026-11-25T00:00:00Z',
      labels: Object.fromEntries(KEYS.map((key) => [key, `${key}-${index % 1_000}`])),
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: `set-${owner}`, uid: `set-${owner}`, controller: true },
      ],
      managedFields: ['kube-controller-manager', 'kubelet'].map((manager) => ({ manager, fieldsV1: fields })),
    },
    spec: {
      containers: [container('app', image), container('proxy', `${registry}/mesh/proxy:v${index % 3}`)],
      imagePullSecrets: [{ name: 'registry' }],
      serviceAccountName: 'default',
      nodeName: `node-${index % 2_000}`,
      volumes: [{ name: 'kube-api-access', projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } }],
    },
    status: {
      phase: 'Running',
      podIP: `10.${index % 250}.${index % 240}.${index % 230}`,
      conditions: ['Initialized', 'Ready', 'ContainersReady', 'PodScheduled'].map((type) => ({ type, status: 'True' })),
      containerStatuses: ['app', 'proxy'].map((app) => ({ name: app, image, ready: true, restartCount: 0 })),
    },
  };
}
