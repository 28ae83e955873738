import { App, Chart, YamlOutputType } from 'cdk8s';
import { GatekeeperMutation, KyvernoClusterPolicy, KyvernoMutatingPolicy, MutatingWebhook } from './src/index.js';

/**
 * Stands where your service's authority belongs: a real certificate, since the API server refuses a bundle that is none,
 * whose key was thrown away, so that nothing is trusted until you replace it.
 */
const PLACEHOLDER_CA = `-----BEGIN CERTIFICATE-----
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

/** The namespace and Service of the service's own Helm chart. */
const HOST = 'image-swapper.image-swapper.svc';
const HTTPS = `https://${HOST}:8443`;
const targets = ['registry.example.com/mirror/'];
const caConfigMap = { name: 'image-swapper-ca', namespace: 'image-swapper' };

/** What goes into each file of `policies/`; `policies/README.md` says when to take which. */
const FOLDERS: Readonly<Record<string, Readonly<Record<string, (chart: Chart) => unknown>>>> = {
  'kyverno/mutatingpolicy': {
    http: (chart) => new KyvernoMutatingPolicy(chart, 'policy', { url: `http://${HOST}:8081`, targets }),
    https: (chart) => new KyvernoMutatingPolicy(chart, 'policy', { url: HTTPS, targets }),
    'https-fail-closed': (chart) =>
      new KyvernoMutatingPolicy(chart, 'policy', { url: HTTPS, targets, failClosed: true }),
  },
  'kyverno/clusterpolicy': {
    https: (chart) => new KyvernoClusterPolicy(chart, 'policy', { url: HTTPS, targets, caConfigMap }),
    'https-fail-closed': (chart) =>
      new KyvernoClusterPolicy(chart, 'policy', { url: HTTPS, targets, caConfigMap, failClosed: true }),
  },
  gatekeeper: {
    mutation: (chart) => new GatekeeperMutation(chart, 'policy', { url: HTTPS, caBundle: PLACEHOLDER_CA }),
  },
  webhook: {
    webhook: (chart) => new MutatingWebhook(chart, 'policy', { url: HTTPS, targets, caBundle: PLACEHOLDER_CA }),
  },
};

/** One app for each folder of `policies/` under `root`, each chart a file. */
export function exampleApps(root: string): App[] {
  return Object.entries(FOLDERS).map(([folder, files]) => {
    const app = new App({
      outdir: `${root}/${folder}`,
      outputFileExtension: '.yaml',
      yamlOutputType: YamlOutputType.FILE_PER_CHART,
    });
    for (const [file, define] of Object.entries(files)) define(new Chart(app, file));
    return app;
  });
}
