/** A Pod of about 5 KB with 4 containers, as a chart renders it; `image` returns the image of the n-th container. */
export function benchPod(image: (n: number) => string): object {
  const container = (n: number): object => ({
    name: `container-${n}`,
    image: image(n),
    args: ['--config=/etc/app/config.yaml', '--log-format=json', '--listen=:8080'],
    env: Array.from({ length: 8 }, (_, i) => ({ name: `APP_SETTING_${i}`, value: `some value that is ${i} of eight` })),
    ports: [{ name: 'http', containerPort: 8080, protocol: 'TCP' }],
    resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '256Mi' } },
    readinessProbe: { httpGet: { path: '/ready', port: 'http' }, periodSeconds: 10 },
    volumeMounts: [{ name: 'config', mountPath: '/etc/app', readOnly: true }],
  });
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      generateName: 'web-5d4f8c7b9-',
      namespace: 'team-a',
      labels: { app: 'web', 'app.kubernetes.io/name': 'web', 'app.kubernetes.io/part-of': 'shop', tier: 'frontend' },
      annotations: { 'prometheus.io/scrape': 'true', 'checksum/config': 'f'.repeat(64) },
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-5d4f8c7b9', uid: '1', controller: true },
      ],
    },
    spec: {
      serviceAccountName: 'web',
      containers: [container(0), container(1), container(2)],
      initContainers: [container(3)],
      volumes: [{ name: 'config', configMap: { name: 'web-config' } }],
      tolerations: [
        { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 },
      ],
    },
  };
}
