import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments, stringify } from 'yaml';
import { expectOk } from './kube-api.js';
import type { ApiObject, KubeApi } from './kube-api.js';

export interface PolicyRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

export interface Rights {
  /** Rules for every namespace. */
  readonly cluster?: readonly PolicyRule[];
  /** Rules for the account's own namespace. */
  readonly own?: readonly PolicyRule[];
}

/**
 * The chart's default permissions of the service, from its snapshot: to watch workloads, take part in the leader
 * election, write Events.
 */
export const WATCHING: Rights = {
  cluster: chartRules('ClusterRole'),
  own: chartRules('Role'),
};

function chartRules(kind: 'ClusterRole' | 'Role'): readonly PolicyRule[] {
  const file = join(import.meta.dirname, '../../fixtures/chart/defaults.yaml');
  const objects = parseAllDocuments(readFileSync(file, 'utf8')).map(
    (document) => document.toJS() as { readonly kind: string; readonly rules?: readonly PolicyRule[] },
  );
  const rules = objects.filter((object) => object.kind === kind).flatMap(({ rules = [] }) => rules);
  if (rules.length === 0) throw new Error(`${file} has no ${kind}`);
  return rules;
}

/** Creates a ServiceAccount with only these permissions. @returns a kubeconfig with its token */
export async function serviceAccount(
  api: KubeApi,
  { namespace, name, rights }: { readonly namespace: string; readonly name: string; readonly rights: Rights },
): Promise<string> {
  await api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  await api.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } });
  for (const object of rbac(namespace, name, rights)) await api.apply(object);
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
  const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 7_200 } };
  const { body } = expectOk(await api.send('POST', path, request), 'a token');
  const { token } = (body as { readonly status: { readonly token: string } }).status;
  return api.kubeconfig(token, namespace);
}

function rbac(namespace: string, name: string, { cluster = [], own = [] }: Rights): readonly ApiObject[] {
  const subjects = [{ kind: 'ServiceAccount', name, namespace }];
  const group = 'rbac.authorization.k8s.io';
  const full = `${namespace}-${name}`;
  return [
    { apiVersion: `${group}/v1`, kind: 'ClusterRole', metadata: { name: full }, rules: cluster },
    {
      apiVersion: `${group}/v1`,
      kind: 'ClusterRoleBinding',
      metadata: { name: full },
      roleRef: { apiGroup: group, kind: 'ClusterRole', name: full },
      subjects,
    },
    { apiVersion: `${group}/v1`, kind: 'Role', metadata: { name, namespace }, rules: own },
    {
      apiVersion: `${group}/v1`,
      kind: 'RoleBinding',
      metadata: { name, namespace },
      roleRef: { apiGroup: group, kind: 'Role', name },
      subjects,
    },
  ];
}

/** Returns a kubeconfig with only an address, its CA certificate and a token. */
export function kubeconfigOf(server: string, ca: string, token: string, namespace: string): string {
  const name = 'e2e';
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') } }],
    users: [{ name, user: { token } }],
    contexts: [{ name, context: { cluster: name, user: name, namespace } }],
    'current-context': name,
  });
}
