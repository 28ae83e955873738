import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { App, Chart, YamlOutputType } from 'cdk8s';
import { parse } from 'yaml';
import {
  GatekeeperMutation,
  KyvernoClusterPolicy,
  KyvernoMutatingPolicy,
  MutatingAdmission,
  MutatingWebhook,
} from './src/index.js';
import type { SwapperConfig } from './src/index.js';
import { filtersOf, targetsOf } from './src/swapper-config.js';
import { kyvernoCluster, kyvernoSuite } from './suites.js';

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
const HTTP = `http://${HOST}:8081`;
const caConfigMap = { name: 'image-swapper-ca', namespace: 'image-swapper' };

/** One file of `policies/`: of which configuration, and how it is made. */
interface Example {
  /** The folder of `policies/configurations` with the configuration, and Pods before and after. */
  readonly configuration: string;
  /** @param config what the policies need of it */
  readonly define: (chart: Chart, config: PolicyExample) => unknown;
}

interface PolicyExample {
  readonly targets: readonly string[];
  /** Left out without any: users change these policies, which would then claim to match another configuration. */
  readonly filters?: readonly string[];
}

const mutatingPolicy = (chart: Chart, config: PolicyExample) =>
  new KyvernoMutatingPolicy(chart, 'policy', { url: HTTP, ...config });
const clusterPolicy = (chart: Chart, config: PolicyExample) =>
  new KyvernoClusterPolicy(chart, 'policy', { url: HTTPS, caConfigMap, ...config });
const gatekeeper = (chart: Chart, { filters }: PolicyExample) =>
  new GatekeeperMutation(chart, 'policy', {
    url: HTTPS,
    caBundle: PLACEHOLDER_CA,
    ...(filters !== undefined && { filters }),
  });
const webhook = (chart: Chart, config: PolicyExample) =>
  new MutatingWebhook(chart, 'policy', { url: HTTPS, caBundle: PLACEHOLDER_CA, ...config });

/** Without filters: a policy of a configuration is printed by the service. */
const mutatingAdmission = (chart: Chart, { targets }: PolicyExample) =>
  new MutatingAdmission(chart, 'policy', { targets });

/** The same kind of policy for each of the other configurations. */
function byConfiguration(define: Example['define']): Readonly<Record<string, Example>> {
  const names = ['ecr', 'artifact-registry', 'harbor'];
  return Object.fromEntries(names.map((configuration) => [configuration, { configuration, define }]));
}

/** What goes into each file of `policies/`; `policies/README.md` says when to take which. */
const FOLDERS: Readonly<Record<string, Readonly<Record<string, Example>>>> = {
  'kyverno/mutatingpolicy': {
    http: { configuration: 'registry', define: mutatingPolicy },
    https: {
      configuration: 'registry',
      define: (chart, config) => new KyvernoMutatingPolicy(chart, 'policy', { url: HTTPS, ...config }),
    },
    'https-fail-closed': {
      configuration: 'registry',
      define: (chart, config) =>
        new KyvernoMutatingPolicy(chart, 'policy', { url: HTTPS, failClosed: true, ...config }),
    },
    ...byConfiguration(mutatingPolicy),
  },
  'kyverno/clusterpolicy': {
    https: { configuration: 'registry', define: clusterPolicy },
    'https-fail-closed': {
      configuration: 'registry',
      define: (chart, config) =>
        new KyvernoClusterPolicy(chart, 'policy', { url: HTTPS, caConfigMap, failClosed: true, ...config }),
    },
    ...byConfiguration(clusterPolicy),
  },
  gatekeeper: { mutation: { configuration: 'registry', define: gatekeeper }, ...byConfiguration(gatekeeper) },
  webhook: { webhook: { configuration: 'registry', define: webhook }, ...byConfiguration(webhook) },
  mutatingadmissionpolicy: { always: { configuration: 'registry', define: mutatingAdmission } },
};

/** Written by hand, unlike everything that is made of it. */
const CONFIGURATIONS = join(__dirname, '..', 'policies', 'configurations');

function forPolicies(configuration: string): PolicyExample {
  const config = parse(
    readFileSync(join(CONFIGURATIONS, configuration, 'image-swapper.yaml'), 'utf8'),
  ) as SwapperConfig;
  const filters = filtersOf(config);
  return { targets: targetsOf(config), ...(filters.length > 0 && { filters }) };
}

/** One app for each folder of `policies/` under `root`, each chart a file. */
export function exampleApps(root: string): App[] {
  return Object.entries(FOLDERS).map(([folder, files]) => {
    const app = new App({
      outdir: `${root}/${folder}`,
      outputFileExtension: '.yaml',
      yamlOutputType: YamlOutputType.FILE_PER_CHART,
    });
    for (const [file, { configuration, define }] of Object.entries(files)) {
      define(new Chart(app, file), forPolicies(configuration));
    }
    return app;
  });
}

/** The suite of each of Kyverno's policies, for `kyverno test`, by path. */
export function exampleSuites(): Readonly<Record<string, string>> {
  const suites = Object.entries(FOLDERS).flatMap(([folder, files]) =>
    Object.entries(files).flatMap(([file, { configuration }]) => {
      const suite = kyvernoSuite({ folder, file, pods: join(CONFIGURATIONS, configuration) });
      return suite === undefined ? [] : [[`${folder}/tests/${file}/kyverno-test.yaml`, suite] as const];
    }),
  );
  return { ...Object.fromEntries(suites), 'kyverno/clusterpolicy/tests/cluster.yaml': kyvernoCluster(PLACEHOLDER_CA) };
}
