export interface FakeCluster {
  readonly origin: string;
  /** The CA certificate that signed the cluster's serving certificate, PEM. */
  readonly ca: string;
  readonly token: string;
}

/** A kubeconfig for one user of one cluster. */
export function kubeconfigFor({ origin, ca, token }: FakeCluster, namespace: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'fake',
        cluster: { server: origin, 'certificate-authority-data': Buffer.from(ca).toString('base64') },
      },
    ],
    users: [{ name: 'fake', user: { token } }],
    contexts: [{ name: 'fake', context: { cluster: 'fake', user: 'fake', namespace } }],
    'current-context': 'fake',
  });
}
