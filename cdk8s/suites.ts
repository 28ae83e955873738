import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Yaml } from 'cdk8s';
import { parseAllDocuments } from 'yaml';

/**
 * The cluster in the suites of ClusterPolicies: without one, Kyverno would make no calls for them.
 *
 * @param ca PEM text in the ConfigMap that they read
 */
export function kyvernoCluster(ca: string): string {
  const namespace = (name: string) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  return Yaml.stringify({
    apiVersion: 'cli.kyverno.io/v1alpha1',
    kind: 'ClusterResource',
    metadata: { name: 'cluster' },
    spec: {
      resources: [
        ...['default', 'kube-system'].map(namespace),
        {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { name: 'image-swapper-ca', namespace: 'image-swapper' },
          data: { 'ca.crt': ca },
        },
      ],
    },
  });
}

export interface SuiteOptions {
  /** Of `policies/`. */
  readonly folder: string;
  /** The policy's file in it, without its extension. */
  readonly file: string;
  /** The folder with the configuration's `pods.yaml` and `expected.yaml`. */
  readonly pods: string;
}

interface Pod {
  readonly metadata: { readonly name: string; readonly namespace: string };
}

function podsIn(file: string): readonly Pod[] {
  return parseAllDocuments(readFileSync(file, 'utf8')).map((document) => document.toJS() as Pod);
}

/** As Kyverno's command line wants it; undefined for what is none of Kyverno's. */
export function kyvernoSuite({ folder, file, pods }: SuiteOptions): string | undefined {
  const kind = /^kyverno\/(mutating|cluster)policy$/.exec(folder)?.[1];
  if (kind === undefined) return undefined;
  const [before, after] = ['pods.yaml', 'expected.yaml'].map((name) => podsIn(join(pods, name)));
  const configuration = `../../../../configurations/${basename(pods)}`;
  const results = (before ?? []).map((pod, index) => {
    const { name, namespace } = pod.metadata;
    const swapped = JSON.stringify(pod) !== JSON.stringify(after?.[index]);
    return {
      policy: 'image-swapper',
      ...(kind === 'mutating' ? { isMutatingPolicy: true } : { rule: 'swap' }),
      kind: 'Pod',
      resources: [`${namespace}/${name}`],
      // The policy does not even ask about Pods that are not swapped.
      ...(swapped ? { patchedResources: `${configuration}/expected.yaml`, result: 'pass' } : { result: 'skip' }),
    };
  });
  const test = {
    apiVersion: 'cli.kyverno.io/v1alpha1',
    kind: 'Test',
    metadata: { name: `${kind}-policy-${file}` },
    policies: [`../../${file}.yaml`],
    resources: [`${configuration}/pods.yaml`],
    ...(kind === 'cluster' && { clusterResources: ['../cluster.yaml'] }),
    results,
  };
  return Yaml.stringify(test);
}
