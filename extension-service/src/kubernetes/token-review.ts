import type { ClusterAccess } from './api.js';
import { callOptions } from './call-options.js';

/**
 * Time limit in milliseconds for one review: an admission waits for it, and the API server for the admission (3 s by
 * default).
 */
const TIMEOUT_MS = 2_000;

/**
 * Asks the API server for the user of a token (authentication.k8s.io/v1 TokenReview).
 *
 * @returns the user, such as `system:serviceaccount:kyverno:kyverno-admission-controller`; undefined if the token is
 * not valid for the audience
 * @throws Error without an answer; never contains the token
 */
export async function reviewToken(
  connect: () => Promise<ClusterAccess | undefined>,
  token: string,
  audience: string,
): Promise<string | undefined> {
  const cluster = await connect();
  if (cluster === undefined) throw new Error('TokenReview: there is no cluster: run in a Pod, or set KUBECONFIG');
  const { AuthenticationV1Api } = await import('./client.js');
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token, audiences: [audience] } };
  try {
    const api = cluster.config.makeApiClient(AuthenticationV1Api);
    const { status } = await api.createTokenReview({ body }, await callOptions(undefined, TIMEOUT_MS));
    // An API server that does not support audiences answers without them.
    const isForService = status?.authenticated === true && status.audiences?.includes(audience) === true;
    return isForService ? status.user?.username : undefined;
  } catch (error) {
    throw new Error(`TokenReview: ${reasonOf(error)}`, { cause: error });
  }
}

function reasonOf(error: unknown): string {
  const code = (error as { readonly code?: unknown }).code;
  if (code === 403) return 'not allowed (403): grant the service the verb create on tokenreviews.authentication.k8s.io';
  return typeof code === 'number' ? `status ${code}` : 'the API server did not respond';
}
