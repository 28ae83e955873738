import type { ConfigurationOptions } from '@kubernetes/client-node';
import { requestOptions } from './request-options.js';

/** Milliseconds for one call: without it, a connection that died silently would be waited for without end. */
const DEADLINE_MS = 15_000;

/** Options of one short call. A PATCH is of the type given. */
export async function callOptions(
  contentType?: string,
  deadline = DEADLINE_MS,
  accept?: string,
): Promise<ConfigurationOptions> {
  return requestOptions(AbortSignal.timeout(deadline), contentType, accept);
}
