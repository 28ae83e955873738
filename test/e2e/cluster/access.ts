import { expectOk } from './kube-api.js';
import type { KubeApi } from './kube-api.js';

/** Requests a token for an existing ServiceAccount as the kubelet does. It is valid for an hour. */
export async function tokenOf(api: KubeApi, namespace: string, name: string): Promise<string> {
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } };
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
  const reply = expectOk(await api.send('POST', path, body), `a token of ${namespace}/${name}`);
  return (reply.body as { readonly status: { readonly token: string } }).status.token;
}

export interface Access {
  readonly verb: string;
  readonly group?: string;
  readonly resource: string;
  readonly namespace?: string;
  readonly name?: string;
}

/** Returns whether the API server allows the ServiceAccount to do it. */
export async function isAllowed(
  api: KubeApi,
  account: { namespace: string; name: string },
  access: Access,
): Promise<boolean> {
  const body = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SubjectAccessReview',
    spec: {
      user: `system:serviceaccount:${account.namespace}:${account.name}`,
      groups: ['system:serviceaccounts', `system:serviceaccounts:${account.namespace}`, 'system:authenticated'],
      resourceAttributes: access,
    },
  };
  const reply = expectOk(await api.send('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', body), 'access');
  return (reply.body as { readonly status: { readonly allowed: boolean } }).status.allowed;
}
