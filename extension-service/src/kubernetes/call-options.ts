import type { ConfigurationOptions } from '@kubernetes/client-node';
import { requestOptions } from './request-options.js';

/** Time limit in milliseconds for one call: without it, a call would wait forever on a silently dead connection. */
const DEADLINE_MS = 15_000;

/** Options for one short call. A PATCH has the given type. */
export async function callOptions(
  contentType?: string,
  deadline = DEADLINE_MS,
  accept?: string,
): Promise<ConfigurationOptions> {
  return requestOptions(AbortSignal.timeout(deadline), contentType, accept);
}
